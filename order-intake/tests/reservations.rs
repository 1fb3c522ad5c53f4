//! What buyers are answered, status by status.

mod kit;

use kit::{Server, Setting, line, wait_for};

#[test]
fn a_reservation_is_held_looked_at_confirmed_and_repeated() {
    let server = Server::start();
    server.sale("A1", 10, r#","hold_ttl_ms":600000"#);
    let mut buyer = server.buyer("one");
    let body = r#"{"lines":[{"sku":"A1","quantity":2}],"allow_partial":false}"#;
    let held = buyer.reserve("k1", body).expect(201).not_replayed();
    let id = held.text("/reservation_id");
    assert_eq!(held.header("location"), Some(format!("/v1/reservations/{id}").as_str()));
    assert_eq!(held.header("content-type"), Some("application/json"));
    assert_eq!(held.text("/state"), "held");
    assert_eq!(held.get("/lines"), serde_json::json!([{"sku":"A1","quantity":2,"granted":2}]));
    assert_eq!(held.number("/expires_in_ms"), 600_000);
    assert_eq!(held.number("/position/partition"), 0);
    assert!(held.number("/position/offset") > 0);
    assert_eq!(held.number("/position/index"), 0);
    assert_eq!(held.text("/decided_by"), "sequencer");

    let again = buyer.reserve("\"k1\"", body).expect(200).replayed();
    for same in ["/reservation_id", "/state", "/lines", "/position", "/decided_by"] {
        assert_eq!(again.get(same), held.get(same), "{same}");
    }
    assert!(again.number("/expires_in_ms") <= 600_000);
    // The same request in other words is the same request.
    let other_words = r#"{ "allow_partial" : false , "lines" : [ {"quantity":1,"sku":"A1"}, {"sku":"\u00411","quantity":1} ] }"#;
    buyer.reserve("k1", other_words).expect(200).replayed();
    buyer.reserve("k1", &line("A1", 1)).problem(409, "IDEMPOTENCY_CONFLICT").not_replayed();

    let shown = buyer.show(&id).expect(200);
    assert_eq!(shown.text("/state"), "held");
    assert_eq!(shown.get("/lines"), held.get("/lines"));
    assert_eq!(shown.get("/position"), held.get("/position"));
    assert!(shown.number("/expires_in_ms") <= 600_000);

    assert_eq!(buyer.on(&id, "confirm").expect(200).text("/state"), "confirmed");
    assert_eq!(buyer.on(&id, "confirm").expect(200).text("/state"), "confirmed");
    buyer.on(&id, "release").problem(409, "ALREADY_CONFIRMED");
    buyer.extend(&id, 1_000).problem(409, "ALREADY_CONFIRMED");
    assert_eq!(buyer.show(&id).expect(200).text("/state"), "confirmed");
    // What was decided first stays the answer to its key.
    assert_eq!(buyer.reserve("k1", body).expect(200).replayed().text("/state"), "held");

    let left = buyer.get("/v1/skus/A1/availability").expect(200);
    assert_eq!((left.number("/available"), left.number("/held"), left.number("/committed")), (8, 0, 2));
    assert!(left.number("/as_of/offset") > 0);
    assert!(left.number("/as_of/age_ms") < 60_000);
}

#[test]
fn a_released_reservation_gives_its_units_back() {
    let server = Server::start();
    server.sale("A1", 1, "");
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    assert_eq!(buyer.on(&id, "release").expect(200).text("/state"), "released");
    assert_eq!(buyer.on(&id, "release").expect(200).text("/state"), "released");
    buyer.on(&id, "confirm").problem(410, "RELEASED");
    assert_eq!(buyer.get("/v1/skus/A1/availability").number("/available"), 1);
    buyer.reserve("k2", &line("A1", 1)).expect(201);
}

#[test]
fn an_expired_reservation_is_over() {
    let server = Server::start();
    server.sale("A1", 1, r#","hold_ttl_ms":150"#);
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    wait_for("the hold to end", || (buyer.show(&id).text("/state") == "expired").then_some(()));
    buyer.on(&id, "confirm").problem(410, "EXPIRED");
    buyer.extend(&id, 1_000).problem(410, "EXPIRED");
    assert_eq!(buyer.on(&id, "release").expect(200).text("/state"), "expired");
    buyer.reserve("k2", &line("A1", 1)).expect(201);
}

#[test]
fn extending_is_bounded() {
    let server = Server::start();
    server.sale("A1", 5, r#","hold_ttl_ms":100000,"extend_max":2,"hold_total_max_ms":130000"#);
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    let more = buyer.extend(&id, 20_000).expect(200);
    assert_eq!(more.text("/state"), "held");
    assert!((100_000..=120_000).contains(&more.number("/expires_in_ms")));
    let refused = buyer.extend(&id, 20_000).problem(409, "EXTEND_LIMIT");
    assert_eq!(refused.number("/allowed_ms"), 10_000);
    // With a key a repetition extends once.
    let path = format!("/v1/reservations/{id}/extend");
    let headers = [("content-type", "application/json"), ("idempotency-key", "e1")];
    buyer.ask("POST", &path, &headers, r#"{"by_ms":10000}"#).expect(200).not_replayed();
    buyer.ask("POST", &path, &headers, r#"{"by_ms":10000}"#).expect(200).replayed();
    buyer.ask("POST", &path, &headers, r#"{"by_ms":9000}"#).problem(409, "IDEMPOTENCY_CONFLICT");
    assert_eq!(buyer.extend(&id, 1).problem(409, "EXTEND_LIMIT").number("/allowed_ms"), 0);
}

#[test]
fn sold_out_is_422_and_stays_the_answer_to_its_key() {
    let server = Server::with(no_gate());
    server.sale("A1", 1, "");
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    let refused = buyer.reserve("k2", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK").not_replayed();
    assert_eq!((refused.text("/sku"), refused.number("/available")), ("A1".into(), 0));
    assert_eq!(refused.text("/decided_by"), "sequencer");
    let refused_id = refused.text("/reservation_id");
    assert_eq!(buyer.show(&refused_id).expect(200).text("/state"), "refused");
    buyer.on(&refused_id, "confirm").problem(404, "UNKNOWN_RESERVATION");
    buyer.on(&id, "release").expect(200);
    let again = buyer.reserve("k2", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK").replayed();
    for same in ["/reservation_id", "/sku", "/available", "/decided_by"] {
        assert_eq!(again.get(same), refused.get(same), "{same}");
    }
    // The machine keeps no place of a refusal; the place told is the repetition's own.
    assert!(again.number("/position/offset") > refused.number("/position/offset"));
    buyer.reserve("k3", &line("A1", 1)).expect(201);
}

fn no_gate() -> Setting {
    let mut setting = Setting::default();
    setting.config.gate = false;
    setting
}

#[test]
fn a_part_is_granted_to_whoever_takes_parts() {
    let server = Server::with(no_gate());
    server.sale("A1", 3, "");
    let mut buyer = server.buyer("one");
    let all = r#"{"lines":[{"sku":"A1","quantity":5}]}"#;
    assert_eq!(buyer.reserve("k1", all).problem(422, "INSUFFICIENT_STOCK").number("/available"), 3);
    let part = r#"{"lines":[{"sku":"A1","quantity":5}],"allow_partial":true}"#;
    let held = buyer.reserve("k2", part).expect(201);
    assert_eq!(held.get("/lines/0"), serde_json::json!({"sku":"A1","quantity":5,"granted":3}));
    buyer.reserve("k3", part).problem(422, "INSUFFICIENT_STOCK");
}

#[test]
fn several_lines_are_granted_together_or_not_at_all() {
    let server = Server::with(no_gate());
    for (sku, units) in [("B2", 1), ("A1", 5)] {
        server.stock(sku, units);
    }
    server.define("sale", &["A1", "B2"], "");
    server.change("sale", "open");
    let mut buyer = server.buyer("one");
    let both = |a, b| format!(r#"{{"lines":[{{"sku":"B2","quantity":{b}}},{{"sku":"A1","quantity":{a}}}]}}"#);
    let refused = buyer.reserve("k1", &both(1, 2)).problem(422, "INSUFFICIENT_STOCK");
    assert_eq!((refused.text("/sku"), refused.number("/available")), ("B2".into(), 1));
    let held = buyer.reserve("k2", &both(2, 1)).expect(201);
    let lines = serde_json::json!([
        {"sku":"A1","quantity":2,"granted":2},
        {"sku":"B2","quantity":1,"granted":1}
    ]);
    assert_eq!(held.get("/lines"), lines);
    assert_eq!(buyer.get("/v1/skus/A1/availability").number("/held"), 2);
}

#[test]
fn limits_unknown_skus_and_sales_have_their_own_answers() {
    let server = Server::start();
    let mut buyer = server.buyer("one");
    let unknown = buyer.reserve("k1", &line("A1", 1)).problem(404, "UNKNOWN_SKU");
    assert_eq!(unknown.text("/sku"), "A1");
    buyer.get("/v1/skus/A1/availability").problem(404, "UNKNOWN_SKU");
    server.stock("A1", 100);
    buyer.reserve("k2", &line("A1", 1)).problem(425, "SALE_NOT_OPEN");
    server.define("sale", &["A1"], r#","units_per_customer_max":2,"units_per_reservation_max":3"#);
    buyer.reserve("k3", &line("A1", 1)).problem(425, "SALE_NOT_OPEN");
    server.change("sale", "open");
    let early = buyer.reserve("k2", &line("A1", 1)).problem(425, "SALE_NOT_OPEN").replayed();
    assert_eq!(early.header("retry-after"), None, "the same key gets the same answer");
    buyer.reserve("k4", &line("A1", 2)).expect(201);
    let limited = buyer.reserve("k5", &line("A1", 1)).problem(409, "PURCHASE_LIMIT");
    assert_eq!(limited.number("/allowed"), 0);
    assert_eq!(
        server.buyer("two").reserve("k4", &line("A1", 4)).problem(409, "PURCHASE_LIMIT").number("/allowed"),
        3
    );
    server.change("sale", "pause");
    server.buyer("two").reserve("k1", &line("A1", 1)).problem(425, "SALE_PAUSED");
    server.change("sale", "open");
    server.buyer("two").reserve("k2", &line("A1", 1)).expect(201);
    server.change("sale", "close");
    server.buyer("three").reserve("k1", &line("A1", 1)).problem(410, "SALE_CLOSED");
    buyer.reserve("k4", &line("A1", 2)).expect(200).replayed();
}

#[test]
fn who_finds_nothing_may_stand_in_line() {
    let server = Server::start();
    server.sale("A1", 1, r#","waitlist":true"#);
    let (mut one, mut two) = (server.buyer("one"), server.buyer("two"));
    let id = one.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    let waiting = r#"{"lines":[{"sku":"A1","quantity":1}],"join_waitlist":true}"#;
    // A gate that is closed keeps nobody from the line.
    server.buyer("three").reserve("k1", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    let stands = two.reserve("k1", waiting).expect(201);
    assert_eq!(stands.text("/state"), "waiting");
    assert_eq!(stands.get("/lines/0/granted"), 0);
    assert_eq!(stands.json().get("expires_in_ms"), None);
    let waiting_id = stands.text("/reservation_id");
    two.reserve("k1", waiting).expect(200).replayed();
    two.on(&waiting_id, "confirm").problem(409, "STILL_WAITING");
    assert_eq!(two.show(&waiting_id).text("/state"), "waiting");
    assert_eq!(one.get("/v1/skus/A1/availability").number("/waiting"), 1);
    one.on(&id, "release").expect(200);
    assert_eq!(two.show(&waiting_id).text("/state"), "held");
    assert_eq!(two.on(&waiting_id, "confirm").expect(200).text("/state"), "confirmed");
}

#[test]
fn what_was_told_survives_a_restart() {
    let server = Server::start();
    server.sale("A1", 2, "");
    let held = server.buyer("one").reserve("k1", &line("A1", 1)).expect(201);
    let server = server.restart();
    let mut buyer = server.buyer("one");
    let again = buyer.reserve("k1", &line("A1", 1)).expect(200).replayed();
    assert_eq!(again.get("/position"), held.get("/position"));
    assert_eq!(again.get("/reservation_id"), held.get("/reservation_id"));
    buyer.reserve("k2", &line("A1", 1)).expect(201);
    server.buyer("two").reserve("k1", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
}

#[test]
fn skus_are_spread_over_partitions_and_lines_must_share_one() {
    let server = Server::with(Setting { partitions: 4, ..Setting::default() });
    let skus: Vec<String> = (0..16).map(|n| format!("sku-{n}")).collect();
    let names: Vec<&str> = skus.iter().map(String::as_str).collect();
    for sku in &names {
        server.stock(sku, 10);
    }
    server.define("sale", &names, "");
    server.change("sale", "open");
    let mut buyer = server.buyer("one");
    let mut partitions = std::collections::BTreeMap::new();
    for sku in &names {
        let held = buyer.reserve(sku, &line(sku, 1)).expect(201);
        let id = held.text("/reservation_id");
        assert_eq!(buyer.show(&id).expect(200).get("/position"), held.get("/position"));
        assert_eq!(buyer.on(&id, "confirm").expect(200).text("/state"), "confirmed");
        partitions.entry(held.number("/position/partition")).or_insert_with(Vec::new).push(*sku);
    }
    assert_eq!(partitions.len(), 4, "{partitions:?}");
    let (one, other) = (partitions[&0][0], partitions[&1][0]);
    let body = format!(r#"{{"lines":[{{"sku":"{one}","quantity":1}},{{"sku":"{other}","quantity":1}}]}}"#);
    let refused = buyer.reserve("both", &body).problem(400, "LINES_IN_SEVERAL_PARTITIONS");
    assert_eq!(refused.text("/errors/0/pointer"), "/lines/1/sku");
}

#[test]
fn a_key_is_one_key_in_all_partitions() {
    let server = Server::with(Setting { partitions: 4, ..Setting::default() });
    let skus: Vec<String> = (0..16).map(|n| format!("sku-{n}")).collect();
    let names: Vec<&str> = skus.iter().map(String::as_str).collect();
    for sku in &names {
        server.stock(sku, 10);
    }
    server.define("sale", &names, "");
    server.change("sale", "open");
    let mut buyer = server.buyer("one");
    let first = buyer.reserve("k", &line("sku-0", 1)).expect(201);
    let before = server.commands().len();
    let mut elsewhere = 0;
    for sku in &names[1..] {
        let conflict = buyer.reserve("k", &line(sku, 1)).problem(409, "IDEMPOTENCY_CONFLICT");
        elsewhere += usize::from(conflict.json().get("position").is_none());
    }
    assert!(elsewhere > 0, "some SKUs are in other partitions");
    assert_eq!(server.commands().len(), before + names.len() - 1 - elsewhere);
    // Somebody else's key is another one, also when it reads the same.
    server.buyer("two").reserve("k", &line("sku-1", 1)).expect(201);
    let server = server.restart();
    let mut buyer = server.buyer("one");
    for sku in &names[1..] {
        buyer.reserve("k", &line(sku, 1)).problem(409, "IDEMPOTENCY_CONFLICT");
    }
    let again = buyer.reserve("k", &line("sku-0", 1)).expect(200).replayed();
    assert_eq!(again.get("/position"), first.get("/position"));
}
