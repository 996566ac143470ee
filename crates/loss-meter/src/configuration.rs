//! What is sent, and who gets it.

use std::collections::BTreeSet;
use std::path::Path;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;

/// The fastest stream, in events per second: beyond it the meter measures itself.
const FASTEST: u32 = 10_000;

/// The configuration of `send`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Always `fairlead.dev/v1`.
    api_version: String,
    /// Always `LossMeter`.
    kind: String,
    /// Addresses of `loss-meter receive`; what they have got counts together.
    pub receivers: Vec<String>,
    /// What is sent.
    pub streams: Vec<Stream>,
}

/// Events that one publisher sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stream {
    /// Its name, in the report.
    pub name: String,
    /// Where the events are sent.
    pub url: String,
    /// How they are written.
    pub api: Api,
    /// `source` of the events.
    pub source: String,
    /// Their type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Version of the type; the legacy API must have one.
    #[serde(default)]
    pub type_version: Option<String>,
    /// Events in a second.
    pub rate: u32,
    /// At most so many requests at once. With one the order is kept.
    #[serde(default = "one")]
    pub senders: u32,
    /// Whether a connection is used again.
    #[serde(default)]
    pub connections: Connections,
    /// Names of the subscriptions that must get every event.
    pub subscriptions: BTreeSet<String>,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Api {
    /// JSON of Kyma's `/v1/events`.
    Legacy,
    /// A `CloudEvent` 1.0 in binary mode.
    CloudEvents,
}

/// Whether a connection is used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connections {
    /// While the server keeps it open.
    #[default]
    Kept,
    /// Each request has its own.
    New,
}

fn one() -> u32 {
    1
}

impl Configuration {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let path = file.display();
        let documents = manifests::read(file).map_err(Failure::input)?;
        let invalid = |what: String| Failure::new(&shared::INVALID_CONFIGURATION, format!("{path}: {what}"));
        let [document] = documents.as_slice() else {
            return Err(invalid(format!("must hold one document of kind LossMeter, and holds {}", documents.len())));
        };
        Self::from_document(document).map_err(invalid)
    }

    fn from_document(document: &Value) -> Result<Self, String> {
        let read: Self = serde_path_to_error::deserialize(document).map_err(|error| error.to_string())?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        if self.api_version != "fairlead.dev/v1" || self.kind != "LossMeter" {
            return Err("it must be of apiVersion fairlead.dev/v1 and kind LossMeter".to_owned());
        }
        if self.receivers.is_empty() || self.streams.is_empty() {
            return Err("it must name at least one of the receivers, and one of the streams".to_owned());
        }
        self.receivers.iter().try_for_each(|url| check_url(url).map_err(|what| format!("receivers: {what}")))?;
        let mut names = BTreeSet::new();
        for stream in &self.streams {
            let name = &stream.name;
            if !names.insert(name) {
                return Err(format!("two streams have the name {name}"));
            }
            stream.check().map_err(|what| format!("stream {name}: {what}"))?;
        }
        Ok(())
    }
}

impl Stream {
    fn check(&self) -> Result<(), String> {
        check_url(&self.url)?;
        if self.api == Api::Legacy && self.type_version.is_none() {
            return Err("the legacy API must have a typeVersion, like v1".to_owned());
        }
        if !(1..=FASTEST).contains(&self.rate) || !(1..=1000).contains(&self.senders) {
            return Err(format!("rate must be from 1 to {FASTEST}, and senders from 1 to 1000"));
        }
        if self.subscriptions.is_empty() {
            return Err("it must name the subscriptions that get it".to_owned());
        }
        match self.subscriptions.iter().find(|name| name.is_empty() || name.contains(['?', '#', '%', ' '])) {
            Some(name) => Err(format!("{name:?} cannot be the path of a subscription")),
            None => Ok(()),
        }
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    // The meter stands beside what it measures.
    if uri.is_some_and(|uri| uri.scheme_str() == Some("http")) { Ok(()) } else { Err(format!("{url:?} is no URL of http")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(change: impl FnOnce(&mut Value)) -> Value {
        let stream = json!({"name": "shop", "url": "http://shop/shop/v1/events", "api": "legacy", "source": "shop",
            "type": "order.created", "typeVersion": "v1", "rate": 20, "subscriptions": ["orders"]});
        let mut document = json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "receivers": ["http://meter:8080"], "streams": [stream]});
        change(&mut document);
        document
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let read = |document: &Value| Configuration::from_document(document);
        assert!(read(&document(|_| ())).is_ok());
        for (pointer, value, expected) in [
            ("/kind", json!("Meter"), "kind LossMeter"),
            ("/receivers", json!([]), "at least one of the receivers"),
            ("/receivers/0", json!("meter:8080"), "receivers: \"meter:8080\" is no URL of http"),
            ("/streams/0/url", json!("ftp://x"), "stream shop: \"ftp://x\" is no URL of http"),
            ("/streams/0/api", json!("soap"), "streams[0].api: unknown variant `soap`"),
            ("/streams/0/typeVersion", Value::Null, "the legacy API must have a typeVersion"),
            ("/streams/0/rate", json!(0), "rate must be from 1 to 10000"),
            ("/streams/0/subscriptions", json!([]), "it must name the subscriptions"),
            ("/streams/0/subscriptions/0", json!("a b"), "\"a b\" cannot be the path"),
        ] {
            let error = read(&document(|it| *it.pointer_mut(pointer).expect(pointer) = value)).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let twice = document(|it| {
            let first = it["streams"][0].clone();
            it["streams"].as_array_mut().expect("a list").push(first);
        });
        assert_eq!(read(&twice).expect_err("twice"), "two streams have the name shop");
    }
}
