//! Numbers in a JSON document that a server answers: the management API of a broker, a page of statistics of a service.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connection::{Authentication, Tls};
use crate::duration;
use crate::http::Http;
use crate::reading::{Left, Reading};
use crate::source::{Credentials, OpenError, Source};
use crate::unique::Unique;
use crate::when_absent::WhenAbsent;

/// What is asked for, and where in the answer the numbers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Where the document is.
    pub url: String,
    /// How the server is recognized, with https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Whole numbers in the document, as JSON pointers (`/messages_ready`): so much is left, all together.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<String>,
    /// What must be so when nothing is left, beside the numbers: `{pointer: /idle, equals: true}`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub empty_when: Vec<Condition>,
    /// What must be so for the answer to mean anything: `{pointer: /state, equals: running}`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub require: Vec<Condition>,
    /// Whole numbers that grow with every message that comes in, by a name for each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub ends: BTreeMap<String, String>,
    /// How far the document may lie behind the truth, where it is a statistic: readings in a row span longer than this.
    #[serde(with = "duration", default)]
    pub behind: Duration,
    /// What an answer 404 means.
    #[serde(default)]
    pub when_absent: WhenAbsent,
}

/// A comparison of a value in the document; all that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// It is this: text, number, or true or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// It is a number, and not larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// It is a number, and not smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
}

/// A server that answers a document.
pub struct HttpJson {
    http: Http,
    configuration: Configuration,
    /// So much was left when the document was last there.
    last: u64,
}

/// Asks once: the document must have every value that the configuration names.
pub async fn open(configuration: &Configuration, credentials: &dyn Credentials) -> Result<HttpJson, OpenError> {
    let Configuration { url, tls, authentication, left, empty_when, require, ends, .. } = configuration;
    if left.is_empty() && empty_when.is_empty() {
        return Err(OpenError::Invalid("name under left or emptyWhen what says that nothing is left".to_owned()));
    }
    for pointer in left.iter().chain(ends.values()) {
        check_pointer(pointer).map_err(OpenError::Invalid)?;
    }
    if let Some(twice) = left.iter().enumerate().find_map(|(at, pointer)| left[..at].contains(pointer).then_some(pointer)) {
        return Err(OpenError::Invalid(format!("left names {twice} twice, and it would be counted twice")));
    }
    for condition in empty_when.iter().chain(require) {
        condition.check().map_err(OpenError::Invalid)?;
    }
    let http = Http::new(url, tls.as_ref(), authentication.as_ref(), credentials).await?;
    let mut source = HttpJson { http, configuration: configuration.clone(), last: 0 };
    source.ask().await.map(|_| source)
}

#[async_trait(?Send)]
impl Source for HttpJson {
    async fn read(&mut self) -> Reading {
        match self.ask().await {
            Ok(reading) => reading,
            Err(error) => error.into(),
        }
    }
}

impl HttpJson {
    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let answer = self.http.get("").await?;
        let address = self.http.address();
        let redelivery = Some(self.configuration.behind).filter(|behind| !behind.is_zero());
        if answer.status == StatusCode::NOT_FOUND && self.configuration.when_absent == WhenAbsent::Empty {
            let (seen, last) = (json!({"status": 404}), self.last);
            if last > 0 {
                let why = format!(
                    "{address} answers HTTP 404, and {last} were left when it was last there: they are gone with it"
                );
                return Ok(Reading { hopeless: Some(why.clone()), server: answer.server(), seen, ..Reading::unknown(why) });
            }
            return Ok(Reading { redelivery, server: answer.server(), seen, ..Reading::new(Left::Empty) });
        }
        if answer.status != StatusCode::OK {
            return Err(OpenError::Invalid(format!("{address} answers HTTP {}", answer.status)));
        }
        let document = serde_json::from_slice(&answer.body).map(|Unique(document)| document);
        let document = document.map_err(|error| OpenError::Invalid(format!("{address} answers no JSON: {error}")))?;
        let judged = judge(&self.configuration, &document);
        let (left, ends, seen) = judged.map_err(|what| OpenError::Invalid(format!("the document of {address} {what}")))?;
        match left {
            Left::Empty => self.last = 0,
            Left::Some(left) => self.last = left,
            Left::Unknown(_) => {}
        }
        Ok(Reading { ends, redelivery, server: answer.server(), seen, ..Reading::new(left) })
    }
}

