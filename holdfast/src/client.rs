//! Asks a running server over HTTP.

use std::fmt;
use std::time::Duration;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use ureq::http::{Request, StatusCode};
use ureq::{Agent, Body};

use crate::config::Loaded;
use crate::data::DataDir;
use crate::failure::{Exit, Failure, causes};
use crate::output::{Answer, Table};

/// Who is asked, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// How a server is reached, as far as somebody said so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) timeout: Duration,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
}

impl Client {
    /// Finds the server: the one that was named, else the one that runs on the data directory, else the one that the
    /// settings describe. The token is the one given, else one from the development keys.
    pub(crate) fn new(reach: &Reach, loaded: &Loaded) -> Result<Self, Failure> {
        let data = DataDir::new(&loaded.config.data_dir);
        let base = reach
            .server
            .clone()
            .or_else(|| data.address())
            .unwrap_or_else(|| format!("http://{}", loaded.config.intake.listen));
        let base = if base.contains("://") { base } else { format!("http://{base}") };
        let token = match &reach.token {
            Some(token) => token.clone(),
            None => crate::token::for_operator(loaded)?,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(reach.timeout))
            .proxy(None)
            .max_redirects(0)
            .build()
            .new_agent();
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Sends a request and reads the answer, whose form is JSON.
    pub(crate) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Said, Failure> {
        self.send_with_key(method, path, body, None)
    }

    /// The same, with a key that makes it safe to send it again.
    pub(crate) fn send_with_key(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Said, Failure> {
        let name = match method {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
        };
        let mut request = Request::builder()
            .method(name)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Accept", "application/json");
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let bytes = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = request.body(bytes).map_err(|error| {
            Failure::usage(format!("{}{path} cannot be asked: {error}", self.base))
                .advise("check --server, --token and the name")
        })?;
        let response = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = text_of(response.into_body()).map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or_default());
        }
        Err(refused(status, &text))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let detail = format!("{} does not answer: {}", self.base, causes(error));
        Failure::new(Exit::Unavailable, "UNREACHABLE", detail)
            .advise("start a server with `holdfast up`, or name another with --server or its data directory with --data")
    }
}

fn text_of(mut body: Body) -> Result<String, ureq::Error> {
    body.read_to_string()
}

/// A problem object, as a failure.
fn refused(status: StatusCode, text: &str) -> Failure {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| problem[name].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let exit = match status.as_u16() {
        429 | 503 => Exit::RetryLater,
        _ => Exit::Failed,
    };
    let code = word("code").unwrap_or_else(|| format!("HTTP_{}", status.as_u16()));
    let said = word("detail").or_else(|| word("title")).unwrap_or_else(|| "no reason given".to_owned());
    let mut failure =
        Failure::new(exit, &code, format!("the server refused with {}: {said}", status.as_u16()));
    failure.status = Some(status.as_u16());
    match status.as_u16() {
        401 | 403 => failure.advise("give a token with the operators' scope with --token or HOLDFAST_TOKEN"),
        429 | 503 => failure.advise("try again in a moment"),
        _ => failure,
    }
}

/// A name as a part of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Whatever a server said, in its order: a table of one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Said(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Answer for Said {
    fn main_table(&self) -> Table {
        let columns: Vec<_> = self.0.iter().map(|(name, _)| name).collect();
        let mut table = Table::new(&columns);
        table.row(self.0.iter().map(|(_, value)| cell(value)));
        table
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}={}", cell(value)));
            members.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_in_a_path_is_escaped() {
        assert_eq!(segment("A-1.x"), "A-1.x");
        assert_eq!(segment("a/b é"), "a%2Fb%20%C3%A9");
    }

    #[test]
    fn an_answer_keeps_its_order() {
        let said: Said = serde_json::from_str(r#"{"b":1,"a":{"x":2},"c":["y","z"]}"#).unwrap();
        assert_eq!(serde_json::to_string(&said).unwrap(), r#"{"b":1,"a":{"x":2},"c":["y","z"]}"#);
        let table = said.main_table();
        assert_eq!((table.columns.join("|"), table.rows[0].join("|")), ("b|a|c".into(), "1|x=2|y, z".into()));
    }

    #[test]
    fn a_problem_becomes_a_failure_with_its_code() {
        let text = json!({"code": "SALE_STATE", "detail": "it is closed"}).to_string();
        let failure = refused(StatusCode::CONFLICT, &text);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Failed, "SALE_STATE"));
        let failure = refused(StatusCode::SERVICE_UNAVAILABLE, "");
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::RetryLater, "HTTP_503"));
    }
}
