#!/usr/bin/env python3
"""Asks for reservations, and reads decisions, with confluent-kafka and protobuf.

    client.py reserve BOOTSTRAP TOPIC <requests
    client.py decisions BOOTSTRAP TOPIC

`reserve` sends one request for each line on stdin, its fields separated by tabs: the reservation id (32 hexadecimal
digits), the customer (a number, not 0), the SKU, and how many. For each one a line goes to stdout once the brokers have
it: the SKU, its partition, and the offset by which its decision will name it.

`decisions` prints what was decided so far, one JSON object per decision.

Needs: pip install confluent-kafka protobuf grpcio-tools. The classes are made from the .proto files in contracts/proto.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from google.protobuf.json_format import MessageToDict

PROTO = Path(__file__).resolve().parents[3] / "contracts/proto"


def classes():
    """The classes of the .proto files. A program of yours would have them made when it is built."""
    with tempfile.TemporaryDirectory() as made:
        files = ["holdfast/inventory/v1/commands.proto", "holdfast/inventory/v1/decisions.proto"]
        compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={made}", *files]
        subprocess.run(compiler, check=True)
        sys.path.insert(0, made)
        from holdfast.inventory.v1 import commands_pb2, decisions_pb2
    return commands_pb2, decisions_pb2


def reserve(bootstrap, topic):
    commands, _ = classes()
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            # librdkafka's own default hashes keys in another way than Java and Holdfast.
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
        }
    )
    failed = []

    def delivered(error, message):
        if error:
            failed.append(error)
        else:
            print(message.key().decode(), message.partition(), message.offset(), sep="\t")

    for line in sys.stdin:
        reservation_id, customer, sku, quantity = line.rstrip("\n").split("\t")
        batch = commands.CommandBatch(skus=[sku])
        request = batch.commands.add().reserve
        request.reservation_id = bytes.fromhex(reservation_id)
        request.customer = int(customer)
        request.lines.add(sku=0, quantity=int(quantity))
        # The key is the SKU and nothing else: it says which partition decides.
        producer.produce(topic, key=sku.encode(), value=batch.SerializeToString(), on_delivery=delivered)
        producer.poll(0)
    producer.flush()
    if failed:
        sys.exit(f"{len(failed)} requests were not taken: {failed[0]}")


def decisions(bootstrap, topic):
    _, decisions = classes()
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "decisions-example",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, it, OFFSET_BEGINNING) for it in partitions])
    last = dict.fromkeys(partitions, 0)
    while partitions:
        message = consumer.poll(30)
        if message is None:
            sys.exit("the brokers do not answer")
        partition = message.partition()
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            # Told again when somebody goes on writing: up to here was so far.
            partitions.pop(partition, None)
            continue
        if partition not in partitions:
            continue
        batch = decisions.DecisionBatch.FromString(message.value())
        # Owners that overlap write the same records twice: each number counts once.
        if batch.out_seq <= last[partition]:
            continue
        if last[partition] and batch.out_seq != last[partition] + 1:
            sys.exit(f"partition {partition}: record {last[partition] + 1} is missing")
        last[partition] = batch.out_seq
        for told in tell(batch):
            print(json.dumps({"partition": partition, "offset": batch.source_offset} | told, ensure_ascii=False))
    consumer.close()


def tell(batch):
    """The decisions of a record, with names for dictionary indexes and hexadecimal digits for ids."""
    if batch.HasField("malformed"):
        yield {"malformed": batch.malformed.code}
    for index, decision in enumerate(batch.decisions):
        kind = decision.WhichOneof("outcome") or "nothing"
        told = {"index": index, "id": decision.id.hex(), "replay": decision.replay, "outcome": kind}
        if kind == "reserved":
            told["expires_after_ms"] = decision.reserved.expires_after_ms
            told["lines"] = [[batch.skus[it.sku], it.quantity - it.missing] for it in decision.reserved.lines]
        elif kind == "refused":
            told |= MessageToDict(decision.refused, preserving_proto_field_name=True)
            if blamed := told.pop("sku_plus_one", 0):
                told["sku"] = batch.skus[blamed - 1]
        yield told


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8")
    match sys.argv[1:]:
        case ["reserve", bootstrap, topic]:
            reserve(bootstrap, topic)
        case ["decisions", bootstrap, topic]:
            decisions(bootstrap, topic)
        case _:
            sys.exit(__doc__)
