//! Intakes beside a sequencer that is a process of its own: each follows the log, and all say the same.

mod kit;

use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{IntakeId, PartitionId, RequestTag};
use holdfast_engine::Assignment;
use holdfast_log::{OrderedLog, StreamId};
use kit::{Client, Following, PATIENCE, Tier, line, wait_for};

const ONLY: PartitionId = PartitionId(0);

fn anybody(of: &Following) -> Client {
    Client::new(of.intake.local_addr(), "none")
}

fn get_ready(intakes: &[&Following]) {
    for one in intakes {
        assert!(one.intake.wait_until_ready(PATIENCE), "it gets ready");
    }
}

#[test]
fn a_buyer_who_repeats_at_another_intake_gets_the_same_answer() {
    let tier = Tier::new(1);
    let _owner = tier.owner();
    let (one, two) = (tier.intake("one"), tier.intake("two"));
    tier.sale(&one, &["A1"], 50);
    get_ready(&[&one, &two]);
    let (mut here, mut there) = (tier.buyer(&one, "buyer"), tier.buyer(&two, "buyer"));
    for n in 0..60 {
        let key = format!("k{n}");
        let first = here.reserve(&key, &line("A1", 1));
        if n < 50 {
            let first = first.expect(201);
            let again = there.reserve(&key, &line("A1", 1)).expect(200).replayed();
            for member in ["/reservation_id", "/position", "/state"] {
                assert_eq!(again.get(member), first.get(member), "{member}");
            }
            there.reserve(&key, &line("A1", 2)).problem(409, "IDEMPOTENCY_CONFLICT");
        } else {
            first.problem(422, "INSUFFICIENT_STOCK");
            there.reserve(&key, &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
        }
    }
}

#[test]
fn whoever_was_told_of_a_reservation_finds_it() {
    let tier = Tier::new(2);
    let _owner = tier.owner();
    let one = tier.intake("one");
    tier.sale(&one, &["A1", "B2"], 1_000);
    let mut buyer = tier.buyer(&one, "buyer");
    for n in 0..200 {
        let told = buyer.reserve(&format!("k{n}"), &line(["A1", "B2"][n % 2], 1)).expect(201);
        let path = format!("/v1/reservations/{}", told.text("/reservation_id"));
        let found = buyer.get(&path).expect(200);
        assert_eq!(found.text("/state"), told.text("/state"));
    }
    let shown = buyer.get("/v1/skus/A1/availability").expect(200);
    assert_eq!(shown.number("/available"), 900);
    assert!(shown.number("/as_of/offset") > 0);
}

#[test]
fn a_machine_that_is_behind_what_was_told_is_not_believed() {
    let tier = Tier::new(1);
    let _owner = tier.owner();
    let one = tier.intake("one");
    tier.sale(&one, &["A1"], 1);
    let mut buyer = tier.buyer(&one, "buyer");
    buyer.reserve("a", &line("A1", 1)).expect(201);
    buyer.reserve("b", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    // From here on the machine that is asked stands still, while the decisions go on coming.
    let (busy, is_busy) = std::sync::mpsc::sync_channel::<()>(0);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hold = move |_: Option<&holdfast_core::Machine>, _: &holdfast_engine::PartitionStatus| {
        busy.send(()).expect("the test waits");
        released.recv().expect_err("nothing is ever sent");
    };
    one.sequencer.query(ONLY, Box::new(hold)).expect("its thread lives");
    is_busy.recv().expect("it is held");
    let mut admin = tier.client(&one, "operator", &["admin"]);
    admin.put("/v1/admin/skus/A1/stock", r#"{"on_hand":5,"reason":"test"}"#).expect(200);
    buyer.send_reserve("c", &line("A1", 1));
    // It is asked before it has seen the restock that the operator was told of.
    wait_for("a question", || {
        let metrics = anybody(&one).get("/metrics").expect(200).body;
        let waiting = metrics.lines().find_map(|it| it.strip_prefix("holdfast_intake_requests_waiting "));
        (waiting.expect("a gauge") == "1").then_some(())
    });
    drop(release);
    let told = buyer.receive().expect("an answer").expect(201);
    assert_eq!(told.text("/decided_by"), "sequencer");
    assert_eq!(buyer.get("/v1/skus/A1/availability").expect(200).number("/available"), 3);
}

#[test]
fn what_is_sold_out_elsewhere_closes_the_gate_here() {
    let tier = Tier::new(1);
    let _owner = tier.owner();
    let (one, two) = (tier.intake("one"), tier.intake("two"));
    tier.sale(&one, &["A1"], 1);
    get_ready(&[&one, &two]);
    let mut here = tier.buyer(&one, "here");
    here.reserve("won", &line("A1", 1)).expect(201);
    // Nobody has asked there, so nothing but the decisions for others can have told it.
    let told = wait_for("a closed gate", || {
        here.reserve("lost", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
        let metrics = anybody(&two).get("/metrics").expect(200).body;
        let closed = metrics.lines().find_map(|it| it.strip_prefix("holdfast_intake_gates_closed "));
        (closed.expect("a gauge") != "0").then_some(metrics)
    });
    assert!(told.contains("holdfast_intake_gate_refusals_total 0"), "{told}");
    // And it opens for what comes back.
    let mut admin = tier.client(&one, "operator", &["admin"]);
    admin.put("/v1/admin/skus/A1/stock", r#"{"on_hand":5,"reason":"test"}"#).expect(200);
    tier.buyer(&two, "there").reserve("k", &line("A1", 1)).expect(201);
}

#[test]
fn a_key_that_was_used_for_another_partition_at_another_intake_is_recognised() {
    let tier = Tier::new(2);
    let other = (0..).map(|n| format!("B{n}")).find(|sku| partition_of(sku, 2) != partition_of("A1", 2));
    let other = other.expect("there is one");
    let _owner = tier.owner();
    let (one, two) = (tier.intake("one"), tier.intake("two"));
    tier.sale(&one, &["A1", &other], 100);
    get_ready(&[&one, &two]);
    let (mut here, mut there) = (tier.buyer(&one, "buyer"), tier.buyer(&two, "buyer"));
    here.reserve("first", &line("A1", 1)).expect(201);
    there.reserve("second", &line(&other, 1)).expect(201);
    // Both have seen the other's decisions by now or soon: then nothing is decided under that key again.
    wait_for("a conflict", || {
        let told = there.reserve("first", &line(&other, 1));
        (told.status == 409).then_some(())
    });
}

#[test]
fn fresh_partitions_may_be_told_the_rules_by_several_intakes_at_once() {
    let tier = Tier::new(2);
    let _owner = tier.owner();
    let intakes: Vec<Following> = ["one", "two", "three"].map(|name| tier.intake(name)).into();
    get_ready(&intakes.iter().collect::<Vec<_>>());
    // One more time, by somebody who comes very late.
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    let version = holdfast_core::RULES_VERSION_NEWEST;
    builder.push(&Command::ActivateRules { version, dedupe_window_ms: 0, work_per_record_max: 0 });
    tier.sale(&intakes[0], &["A1"], 10);
    let partition = partition_of("A1", 2);
    let stream = StreamId::inventory_commands(partition);
    tier.log.append(stream, bytes::Bytes::copy_from_slice(builder.bytes())).expect("the log takes it");
    for (n, one) in intakes.iter().enumerate() {
        tier.buyer(one, "buyer").reserve(&format!("k{n}"), &line("A1", 1)).expect(201);
        let rules = one.sequencer.ask(partition, |machine, _| machine.rules_version());
        assert_eq!(rules, Ok(Some(version)));
    }
}

#[test]
fn without_anybody_who_decides_commands_are_taken_and_nobody_is_sent_here() {
    let tier = Tier::new(1);
    let one = tier.intake("one");
    get_ready(&[&one]);
    let mut buyer = tier.buyer(&one, "buyer");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("prefer", "wait=0")];
    buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1)).expect(202);
    let told = wait_for("an intake that is not ready", || {
        let told = anybody(&one).get("/readyz");
        (told.status == 503).then_some(told)
    });
    assert_eq!(
        (told.text("/in_the_way/0/is"), told.number("/in_the_way/0/partition")),
        ("undecided".into(), 0)
    );
    buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1)).expect(202);
    let _owner = tier.owner();
    wait_for("an intake that is ready", || (anybody(&one).get("/readyz").status == 200).then_some(()));
    buyer.reserve("k", &line("A1", 1)).problem(404, "UNKNOWN_SKU").replayed();
}

