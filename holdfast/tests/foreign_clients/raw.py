#!/usr/bin/env python3
"""Sends records as they are: `raw.py BOOTSTRAP TOPIC PARTITION`, one record for each line on stdin.

A line is the record's bytes in hexadecimal, or `null` for a record without a value. The offset of each goes to stdout.
"""

import sys

from confluent_kafka import Producer

bootstrap, topic, partition = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.max.bytes": 2_000_000})


def delivered(error, message):
    if error:
        sys.exit(str(error))
    print(message.offset())


for line in sys.stdin:
    value = None if line.strip() == "null" else bytes.fromhex(line)
    producer.produce(topic, value=value, partition=int(partition), on_delivery=delivered)
producer.flush()
