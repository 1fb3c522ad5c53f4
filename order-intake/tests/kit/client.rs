//! A client over one connection, written by hand so that nothing is repaired on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member of the body.
    pub(crate) fn get(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).unwrap_or_else(|| panic!("no {pointer}: {self:?}")).clone()
    }

    pub(crate) fn text(&self, pointer: &str) -> String {
        self.get(pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text: {self:?}")).to_owned()
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.get(pointer).as_u64().unwrap_or_else(|| panic!("{pointer} is no number: {self:?}"))
    }

    /// Expects a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Expects a problem with this status and code, in the form that all problems have.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.text("/code").as_str()), (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("x-trace-id"), Some(self.text("/trace_id").as_str()));
        assert_eq!(self.number("/status"), u64::from(status));
        assert_eq!(self.text("/type"), format!("/problems/{}", code.to_lowercase().replace('_', "-")));
        assert!(!self.text("/title").is_empty());
        // Bad input says where it is bad.
        if status == 400 {
            assert!(!self.text("/errors/0/detail").is_empty());
            let _pointer = self.text("/errors/0/pointer");
        }
        self
    }

    #[track_caller]
    pub(crate) fn replayed(self) -> Self {
        assert_eq!(self.header("idempotent-replay"), Some("true"), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn not_replayed(self) -> Self {
        assert_eq!(self.header("idempotent-replay"), None, "{self:?}");
        self
    }
}

/// A connection, and what is sent with every request on it.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
        Self { reader: BufReader::new(stream), headers }
    }

    /// The connection itself.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        for (name, value) in &self.headers {
            if !headers.iter().any(|(other, _)| other == name) {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.stream().write_all(&bytes).expect("the server reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("the server reads");
    }

    /// Expects that the server closes the connection without another word.
    #[track_caller]
    pub(crate) fn closed(&mut self) {
        let mut rest = Vec::new();
        let read = self.reader.read_to_end(&mut rest);
        assert!(read.is_ok(), "not closed in an orderly way: {read:?}");
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// The next answer; `None` when the server has closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Answer> {
        let mut first = String::new();
        if self.reader.read_line(&mut first).unwrap_or(0) == 0 {
            return None;
        }
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            self.reader.read_line(&mut header).expect("a header");
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("the whole body");
        answer.body = String::from_utf8(body).expect("text");
        Some(answer)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(method, path, headers, body.as_bytes());
        self.receive().expect("an answer")
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], body)
    }

    pub(crate) fn put(&mut self, path: &str, body: &str) -> Answer {
        self.ask("PUT", path, &[("content-type", "application/json")], body)
    }

    pub(crate) fn send_reserve(&mut self, key: &str, body: &str) {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send("POST", "/v1/reservations", &headers, body.as_bytes());
    }

    pub(crate) fn reserve(&mut self, key: &str, body: &str) -> Answer {
        self.send_reserve(key, body);
        self.receive().expect("an answer")
    }

    /// Confirm, release.
    pub(crate) fn on(&mut self, id: &str, action: &str) -> Answer {
        self.ask("POST", &format!("/v1/reservations/{id}/{action}"), &[], "")
    }

    pub(crate) fn extend(&mut self, id: &str, by_ms: u64) -> Answer {
        self.post(&format!("/v1/reservations/{id}/extend"), &format!(r#"{{"by_ms":{by_ms}}}"#))
    }

    pub(crate) fn show(&mut self, id: &str) -> Answer {
        self.get(&format!("/v1/reservations/{id}"))
    }
}
