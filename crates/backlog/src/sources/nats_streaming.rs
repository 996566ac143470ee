//! NATS Streaming: durable subscriptions, read from its monitoring endpoint.
//!
//! Messages stay in a channel when they are acknowledged, so their number says nothing. What is left of a subscription is what was not
//! sent yet (`last_seq - last_sent`) and what was sent and not acknowledged (`pending_count`), both from one answer.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::connection::{Authentication, Tls};
use crate::http::Http;
use crate::near::warning;
use crate::reading::{Left, Reading};
use crate::source::{Credentials, OpenError, Source};
use crate::sources::connections::connections;
use crate::when_absent::WhenAbsent;

mod channel;
mod monitoring;

use channel::{Position, Verdict};
use monitoring::{Channel, Server};

/// The subscriptions of some channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// The monitoring endpoint: `http://nats-streaming.natss:8222`.
    pub url: String,
    /// How the server is recognized, with https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who we are, where something in front of the endpoint asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Channels by name; `*` stands for any text. All when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub channels: Vec<String>,
    /// Subscriptions by name: `client/durable`, or `durable:group` for a queue group. Every one of the channels when there is none.
    /// Each channel with messages must have one of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub durables: Vec<String>,
    /// Channels with messages that nobody reads, and nobody needs; names as in `channels`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accept_unread: Vec<String>,
    /// What a channel or durable is that is not there.
    #[serde(default)]
    pub when_absent: WhenAbsent,
}

/// A connection to the monitoring endpoint.
pub struct NatsStreaming {
    http: Http,
    configuration: Configuration,
    server: Server,
    /// Where each subscription stood, by channel and name, the last time it was there.
    known: BTreeMap<(String, String), Position>,
    ends: BTreeMap<String, u64>,
    /// Names that are absent, and nearly others; of the start.
    warnings: Vec<String>,
}

/// Connects and reads once.
pub async fn open(configuration: &Configuration, credentials: &dyn Credentials) -> Result<NatsStreaming, OpenError> {
    let Configuration { url, tls, authentication, .. } = configuration;
    let http = Http::new(url, tls.as_ref(), authentication.as_ref(), credentials).await?;
    let server = monitoring::server(&http).await?;
    let (known, ends) = (BTreeMap::new(), BTreeMap::new());
    let configuration = configuration.clone();
    let mut source = NatsStreaming { http, configuration, server, known, ends, warnings: Vec::new() };
    let channels = source.channels().await?;
    if let Some(absent) = source.absent(&channels) {
        return Err(OpenError::Invalid(absent));
    }
    source.judge(&channels);
    source.warnings = source.near(&channels).await?;
    Ok(source)
}

#[async_trait(?Send)]
impl Source for NatsStreaming {
    async fn read(&mut self) -> Reading {
        match self.ask().await {
            Ok(reading) => reading,
            Err(error) => error.into(),
        }
    }
}

