//! Two sides that get to know each other, over a real connection.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;

/// Both ends of a connection.
fn ends() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (caller, listener.accept().unwrap().0)
}

type Greeted<T> = Result<T, GreetingError>;

fn greet(coordinator: Option<&Secret>, worker: Option<&Secret>) -> (Greeted<u32>, Greeted<()>) {
    let (caller, called) = ends();
    std::thread::scope(|scope| {
        // The end is closed with the thread, so that the other side never waits for long.
        let answered = scope.spawn(|| greet_coordinator(&mut Wire::new(called).unwrap(), worker, 7));
        let greeted = greet_worker(&mut Wire::new(caller).unwrap(), coordinator);
        (greeted, answered.join().unwrap())
    })
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[test]
fn those_who_share_a_secret_get_along_and_so_do_those_without_any() {
    let one = secret("a secret that both know");
    for both in [Some(&one), None] {
        let (greeted, answered) = greet(both, both);
        assert_eq!(greeted.unwrap(), 7);
        answered.unwrap();
    }
}

#[test]
fn nobody_gets_in_with_another_secret_or_without() {
    let (one, other) = (secret("a secret that both know"), secret("a secret that one knows"));
    let (greeted, answered) = greet(Some(&other), Some(&one));
    assert!(matches!(greeted, Err(GreetingError::SecretDiffers)), "{greeted:?}");
    assert!(matches!(answered, Err(GreetingError::SecretDiffers)), "{answered:?}");
    let (greeted, answered) = greet(None, Some(&one));
    assert!(matches!(greeted, Err(GreetingError::SecretWanted)), "{greeted:?}");
    assert!(matches!(answered, Err(GreetingError::Wire(WireError::Closed))), "{answered:?}");
    // Whoever listens there without the secret may be somebody else.
    let (greeted, answered) = greet(Some(&one), None);
    assert!(matches!(greeted, Err(GreetingError::SecretUnknown)), "{greeted:?}");
    assert!(answered.is_err(), "{answered:?}");
}

#[test]
fn the_secret_and_its_hash_are_not_on_the_wire() {
    let (caller, called) = ends();
    let (relay_in, relay_out) = ends();
    let heard = std::thread::scope(|scope| {
        let one = secret("a secret that both know");
        let worker = one.clone();
        scope.spawn(move || greet_coordinator(&mut Wire::new(called).unwrap(), Some(&worker), 1).unwrap());
        // Whatever goes to the worker is written down.
        let relay = scope.spawn(|| {
            let (mut from, mut to) = (relay_out, caller);
            let (mut back_from, mut back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            let back = std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to).ok());
            let mut heard = Vec::new();
            let mut chunk = [0; 256];
            while let Ok(count @ 1..) = std::io::Read::read(&mut from, &mut chunk) {
                heard.extend_from_slice(&chunk[..count]);
                to.write_all(&chunk[..count]).unwrap();
            }
            to.shutdown(std::net::Shutdown::Both).ok();
            back.join().unwrap();
            heard
        });
        let mut wire = Wire::new(relay_in).unwrap();
        greet_worker(&mut wire, Some(&one)).unwrap();
        drop(wire);
        relay.join().unwrap()
    });
    let has = |part: &[u8]| heard.windows(part.len()).any(|it| it == part);
    assert!(heard.len() > 64 && has(&MAGIC));
    assert!(!has(b"secret that"));
    assert!(!has(blake3::hash(b"a secret that both know").as_bytes()));
}

#[test]
fn another_version_is_named_by_both_sides() {
    let (caller, called) = ends();
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| greet_coordinator(&mut Wire::new(called).unwrap(), None, 1));
        let mut wire = Wire::new(caller).unwrap();
        // Of what comes after the version nothing is known.
        wire.send(&(Opening { magic: MAGIC, protocol: PROTOCOL + 1 }, "something new")).unwrap();
        assert!(Opening::read::<Challenge>(&mut wire, PATIENCE).is_ok(), "it tells its own");
        let error = answered.join().unwrap().unwrap_err();
        assert!(matches!(error, GreetingError::Version { theirs } if theirs == PROTOCOL + 1), "{error}");
    });
    let (caller, called) = ends();
    let mut worker = Wire::new(called).unwrap();
    worker.send(&Opening { magic: MAGIC, protocol: PROTOCOL + 1 }).unwrap();
    let error = greet_worker(&mut Wire::new(caller).unwrap(), None).unwrap_err();
    assert!(error.to_string().contains(&format!("version {} of", PROTOCOL + 1)), "{error}");
}

#[test]
fn a_browser_that_was_led_there_is_a_stranger() {
    let (mut caller, called) = ends();
    caller.write_all(b"POST / HTTP/1.1\r\nhost: 127.0.0.1:7070\r\ncontent-length: 0\r\n\r\n").unwrap();
    let answered = greet_coordinator(&mut Wire::new(called).unwrap(), None, 1);
    assert!(matches!(answered, Err(GreetingError::Stranger)), "{answered:?}");
}