type Judged = (Left, BTreeMap<String, u64>, Value);

/// What the document says; an error when it lacks a value or has something else there.
fn judge(configuration: &Configuration, document: &Value) -> Result<Judged, String> {
    let mut seen = BTreeMap::new();
    let mut number = |pointer: &str| {
        let value = at(document, pointer)?;
        let number = whole(value).ok_or_else(|| format!("has no whole number at {pointer}, but {}", kind(value)))?;
        seen.insert(pointer.to_owned(), json!(number));
        Ok::<u64, String>(number)
    };
    let mut left = 0_u64;
    for pointer in &configuration.left {
        left = left.saturating_add(number(pointer)?);
    }
    let mut ends = BTreeMap::new();
    for (name, pointer) in &configuration.ends {
        ends.insert(name.clone(), number(pointer)?);
    }
    let mut unmet = None;
    for condition in &configuration.require {
        if !condition.holds(document)? {
            let found = shown(at(document, &condition.pointer)?);
            unmet.get_or_insert_with(|| format!("{} is {found}, and must be {}", condition.pointer, condition.wanted()));
        }
    }
    for condition in &configuration.empty_when {
        if !condition.holds(document)? {
            // So much that it is not empty.
            left = left.max(1);
        }
    }
    let left = match (unmet, left) {
        (Some(why), _) => Left::Unknown(why),
        (None, 0) => Left::Empty,
        (None, left) => Left::Some(left),
    };
    Ok((left, ends, json!(seen)))
}

/// Whether it is a JSON pointer; or why not.
fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(());
    }
    Err(format!("{pointer} is no JSON pointer: it begins with a slash"))
}

impl Condition {
    /// Whether it can be looked at; or why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { pointer, equals, at_most, at_least } = self;
        check_pointer(pointer)?;
        if equals.is_none() && at_most.is_none() && at_least.is_none() {
            return Err(format!("the condition on {pointer} compares nothing: equals, atMost or atLeast"));
        }
        Ok(())
    }

    /// What the value must be, in words.
    pub(crate) fn wanted(&self) -> String {
        let equals = self.equals.as_ref().map(shown);
        let most = self.at_most.map(|most| format!("at most {most}"));
        let least = self.at_least.map(|least| format!("at least {least}"));
        [equals, most, least].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// What is there instead, in words.
    pub(crate) fn found(&self, document: &Value) -> String {
        at(document, &self.pointer).map_or_else(|what| what, |value| format!("has {} at {}", shown(value), self.pointer))
    }

    /// Whether the value is so; an error says what is there instead of a value to compare.
    pub(crate) fn holds(&self, document: &Value) -> Result<bool, String> {
        let value = at(document, &self.pointer)?;
        let number = || {
            let number = whole(value);
            number.ok_or_else(|| format!("has no whole number at {}, but {}", self.pointer, kind(value)))
        };
        let mut holds = self.equals.as_ref().is_none_or(|expected| is_same(expected, value));
        if let Some(most) = self.at_most {
            holds &= number()? <= most;
        }
        if let Some(least) = self.at_least {
            holds &= number()? >= least;
        }
        Ok(holds)
    }
}

/// The value of a whole number, also of one that is written with a fraction of zero: many servers write all numbers so.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, not negative, and exact")]
fn whole(value: &Value) -> Option<u64> {
    /// From here on a number with a fraction is not exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let of_fraction = |number: f64| (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().filter(|_| value.is_f64()).and_then(of_fraction))
}

/// Whether two values are the same; numbers are, however they are written.
fn is_same(expected: &Value, value: &Value) -> bool {
    let has_fraction = expected.is_f64() || value.is_f64();
    match (expected.as_f64(), value.as_f64()) {
        (Some(expected), Some(value)) if has_fraction => (expected - value).abs() < f64::EPSILON,
        _ => expected == value,
    }
}

