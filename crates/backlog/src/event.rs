//! An event that shows where a new connection leads: how a user writes it, and whether an answer is the expected one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::read;
use crate::connection::{Authentication, Tls, text};
use crate::duration;
use crate::http::{Connections, Http, check};
use crate::source::{Credentials, OpenError, SecretKey, causes};

mod expectation;

use expectation::Expectation;

/// Methods that a receiver of events takes.
const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "GET", "HEAD"];

/// The largest body, in bytes: an event shows the way, and carries no data.
const LARGEST_BODY: usize = 64 << 10;

/// The shortest and the longest patience. A rollback needs time of the run, too.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(2)];

/// Headers that the connection needs.
const OURS: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// How a part of the name of a header ends that holds a credential.
const CREDENTIALS: [&str; 9] =
    ["auth", "authorization", "token", "secret", "password", "key", "credential", "credentials", "session"];

/// The attribute of `CloudEvents` that orders events, whose name ends like that of a credential.
const PARTITION_KEY: HeaderName = HeaderName::from_static("ce-partitionkey");

/// Headers with the id of the event: that of `CloudEvents`, and the one by which other receivers know what they have had already.
const ID: [HeaderName; 2] = [HeaderName::from_static("ce-id"), HeaderName::from_static("idempotency-key")];

/// An event, as a user writes it; everything in it can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Event(Written);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// Where it is sent: an address that leads through the Service.
    url: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, Header>,
    /// Text is sent as it is, anything else as JSON.
    #[serde(default)]
    body: Value,
    tls: Option<Tls>,
    authentication: Option<Authentication>,
    #[serde(default)]
    expect: Expectation,
    /// How long it is sent again and again while the answer is another one.
    #[serde(with = "duration", default = "patience")]
    within: Duration,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "text, or a key of a Secret: {name: …, key: …}")]
enum Header {
    Text(String),
    Secret(SecretKey),
}

fn post() -> String {
    "POST".to_owned()
}

fn patience() -> Duration {
    Duration::from_secs(30)
}

impl TryFrom<Value> for Event {
    type Error = String;

    fn try_from(written: Value) -> Result<Self, String> {
        let written: Written = read(&written)?;
        written.check()?;
        Ok(Self(written))
    }
}

impl Written {
    fn check(&self) -> Result<(), String> {
        check(&self.url)?;
        if !METHODS.contains(&self.method.as_str()) {
            return Err(format!("method {:?} is none of {}", self.method, METHODS.join(", ")));
        }
        let size = self.body().len();
        if size > LARGEST_BODY {
            return Err(format!("body has {size} bytes, and may have {LARGEST_BODY}"));
        }
        if size > 0 && ["GET", "HEAD"].contains(&self.method.as_str()) {
            return Err(format!("{} takes no body; use POST", self.method));
        }
        for (name, value) in &self.headers {
            let header = name.parse::<HeaderName>().map_err(|_| format!("headers: {name:?} is no name of a header"))?;
            if OURS.contains(&header) {
                return Err(format!("headers.{name}: the job sets it itself"));
            }
            let Header::Text(value) = value else { continue };
            if is_credential(&header) {
                return Err(format!("headers.{name} must be a key of a Secret: {{name: …, key: …}}"));
            }
            HeaderValue::from_str(value).map_err(|_| format!("headers.{name}: its value cannot be sent as a header"))?;
        }
        self.expect.check().map_err(|what| format!("expect.{what}"))?;
        let [shortest, longest] = PATIENCE;
        if !(shortest..=longest).contains(&self.within) {
            let text = humantime::format_duration;
            return Err(format!("within must be between {} and {}", text(shortest), text(longest)));
        }
        Ok(())
    }

    fn body(&self) -> Bytes {
        match &self.body {
            Value::Null => Bytes::new(),
            Value::String(text) => text.clone().into(),
            document => document.to_string().into(),
        }
    }
}

/// Whether a header of this name holds a credential.
fn is_credential(header: &HeaderName) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(header)
        // The key that the job sends itself is none.
        || !ID.contains(header)
            && *header != PARTITION_KEY
            && header.as_str().split(['-', '_', '.']).any(|part| CREDENTIALS.iter().any(|end| part.ends_with(end)))
}

/// An event with its credentials, ready to be sent.
pub struct Ready {
    http: Http,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    expect: Expectation,
    /// Number of the last try.
    tries: Cell<u64>,
}

/// An answer that is as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Status of HTTP.
    pub status: u16,
    /// What was expected, in words.
    pub wanted: String,
}

impl Event {
    /// Where it is sent.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// How long it is sent again while the answer is another one.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.0.within
    }

    /// Whether the expected answer has something that the old side may not answer as well.
    #[must_use]
    pub fn tells_sides_apart(&self) -> bool {
        self.0.expect.tells_sides_apart()
    }

    /// What is expected, in words.
    #[must_use]
    pub fn wanted(&self) -> String {
        self.0.expect.wanted()
    }

    /// Reads the credentials; nothing is sent.
    pub async fn prepare(&self, credentials: &dyn Credentials) -> Result<Ready, OpenError> {
        let Written { url, method, headers: written, tls, authentication, expect, .. } = &self.0;
        let http = Http::at(url, Connections::New, tls.as_ref(), authentication.as_ref(), credentials).await?;
        let invalid = |error: http::Error| OpenError::Invalid(error.to_string());
        let mut headers = HeaderMap::new();
        for (name, value) in written {
            let mut sent = match value {
                Header::Text(value) => HeaderValue::from_str(value),
                Header::Secret(key) => HeaderValue::from_str(&text(key, credentials).await?),
            }
            .map_err(|error| invalid(error.into()))?;
            sent.set_sensitive(matches!(value, Header::Secret(_)));
            headers.insert(name.parse::<HeaderName>().map_err(|error| invalid(error.into()))?, sent);
        }
        if !matches!(self.0.body, Value::Null | Value::String(_)) {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        // The server ends the connection, too.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| invalid(error.into()))?;
        Ok(Ready { http, method, headers, body: self.0.body(), expect: expect.clone(), tries: Cell::default() })
    }
}

