//! Bad input is a clear refusal, and nothing of it reaches the log.

mod kit;

use std::io::Write;

use kit::{Client, Server, line};

/// A body that is refused with 400, and where the mistake is.
const BODIES: &[(&str, &str)] = &[
    (r#"{"lines":[{"sku":"A1","quantity":0}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":-1}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":1.5}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":1e3}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":"1"}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":true}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":null}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":1000001}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":4294967296}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":99999999999999999999999}]}"#, "/lines/0/quantity"),
    (r#"{"lines":[{"sku":"A1","quantity":600000},{"sku":"A1","quantity":600000}]}"#, "/lines/1/quantity"),
    (r#"{"lines":[{"sku":"A1"}]}"#, "/lines/0"),
    (r#"{"lines":[{"quantity":1}]}"#, "/lines/0"),
    (r#"{"lines":[{"sku":"","quantity":1}]}"#, "/lines/0/sku"),
    (r#"{"lines":[{"sku":7,"quantity":1}]}"#, "/lines/0/sku"),
    (r#"{"lines":[{"sku":"A\u0000","quantity":1}]}"#, "/lines/0/sku"),
    (r#"{"lines":[{"sku":"A\n1","quantity":1}]}"#, "/lines/0/sku"),
    (r#"{"lines":[{"sku":"A1","quantity":1},{"sku":"\u007f","quantity":1}]}"#, "/lines/1/sku"),
    (r#"{"lines":[{"sku":"A\u0085","quantity":1}]}"#, "/lines/0/sku"),
    (r#"{"lines":[{"sku":"A1","quantity":1,"colour":"red"}]}"#, "/lines/0/colour"),
    (r#"{"lines":[{"sku":"A1","quantity":1,"quantity":2}]}"#, "/lines/0"),
    (r#"{"lines":[{"sku":"A1","quantity":1}],"price":1}"#, "/price"),
    (r#"{"lines":[{"sku":"A1","quantity":1}],"lines":[]}"#, ""),
    (r#"{"lines":[{"sku":"A1","quantity":1}],"allow_partial":"yes"}"#, "/allow_partial"),
    (r#"{"lines":[{"sku":"A1","quantity":1}],"allow_partial":true,"join_waitlist":true}"#, "/join_waitlist"),
    (
        r#"{"lines":[{"sku":"A1","quantity":1},{"sku":"B2","quantity":1}],"join_waitlist":true}"#,
        "/join_waitlist",
    ),
    (r#"{"lines":[]}"#, "/lines"),
    (r#"{"lines":{}}"#, "/lines"),
    (r#"{"allow_partial":false}"#, ""),
    (r#"[]"#, ""),
    (r#"[[{"sku":"A1","quantity":1}]]"#, ""),
    (r#"[[{"sku":"A1","quantity":1}],false,false]"#, ""),
    (r#"{"lines":[["A1",1]]}"#, "/lines/0"),
    (r#""text""#, ""),
    (r#"{"lines":[{"sku":"A1","quantity":1}]} {}"#, ""),
    (r#"{"lines":[{"sku":"A1","quantity":1}]"#, ""),
    ("", ""),
    ("\u{0}", ""),
];

fn server() -> Server {
    let server = Server::start();
    server.sale("A1", 100, "");
    server
}

#[test]
fn mistakes_in_a_body_are_pointed_to_and_reach_no_log() {
    let server = server();
    let before = server.commands();
    let mut buyer = server.buyer("one");
    for (number, (body, pointer)) in BODIES.iter().enumerate() {
        let refused = buyer.reserve(&format!("k{number}"), body).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/pointer"), *pointer, "{body}: {refused:?}");
        assert!(!refused.text("/errors/0/detail").is_empty());
    }
    let long = line(&"x".repeat(65), 1);
    buyer.reserve("long", &long).problem(400, "INVALID_REQUEST");
    let many = format!(r#"{{"lines":[{}]}}"#, vec![r#"{"sku":"A1","quantity":1}"#; 33].join(","));
    assert_eq!(
        buyer.reserve("many", &many).problem(400, "INVALID_REQUEST").text("/errors/0/pointer"),
        "/lines"
    );
    let deep = format!(r#"{{"lines":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    buyer.reserve("deep", &deep).problem(400, "INVALID_REQUEST");
    let deep_unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    buyer.reserve("deep2", &deep_unknown).problem(400, "INVALID_REQUEST");
    assert_eq!(server.commands(), before, "bad input reached the log");
    // The keys of refused requests were not used up.
    buyer.reserve("k0", &line("A1", 1)).expect(201);
}

#[test]
fn text_that_is_not_utf8_is_a_mistake() {
    let server = server();
    let before = server.commands();
    let mut buyer = server.buyer("one");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    buyer.send("POST", "/v1/reservations", &headers, b"{\"lines\":[{\"sku\":\"\xff\",\"quantity\":1}]}");
    buyer.receive().expect("an answer").problem(400, "INVALID_REQUEST");
    assert_eq!(server.commands(), before);
}

#[test]
fn a_body_may_have_a_mebibyte_and_no_byte_more() {
    let server = server();
    let before = server.commands();
    let padded = |bytes: usize| {
        let body = line("A1", 1);
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    let mut buyer = server.buyer("one");
    buyer.reserve("k1", &padded(1_048_577)).problem(413, "BODY_TOO_LARGE");
    assert_eq!(server.commands(), before);
    let mut buyer = server.buyer("one");
    buyer.reserve("k1", &padded(1_048_576)).expect(201);
    let mut admin = server.admin();
    let body = format!(r#"{{"on_hand":1,"reason":"{}"}}"#, "x".repeat(1_048_576));
    admin.put("/v1/admin/skus/A1/stock", &body).problem(413, "BODY_TOO_LARGE");
}

#[test]
fn a_chunked_body_is_counted_as_it_comes() {
    let server = server();
    let mut buyer = server.buyer("one");
    let token = server.token("one", &[]);
    let chunk = " ".repeat(65_536);
    let head = format!(
        "POST /v1/reservations HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\nidempotency-key: k\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    buyer.stream().write_all(head.as_bytes()).expect("the server reads");
    for _ in 0..17 {
        write!(buyer.stream(), "10000\r\n{chunk}\r\n").expect("the server reads");
    }
    write!(buyer.stream(), "0\r\n\r\n").expect("the server reads");
    buyer.receive().expect("an answer").problem(413, "BODY_TOO_LARGE");
}

#[test]
fn only_json_is_read() {
    let server = server();
    let before = server.commands();
    let mut buyer = server.buyer("one");
    let json = ("content-type", "application/json");
    let refused: [&[(&str, &str)]; 10] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonx")],
        &[("content-type", "application/json+x")],
        &[("content-type", "application/json; charset=latin1")],
        &[json, ("content-type", "text/plain")],
        &[json, ("content-encoding", "gzip")],
        &[json, ("content-encoding", "identity, br")],
        &[json, ("content-encoding", "identity"), ("content-encoding", "deflate")],
    ];
    let mut admin = server.admin();
    for headers in refused {
        let headers = [headers, &[("idempotency-key", "k")]].concat();
        let answer = buyer
            .ask("POST", "/v1/reservations", &headers, &line("A1", 1))
            .problem(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(answer.header("accept"), Some("application/json"));
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
        admin
            .ask("PUT", "/v1/admin/skus/A1/stock", &headers, r#"{"on_hand":1,"reason":"x"}"#)
            .problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(server.commands(), before);
    let headers = [json, ("content-encoding", "identity"), ("idempotency-key", "k2")];
    buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1)).expect(201);
    let headers = [("content-type", "Application/JSON; charset=utf-8"), ("idempotency-key", "k")];
    buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1)).expect(201);
}

#[test]
fn a_key_is_needed_and_must_be_one() {
    let server = server();
    let before = server.commands();
    let mut buyer = server.buyer("one");
    let headers = [("content-type", "application/json")];
    let missing = buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1));
    let missing = missing.problem(400, "IDEMPOTENCY_KEY_REQUIRED");
    assert_eq!(missing.get("/errors/0/pointer"), "");
    assert_eq!(missing.get("/errors/0/header"), "Idempotency-Key");
    let long = "k".repeat(256);
    for bad in [long.as_str(), "\"\"", "\"a\"b\"", "caf\u{e9}"] {
        let refused = buyer.reserve(bad, &line("A1", 1)).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.get("/errors/0/pointer"), "");
        assert_eq!(refused.get("/errors/0/header"), "Idempotency-Key");
    }
    let twice = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    buyer.ask("POST", "/v1/reservations", &twice, &line("A1", 1)).problem(400, "INVALID_REQUEST");
    assert_eq!(server.commands(), before);
    buyer.reserve(&"k".repeat(255), &line("A1", 1)).expect(201);
}

#[test]
fn paths_and_methods_that_do_not_exist_are_told() {
    let server = server();
    let mut buyer = server.buyer("one");
    for path in ["/", "/v1", "/v1/orders", "/v1/reservations/", "/v2/reservations", "/problems/none"] {
        buyer.get(path).problem(404, "NOT_FOUND");
    }
    for id in ["x", "zz", "00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff"] {
        buyer.show(id).problem(404, "UNKNOWN_RESERVATION");
    }
    assert_eq!(buyer.show("%ff").problem(400, "INVALID_REQUEST").text("/errors/0/path"), "id");
    let long = "x".repeat(65);
    for sku in [long.as_str(), "A%001", "%ff"] {
        let refused = buyer.get(&format!("/v1/skus/{sku}/availability")).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.get("/errors/0/pointer"), "");
        assert_eq!(refused.text("/errors/0/path"), "sku");
    }
}

#[test]
fn a_method_that_is_not_allowed_is_told_which_are() {
    let server = server();
    let mut admin = server.admin();
    for (method, path, allowed) in [
        ("GET", "/v1/reservations", "POST"),
        ("PUT", "/v1/reservations", "POST"),
        ("OPTIONS", "/v1/reservations", "POST"),
        ("DELETE", "/v1/skus/A1/availability", "GET,HEAD"),
        ("POST", "/v1/admin/skus/A1/stock", "PUT"),
        ("PATCH", "/v1/admin/sales/s", "PUT,GET,HEAD"),
        ("GET", "/v1/reservations/x/confirm", "POST"),
    ] {
        let refused = admin.ask(method, path, &[], "").problem(405, "METHOD_NOT_ALLOWED");
        assert_eq!(refused.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn a_move_takes_no_body_but_an_extension_does() {
    let server = server();
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k", &line("A1", 1)).expect(201).text("/reservation_id");
    let before = server.commands();
    let extend = format!("/v1/reservations/{id}/extend");
    for (body, pointer) in [
        (r#"{"by_ms":0}"#, "/by_ms"),
        (r#"{"by_ms":-5}"#, "/by_ms"),
        (r#"{"by_ms":2592000001}"#, "/by_ms"),
        (r#"{"by_ms":1.5}"#, "/by_ms"),
        (r#"{"by_ms":1,"why":"x"}"#, "/why"),
        ("{}", ""),
    ] {
        let refused = buyer.post(&extend, body).problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}");
    }
    buyer
        .ask("POST", &extend, &[("content-type", "text/plain")], "{}")
        .problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let confirm = format!("/v1/reservations/{id}/confirm");
    buyer.post(&confirm, r#"{"reacquire":true}"#).problem(400, "INVALID_REQUEST");
    assert_eq!(server.commands(), before);
    buyer.post(&confirm, "{}").expect(200);
}

#[test]
fn requests_that_are_no_http_are_not_guessed_at() {
    let server = server();
    let before = server.commands();
    let token = server.token("one", &[]);
    let body = line("A1", 1);
    let head = format!("host: t\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    let length = body.len();
    let raw = [
        // Two framings: the next proxy may have believed the other one.
        format!(
            "POST /v1/reservations HTTP/1.1\r\n{head}idempotency-key: k\r\ncontent-length: {length}\r\ncontent-length: 3\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/reservations HTTP/1.1\r\n{head}idempotency-key: k\r\ncontent-length: -1\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/reservations HTTP/1.1\r\n{head}idempotency-key: k\r\ntransfer-encoding: xchunked\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/reservations HTTP/1.1\r\n{head}folded: a\r\n b\r\nidempotency-key : k\r\n\r\n{body}"
        ),
        format!("POST /v1/reservations HTTP/9.9\r\n{head}\r\n{body}"),
        "\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3}".repeat(400_000),
        "GET /a b HTTP/1.1\r\nhost: t\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nhost: t\r\nx: \u{0}\r\n\r\n".to_owned(),
    ];
    for request in raw {
        let mut client = Client::new(server.intake.local_addr(), &token);
        client.write(request.as_bytes());
        let answer = client.receive().expect("an answer").expect(400);
        assert_eq!(answer.header("connection"), Some("close"), "{request:?}");
        client.closed();
    }
    assert_eq!(server.commands(), before);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = server();
    let field = |bytes| format!("GET /livez HTTP/1.1\r\nhost: t\r\nx-large: {}\r\n\r\n", "x".repeat(bytes));
    let path = format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: t\r\n{}\r\n", "x: y\r\n".repeat(200));
    for head in [field(20_000), field(1_000_000), path, many] {
        let mut client = Client::new(server.intake.local_addr(), "none");
        client.write(head.as_bytes());
        let answer = client.receive().expect("an answer").expect(431);
        assert_eq!(answer.header("connection"), Some("close"));
        client.closed();
    }
    server.buyer("one").get("/livez").expect(200);
}

#[test]
fn a_request_names_one_host() {
    let server = server();
    for (head, hosts) in
        [("HTTP/1.1", ""), ("HTTP/1.1", "host: a\r\nhost: a\r\n"), ("HTTP/1.0", "host: a\r\nhost: b\r\n")]
    {
        let mut client = Client::new(server.intake.local_addr(), "none");
        client.write(format!("GET /livez {head}\r\n{hosts}\r\n").as_bytes());
        let refused = client.receive().expect("an answer").problem(400, "INVALID_REQUEST");
        assert_eq!(refused.text("/errors/0/header"), "Host");
    }
    // Older clients had none to name.
    let mut client = Client::new(server.intake.local_addr(), "none");
    client.write(b"GET /livez HTTP/1.0\r\n\r\n");
    client.receive().expect("an answer").expect(200);
}
