//! What is left for the consumers of a stream; a pure function of the answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::group::Group;

/// `STREAM.INFO`.
#[derive(Deserialize)]
pub(super) struct Stream {
    config: StreamConfig,
    pub(super) state: State,
    /// Absent where there is one server only.
    cluster: Option<Group>,
}

#[derive(Deserialize)]
struct StreamConfig {
    name: String,
    retention: Retention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Retention {
    Limits,
    Interest,
    WorkQueue,
}

#[derive(Deserialize)]
pub(super) struct State {
    messages: u64,
    first_seq: u64,
    pub(super) last_seq: u64,
}

/// `CONSUMER.INFO`. A field that is missing is an error: it is not zero.
#[derive(Deserialize)]
pub(super) struct Consumer {
    pub(super) name: String,
    config: ConsumerConfig,
    delivered: Position,
    ack_floor: Position,
    num_pending: u64,
    num_ack_pending: u64,
    num_redelivered: u64,
    #[serde(default)]
    paused: bool,
    cluster: Option<Group>,
}

#[derive(Deserialize)]
struct ConsumerConfig {
    ack_policy: String,
    #[serde(default)]
    ack_wait: u64,
    #[serde(default)]
    max_deliver: i64,
    #[serde(default)]
    backoff: Vec<u64>,
    filter_subject: Option<String>,
    filter_subjects: Option<Vec<String>>,
    #[serde(default)]
    num_replicas: usize,
}

#[derive(Deserialize)]
struct Position {
    consumer_seq: u64,
    stream_seq: u64,
}

/// What the consumers say together.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) left: u64,
    pub(super) unknown: Option<String>,
    pub(super) hopeless: Option<String>,
    /// Nanoseconds; the longest.
    pub(super) ack_wait: u64,
}

/// An error is something that can never prove anything.
pub(super) fn judge(
    stream: &Stream,
    consumers: &[Consumer],
    before: Option<&Stream>,
    known: &BTreeMap<String, Consumer>,
    named: &[String],
) -> Result<Verdict, String> {
    let mut verdict = Verdict::default();
    let Stream { config: StreamConfig { name, retention }, state, cluster } = stream;
    verdict.unknown = cluster.as_ref().and_then(|group| group.doubt(&format!("stream {name}")));
    for consumer in consumers {
        if consumer.config.ack_policy == "none" {
            return Err(format!("consumer {} acknowledges nothing (ack policy none): delivered is not done", consumer.name));
        }
        let last =
            known.get(&consumer.name).filter(|_| before.is_some_and(|before| before.state.last_seq == state.last_seq));
        consumer.add_to(&mut verdict, stream, last);
    }
    for gone in known.values().filter(|known| !consumers.iter().any(|consumer| consumer.name == known.name)) {
        let left = gone.left();
        if left > 0 {
            verdict.fail(format!(
                "consumer {} is gone, with its position: {left} messages were left when it was last seen",
                gone.name
            ));
        }
    }
    match retention {
        // There the messages themselves are what is left: they go when they are acknowledged.
        Retention::WorkQueue => verdict.left = verdict.left.max(state.messages),
        Retention::Interest if consumers.is_empty() => {
            verdict.fail(format!("stream {name} drops every message, because it has no consumer"));
        }
        Retention::Interest if named.is_empty() => verdict.left = verdict.left.max(state.messages),
        Retention::Limits if consumers.is_empty() && known.is_empty() && state.messages > 0 => {
            let count = state.messages;
            verdict.fail(format!("stream {name} holds {count} messages and has no consumer: nobody reads them"));
        }
        Retention::Interest | Retention::Limits => {}
    }
    Ok(verdict)
}

impl Consumer {
    fn left(&self) -> u64 {
        self.num_pending + self.num_ack_pending
    }

    fn is_filtered(&self) -> bool {
        let filters = self.config.filter_subjects.iter().flatten().chain(&self.config.filter_subject);
        filters.into_iter().any(|filter| !filter.is_empty() && filter != ">")
    }

