//! Clients that nobody here wrote, against a real broker: Java's `kafka-clients`, and Python's `confluent-kafka` with
//! classes made from the `.proto` files. The programs are the examples of `docs/kafka-clients.md`.

mod clients;

use std::collections::{BTreeMap, BTreeSet};

use clients::{LANGUAGES, Request, reserve};
use holdfast_contracts::PartitionId;
use holdfast_contracts::limits::SKU_BYTES_MAX;
use holdfast_contracts::murmur2::partition_of;
use holdfast_kafka_kit::Brokers;

const PARTITIONS: u32 = 4;

fn create_topic(brokers: &Brokers, name: &str) {
    let partitions = PARTITIONS.to_string();
    let said = brokers.tool(
        "org.apache.kafka.tools.TopicCommand",
        &[
            "--bootstrap-server",
            brokers.bootstrap(),
            "--create",
            "--topic",
            name,
            "--partitions",
            &partitions,
            "--config",
            "message.timestamp.type=LogAppendTime",
        ],
    );
    assert!(said.contains("Created"), "{said}");
}

/// A thousand SKUs of every length, in characters of one to four bytes.
fn skus() -> Vec<String> {
    const ALPHABETS: [&[char]; 5] = [
        &['A', 'B', 'c', '7', '-', '.', ' ', '~', '"', '\\'],
        &['\u{e4}', '\u{d6}', '\u{df}', '\u{416}', 'x'],
        &['\u{20ac}', '\u{6f22}', '\u{3042}', '\u{800}', 'y'],
        &['\u{1f6d2}', '\u{1f3ab}', '\u{10000}', '\u{10ffff}', 'z'],
        &['\u{0}', '\u{7f}', '\u{80}', '\u{7ff}', '\u{ffff}'],
    ];
    let mut dice = 1u64;
    let mut found = BTreeSet::new();
    while found.len() < 1_000 {
        let len = found.len() % SKU_BYTES_MAX + 1;
        let mut sku = String::new();
        while sku.len() < len {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let [a, b, c, ..] = dice.to_be_bytes().map(usize::from);
            let printable = char::from(33 + u8::try_from(c % 94).expect("small"));
            let alphabet = ALPHABETS[a % ALPHABETS.len()];
            let next = if a & 1 == 0 { printable } else { alphabet[b % alphabet.len()] };
            sku.push(if sku.len() + next.len_utf8() <= len { next } else { printable });
        }
        found.insert(sku);
    }
    found.into_iter().collect()
}

#[test]
fn java_and_python_send_a_sku_to_the_partition_that_it_belongs_to() {
    let brokers = Brokers::shared();
    let topic = "partitions.commands.v1";
    create_topic(&brokers, topic);
    let skus = skus();
    let wanted: BTreeMap<_, _> =
        skus.iter().map(|sku| (sku.clone(), partition_of(sku, PARTITIONS))).collect();
    let lengths: BTreeSet<_> = skus.iter().map(String::len).collect();
    assert_eq!((wanted.len(), lengths.len()), (1_000, SKU_BYTES_MAX));
    assert_eq!(wanted.values().collect::<BTreeSet<_>>().len(), PARTITIONS as usize);
    let requests: Vec<_> = (1u128..)
        .zip(&skus)
        .map(|(n, sku)| Request { id: n.to_be_bytes(), customer: 1, sku: sku.clone(), quantity: 1 })
        .collect();
    for language in LANGUAGES {
        let places = reserve(language, &brokers, topic, &requests);
        let found: BTreeMap<_, _> =
            places.into_iter().map(|it| (it.sku, PartitionId(it.partition))).collect();
        assert_eq!(found, wanted, "{language:?}");
    }
}
