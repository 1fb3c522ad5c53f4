//! The sold-out gate: it spares the log, and can be seen by nothing else.

mod kit;

use kit::{Server, line, wait_for};

/// One unit, which somebody has, and a gate that is closed in every thread.
fn sold_out() -> (Server, String) {
    let server = Server::start();
    server.sale("A1", 1, "");
    let id = server.buyer("winner").reserve("won", &line("A1", 1)).expect(201).text("/reservation_id");
    // Connections go to either thread, and each finds out for itself.
    for round in 0.. {
        let answers: Vec<_> = (0..24)
            .map(|n| server.buyer("loser").reserve(&format!("{round}-{n}"), &line("A1", 1)))
            .map(|answer| answer.problem(422, "INSUFFICIENT_STOCK").text("/decided_by"))
            .collect();
        if answers.iter().all(|by| by == "gate") {
            break;
        }
        assert!(round < 1_000, "the gate does not close");
    }
    (server, id)
}

#[test]
fn a_closed_gate_refuses_without_the_log() {
    let (server, _) = sold_out();
    let before = server.commands();
    let mut buyer = server.buyer("one");
    for n in 0..50 {
        let refused = buyer.reserve(&format!("k{n}"), &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
        assert_eq!((refused.text("/decided_by"), refused.number("/available")), ("gate".into(), 0));
        assert_eq!(refused.text("/sku"), "A1");
        assert!(refused.not_replayed().json().get("reservation_id").is_none(), "nothing is remembered");
    }
    assert_eq!(server.commands(), before);
    let metrics = buyer.get("/metrics").expect(200).body;
    let refusals = metrics.lines().find(|line| line.starts_with("holdfast_intake_gate_refusals_total"));
    assert!(
        refusals.expect("a counter").split(' ').nth(1).expect("a value").parse::<u64>().expect("a number")
            >= 50
    );
}

#[test]
fn a_repetition_gets_its_answer_through_a_closed_gate() {
    let server = Server::start();
    server.sale("A1", 1, "");
    let mut winner = server.buyer("winner");
    let won = winner.reserve("won", &line("A1", 1)).expect(201);
    let lost = winner.reserve("lost", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    assert_eq!(lost.text("/decided_by"), "sequencer");
    // The same connection, so the same thread: its gate is closed now.
    let gate = winner.reserve("more", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    assert_eq!(gate.text("/decided_by"), "gate");
    let again = winner.reserve("won", &line("A1", 1)).expect(200).replayed();
    assert_eq!(again.get("/position"), won.get("/position"));
    winner.reserve("won", &line("A1", 2)).problem(409, "IDEMPOTENCY_CONFLICT");
    let again = winner.reserve("lost", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK").replayed();
    assert_eq!(again.text("/decided_by"), "sequencer");
    // What the gate refused is not remembered: the key is as good as new.
    winner.on(&won.text("/reservation_id"), "release").expect(200);
    winner.reserve("more", &line("A1", 1)).expect(201);
    winner.reserve("lost", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK").replayed();
}

#[test]
fn units_that_come_back_open_the_gate_at_once() {
    let (server, id) = sold_out();
    server.buyer("winner").on(&id, "release").expect(200);
    server.buyer("one").reserve("k", &line("A1", 1)).expect(201);
    let mut two = server.buyer("two");
    wait_for("the gate to close again", || {
        let refused = two.reserve(&format!("{:?}", std::time::Instant::now()), &line("A1", 1));
        (refused.problem(422, "INSUFFICIENT_STOCK").text("/decided_by") == "gate").then_some(())
    });
    server.admin().post("/v1/admin/skus/A1/adjustments", r#"{"delta":1,"reason":"found"}"#).expect(200);
    two.reserve("k", &line("A1", 1)).expect(201);
    server.stock("A1", 3);
    two.reserve("k2", &line("A1", 1)).expect(201);
}

#[test]
fn units_of_expired_holds_open_the_gate() {
    let server = Server::start();
    server.sale("A1", 1, r#","hold_ttl_ms":3000"#);
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    buyer.reserve("k2", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    // The same connection, so the same thread: its gate is closed now.
    let refused = buyer.reserve("k3", &line("A1", 1)).problem(422, "INSUFFICIENT_STOCK");
    assert_eq!(refused.text("/decided_by"), "gate");
    wait_for("the hold to end", || (buyer.show(&id).text("/state") == "expired").then_some(()));
    buyer.reserve("k3", &line("A1", 1)).expect(201);
}

#[test]
fn a_sale_that_is_over_says_so_and_not_that_it_is_sold_out() {
    let (server, _) = sold_out();
    server.change("sale", "pause");
    server.buyer("one").reserve("k1", &line("A1", 1)).problem(425, "SALE_PAUSED");
    server.change("sale", "close");
    server.buyer("one").reserve("k2", &line("A1", 1)).problem(410, "SALE_CLOSED");
}

#[test]
fn one_key_gets_one_answer_however_gate_and_log_race() {
    let server = Server::start();
    server.sale("A1", 1, "");
    let mut winner = server.buyer("winner");
    for round in 0..100 {
        let id = winner.reserve(&format!("w{round}"), &line("A1", 1)).expect(201).text("/reservation_id");
        let mut twice: Vec<_> = (0..6).map(|_| server.buyer("double")).collect();
        for client in &mut twice {
            client.send_reserve(&format!("d{round}"), &line("A1", 1));
        }
        winner.on(&id, "release").expect(200);
        let answers: Vec<_> = twice.iter_mut().map(|client| client.receive().expect("an answer")).collect();
        let granted: Vec<_> = answers.iter().filter(|answer| answer.status < 300).collect();
        let decided_no =
            |answer: &&kit::Answer| answer.status == 422 && answer.text("/decided_by") == "sequencer";
        let refused = answers.iter().filter(decided_no).count();
        assert!(granted.is_empty() || refused == 0, "round {round}: {answers:?}");
        assert!(granted.iter().filter(|answer| answer.status == 201).count() <= 1, "round {round}");
        let last = server.buyer("double").reserve(&format!("d{round}"), &line("A1", 1));
        assert!(granted.is_empty() || last.status == 200, "round {round}: {last:?}");
        if last.status < 300 {
            server.buyer("double").on(&last.text("/reservation_id"), "release").expect(200);
        }
    }
}