#[test]
fn a_broken_connection_to_the_log_is_told_and_heals() {
    let tier = Tier::new(1);
    let owner = tier.owner();
    let one = tier.intake("one");
    tier.sale(&one, &["A1"], 10);
    one.view.cut_off();
    let told = wait_for("an intake that is not ready", || {
        let told = anybody(&one).get("/readyz");
        (told.status == 503).then_some(told)
    });
    let in_the_way = [told.text("/log"), told.json().to_string()];
    assert!(in_the_way[0] == "away" || in_the_way[1].contains("behind"), "{in_the_way:?}");
    wait_for("a log that is away", || (anybody(&one).get("/readyz").text("/log") == "away").then_some(()));
    tier.buyer(&one, "buyer").reserve("k", &line("A1", 1)).problem(503, "UNAVAILABLE");
    one.view.reconnect();
    wait_for("an intake that is ready", || (anybody(&one).get("/readyz").status == 200).then_some(()));
    tier.buyer(&one, "buyer").reserve("k", &line("A1", 1)).expect(201);
    drop(owner);
}

#[test]
fn a_second_owner_and_a_change_of_owner_are_seen_by_nobody() {
    let tier = Tier::new(1);
    let old = tier.owner();
    let one = tier.intake("one");
    tier.sale(&one, &["A1"], 1_000);
    let (_, new) = tier.run("new", Assignment::Standby);
    let mut buyer = tier.buyer(&one, "buyer");
    for n in 0..300 {
        match n {
            100 => new.set_assignment(ONLY, Assignment::Active).map(drop).expect("it is run here"),
            200 => old.set_assignment(ONLY, Assignment::None).map(drop).expect("it is run here"),
            _ => {}
        }
        buyer.reserve(&format!("k{n}"), &line("A1", 1)).expect(201).not_replayed();
    }
    assert_eq!(buyer.get("/v1/skus/A1/availability").expect(200).number("/available"), 700);
}
