//! Requests to any HTTP interface, as a scenario describes them.

use std::io::Write;

use crate::books::{Body, Key};
use crate::scenario::Api;

/// What can stand in braces, and for what.
const PLACEHOLDERS: [(&str, Part); 6] = [
    ("key", Part::Key),
    ("customer", Part::Customer),
    ("sku", Part::Sku),
    ("units", Part::Units),
    ("token", Part::Token),
    ("run", Part::Run),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Key,
    Customer,
    Sku,
    Units,
    Token,
    Run,
}

/// A request with places for what differs.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    head: Vec<Part>,
    body: Vec<Part>,
    granted: Vec<u16>,
    refused: Vec<u16>,
}

/// What an answer of such an interface comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Granted,
    Refused,
    /// 429 or 503: ask again.
    Busy,
    Other,
}

/// What goes into the places.
pub(crate) struct Values<'a> {
    /// Tells the keys of this run from those of others.
    pub(crate) run: u64,
    pub(crate) key: Key,
    pub(crate) body: Body,
    pub(crate) sku: &'a str,
    pub(crate) token: &'a str,
}

impl Template {
    /// Reads the description.
    ///
    /// # Errors
    /// A sentence about the first thing in it that cannot be used.
    pub(crate) fn new(api: &Api, host: &str) -> Result<Self, String> {
        let is_bare = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_graphic());
        if !is_bare(&api.method) || !is_bare(api.path.get_ref()) {
            return Err("method and path have no blanks and no control characters".to_owned());
        }
        for (name, value) in &api.headers {
            let own = ["host", "content-length", "transfer-encoding"];
            let is_own = own.iter().any(|it| name.eq_ignore_ascii_case(it));
            if is_own || !is_bare(name) || name.contains(':') || value.chars().any(char::is_control) {
                return Err(format!("the header {name:?} cannot be sent like that, or not by a scenario"));
            }
        }
        if api.granted.is_empty() || api.granted.iter().any(|it| api.refused.contains(it)) {
            return Err("granted names the statuses of a grant, and refused names others".to_owned());
        }
        let mut head = parts(&format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", api.method, api.path.get_ref()))?;
        for (name, value) in &api.headers {
            head.extend(parts(&format!("{name}: {value}\r\n"))?);
        }
        Ok(Self { head, body: parts(&api.body)?, granted: api.granted.clone(), refused: api.refused.clone() })
    }

    /// Writes the request of somebody who wants something.
    pub(crate) fn write(&self, values: &Values<'_>, request: &mut Vec<u8>) {
        fill(&self.head, values, request);
        let before = request.len();
        fill(&self.body, values, request);
        let body = request.split_off(before);
        // Writing to memory does not fail.
        write!(request, "content-length: {}\r\n\r\n", body.len()).ok();
        request.extend_from_slice(&body);
    }

    /// What a status means.
    pub(crate) fn meaning(&self, status: u16) -> Meaning {
        if self.granted.contains(&status) {
            Meaning::Granted
        } else if self.refused.contains(&status) {
            Meaning::Refused
        } else if matches!(status, 429 | 503) {
            Meaning::Busy
        } else {
            Meaning::Other
        }
    }
}

fn fill(parts: &[Part], values: &Values<'_>, request: &mut Vec<u8>) {
    let Values { run, key, body, sku, token } = values;
    for part in parts {
        // Writing to memory does not fail.
        match part {
            Part::Text(text) => request.extend_from_slice(text.as_bytes()),
            Part::Key => write!(request, "{run:x}-{}-{}", key.customer.0, key.serial).unwrap_or_default(),
            Part::Customer => write!(request, "{}", key.customer.0).unwrap_or_default(),
            Part::Sku => request.extend_from_slice(sku.as_bytes()),
            Part::Units => write!(request, "{}", body.units()).unwrap_or_default(),
            Part::Token => request.extend_from_slice(token.as_bytes()),
            Part::Run => write!(request, "{run:x}").unwrap_or_default(),
        }
    }
}

/// Text and the places in it. Braces that hold no word are text, as in JSON.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(open) = rest.find('{') {
        plain.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let word = inside.split('}').next().filter(|it| it.len() < inside.len()).unwrap_or_default();
        if word.is_empty() || !word.chars().all(|it| it.is_ascii_lowercase()) {
            plain.push('{');
            rest = inside;
            continue;
        }
        let Some((_, part)) = PLACEHOLDERS.iter().find(|(name, _)| *name == word) else {
            let known = PLACEHOLDERS.map(|(name, _)| name).join(", ");
            return Err(format!("{{{word}}} stands for nothing: there are {known}"));
        };
        parts.push(Part::Text(std::mem::take(&mut plain)));
        parts.push(part.clone());
        rest = &inside[word.len() + 1..];
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    parts.retain(|it| !matches!(it, Part::Text(text) if text.is_empty()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{Customer, Sku};

    fn api(path: &str, body: &str) -> Api {
        Api {
            method: "POST".into(),
            path: toml::Spanned::new(0..0, path.into()),
            headers: [("x-key".to_owned(), "{key}".to_owned())].into(),
            body: body.into(),
            granted: vec![200],
            refused: vec![409],
        }
    }

    #[test]
    fn places_are_filled_and_the_body_is_measured() {
        let api = api("/buy/{sku}", r#"{"who":"{customer}","n":{units},"in":{"run":"{run}"}}"#);
        let template = Template::new(&api, "here:1").expect("it is good");
        let key = Key { customer: Customer(7), serial: 9 };
        let body = Body::one(Sku(0), 2);
        let mut request = Vec::new();
        template.write(&Values { run: 255, key, body, sku: "A1", token: "t" }, &mut request);
        let request = String::from_utf8(request).expect("it is text");
        let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(body, r#"{"who":"7","n":2,"in":{"run":"ff"}}"#);
        let length = format!("content-length: {}", body.len());
        assert_eq!(head, format!("POST /buy/A1 HTTP/1.1\r\nhost: here:1\r\nx-key: ff-7-9\r\n{length}"));
    }

    #[test]
    fn a_word_in_braces_that_stands_for_nothing_is_refused() {
        let error = Template::new(&api("/", "{price}"), "h").expect_err("nobody knows it");
        assert!(error.contains("{price} stands for nothing"), "{error}");
        assert!(Template::new(&api("/", r#"{"a": {}, "b": {1}}"#), "h").is_ok());
    }

    #[test]
    fn what_would_not_be_one_request_is_refused() {
        let with = |change: fn(&mut Api)| {
            let mut api = api("/", "");
            change(&mut api);
            Template::new(&api, "h").is_err()
        };
        assert!(!with(|_| ()));
        assert!(with(|it| *it.path.get_mut() = "/x\r\nfoo: 1".into()));
        assert!(with(|it| it.method = "PO ST".into()));
        assert!(with(|it| drop(it.headers.insert("content-length".into(), "5".into()))));
        assert!(with(|it| drop(it.headers.insert("x".into(), "a\nb".into()))));
        assert!(with(|it| it.granted.clear()));
        assert!(with(|it| it.refused = vec![200]));
    }

    #[test]
    fn a_status_means_what_the_scenario_says() {
        let template = Template::new(&api("/", ""), "h").expect("it is good");
        let meanings = [200, 409, 429, 503, 500, 201].map(|status| template.meaning(status));
        use Meaning::{Busy, Granted, Other, Refused};
        assert_eq!(meanings, [Granted, Refused, Busy, Busy, Other, Other]);
    }
}
