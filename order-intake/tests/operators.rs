//! What operators do with stock and sales.

mod kit;

use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::decision::{Outcome, Reason, decode_decisions};
use holdfast_contracts::{ControlKey, IntakeId, Offset, PartitionId, RequestTag};
use holdfast_intake::IntakeConfig;
use holdfast_log::{OrderedLog, StreamId};
use kit::{PATIENCE, Server, Setting, line};

#[test]
fn stock_is_set_only_if_it_is_what_was_expected() {
    let server = Server::start();
    let mut admin = server.admin();
    let path = "/v1/admin/skus/A1/stock";
    let set =
        admin.put(path, r#"{"on_hand":10,"reason":"delivery","reference":"D-1","expected":0}"#).expect(200);
    assert_eq!((set.number("/on_hand"), set.number("/available")), (10, 10));
    assert_eq!(set.text("/sku"), "A1");
    let changed =
        admin.put(path, r#"{"on_hand":20,"reason":"count","expected":9}"#).problem(409, "STOCK_CHANGED");
    assert_eq!((changed.number("/on_hand"), changed.text("/sku")), (10, "A1".into()));
    admin.put(path, r#"{"on_hand":20,"reason":"count","expected":10}"#).expect(200);
    // With a key a repetition changes nothing.
    let headers = [("content-type", "application/json"), ("idempotency-key", "s1")];
    let body = r#"{"on_hand":30,"reason":"count"}"#;
    admin.ask("PUT", path, &headers, body).expect(200).not_replayed();
    admin.ask("PUT", path, &headers, body).expect(200).replayed();
    admin
        .ask("PUT", path, &headers, r#"{"on_hand":31,"reason":"count"}"#)
        .problem(409, "IDEMPOTENCY_CONFLICT");
    assert_eq!(admin.get("/v1/skus/A1/availability").number("/on_hand"), 30);
}

#[test]
fn a_cut_below_what_is_promised_must_be_forced() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let id = server.buyer("one").reserve("k", &line("A1", 6)).expect(201).text("/reservation_id");
    let mut admin = server.admin();
    let path = "/v1/admin/skus/A1/stock";
    let refused = admin.put(path, r#"{"on_hand":3,"reason":"loss"}"#).problem(409, "STOCK_BELOW_PROMISED");
    assert_eq!(refused.number("/reducible"), 4);
    let forced = admin.put(path, r#"{"on_hand":3,"reason":"loss","force":true}"#).expect(200);
    assert_eq!(
        (forced.number("/on_hand"), forced.number("/shortfall"), forced.number("/available")),
        (6, 3, 0)
    );
    assert_eq!(forced.get("/cancel_first"), serde_json::json!([id]));
}

#[test]
fn stock_is_adjusted_and_set_aside() {
    let server = Server::start();
    server.stock("A1", 10);
    let mut admin = server.admin();
    let path = "/v1/admin/skus/A1/adjustments";
    let less = admin.post(path, r#"{"delta":-3,"reason":"broken"}"#).expect(200);
    assert_eq!((less.number("/on_hand"), less.number("/available")), (7, 7));
    let aside = admin.post(path, r#"{"set_aside":2,"reason":"check"}"#).expect(200);
    assert_eq!((aside.number("/available"), aside.number("/unavailable")), (5, 2));
    admin.post(path, r#"{"delta":-6,"reason":"broken"}"#).problem(409, "STOCK_BELOW_PROMISED");
    admin.post("/v1/admin/skus/B2/adjustments", r#"{"delta":1,"reason":"x"}"#).problem(404, "UNKNOWN_SKU");
}

#[test]
fn mistakes_of_operators_are_pointed_to_and_reach_no_log() {
    let server = Server::start();
    server.stock("A1", 10);
    let before = server.commands();
    let mut admin = server.admin();
    let stock = [
        (r#"{"on_hand":-1,"reason":"x"}"#, "/on_hand"),
        (r#"{"on_hand":1.5,"reason":"x"}"#, "/on_hand"),
        (r#"{"on_hand":1099511627777,"reason":"x"}"#, "/on_hand"),
        (r#"{"on_hand":1,"reason":""}"#, "/reason"),
        (r#"{"on_hand":1}"#, ""),
        (r#"[1,"x","",null,false]"#, ""),
        (r#"{"on_hand":1,"reason":"x","expected":-1}"#, "/expected"),
        (r#"{"on_hand":1,"reason":"x","expected":1099511627777}"#, "/expected"),
        (r#"{"on_hand":1,"reason":"x","warehouse":1}"#, "/warehouse"),
    ];
    for (body, pointer) in stock {
        let refused = admin.put("/v1/admin/skus/A1/stock", body).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}");
    }
    let adjustments = [
        (r#"{"delta":0,"reason":"x"}"#, "/delta"),
        (r#"{"reason":"x"}"#, "/delta"),
        (r#"{"delta":1099511627777,"reason":"x"}"#, "/delta"),
        (r#"{"delta":-9223372036854775808,"reason":"x"}"#, "/delta"),
        (r#"{"delta":1}"#, ""),
    ];
    for (body, pointer) in adjustments {
        let refused = admin.post("/v1/admin/skus/A1/adjustments", body).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}");
    }
    let sales = [
        (r#"{"skus":[]}"#, "/skus"),
        (r#"{"skus":["A1","A1"]}"#, "/skus/1"),
        (r#"{"skus":["A1",""]}"#, "/skus/1"),
        (r#"{"skus":["A1","B\u000a2"]}"#, "/skus/1"),
        (r#"{"skus":["A1"],"hold_ttl_ms":0}"#, "/hold_ttl_ms"),
        (r#"{"skus":["A1"],"hold_ttl_ms":2592000001}"#, "/hold_ttl_ms"),
        (r#"{"skus":["A1"],"payment_window_ms":0}"#, "/payment_window_ms"),
        (r#"{"skus":["A1"],"extend_max":16}"#, "/extend_max"),
        (r#"{"skus":["A1"],"hold_ttl_ms":1000,"hold_total_max_ms":999}"#, "/hold_total_max_ms"),
        (r#"{"skus":["A1"],"opens_at":10,"closes_at":10}"#, "/closes_at"),
        (r#"{"skus":["A1"],"opens_at":"tomorrow"}"#, "/opens_at"),
        (r#"{"skus":["A1"],"discount":1}"#, "/discount"),
        (r#"{}"#, ""),
    ];
    for (body, pointer) in sales {
        let refused = admin.put("/v1/admin/sales/s", body).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}");
    }
    admin.post("/v1/admin/sales/s/start", "").problem(404, "NOT_FOUND");
    for id in ["s".repeat(65).as_str(), "s%0a", "s%ff"] {
        let path = format!("/v1/admin/sales/{id}");
        let refused = admin.put(&path, r#"{"skus":["A1"]}"#).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/path"), "id");
    }
    for sku in ["s".repeat(65).as_str(), "A%0a1", "A%c2%851", "%ff"] {
        let path = format!("/v1/admin/skus/{sku}/stock");
        let refused = admin.put(&path, r#"{"on_hand":1,"reason":"x"}"#).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/path"), "sku");
    }
    assert_eq!(server.commands(), before);
}

#[test]
fn stock_that_would_be_too_much_is_pointed_to() {
    let server = Server::start();
    server.stock("A1", 10);
    let mut admin = server.admin();
    let path = "/v1/admin/skus/A1/adjustments";
    // In its own range; only with what is there already is it too much, which the machine alone knows.
    let all = r#"{"delta":1099511627776,"reason":"x"}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "a1")];
    let refused = admin.ask("POST", path, &headers, all).problem(400, "INVALID_REQUEST");
    assert_eq!(refused.text("/errors/0/pointer"), "/delta");
    let again = admin.ask("POST", path, &headers, all).problem(400, "INVALID_REQUEST").replayed();
    assert_eq!(again.text("/errors/0/pointer"), "/delta");
    admin.post(path, r#"{"delta":-10,"reason":"x"}"#).expect(200);
    assert_eq!(admin.post(path, all).expect(200).number("/on_hand"), 1 << 40);
}

#[test]
fn a_sale_lives_in_every_partition() {
    let server = Server::with(Setting { partitions: 3, ..Setting::default() });
    let skus: Vec<String> = (0..9).map(|n| format!("sku-{n}")).collect();
    let names: Vec<&str> = skus.iter().map(String::as_str).collect();
    for sku in &names {
        server.stock(sku, 1);
    }
    server.define("spring", &names, r#","hold_ttl_ms":60000,"units_per_customer_max":1,"waitlist":true"#);
    let mut admin = server.admin();
    let sale = admin.get("/v1/admin/sales/spring").expect(200);
    assert_eq!(sale.text("/state"), "draft");
    assert_eq!(sale.get("/skus"), serde_json::json!(names));
    assert_eq!((sale.number("/hold_ttl_ms"), sale.number("/units_per_customer_max")), (60_000, 1));
    assert_eq!((sale.number("/offer_ttl_ms"), sale.get("/waitlist")), (60_000, true.into()));
    let mut buyer = server.buyer("one");
    let all = |buyer: &mut kit::Client, key: &str, status: u16| {
        for sku in &names {
            let _told = buyer.reserve(&format!("{key}{sku}"), &line(sku, 1)).expect(status);
        }
    };
    all(&mut buyer, "draft", 425);
    assert_eq!(admin.post("/v1/admin/sales/spring/open", "").expect(200).text("/state"), "open");
    assert_eq!(admin.post("/v1/admin/sales/spring/open", "{}").expect(200).text("/state"), "open");
    all(&mut buyer, "open", 201);
    let paused = admin.post("/v1/admin/sales/spring/pause", r#"{"freeze_ttl":true}"#).expect(200);
    assert_eq!(paused.text("/state"), "paused");
    all(&mut server.buyer("two"), "paused", 425);
    assert_eq!(admin.post("/v1/admin/sales/spring/close", "").expect(200).text("/state"), "closed");
    all(&mut server.buyer("three"), "closed", 410);
    admin.post("/v1/admin/sales/spring/open", "").problem(409, "SALE_STATE");
    admin.put("/v1/admin/sales/spring", r#"{"skus":["sku-0"]}"#).problem(409, "SALE_STATE");
    admin.post("/v1/admin/sales/none/open", "").problem(404, "UNKNOWN_SALE");
    admin.get("/v1/admin/sales/none").problem(404, "UNKNOWN_SALE");
}

#[test]
fn a_sku_is_in_one_sale_only() {
    let server = Server::start();
    server.sale("A1", 1, "");
    let other =
        server.admin().put("/v1/admin/sales/other", r#"{"skus":["A1"]}"#).problem(409, "SKU_IN_OTHER_SALE");
    assert_eq!(other.text("/sku"), "A1");
    server.buyer("one").reserve("k", &line("A1", 1)).expect(201);
    server.admin().put("/v1/admin/sales/sale", r#"{"skus":["B2"]}"#).problem(409, "SKU_IN_USE");
}

#[test]
fn a_sale_may_have_thousands_of_skus() {
    let server = Server::start();
    let skus: Vec<String> = (0..4_096).map(|n| format!("{n:064}")).collect();
    let names: Vec<&str> = skus.iter().map(String::as_str).collect();
    server.define("large", &names, "");
    assert_eq!(
        server.admin().get("/v1/admin/sales/large").get("/skus").as_array().expect("a list").len(),
        4_096
    );
    let body = serde_json::json!({"skus": (0..4_097).map(|n| n.to_string()).collect::<Vec<_>>()}).to_string();
    server.admin().put("/v1/admin/sales/larger", &body).problem(400, "INVALID_REQUEST");
}

fn with_keys(machine: Option<ControlKey>, intake: Option<ControlKey>) -> Setting {
    let usual = Setting::default();
    let config = IntakeConfig { control_key: intake, ..usual.config };
    Setting { control_key: machine, config, ..usual }
}

/// Ticks, rules, stock and sales go through; what somebody else writes to the log does not.
#[test]
fn with_a_control_key_operators_are_heard_and_others_are_not() {
    let key = ControlKey::new(&[7; 32]);
    let server = Server::with(with_keys(Some(key), Some(key)));
    server.sale("A1", 10, "");
    server.buyer("one").reserve("k", &line("A1", 6)).expect(201);
    let forged = Command::CloseSale { sale_id: "sale" };
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    builder.push(&forged);
    let stream = StreamId::inventory_commands(PartitionId(0));
    let ticket = server.log.append(stream, builder.bytes().to_vec().into()).expect("the log takes it");
    let appended = ticket.wait(PATIENCE).expect("in time").expect("durable");
    // The next answer comes after it.
    server.buyer("two").reserve("k", &line("A1", 4)).expect(201);
    assert_eq!(refusals_of(server.log.as_ref(), appended.offset), [Reason::UnauthenticatedControl]);
}

/// Why the commands of a record were refused.
fn refusals_of(log: &dyn OrderedLog, source: Offset) -> Vec<Reason> {
    let decisions = StreamId::inventory_decisions(PartitionId(0));
    let mut records = Vec::new();
    log.read(decisions, Offset(0), 1 << 20, &mut records).expect("decisions");
    let batches = records.iter().map(|record| decode_decisions(&record.payload).expect("a decision record"));
    let about = batches.filter(|batch| batch.envelope.source_offset == source);
    let outcomes = about.flat_map(|batch| batch.decisions().map(|it| it.outcome).collect::<Vec<_>>());
    outcomes
        .map(|outcome| match outcome {
            Some(Outcome::Refused { reason, .. }) => reason,
            other => panic!("not refused: {other:?}"),
        })
        .collect()
}

#[test]
fn a_partition_with_another_control_key_is_not_served() {
    let (ours, theirs) = (ControlKey::new(&[7; 32]), ControlKey::new(&[8; 32]));
    for (machine, intake) in [(Some(ours), None), (None, Some(ours)), (Some(ours), Some(theirs))] {
        let server = Server::half_with(with_keys(machine, intake));
        let body = r#"{"on_hand":10,"reason":"test"}"#;
        server.admin().put("/v1/admin/skus/A1/stock", body).problem(503, "UNAVAILABLE");
        server.buyer("one").reserve("k", &line("A1", 1)).problem(503, "UNAVAILABLE");
    }
}
