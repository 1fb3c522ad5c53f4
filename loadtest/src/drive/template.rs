//! Requests to any HTTP interface, as a scenario describes them.

use std::io::Write;

use toml::Spanned;

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
    /// The first thing in it that cannot be used: at which byte of the file, and what it is.
    pub(crate) fn new(api: &Api, host: &str) -> Result<Self, (usize, String)> {
        for bare in [&api.method, &api.path] {
            let text = bare.get_ref();
            if text.is_empty() || !text.chars().all(|it| it.is_ascii_graphic()) {
                let what = "method and path have no blanks and no control characters".to_owned();
                return Err((bare.span().start, what));
            }
        }
        for (name, value) in &api.headers {
            if !can_be_sent(name, value.get_ref()) {
                let what = format!("the header {name:?} cannot be sent like that, or not by a scenario");
                return Err((value.span().start, what));
            }
        }
        let granted = api.granted.get_ref();
        if granted.is_empty() || granted.iter().any(|it| api.refused.contains(it)) {
            let what = "granted names the statuses of a grant, and refused names others".to_owned();
            return Err((api.granted.span().start, what));
        }
        let of = |text: &Spanned<String>, before: &str, behind: &str| {
            parts(&format!("{before}{}{behind}", text.get_ref())).map_err(|what| (text.span().start, what))
        };
        let line = format!(" HTTP/1.1\r\nhost: {host}\r\n");
        let mut head = of(&api.method, "", " ")?;
        head.extend(of(&api.path, "", &line)?);
        for (name, value) in &api.headers {
            head.extend(of(value, &format!("{name}: "), "\r\n")?);
        }
        Ok(Self {
            head,
            body: of(&api.body, "", "")?,
            granted: granted.clone(),
            refused: api.refused.clone(),
        })
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

/// Whether a header is one line, and none that is the tool's to write.
fn can_be_sent(name: &str, value: &str) -> bool {
    let is_own =
        ["host", "content-length", "transfer-encoding"].iter().any(|it| name.eq_ignore_ascii_case(it));
    let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_graphic() && it != ':');
    is_name && !is_own && !value.chars().any(char::is_control)
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

    fn at(text: &str) -> Spanned<String> {
        Spanned::new(0..0, text.to_owned())
    }

    fn api(path: &str, body: &str) -> Api {
        Api {
            method: at("POST"),
            path: at(path),
            headers: [("x-key".to_owned(), at("{key}"))].into(),
            body: at(body),
            granted: Spanned::new(0..0, vec![200]),
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
        let (_, error) = Template::new(&api("/", "{price}"), "h").expect_err("nobody knows it");
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
        assert!(with(|it| it.method = at("PO ST")));
        assert!(with(|it| drop(it.headers.insert("content-length".into(), at("5")))));
        assert!(with(|it| drop(it.headers.insert("x".into(), at("a\nb")))));
        assert!(with(|it| it.granted.get_mut().clear()));
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
