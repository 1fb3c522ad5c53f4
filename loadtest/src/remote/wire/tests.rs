//! Frames over a real connection.

use std::net::TcpListener;

use super::*;

/// Anything takes less; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn ends() -> (TcpStream, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (caller, Wire::new(listener.accept().unwrap().0).unwrap())
}

#[test]
fn messages_arrive_in_order_and_whole() {
    let (caller, mut wire) = ends();
    let long = "x".repeat(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut caller = Wire::new(caller).unwrap();
            for text in ["one", "", long.as_str()] {
                caller.send(&text).unwrap();
            }
        });
        wire.trust();
        for text in ["one", "", long.as_str()] {
            assert_eq!(wire.receive::<String>(PATIENCE).unwrap().as_deref(), Some(text));
        }
        let closed = wire.receive::<String>(PATIENCE);
        assert!(matches!(closed, Err(WireError::Closed)), "{closed:?}");
    });
}

#[test]
fn half_a_frame_is_waited_for() {
    let (mut caller, mut wire) = ends();
    let frame = [&3_u32.to_le_bytes()[..], &[2, b'h', b'i']].concat();
    for byte in &frame {
        assert!(wire.receive::<String>(Duration::from_micros(1)).unwrap().is_none());
        caller.write_all(&[*byte]).unwrap();
    }
    assert_eq!(wire.receive::<String>(PATIENCE).unwrap().as_deref(), Some("hi"));
}

#[test]
fn a_stranger_sends_short_frames_only_and_nobody_endless_ones() {
    let frame = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    for (trusted, length) in [(false, STRANGER_BYTES_MAX), (true, BYTES_MAX)] {
        let (mut caller, mut wire) = ends();
        if trusted {
            wire.trust();
        }
        caller.write_all(&frame(length)).unwrap();
        assert!(wire.frame(Duration::from_millis(1)).unwrap().is_none(), "{length} bytes may come");
        let (mut caller, mut wire) = ends();
        if trusted {
            wire.trust();
        }
        caller.write_all(&frame(length + 1)).unwrap();
        let refused = wire.frame(PATIENCE);
        assert!(matches!(refused, Err(WireError::TooLong(it)) if it == length + 1), "{refused:?}");
    }
    let (_caller, mut wire) = ends();
    let sent = wire.send(&vec![7_u8; BYTES_MAX]);
    assert!(matches!(sent, Err(WireError::TooLong(_))), "{sent:?}");
}

#[test]
fn what_is_no_message_is_refused() {
    let (mut caller, mut wire) = ends();
    caller.write_all(&[1, 0, 0, 0, 9]).unwrap();
    let garbage = wire.receive::<String>(PATIENCE);
    assert!(matches!(garbage, Err(WireError::Garbage(_))), "{garbage:?}");
}

#[test]
fn parcels_are_of_one_size_whatever_is_in_them() {
    let mut things: Vec<String> = (0..100_000).map(|number| format!("number {number}")).collect();
    things.push("long".repeat(PARCEL_BYTES));
    things.push(String::new());
    let mut sent = Vec::new();
    parcels(&things, |parcel| {
        sent.push(parcel);
        Ok(())
    })
    .unwrap();
    assert!(sent.len() > 3);
    let few = sent.iter().filter(|it| it.len() < PARCEL_BYTES).count();
    let many = sent.iter().filter(|it| it.len() > PARCEL_BYTES + 32).count();
    assert_eq!((few, many), (1, 1), "only the last is short, only that with the long one is long");
    let mut got: Vec<String> = Vec::new();
    sent.iter().for_each(|parcel| unpack(parcel, &mut got).unwrap());
    assert_eq!(got, things);
    assert!(unpack(&sent[0][..7], &mut got).is_err());
}