/// A value for a message: text in full only while it is short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if value.is_array() || value.is_object() || text.len() > 60 { kind(value).to_owned() } else { text }
}

fn at<'a>(document: &'a Value, pointer: &str) -> Result<&'a Value, String> {
    document.pointer(pointer).ok_or_else(|| format!("has nothing at {pointer}"))
}

/// What a value is, without its contents.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "another number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(configuration: &Value, document: &Value) -> Result<Left, String> {
        let configuration = serde_json::from_value(configuration.clone()).expect("a configuration");
        judge(&configuration, document).map(|(left, _, _)| left)
    }

    #[test]
    fn what_only_looks_like_zero_is_an_error_or_unknown() {
        let queue = json!({"url": "http://host", "left": ["/ready", "/a~1b"], "require": [{"pointer": "/state", "equals": "running"}]});
        let running = |ready: Value, other: Value| json!({"ready": ready, "a/b": other, "state": "running"});
        assert_eq!(said(&queue, &running(json!(0), json!(0))), Ok(Left::Empty));
        assert_eq!(said(&queue, &running(json!(2), json!(3))), Ok(Left::Some(5)));
        for (value, kind) in [
            (json!("0"), "text"),
            (json!(null), "null"),
            (json!(false), "true or false"),
            (json!(-1), "another number"),
            (json!(0.5), "another number"),
            (json!([]), "a list"),
        ] {
            let expected = format!("has no whole number at /a~1b, but {kind}");
            assert_eq!(said(&queue, &running(json!(0), value)), Err(expected));
        }
        assert_eq!(said(&queue, &json!({"ready": 0, "state": "running"})), Err("has nothing at /a~1b".to_owned()));
        let stopped = json!({"ready": 0, "a/b": 0, "state": "stopped"});
        assert_eq!(said(&queue, &stopped), Ok(Left::Unknown("/state is \"stopped\", and must be \"running\"".to_owned())));
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let gauge = json!({"url": "http://host", "left": ["/value"], "require": [{"pointer": "/complete", "equals": 1}]});
        assert_eq!(said(&gauge, &json!({"value": 0.0, "complete": 1.0})), Ok(Left::Empty));
        assert_eq!(said(&gauge, &json!({"value": 3.0, "complete": 1})), Ok(Left::Some(3)));
        for value in [json!(-1.0), json!(0.5), json!(1e300), json!(9_007_199_254_740_993.0_f64)] {
            assert!(said(&gauge, &json!({"value": value, "complete": 1})).is_err(), "{value}");
        }
        let idle = json!({"url": "http://host", "emptyWhen": [{"pointer": "/value", "equals": 0}]});
        assert_eq!(said(&idle, &json!({"value": 0.0})), Ok(Left::Empty));
        assert_eq!(said(&idle, &json!({"value": 0.5})), Ok(Left::Some(1)));
        assert_eq!(said(&idle, &json!({"value": "0"})), Ok(Left::Some(1)));
        let large = json!({"url": "http://host", "emptyWhen": [{"pointer": "/value", "equals": 9_007_199_254_740_993_u64}]});
        assert_eq!(said(&large, &json!({"value": 9_007_199_254_740_992_u64})), Ok(Left::Some(1)));
    }

    #[test]
    fn a_condition_can_stand_for_a_number() {
        let idle = json!({"url": "http://host", "emptyWhen": [{"pointer": "/idle", "equals": true}, {"pointer": "/busy", "atMost": 1}]});
        assert_eq!(said(&idle, &json!({"idle": true, "busy": 1})), Ok(Left::Empty));
        assert_eq!(said(&idle, &json!({"idle": false, "busy": 1})), Ok(Left::Some(1)));
        assert_eq!(said(&idle, &json!({"idle": true, "busy": 2})), Ok(Left::Some(1)));
        assert!(said(&idle, &json!({"idle": true, "busy": "1"})).is_err());
    }
}
