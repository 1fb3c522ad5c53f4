//! What becomes of a connection after a request was refused, whether its body was read or not.

mod kit;

use std::io::Write;

use kit::{Answer, Client, PATIENCE, Server, Setting, line, wait_for};

/// Larger than what the server reads at once, small enough to be read for the sake of the connection.
const SMALL: usize = 40_000;
/// Larger than any body may be.
const LARGE: usize = 10 << 20;

/// A request that is refused for its head: method, path, headers without the framing, status.
struct Refused {
    method: &'static str,
    path: String,
    headers: String,
    status: u16,
}

/// Each refusal there is that needs no body.
fn refusals(server: &Server) -> Vec<Refused> {
    let (buyer, key) = (server.token("one", &[]), "idempotency-key: k\r\n");
    let buyer = format!("host: t\r\nauthorization: Bearer {buyer}\r\n");
    let json = "content-type: application/json\r\n";
    let of = |method, path: &str, headers: String, status| Refused {
        method,
        path: path.to_owned(),
        headers,
        status,
    };
    let unknown = "0000".to_owned() + &"5".repeat(28);
    vec![
        of("POST", "/v1/reservations", format!("host: t\r\n{json}{key}"), 401),
        of("POST", "/v1/reservations", format!("{buyer}{key}"), 415),
        of("POST", "/v1/reservations", format!("{buyer}{json}{key}content-encoding: gzip\r\n"), 415),
        of("POST", "/v1/reservations", format!("{buyer}{json}"), 400),
        of("POST", "/v1/reservations", format!("{buyer}{json}{key}{key}"), 400),
        of("POST", "/v1/reservations", format!("{json}{key}"), 400),
        of("PUT", "/v1/reservations", format!("{buyer}{json}"), 405),
        of("POST", "/v1/orders", format!("{buyer}{json}"), 404),
        of("POST", "/v1/skus/A1/availability", format!("{buyer}{json}"), 405),
        of("POST", &format!("/v1/reservations/{unknown}/extend"), "host: t\r\n".into(), 401),
        of("POST", "/v1/reservations/%ff/extend", buyer.clone(), 400),
        of("POST", "/v1/reservations/x/confirm", format!("{buyer}{json}"), 404),
        of("PUT", "/v1/admin/skus/A1/stock", format!("{buyer}{json}"), 403),
        of("PUT", "/v1/admin/sales/s", format!("{buyer}{json}"), 403),
    ]
}

impl Refused {
    fn head(&self, framing: &str) -> Vec<u8> {
        format!("{} {} HTTP/1.1\r\n{}{framing}\r\n\r\n", self.method, self.path, self.headers).into_bytes()
    }

    fn with_length(&self, bytes: usize) -> Vec<u8> {
        let mut request = self.head(&format!("content-length: {bytes}"));
        request.resize(request.len() + bytes, b' ');
        request
    }

    fn chunked(&self, bytes: usize) -> Vec<u8> {
        const CHUNK: usize = 10_000;
        let mut request = self.head("transfer-encoding: chunked");
        for _ in 0..bytes.div_ceil(CHUNK) {
            request.extend_from_slice(format!("{CHUNK:x}\r\n{}\r\n", " ".repeat(CHUNK)).as_bytes());
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    }

    /// Expects the refusal as the next answer.
    #[track_caller]
    fn expect(&self, client: &mut Client) -> Answer {
        let answer = client.receive().expect("an answer");
        assert_eq!(answer.status, self.status, "{} {}: {answer:?}", self.method, self.path);
        answer
    }
}

fn server() -> Server {
    let server = Server::start();
    server.sale("A1", 1_000, "");
    server
}

#[test]
fn a_connection_lives_on_after_a_refusal() {
    let server = server();
    let mut client = server.buyer("one");
    for (number, refused) in refusals(&server).iter().enumerate() {
        for (form, request) in [refused.with_length(SMALL), refused.chunked(SMALL)].iter().enumerate() {
            client.write(request);
            assert_eq!(refused.expect(&mut client).header("connection"), None);
            client.reserve(&format!("k{number}-{form}"), &line("A1", 1)).expect(201);
        }
    }
}

#[test]
fn a_connection_lives_on_when_its_customer_is_slowed_down() {
    let mut setting = Setting::default();
    setting.config.customer_requests_per_s = 1;
    setting.config.shards = 1.try_into().expect("not 0");
    let server = Server::with(setting);
    let mut client = server.buyer("one");
    let body = " ".repeat(SMALL);
    // The first ones are let through, to be told that a key is missing.
    let refused = wait_for("patience to end", || {
        let answer = client.post("/v1/reservations", &body);
        assert_eq!(answer.header("connection"), None);
        (answer.status == 429).then_some(answer)
    });
    refused.problem(429, "TOO_MANY_REQUESTS");
    client.get("/livez").expect(200);
}

#[test]
fn a_body_that_comes_late_belongs_to_its_request() {
    let server = server();
    let mut client = server.buyer("one");
    for (number, refused) in refusals(&server).iter().enumerate() {
        client.write(&refused.head("content-length: 7"));
        client.write(b"GET /x ");
        assert_eq!(refused.expect(&mut client).header("connection"), None);
        client.reserve(&format!("k{number}"), &line("A1", 1)).expect(201);
    }
}

#[test]
fn requests_sent_behind_a_refused_one_are_answered_in_order() {
    let server = server();
    let mut client = server.buyer("one");
    let token = server.token("one", &[]);
    let refusals = refusals(&server);
    let mut all = Vec::new();
    for (number, refused) in refusals.iter().enumerate() {
        let body = line("A1", 1);
        all.extend(refused.with_length(50));
        all.extend(refused.chunked(50));
        let head = format!(
            "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: p{number}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        all.extend(head.into_bytes());
    }
    // Written beside the reading: the server does not read on while nobody takes its answers.
    let mut writer = client.stream().try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&all).expect("the server reads"));
        for refused in &refusals {
            for _ in 0..2 {
                assert_eq!(refused.expect(&mut client).header("connection"), None);
            }
            client.receive().expect("an answer").expect(201);
        }
    });
}

