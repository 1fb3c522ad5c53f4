//! The headers of a request that mean something here.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Version};

use crate::problem::{IDEMPOTENCY_KEY_REQUIRED, Problem, UNAUTHENTICATED, UNSUPPORTED_MEDIA_TYPE};

pub(crate) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) static IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");
pub(crate) static PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// As people write it.
const KEY: &str = "Idempotency-Key";
/// Characters of an idempotency key.
const KEY_BYTES_MAX: usize = 255;

/// The bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (all.next(), all.next()) else {
        return Err(Problem::new(&UNAUTHENTICATED, "Send one Authorization header with a bearer token."));
    };
    let bytes = header.as_bytes();
    match bytes.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty() => Ok(token),
        _ => Err(Problem::new(&UNAUTHENTICATED, "Send one Authorization header with a bearer token.")),
    }
}

/// The idempotency key, if there is one: 1 to 255 printable ASCII characters, bare or as a quoted string.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Cow<'_, [u8]>>, Problem> {
    let mut all = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(header) = all.next() else { return Ok(None) };
    let bad = || Problem::in_header(KEY, "1 to 255 printable ASCII characters, bare or quoted, sent once");
    if all.next().is_some() {
        return Err(bad());
    }
    let key = match header.as_bytes() {
        [b'"', quoted @ .., b'"'] => unquoted(quoted).ok_or_else(bad)?,
        bare => Cow::Borrowed(bare),
    };
    let printable = key.iter().all(|byte| (0x20..0x7f).contains(byte));
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable { Err(bad()) } else { Ok(Some(key)) }
}

/// The idempotency key, which must be there.
pub(crate) fn required_key(headers: &HeaderMap) -> Result<Cow<'_, [u8]>, Problem> {
    idempotency_key(headers)?.ok_or_else(|| {
        Problem::in_header(KEY, "Send an Idempotency-Key, so that a repetition is safe.")
            .told_as(&IDEMPOTENCY_KEY_REQUIRED)
    })
}

/// What stands between the quotes of a string item (RFC 8941).
fn unquoted(quoted: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !quoted.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(Cow::Borrowed(quoted));
    }
    let mut key = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(*escaped),
                _ => return None,
            },
            plain => key.push(*plain),
        }
    }
    Some(Cow::Owned(key))
}

/// How long the client would like to wait (RFC 7240), in whole seconds; `respond-async` is not at all.
pub(crate) fn preferred_wait_s(headers: &HeaderMap) -> Option<u64> {
    for header in headers.get_all(&PREFER) {
        let Ok(text) = header.to_str() else { continue };
        for preference in text.split(',').map(str::trim) {
            let preference = preference.split(';').next().unwrap_or_default().trim();
            if preference.eq_ignore_ascii_case("respond-async") {
                return Some(0);
            }
            if let Some((name, value)) = preference.split_once('=')
                && name.trim().eq_ignore_ascii_case("wait")
                && let Ok(seconds) = value.trim().trim_matches('"').parse()
            {
                return Some(seconds);
            }
        }
    }
    None
}

/// The wait that is granted: the preferred one as far as the settings allow it.
pub(crate) fn wait(preferred_s: Option<u64>, default: Duration, max: Duration) -> Duration {
    preferred_s.map_or(default, |seconds| Duration::from_secs(seconds).min(max))
}

/// Refuses whatever is not JSON as it is read here: in UTF-8, and not compressed.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, "Send one Content-Type header."));
    };
    if !is_json(kind.as_bytes()) {
        return Err(Problem::new(
            &UNSUPPORTED_MEDIA_TYPE,
            "The Content-Type is not application/json in UTF-8.",
        ));
    }
    let is_plain = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        Ok(())
    } else {
        Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, "The body has a Content-Encoding; send it as it is."))
    }
}

fn is_json(kind: &[u8]) -> bool {
    let mut parts = kind.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    // Parameters other than the charset mean nothing for JSON.
    let is_read = |parameter: &[u8]| {
        let mut sides = parameter.splitn(2, |byte| *byte == b'=');
        let name = sides.next().unwrap_or_default();
        let value = sides.next().unwrap_or_default();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        !name.eq_ignore_ascii_case(b"charset") || value.eq_ignore_ascii_case(b"utf-8")
    };
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"application/json")) && parts.all(is_read)
}

/// Refuses a request that does not name its host exactly once, as RFC 9112 (3.2) demands of servers.
pub(crate) fn must_name_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => Ok(()),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        _ => Err(Problem::in_header("Host", "Send one Host header.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn key(values: &[&[u8]]) -> Result<Option<Vec<u8>>, ()> {
        idempotency_key(&headers(&IDEMPOTENCY_KEY, values))
            .map(|key| key.map(Cow::into_owned))
            .map_err(|_| ())
    }

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&[b"5f2c-1"]), Ok(Some(b"5f2c-1".to_vec())));
        assert_eq!(key(&[b"\"5f2c-1\""]), Ok(Some(b"5f2c-1".to_vec())));
        assert_eq!(key(&[br#""a\"b\\c""#]), Ok(Some(br#"a"b\c"#.to_vec())));
        assert_eq!(key(&[&[b'k'; 255]]), Ok(Some(vec![b'k'; 255])));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let bad: [&[&[u8]]; 8] = [
            &[b""],
            &[b"\"\""],
            &[&[b'k'; 256]],
            &[b"caf\xc3\xa9"],
            &[b"a\tb"],
            &[br#""a"b""#],
            &[br#""a\b""#],
            &[b"a", b"a"],
        ];
        for values in bad {
            assert_eq!(key(values), Err(()), "{values:?}");
        }
    }

    #[test]
    fn a_preference_is_found_among_others() {
        let preferred = |values: &[&[u8]]| preferred_wait_s(&headers(&PREFER, values));
        assert_eq!(preferred(&[b"wait=5"]), Some(5));
        assert_eq!(preferred(&[b"handling=lenient, Wait = 7; x=y"]), Some(7));
        assert_eq!(preferred(&[b"return=minimal", b"respond-async"]), Some(0));
        for nothing in [&b"wait=soon"[..], b"wait", b"wait=-1", b"return=minimal"] {
            assert_eq!(preferred(&[nothing]), None);
        }
    }

    #[test]
    fn a_wait_is_capped() {
        let (default, max) = (Duration::from_secs(2), Duration::from_secs(30));
        assert_eq!(wait(None, default, max), default);
        assert_eq!(wait(Some(0), default, max), Duration::ZERO);
        assert_eq!(wait(Some(u64::MAX), default, max), max);
    }

    #[test]
    fn json_is_utf8_and_nothing_else() {
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json;",
            "application/json; charset=utf-8",
            "application/json;CHARSET=\"UTF-8\"",
            "application/json; profile=\"x\"; charset=utf-8",
        ] {
            assert!(is_json(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/jsonx",
            "application/json, application/json",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json; charset",
            "application/json; charset=utf-8; charset=latin1",
        ] {
            assert!(!is_json(kind.as_bytes()), "{kind}");
        }
    }
}