impl Ready {
    /// Connects to the address, over TLS if it says https, and sends nothing. Whether somebody listens there now.
    ///
    /// # Errors
    ///
    /// The name does not resolve, or TLS fails.
    pub async fn connect(&self, timeout: Duration) -> Result<bool, OpenError> {
        self.http.connect(timeout).await
    }

    /// The id of a try. A receiver that has answered an id answers another event with it as before, and the old side may have been first. So
    /// each try has a number of its own, also those of a run that goes on in another process: that of the time, in milliseconds.
    fn id_of_try(&self, id: &str) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let number = u64::try_from(now).unwrap_or_default().max(self.tries.get() + 1);
        self.tries.set(number);
        format!("{id}/{number}")
    }

    /// Sends it once, over a connection of its own. It carries `id` with the number of the try, unless the user has written an id.
    ///
    /// # Errors
    ///
    /// What is there in place of the expected answer, in words that follow the address.
    pub async fn send(&self, id: &str, timeout: Duration) -> Result<Expected, String> {
        let mut headers = self.headers.clone();
        let id = self.id_of_try(id);
        for name in ID {
            headers.entry(name).or_insert(HeaderValue::from_str(&id).map_err(|error| error.to_string())?);
        }
        let answer = self.http.send(&self.method, "", &headers, self.body.clone(), timeout).await;
        let answer = answer.map_err(|error| match error {
            // The address stands before it.
            OpenError::Unreachable { source, .. } => format!("cannot be reached: {}", causes(&*source)),
            other => causes(&other),
        })?;
        match self.expect.unmet(&answer) {
            None => Ok(Expected { status: answer.status.as_u16(), wanted: self.expect.wanted() }),
            Some(what) => Err(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(more: &Value) -> Result<Event, String> {
        let mut written = json!({"url": "http://orders.shop.svc/events"});
        written.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        for (more, expected) in [
            (json!({"url": "orders.shop.svc"}), "url \"orders.shop.svc\" is no URL of http or https"),
            (json!({"url": "ftp://orders"}), "is no URL of http or https"),
            (json!({"url": "http://user:hunter2@orders"}), "url holds credentials"),
            (json!({"method": "FETCH"}), "method \"FETCH\" is none of POST, PUT, PATCH, GET, HEAD"),
            (json!({"method": "GET", "body": "x"}), "GET takes no body; use POST"),
            (json!({"body": "x".repeat(65_537)}), "body has 65537 bytes, and may have 65536"),
            (json!({"headers": {"a b": "x"}}), "headers: \"a b\" is no name of a header"),
            (json!({"headers": {"x": "a\nb"}}), "headers.x: its value cannot be sent as a header"),
            (json!({"headers": {"Content-Length": "3"}}), "headers.Content-Length: the job sets it itself"),
            (json!({"headers": {"Authorization": "hunter2"}}), "headers.Authorization must be a key of a Secret"),
            (json!({"headers": {"X-Api-Key": "hunter2"}}), "headers.X-Api-Key must be a key of a Secret"),
            (json!({"headers": {"api-key": "hunter2"}}), "headers.api-key must be a key of a Secret"),
            (json!({"headers": {"apikey": "hunter2"}}), "headers.apikey must be a key of a Secret"),
            (json!({"headers": {"x-auth": "hunter2"}}), "headers.x-auth must be a key of a Secret"),
            (json!({"headers": {"X-Auth-Key": "hunter2"}}), "headers.X-Auth-Key must be a key of a Secret"),
            (json!({"headers": {"x-auth-data": "hunter2"}}), "headers.x-auth-data must be a key of a Secret"),
            (json!({"headers": {"X-CSRF-Token": "hunter2"}}), "headers.X-CSRF-Token must be a key of a Secret"),
            (json!({"headers": {"x": 4711}}), "headers.x: text, or a key of a Secret"),
            (json!({"authentication": {"bearer": "hunter2"}}), "authentication.bearer: something else is there than a key"),
            (json!({"expect": {"status": 99}}), "expect.status 99 is no status"),
            (json!({"expect": {"body": [{"pointer": "side", "equals": "new"}]}}), "expect.body: side is no JSON pointer"),
            (json!({"expect": {"body": [{"pointer": "/side"}]}}), "expect.body: the condition on /side compares nothing"),
            (json!({"within": "10m"}), "within must be between 1s and 2m"),
            (json!({"uri": "http://x"}), "unknown field `uri`"),
        ] {
            let error = event(&more).expect_err(expected);
            assert!(error.contains(expected), "{more}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn what_is_no_credential_can_be_written() {
        for name in ["ce-partitionkey", "ce-id", "Idempotency-Key", "x-author", "x-monkeys", "ce-type"] {
            event(&json!({"headers": {name: "x"}})).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn a_status_does_not_tell_the_sides_apart() {
        let is_told = |expect: Value| event(&json!({ "expect": expect })).expect("it can be sent").tells_sides_apart();
        assert!(!is_told(json!({})) && !is_told(json!({"status": 201})));
        assert!(is_told(json!({"headers": {"x-side": "new"}})));
    }
}
