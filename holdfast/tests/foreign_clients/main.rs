//! Clients that nobody here wrote, against a real broker: Java's `kafka-clients`, and Python's `confluent-kafka` with
//! classes made from the `.proto` files. The programs are the examples of `docs/kafka-clients.md`.

mod clients;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use clients::{LANGUAGES, Language, Request, decisions, reserve, send_raw};
use holdfast_contracts::command::decode_batch;
use holdfast_contracts::limits::{RECORD_BYTES_MAX, SKU_BYTES_MAX};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{ControlKey, PartitionId, WireError};
use holdfast_kafka_kit::Brokers;
use holdfast_log::Topic;
use serde_json::{Value, json};
use service::{Service, control, reservation};

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

/// Requests for one SKU each, with ids of their own.
fn requests(first_id: u128, customer: u64, skus: &[String], quantity: u32) -> Vec<Request> {
    let ids = first_id..;
    let request =
        |(id, sku): (u128, &String)| Request { id: id.to_be_bytes(), customer, sku: sku.clone(), quantity };
    ids.zip(skus).map(request).collect()
}

#[test]
fn requests_of_java_and_python_are_decided_and_bad_records_stop_nobody() {
    let brokers = Brokers::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::start(&brokers, directory.path());
    let (commands, decided) =
        (service.topic(Topic::InventoryCommands), service.topic(Topic::InventoryDecisions));
    let mut skus: Vec<_> = skus().into_iter().step_by(25).collect();
    service.sell(&skus, 2);
    // One is bought beside the bad records, the others by Java and Python.
    let place_of = |n| skus.iter().position(|sku| partition_of(sku, PARTITIONS) == PartitionId(n));
    let foreign = skus[place_of(1).expect("one of 40")].clone();
    let own = skus.remove(place_of(0).expect("one of 40"));

    // In between, what nobody can decide.
    let bad = bad_records(&own, &foreign);
    let records: Vec<_> = bad.iter().map(|(record, _)| record.clone()).collect();
    let bad_places = send_raw(&brokers, &commands, 0, &records);
    let java = requests(1_000, 1, &skus, 1);
    let java_places = reserve(Language::Java, &brokers, &commands, &java);
    service.wait_for(&java_places);
    let python = requests(2_000, 2, &skus, 2);
    let python_places = reserve(Language::Python, &brokers, &commands, &python);
    let again_places = reserve(Language::Java, &brokers, &commands, &java);
    for places in [&bad_places, &java_places, &python_places, &again_places] {
        service.wait_for(places);
    }

    let told = decisions(&brokers, &decided);
    let told_of = |place: &clients::Place| match told
        .get(&(u64::from(place.partition), place.offset))
        .map(Vec::as_slice)
    {
        Some([one]) => one.clone(),
        other => panic!("{place:?}: {other:?}"),
    };
    for (place, (_, wanted)) in bad_places.iter().zip(&bad) {
        assert!(says(&told_of(place), wanted), "{place:?}: {}, not {wanted}", told_of(place));
    }
    let each = |places: &[clients::Place], requests: &[Request], wanted: &dyn Fn(&str) -> Value| {
        assert_eq!(places.len(), requests.len());
        let ids: BTreeMap<_, _> = requests.iter().map(|it| (&it.sku, u128::from_be_bytes(it.id))).collect();
        for place in places {
            let told = told_of(place);
            assert_eq!(told["id"], format!("{:032x}", ids[&place.sku]), "{place:?}");
            assert!(says(&told, &wanted(&place.sku)), "{place:?}: {told}");
        }
    };
    let reserved = |sku: &str, replay| json!({"outcome": "reserved", "replay": replay, "lines": [[sku, 1]]});
    each(&java_places, &java, &|sku| reserved(sku, false));
    each(&again_places, &java, &|sku| reserved(sku, true));
    each(&python_places, &python, &|sku| {
        let reason = "REASON_INSUFFICIENT_STOCK";
        json!({"outcome": "refused", "replay": false, "sku": sku, "reason": reason, "value": "1"})
    });
    service.stop();
}

/// Whether a decision has all these members.
fn says(told: &Value, wanted: &Value) -> bool {
    wanted.as_object().expect("an object").iter().all(|(name, value)| told[name] == *value)
}

/// Records that are no requests, or not for partition 0, and what is answered to each; the last one is a request.
fn bad_records(own: &str, foreign: &str) -> Vec<(Option<Vec<u8>>, Value)> {
    let good = reservation(3_000, own);
    let malformed = |error: WireError| json!({"malformed": error.code()});
    let refused = |reason: &str| json!({"outcome": "refused", "reason": reason, "replay": false});
    let framed = [&[0, 0, 0, 0, 7, 0][..], &good].concat();
    let forged = refused("REASON_UNAUTHENTICATED_CONTROL");
    let mut records = vec![
        (None, malformed(WireError::Empty)),
        (Some(Vec::new()), malformed(WireError::Empty)),
        (Some(good[..good.len() - 1].to_vec()), malformed(WireError::Truncated)),
        (Some(framed), malformed(WireError::BadFieldNumber)),
        (Some(br#"{"sku":"A1","quantity":1}"#.to_vec()), malformed(WireError::WrongWireType)),
        (Some(vec![0; RECORD_BYTES_MAX + 1]), malformed(WireError::TooLarge)),
        (Some(reservation(3_001, foreign)), refused("REASON_UNKNOWN_SKU")),
        (Some(control(None, own)), forged.clone()),
        (Some(control(Some(&ControlKey::new(&[8; 32])), own)), forged),
    ];
    let mut dice = 7u64;
    for len in 1..60 {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            dice.to_be_bytes()[0]
        })
        .take(len)
        .collect();
        let error = decode_batch(&noise, &mut Vec::new(), &mut Vec::new()).expect_err("noise is no request");
        records.push((Some(noise), malformed(error)));
    }
    records.push((Some(good), json!({"outcome": "reserved", "lines": [[own, 1]]})));
    records
}
