#!/usr/bin/env bash
# The rights that each part of Holdfast needs on the brokers, given with Kafka's own tool. Arguments go to that tool:
#
#   config/kafka-acls.sh --bootstrap-server broker:9092 --command-config admin.properties
#
# KAFKA_ACLS      the tool, by default kafka-acls (or kafka-acls.sh)
# TOPIC_PREFIX    the `topic_prefix` of the settings, if there is one
# INTAKE          principal of `holdfast intake`, by default User:intake
# SEQUENCER       principal of `holdfast sequencer`, by default User:sequencer
# READER          principal of whoever reads decisions and dead letters, by default User:reader
# TRIM=yes        lets the sequencer delete records that verified checkpoints cover. Kafka has one right for deleting
#                 records and for deleting the topic, so it is not given unless asked for; without it logs only grow.
#
# Topics are made by an administrator (`holdfast topics create`), who needs Create on them and DescribeConfigs; no part
# of Holdfast may create, alter or, without TRIM, delete anything. Nobody needs a right to transactional ids or to the
# cluster: writing idempotently comes with Write on a topic.
set -euo pipefail

read -ra tool <<<"${KAFKA_ACLS:-kafka-acls}"
prefix=${TOPIC_PREFIX:-}
intake=${INTAKE:-User:intake}
sequencer=${SEQUENCER:-User:sequencer}
reader=${READER:-User:reader}

commands=${prefix}holdfast.inventory.commands.v1
decisions=${prefix}holdfast.inventory.decisions.v1
dead_letters=${prefix}holdfast.inventory.commands.v1-dlt
identity=${prefix}holdfast.inventory.identity.v1

allow() { "${tool[@]}" "${arguments[@]}" --add "$@" >/dev/null; }
arguments=("$@")

# Everybody looks at the settings of the topics when starting, and refuses wrong ones. (Read and Write bring Describe.)
for principal in "$intake" "$sequencer" "$reader"; do
    allow --allow-principal "$principal" --operation Describe --operation DescribeConfigs \
        --topic "$commands" --topic "$decisions" --topic "$dead_letters" --topic "$identity"
done

# Takes orders: appends commands, follows them for its reads, and reads the decisions.
allow --allow-principal "$intake" --operation Read --operation Write --topic "$commands" --topic "$identity"
allow --allow-principal "$intake" --operation Read --topic "$decisions"

# Decides: reads commands, appends ticks to them, and is the only one that appends decisions and dead letters.
allow --allow-principal "$sequencer" --operation Read --operation Write \
    --topic "$commands" --topic "$decisions" --topic "$dead_letters" --topic "$identity"
allow --allow-principal "$sequencer" --operation Read --group "${prefix}holdfast-sequencer"
if [ "${TRIM:-}" = yes ]; then
    allow --allow-principal "$sequencer" --operation Delete --topic "$commands" --topic "$decisions"
fi

# Reads. In a group, if it likes one, whose name begins like this.
allow --allow-principal "$reader" --operation Read --topic "$commands" --topic "$decisions" --topic "$dead_letters"
allow --allow-principal "$reader" --operation Read --group "${prefix}holdfast-reader" --resource-pattern-type prefixed