impl NatsStreaming {
    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let mut requests = 0;
        if !self.server.is_alone() {
            requests += 1;
            self.server = monitoring::server(&self.http).await?;
        }
        if let Some(why) = self.server.is_not_in_charge() {
            return Ok(Reading::unknown(why));
        }
        let channels = self.channels().await?;
        if let Some(absent) = self.absent(&channels) {
            return Ok(Reading::unknown(absent));
        }
        let verdict = self.judge(&channels);
        let ends: BTreeMap<String, u64> =
            channels.iter().map(|channel| (channel.name.clone(), channel.last_seq + 1)).collect();
        let has_moved = self.ends.iter().any(|(name, end)| ends.get(name) != Some(end));
        // Names are needed only of those who should have stopped.
        let publishers = if has_moved { connections(&self.http).await } else { Vec::new() };
        self.ends.clone_from(&ends);
        let left = match (&verdict.unknown, verdict.left) {
            (Some(why), _) => Left::Unknown(why.clone()),
            (None, 0) => Left::Empty,
            (None, left) => Left::Some(left),
        };
        Ok(Reading {
            largest: Reading::largest(verdict.each),
            hopeless: verdict.hopeless,
            ends,
            redelivery: verdict.ack_wait.map(Duration::from_secs),
            publishers,
            server: Some(self.server.to_string()),
            warnings: self.warnings.clone(),
            requests: requests + monitoring::pages(channels.len()),
            seen: json!({ "serverId": self.server.id(), "channels": verdict.seen }),
            ..Reading::new(left)
        })
    }

    /// The channels that the configuration means.
    async fn channels(&mut self) -> Result<Vec<Channel>, OpenError> {
        let (id, mut channels) = monitoring::channels(&self.http).await?;
        if id != self.server.id() {
            self.server = monitoring::server(&self.http).await?;
        }
        let patterns = &self.configuration.channels;
        channels.retain(|channel| patterns.is_empty() || is_among(&channel.name, patterns));
        Ok(channels)
    }

    /// What the configuration names and is not there, unless that is accepted.
    fn absent(&self, channels: &[Channel]) -> Option<String> {
        let Configuration { durables, when_absent, .. } = &self.configuration;
        if *when_absent == WhenAbsent::Empty {
            return None;
        }
        let address = self.http.address();
        if channels.is_empty() && self.configuration.channels.is_empty() {
            return Some(format!("{address} has no channel; set whenAbsent: empty if that may be"));
        }
        for pattern in &self.configuration.channels {
            if !channels.iter().any(|channel| matches(&channel.name, pattern)) {
                return Some(format!("{address} has no channel {pattern}; set whenAbsent: empty if that may be"));
            }
        }
        let is_there = |name: &&String| channels.iter().any(|channel| channel.readers.contains_key(name.as_str()));
        let missing = durables.iter().find(|name| !is_there(name))?;
        Some(format!("no channel has a durable {missing}; set whenAbsent: empty if that may be"))
    }

    /// What is absent, and nearly the name of something that is there. Only at the start.
    async fn near(&self, channels: &[Channel]) -> Result<Vec<String>, OpenError> {
        let Configuration { channels: patterns, durables, .. } = &self.configuration;
        let is_absent = |name: &&String| !channels.iter().any(|channel| matches(&channel.name, name));
        let absent: Vec<&String> = patterns.iter().filter(is_absent).collect();
        let all = if absent.is_empty() { Vec::new() } else { monitoring::channels(&self.http).await?.1 };
        let others = || all.iter().map(|channel| channel.name.as_str());
        let warned = absent.into_iter().filter_map(|name| warning("channel", name, others()));
        let readers = || channels.iter().flat_map(|channel| channel.readers.keys()).map(|name| &**name);
        let is_missing = |name: &&String| !readers().any(|reader| reader == name.as_str());
        let missing = durables.iter().filter(is_missing);
        Ok(warned.chain(missing.filter_map(|name| warning("durable", name, readers()))).collect())
    }

    fn judge(&mut self, channels: &[Channel]) -> Verdict {
        channel::judge(channels, &self.configuration, &mut self.known)
    }
}

/// Whether one of the patterns means this name.
fn is_among(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| matches(name, pattern))
}

/// Whether a pattern, in which `*` stands for any text, means this name.
fn matches(name: &str, pattern: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return name == pattern };
    let Some(rest) = name.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(&rest[at..], tail))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (name, pattern, expected) in [
            ("orders.kyma-system", "*", true),
            ("orders.kyma-system", "*.kyma-system", true),
            ("orders.kyma-system", "orders.*", true),
            ("orders.kyma-system", "o*.kyma*m", true),
            ("orders.kyma-system", "orders", false),
            ("orders", "orders", true),
            ("orders.shop", "*.kyma-system", false),
        ] {
            assert_eq!(matches(name, pattern), expected, "{name} {pattern}");
        }
    }
}
