//! The pages of a role that serves no buyers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_intake::{OperatorPages, Watched};

#[derive(Default)]
struct Role(AtomicBool);

impl Watched for Role {
    fn is_ready(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn status(&self) -> String {
        format!("{{\"live\":{}}}", self.is_ready())
    }

    fn metrics(&self) -> String {
        "holdfast_something 7\n".to_owned()
    }
}

/// Status code and body.
fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it is read");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
}

#[test]
fn operators_see_how_a_role_stands() {
    let role: Arc<Role> = Arc::default();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let pages = OperatorPages::start(any, role.clone()).expect("a port is free");
    let get = |path| ask(pages.local_addr(), "GET", path);
    assert_eq!(get("/livez").0, 200);
    assert_eq!(get("/readyz"), (503, "{\"ready\":false}\n".to_owned()));
    role.0.store(true, Ordering::SeqCst);
    assert_eq!((get("/readyz").0, get("/startupz").0), (200, 200));
    assert_eq!(get("/status"), (200, "{\"live\":true}\n".to_owned()));
    assert_eq!(get("/metrics"), (200, "holdfast_something 7\n".to_owned()));
    assert_eq!(get("/v1/reservations").0, 404);
    assert_eq!(ask(pages.local_addr(), "POST", "/readyz").0, 405);

    let address = pages.local_addr();
    drop(pages);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
