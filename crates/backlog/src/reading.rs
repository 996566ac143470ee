//! One answer of a source.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sentinel::Sentinel;

/// How much is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Left {
    /// Nothing, and the source has proven it.
    Empty,
    /// So many messages, rows or pods; never 0.
    Some(u64),
    /// It cannot be known now, and why: an answer that only looks like zero is this.
    Unknown(String),
}

/// One answer of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// How much is left.
    pub left: Left,
    /// Where the most is left, for messages: `orders of reader/worker: 40 not sent, 100 not acknowledged`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub largest: Vec<String>,
    /// What no waiting mends: a durable that is offline, messages without a subscription, poison past its limit, messages that retention
    /// has eaten. The gate fails at once, with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hopeless: Option<String>,
    /// Where the intake writes, by name (`orders/0`): the number of the next message. Closed means that none of them moves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub ends: BTreeMap<String, u64>,
    /// After how long the broker delivers again what was not acknowledged, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivery: Option<Duration>,
    /// Who writes, where the broker names them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub publishers: Vec<String>,
    /// The sentinel, once it was ordered and as far as anything is known of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sentinel: Option<Sentinel>,
    /// What the reader should know of the configuration: an absent name that is accepted, and nearly that of something else.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Version of the server: `nats-streaming-server 0.25.6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How many messages to the server it took.
    #[serde(skip)]
    pub requests: u32,
    /// What was read, for the certificate: positions by name. No credentials, no contents of messages.
    pub seen: Value,
}

impl Reading {
    /// A reading that says how much is left, and nothing else.
    #[must_use]
    pub fn new(left: Left) -> Self {
        Self {
            left,
            largest: Vec::new(),
            hopeless: None,
            ends: BTreeMap::new(),
            redelivery: None,
            publishers: Vec::new(),
            sentinel: None,
            warnings: Vec::new(),
            server: None,
            requests: 1,
            seen: Value::Null,
        }
    }

    /// The three where the most is left.
    pub(crate) fn largest(mut all: Vec<(u64, String)>) -> Vec<String> {
        all.retain(|(left, _)| *left > 0);
        all.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        all.into_iter().take(3).map(|(_, text)| text).collect()
    }

    /// A reading that knows nothing.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::new(Left::Unknown(why.into()))
    }
}
