//! The client against small servers made by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::*;

const LONG: Duration = Duration::from_secs(30);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

fn hello() -> Request<'static> {
    Request { method: Method::GET, path: "/", token: "Bearer t", key: None, body: None }
}

fn at(address: SocketAddr, life: u64) -> Target {
    Target { address: Some(address), life }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads up to the empty line that ends a request without a body. False when the other side has closed.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        // One connection is all it accepts.
        let (mut stream, _) = listener.accept().await.unwrap();
        while read_request(&mut stream).await {
            stream.write_all(OK).await.unwrap();
        }
    });
    let (_target, seen) = watch::channel(at(address, 0));
    let client = Client::new(seen, Stopwatch::start(), 8);
    for _ in 0..3 {
        let sent = client.send(Lane::Door, &hello(), LONG).await;
        assert_eq!(sent.reply.unwrap().body, "hi");
        assert!(sent.sent < sent.received);
    }
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn a_buyer_without_patience_hangs_up() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(read_request(&mut stream).await);
        // No answer: the other side closes, which ends this.
        assert!(!read_request(&mut stream).await);
    });
    let (_target, seen) = watch::channel(at(address, 0));
    let client = Client::new(seen, Stopwatch::start(), 8);
    assert!(client.send(Lane::Door, &hello(), Duration::from_millis(1)).await.reply.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_is_no_answer() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(read_request(&mut stream).await);
        stream.write_all(&OK[..20]).await.unwrap();
    });
    let (_target, seen) = watch::channel(at(address, 0));
    let client = Client::new(seen, Stopwatch::start(), 8);
    assert!(client.send(Lane::Till, &hello(), LONG).await.reply.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn requests_wait_for_a_server_that_is_down_and_find_it_elsewhere() {
    let (listener, address) = listener().await;
    let (target, seen) = watch::channel(Target { address: None, life: 1 });
    let client = Arc::new(Client::new(seen, Stopwatch::start(), 8));
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.send(Lane::Door, &hello(), LONG).await.reply.is_some() }
    });
    target.send_replace(at(address, 1));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_request(&mut stream).await);
    stream.write_all(OK).await.unwrap();
    assert!(asked.await.unwrap());
}

#[tokio::test]
async fn connections_of_a_former_life_are_not_used_again() {
    let (first, first_address) = listener().await;
    let (second, second_address) = listener().await;
    let answer_one = |listener: TcpListener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(read_request(&mut stream).await);
        stream.write_all(OK).await.unwrap();
        stream
    };
    let first = tokio::spawn(answer_one(first));
    let second = tokio::spawn(answer_one(second));
    let (target, seen) = watch::channel(at(first_address, 0));
    let client = Client::new(seen, Stopwatch::start(), 8);
    assert!(client.send(Lane::Door, &hello(), LONG).await.reply.is_some());
    let _still_open = first.await.unwrap();
    target.send_replace(at(second_address, 1));
    assert!(client.send(Lane::Door, &hello(), LONG).await.reply.is_some());
    second.await.unwrap();
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    const CONNECTIONS: usize = 8;
    const REQUESTS: usize = 50;
    let (listener, address) = listener().await;
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Nobody is answered before the house is as full as it may be.
    let full = Arc::new(Barrier::new(CONNECTIONS));
    let server = tokio::spawn({
        let most = most.clone();
        async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (open, most, full) = (open.clone(), most.clone(), full.clone());
                tokio::spawn(async move {
                    let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    if now <= CONNECTIONS {
                        full.wait().await;
                    }
                    while read_request(&mut stream).await {
                        stream.write_all(OK).await.unwrap();
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
    });
    let (_target, seen) = watch::channel(at(address, 0));
    let client = Arc::new(Client::new(seen, Stopwatch::start(), CONNECTIONS));
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..REQUESTS {
        let client = client.clone();
        let lane = if number % 2 == 0 { Lane::Door } else { Lane::Till };
        asked.spawn(async move { client.send(lane, &hello(), LONG).await.reply.is_some() });
    }
    assert!(asked.join_all().await.into_iter().all(|it| it));
    assert_eq!(most.load(Ordering::SeqCst), CONNECTIONS);
    server.abort();
}
