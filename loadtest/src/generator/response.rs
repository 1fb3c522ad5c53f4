//! HTTP/1.1 answers, read from what has come so far (RFC 9112, sections 4 to 7).

use std::ops::Range;
use std::time::Duration;

/// Header lines of an answer at most.
const HEADERS_MAX: usize = 64;
/// More than that before an answer is whole is no answer to anything that is asked here.
pub(crate) const BYTES_MAX: usize = 8 << 20;

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A part of an answer.
    Part,
    /// An answer, and how many bytes it takes.
    Whole(Head, usize),
    /// Nothing that HTTP/1.1 knows.
    Garbage,
}

/// A whole answer, without its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// `Idempotent-Replay: true`.
    pub(crate) is_replay: bool,
    pub(crate) retry_after: Option<Duration>,
    /// The connection can be asked again.
    pub(crate) stays_open: bool,
    pub(crate) body: Body,
}

/// Where the body is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// These of the bytes.
    In(Range<usize>),
    /// It came in chunks and was put together.
    Joined(Vec<u8>),
}

impl Body {
    /// The body's bytes, of an answer that was found in `bytes`.
    pub(crate) fn bytes<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Self::In(range) => bytes.get(range.clone()).unwrap_or_default(),
            Self::Joined(body) => body,
        }
    }
}

/// How long the body is.
enum Length {
    Bytes(usize),
    Chunked,
    /// To the end of the connection.
    Rest,
}

/// Looks for an answer. `is_over` says that no more bytes come.
pub(crate) fn find(bytes: &[u8], is_over: bool) -> Found {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) if is_over || bytes.len() > BYTES_MAX => return Found::Garbage,
        Ok(httparse::Status::Partial) => return Found::Part,
        Err(_) => return Found::Garbage,
    };
    let status = response.code.unwrap_or_default();
    if (100..200).contains(&status) {
        // Something better follows.
        return match find(&bytes[start..], is_over) {
            Found::Whole(mut head, used) => {
                if let Body::In(range) = &mut head.body {
                    *range = range.start + start..range.end + start;
                }
                Found::Whole(head, used + start)
            }
            found => found,
        };
    }
    let Some((mut head, length)) = head(status, response.version == Some(1), response.headers) else {
        return Found::Garbage;
    };
    let (body, used) = match length {
        Length::Bytes(length) if bytes.len() - start >= length => {
            (Body::In(start..start + length), start + length)
        }
        Length::Rest if is_over => (Body::In(start..bytes.len()), bytes.len()),
        Length::Chunked => match join(&bytes[start..]) {
            Ok(Some((body, used))) => (Body::Joined(body), start + used),
            Ok(None) if is_over || bytes.len() > BYTES_MAX => return Found::Garbage,
            Ok(None) => return Found::Part,
            Err(()) => return Found::Garbage,
        },
        Length::Bytes(_) | Length::Rest if is_over || bytes.len() > BYTES_MAX => return Found::Garbage,
        Length::Bytes(_) | Length::Rest => return Found::Part,
    };
    head.body = body;
    Found::Whole(head, used)
}

fn head(status: u16, is_1_1: bool, headers: &[httparse::Header<'_>]) -> Option<(Head, Length)> {
    let mut head =
        Head { status, is_replay: false, retry_after: None, stays_open: is_1_1, body: Body::In(0..0) };
    let mut length = None;
    for header in headers {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let found = std::str::from_utf8(value).ok()?.parse().ok()?;
            if !matches!(length, None | Some(Length::Chunked)) {
                return None;
            }
            length.get_or_insert(Length::Bytes(found));
        } else if is("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            length = Some(Length::Chunked);
        } else if is("connection") {
            head.stays_open = !value.eq_ignore_ascii_case(b"close");
        } else if is("idempotent-replay") {
            head.is_replay = value == b"true";
        } else if is("retry-after") {
            let seconds = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            head.retry_after = seconds.map(Duration::from_secs);
        }
    }
    let length = match (status, length) {
        (204 | 304, _) => Length::Bytes(0),
        (_, Some(length)) => length,
        (_, None) => Length::Rest,
    };
    head.stays_open &= !matches!(length, Length::Rest);
    Some((head, length))
}

/// Puts chunks together. `None` while some are to come; with how many bytes they took.
fn join(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (skip, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        let size = usize::try_from(size).ok().filter(|size| *size <= BYTES_MAX).ok_or(())?;
        if size == 0 {
            // Trailers, of which nothing is wanted, end with an empty line.
            return Ok(
                end_of_trailers(rest.get(skip..).unwrap_or_default()).map(|used| (body, at + skip + used))
            );
        }
        let chunk = rest.get(skip..skip + size);
        let (Some(chunk), Some(end)) = (chunk, rest.get(skip + size..skip + size + 2)) else {
            return Ok(None);
        };
        if end != b"\r\n" {
            return Err(());
        }
        body.extend_from_slice(chunk);
        at += skip + size + 2;
    }
}

fn end_of_trailers(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_HOLDFAST: &[u8] =
        b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nIdempotent-Replay: true\r\n\
        content-length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n";

    fn whole(bytes: &[u8], is_over: bool) -> (u16, Vec<u8>, usize, bool) {
        match find(bytes, is_over) {
            Found::Whole(head, used) => (head.status, head.body.bytes(bytes).to_vec(), used, head.stays_open),
            found => panic!("{found:?}"),
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_last_byte_is_there() {
        for answer in [OF_HOLDFAST, CHUNKED] {
            for length in 0..answer.len() {
                assert_eq!(find(&answer[..length], false), Found::Part, "{length} bytes");
                assert_eq!(find(&answer[..length], true), Found::Garbage, "{length} bytes");
            }
            let followed = [answer, OF_HOLDFAST].concat();
            assert_eq!(whole(&followed, false).2, answer.len());
        }
        assert_eq!(whole(OF_HOLDFAST, false), (201, b"hello".to_vec(), OF_HOLDFAST.len(), true));
        assert_eq!(whole(CHUNKED, false).1, b"abcde");
    }

    #[test]
    fn what_matters_of_the_head_is_read() {
        let Found::Whole(head, _) = find(OF_HOLDFAST, false) else { panic!("it is whole") };
        assert!(head.is_replay);
        let busy = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let Found::Whole(head, _) = find(busy, false) else { panic!("it is whole") };
        assert_eq!((head.retry_after, head.stays_open), (Some(Duration::from_secs(2)), false));
    }

    #[test]
    fn bodies_without_a_length_end_with_the_connection() {
        let old = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        assert_eq!(find(old, false), Found::Part);
        assert_eq!(whole(old, true), (200, b"all of it".to_vec(), old.len(), false));
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n", false).1, b"");
        let early = [b"HTTP/1.1 103 Early Hints\r\n\r\n", OF_HOLDFAST].concat();
        assert_eq!(whole(&early, false), (201, b"hello".to_vec(), early.len(), true));
    }

    #[test]
    fn nonsense_is_not_waited_for() {
        for nonsense in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert_eq!(find(nonsense, false), Found::Garbage, "{}", nonsense.escape_ascii());
        }
    }
}