    fn add_to(&self, verdict: &mut Verdict, stream: &Stream, before: Option<&Self>) {
        let name = &self.name;
        verdict.left += self.left();
        verdict.ack_wait = self.config.backoff.iter().copied().fold(verdict.ack_wait.max(self.config.ack_wait), u64::max);
        if let Some(doubt) = self.doubt(stream) {
            verdict.unknown.get_or_insert(doubt);
        }
        // It has been delivered, and neither acknowledged nor will it be delivered again.
        if self.num_ack_pending == 0 && (self.num_redelivered > 0 || self.ack_floor.stream_seq < self.delivered.stream_seq) {
            let (floor, delivered, tries) = (self.ack_floor.stream_seq, self.delivered.stream_seq, self.config.max_deliver);
            let what = format!("messages between {floor} and {delivered} were never acknowledged to consumer {name}");
            if tries > 0 {
                verdict.fail(format!("{what}, and are not delivered again after {tries} times: poison"));
            } else {
                verdict.unknown.get_or_insert(what);
            }
        }
        if self.paused && self.left() > 0 {
            verdict
                .hopeless
                .get_or_insert(format!("consumer {name} is paused with {} messages left: resume it", self.left()));
        }
        let lost = self.lost(stream, before);
        if lost > 0 {
            let of = &stream.config.name;
            verdict.hopeless.get_or_insert(format!(
                "stream {of} has dropped {lost} messages before consumer {name} got them: lost by retention"
            ));
        }
    }

    /// Why this answer may not be the truth.
    fn doubt(&self, stream: &Stream) -> Option<String> {
        let name = format!("consumer {}", self.name);
        let Some(group) = &self.cluster else {
            return stream
                .cluster
                .as_ref()
                .filter(|group| !group.replicas.is_empty())
                .map(|_| format!("{name} has no leader"));
        };
        if group.replicas.len() + 1 < self.config.num_replicas {
            return Some(format!("{name} has {} of {} servers", group.replicas.len() + 1, self.config.num_replicas));
        }
        // It counts what is pending from the messages that its own server has.
        let lags = || format!("the leader of {name}, {}, does not have all messages of the stream yet", group.leader);
        let has_all = stream.cluster.as_ref().is_none_or(|of| of.is_current(&group.leader));
        group.doubt(&name).or_else(|| (!has_all).then(lags))
    }

    /// Messages that went before they were delivered.
    fn lost(&self, stream: &Stream, before: Option<&Self>) -> u64 {
        // Since the last reading, when nothing has come meanwhile: what is pending becomes delivered, or is lost.
        let delivered = |before: &Self| self.delivered.consumer_seq.saturating_sub(before.delivered.consumer_seq);
        let since = before.map_or(0, |before| before.num_pending.saturating_sub(self.num_pending + delivered(before)));
        // Messages of other subjects are none of this consumer's; elsewhere they go when they are acknowledged.
        let can_tell = stream.config.retention == Retention::Limits && !self.is_filtered();
        let first = if stream.state.messages == 0 { stream.state.last_seq + 1 } else { stream.state.first_seq };
        let gap = if can_tell { first.saturating_sub(self.delivered.stream_seq + 1) } else { 0 };
        since.max(gap)
    }
}

impl Verdict {
    /// Nobody can say how much is left, and waiting does not help.
    fn fail(&mut self, why: String) {
        self.unknown.get_or_insert(why.clone());
        self.hopeless.get_or_insert(why);
    }
}

pub(super) fn evidence(stream: &Stream, consumers: &[Consumer]) -> Value {
    let leader = |group: &Option<Group>| group.as_ref().map(|group| group.leader.clone());
    let of = |consumer: &Consumer| {
        json!({"pending": consumer.num_pending, "ackPending": consumer.num_ack_pending, "redelivered": consumer.num_redelivered,
            "delivered": consumer.delivered.stream_seq, "ackFloor": consumer.ack_floor.stream_seq, "leader": leader(&consumer.cluster)})
    };
    let consumers: BTreeMap<_, _> = consumers.iter().map(|consumer| (&consumer.name, of(consumer))).collect();
    let Stream { state: State { messages, first_seq, last_seq }, cluster, .. } = stream;
    json!({"messages": messages, "firstSeq": first_seq, "lastSeq": last_seq, "leader": leader(cluster), "consumers": consumers})
}