#[test]
fn an_answer_is_not_held_up_by_what_comes_behind_its_request() {
    let server = server();
    let mut client = server.buyer("one");
    client.write(b"GET /livez HTTP/1.1\r\nhost: t\r\n\r\nGET /li");
    client.receive().expect("an answer").expect(200);
    client.write(b"vez HTTP/1.1\r\nhost: t\r\n\r\n");
    client.receive().expect("an answer").expect(200);
    client.write(b"GET /livez HTTP/1.1\r\nhost: t\r\n\r\n\0garbage\r\n\r\n");
    client.receive().expect("an answer").expect(200);
    assert_eq!(client.receive().expect("an answer").expect(400).header("connection"), Some("close"));
    client.closed();
}

#[test]
fn who_sends_all_before_reading_hears_why_it_was_refused() {
    let server = server();
    let good = format!(
        "host: t\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nidempotency-key: k\r\n",
        server.token("one", &["admin"])
    );
    let too_large =
        |method, path: &str| Refused { method, path: path.to_owned(), headers: good.clone(), status: 413 };
    let mut refused = refusals(&server);
    refused.push(too_large("POST", "/v1/reservations"));
    refused.push(too_large("PUT", "/v1/admin/skus/A1/stock"));
    let before = server.commands();
    for refused in &refused {
        for request in [refused.with_length(LARGE), refused.chunked(LARGE)] {
            let mut client = server.buyer("one");
            client.write(&request);
            assert_eq!(refused.expect(&mut client).header("connection"), Some("close"));
            client.closed();
        }
    }
    assert_eq!(server.commands(), before);
}

#[test]
fn who_asks_before_sending_is_refused_without_being_read() {
    let server = server();
    let token = server.token("one", &[]);
    let head = |bytes: usize, token: &str| {
        format!(
            "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: k\r\nexpect: 100-continue\r\n\
             content-length: {bytes}\r\n\r\n"
        )
    };
    for (request, status) in [(head(LARGE, &token), 413), (head(30, "none"), 401), (head(LARGE, "none"), 401)]
    {
        let mut client = server.buyer("one");
        client.write(request.as_bytes());
        let answer = client.receive().expect("an answer").expect(status);
        assert_eq!(answer.header("connection"), Some("close"));
        client.closed();
    }
    // Whoever is not refused is told to go on.
    let body = line("A1", 1);
    let mut client = server.buyer("one");
    client.write(head(body.len(), &token).as_bytes());
    client.receive().expect("a word").expect(100);
    client.write(body.as_bytes());
    assert_eq!(client.receive().expect("an answer").expect(201).header("connection"), None);
    client.get("/livez").expect(200);
}

#[test]
fn a_refused_client_that_goes_on_sending_is_cut_off() {
    let mut setting = Setting::default();
    setting.config.body_timeout_ms = 300.try_into().expect("not 0");
    let server = Server::with(setting);
    let head = b"POST /v1/reservations HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000000000\r\n\r\n";
    // After too long a time, in small steps.
    let mut slow = server.buyer("one");
    slow.write(head);
    slow.receive().expect("an answer").problem(401, "UNAUTHENTICATED");
    wait_for("the end of patience", || slow.stream().write_all(b" ").err());
    // After too many bytes.
    let mut setting = Setting::default();
    setting.config.body_timeout_ms = 600_000.try_into().expect("not 0");
    let server = Server::with(setting);
    let mut fast = server.buyer("one");
    fast.write(head);
    fast.receive().expect("an answer").problem(401, "UNAUTHENTICATED");
    let chunk = vec![b' '; 1 << 20];
    let written = (0..256).take_while(|_| fast.stream().write_all(&chunk).is_ok()).count();
    assert!((16..256).contains(&written), "{written} MiB");
}

#[test]
fn a_body_that_never_comes_ends_its_connection() {
    let server = server();
    let mut client = server.buyer("one");
    client.write(b"POST /v1/reservations HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n");
    let answer = client.receive().expect("an answer").problem(401, "UNAUTHENTICATED");
    assert_eq!(answer.header("connection"), Some("close"));
    client.closed();
}

#[test]
fn a_broken_body_ends_its_connection() {
    let server = server();
    let token = server.token("one", &[]);
    let mut client = server.buyer("one");
    client.write(
        format!(
            "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: k\r\ntransfer-encoding: chunked\r\n\r\nno number"
        )
        .as_bytes(),
    );
    let answer = client.receive().expect("an answer").problem(400, "INVALID_REQUEST");
    assert_eq!(answer.header("connection"), Some("close"));
    client.closed();
}

#[test]
fn the_end_of_the_server_waits_for_nobody_who_has_read_all() {
    let mut setting = Setting::default();
    setting.config.body_timeout_ms = 600_000.try_into().expect("not 0");
    let server = Server::with(setting);
    let mut client = server.buyer("one");
    client.ask("GET", "/livez", &[("connection", "close")], "").expect(200);
    assert!(server.intake.shutdown(PATIENCE).drained);
}
