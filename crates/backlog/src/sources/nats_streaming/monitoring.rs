//! What the monitoring endpoint answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::Http;
use crate::source::OpenError;

/// Channels in one answer; the server allows no more.
const PAGE: usize = 1024;

/// `/streaming/serverz`.
#[derive(Deserialize)]
pub(super) struct Server {
    #[serde(rename = "server_id")]
    id: String,
    version: String,
    /// `STANDALONE`, `FT_ACTIVE`, `FT_STANDBY`, `CLUSTERED`, …
    state: String,
    /// `Leader`, `Follower` or `Candidate`, in a cluster.
    #[serde(default)]
    role: String,
}

impl Server {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether no other server can take over.
    pub(super) fn is_alone(&self) -> bool {
        self.state == "STANDALONE"
    }

    /// Why this server does not know the subscriptions: only the one in charge does.
    pub(super) fn is_not_in_charge(&self) -> Option<String> {
        match (self.state.as_str(), self.role.as_str()) {
            ("STANDALONE" | "FT_ACTIVE", _) | ("CLUSTERED", "Leader") => None,
            (state, role) => Some(format!("the server is not in charge: {state} {role}").trim_end().to_owned()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "nats-streaming-server {}", self.version)
    }
}

/// In how many answers so many channels come.
pub(super) fn pages(channels: usize) -> u32 {
    u32::try_from(channels.div_ceil(PAGE).max(1)).unwrap_or(u32::MAX)
}

pub(super) async fn server(http: &Http) -> Result<Server, OpenError> {
    http.json("/streaming/serverz").await
}

#[derive(Deserialize)]
struct Page {
    server_id: String,
    total: usize,
    /// Absent when there is none.
    #[serde(default)]
    channels: Vec<Channel>,
}

/// A channel. A field that is missing is an error: it is not zero.
#[derive(Deserialize)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) msgs: u64,
    first_seq: u64,
    pub(super) last_seq: u64,
    /// By name; absent when there is none.
    #[serde(rename = "subscriptions", default, deserialize_with = "readers")]
    pub(super) readers: BTreeMap<String, Reader>,
}

#[derive(Deserialize)]
struct Subscription {
    client_id: String,
    durable_name: Option<String>,
    queue_name: Option<String>,
    is_offline: bool,
    ack_wait: u64,
    last_sent: u64,
    pending_count: u64,
}

impl Subscription {
    /// The members of a queue group share one position, and one name: `durable:group`.
    fn name(&self) -> String {
        match (&self.queue_name, &self.durable_name) {
            (Some(group), _) => group.clone(),
            (None, Some(durable)) => format!("{}/{durable}", self.client_id),
            (None, None) => self.client_id.clone(),
        }
    }
}

/// A subscription, or a queue group.
pub(super) struct Reader {
    pub(super) last_sent: u64,
    pub(super) pending: u64,
    /// No member of it is there.
    pub(super) is_offline: bool,
    pub(super) ack_wait: u64,
}

impl Channel {
    /// Number of the first message that can still be sent.
    pub(super) fn first(&self) -> u64 {
        if self.msgs == 0 { self.last_seq + 1 } else { self.first_seq }
    }
}

/// Subscriptions are many: each is put to those of its name as soon as it is read.
fn readers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Reader>, D::Error> {
    struct Readers;
    impl<'de> Visitor<'de> for Readers {
        type Value = BTreeMap<String, Reader>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of subscriptions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut readers = BTreeMap::new();
            while let Some(one) = list.next_element::<Subscription>()? {
                add(&mut readers, &one);
            }
            Ok(readers)
        }
    }
    deserializer.deserialize_seq(Readers)
}

fn add(readers: &mut BTreeMap<String, Reader>, one: &Subscription) {
    let Subscription { is_offline, ack_wait, last_sent, pending_count: pending, .. } = *one;
    let is_group = one.queue_name.is_some();
    readers
        .entry(one.name())
        .and_modify(|all| {
            // Of a group the furthest counts, of several subscriptions of one client the last.
            all.last_sent = if is_group { all.last_sent.max(last_sent) } else { all.last_sent.min(last_sent) };
            all.pending += pending;
            all.is_offline &= is_offline;
            all.ack_wait = all.ack_wait.max(ack_wait);
        })
        .or_insert(Reader { last_sent, pending, is_offline, ack_wait });
}

/// All channels, and the id of the server.
pub(super) async fn channels(http: &Http) -> Result<(String, Vec<Channel>), OpenError> {
    let mut all = BTreeMap::new();
    loop {
        let offset = all.len();
        let page: Page = http.json(&format!("/streaming/channelsz?subs=1&limit={PAGE}&offset={offset}")).await?;
        let is_last = page.channels.is_empty() || offset + page.channels.len() >= page.total;
        all.extend(page.channels.into_iter().map(|channel| (channel.name.clone(), channel)));
        if is_last && all.len() == page.total {
            return Ok((page.server_id, all.into_values().collect()));
        }
        if is_last {
            let what =
                format!("{} lists {} of {} channels: some came or went meanwhile", http.address(), all.len(), page.total);
            return Err(OpenError::Invalid(what));
        }
    }
}
