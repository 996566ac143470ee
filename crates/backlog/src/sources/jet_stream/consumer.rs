//! A consumer, and what its answer adds to the verdict. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::group::Group;
use super::stream::{ORIGIN_CONTACT, Retention, Stream};

/// `CONSUMER.INFO`. A field that is missing is an error: it is not zero.
#[derive(Deserialize)]
pub(super) struct Consumer {
    pub(super) name: String,
    /// When it was made.
    pub(super) created: String,
    config: ConsumerConfig,
    pub(super) delivered: Position,
    pub(super) ack_floor: Position,
    pub(super) num_pending: u64,
    pub(super) num_ack_pending: u64,
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
pub(super) struct Position {
    pub(super) consumer_seq: u64,
    pub(super) stream_seq: u64,
}

/// What the consumers say together.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) left: u64,
    /// So much is left of each consumer, in words.
    pub(super) each: Vec<(u64, String)>,
    pub(super) unknown: Option<String>,
    pub(super) hopeless: Option<String>,
    /// Nanoseconds; the longest.
    pub(super) ack_wait: u64,
}

/// A consumer as it was.
pub(super) struct Seen {
    pub(super) created: Box<str>,
    /// Number of its last delivery, and of the message that was delivered.
    pub(super) delivered: u64,
    pub(super) delivered_stream: u64,
    pub(super) ack_floor: u64,
    pub(super) pending: u64,
    pub(super) ack_pending: u64,
    /// Number of the last message then.
    pub(super) last_seq: u64,
}

impl Consumer {
    pub(super) fn left(&self) -> u64 {
        self.num_pending + self.num_ack_pending
    }

    /// What is kept of it until it is read again.
    pub(super) fn seen(&self, last_seq: u64) -> Seen {
        Seen {
            created: self.created.as_str().into(),
            delivered: self.delivered.consumer_seq,
            delivered_stream: self.delivered.stream_seq,
            ack_floor: self.ack_floor.stream_seq,
            pending: self.num_pending,
            ack_pending: self.num_ack_pending,
            last_seq,
        }
    }

    /// The subjects that it takes; none when it takes all.
    pub(super) fn filters(&self) -> Vec<&String> {
        let filters = self.config.filter_subjects.iter().flatten().chain(&self.config.filter_subject);
        filters.filter(|filter| !filter.is_empty()).collect()
    }

    /// Whether it takes every message of the stream.
    pub(super) fn takes_all(&self, stream: &Stream) -> bool {
        let filters = self.filters();
        filters.is_empty() || stream.is_taken_by(&filters)
    }

    /// How it acknowledges, where that can prove nothing.
    pub(super) fn useless(&self, keeps: bool) -> Option<String> {
        let Self { name, config, .. } = self;
        if config.ack_policy == "none" {
            return Some(format!("consumer {name} acknowledges nothing (ack policy none): delivered is not done"));
        }
        let once = || format!("consumer {name} gets each message once (max_deliver 1): delivered is not done");
        (config.max_deliver == 1 && !keeps).then(once)
    }

    /// What it says, for the certificate.
    pub(super) fn evidence(&self) -> Value {
        let leader = self.cluster.as_ref().map(|group| &group.leader);
        json!({"pending": self.num_pending, "ackPending": self.num_ack_pending, "redelivered": self.num_redelivered,
            "delivered": self.delivered.stream_seq, "ackFloor": self.ack_floor.stream_seq, "leader": leader})
    }

    /// Adds what is left; `ours` says in words how many of it are sentinels.
    pub(super) fn add_to(&self, verdict: &mut Verdict, stream: &Stream, ours: &str) {
        let name = &self.name;
        verdict.left += self.left();
        let (pending, outstanding) = (self.num_pending, self.num_ack_pending);
        if self.left() > 0 {
            let what = format!("{name}: {pending} not delivered, {outstanding} not acknowledged{ours}");
            verdict.each.push((self.left(), what));
        }
        verdict.ack_wait = self.config.backoff.iter().copied().fold(verdict.ack_wait.max(self.config.ack_wait), u64::max);
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
        self.add_gap(verdict, stream);
    }

    /// Messages that the stream dropped before the consumer came to them; elsewhere they go when they are acknowledged.
    fn add_gap(&self, verdict: &mut Verdict, stream: &Stream) {
        let gap = stream.first().saturating_sub(self.delivered.stream_seq + 1);
        if gap == 0 || stream.config.retention != Retention::Limits {
            return;
        }
        let (of, name) = (&stream.config.name, &self.name);
        if self.takes_all(stream) {
            verdict.hopeless.get_or_insert(format!(
                "stream {of} has dropped {gap} messages before consumer {name} got them: lost by retention"
            ));
        } else {
            verdict.unknown.get_or_insert(format!(
                "stream {of} has dropped {gap} messages that consumer {name} had not come to: some may have been its own"
            ));
        }
    }

    /// Why this answer may not be the truth.
    pub(super) fn doubt(&self, stream: &Stream) -> Option<String> {
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
}

impl Verdict {
    /// What is still to come from other streams. For as long as nobody would notice their silence, readings in a row must say the same.
    pub(super) fn count_origins(&mut self, stream: &Stream) {
        if stream.has_origins() {
            self.left += stream.to_come();
            self.ack_wait = u64::try_from(ORIGIN_CONTACT.as_nanos()).unwrap_or(u64::MAX);
        }
        if let Some(silent) = stream.silent_origin() {
            self.unknown.get_or_insert(silent);
        }
    }

    /// Nobody can say how much is left, and waiting does not help.
    pub(super) fn fail(&mut self, why: String) {
        self.unknown.get_or_insert(why.clone());
        self.hopeless.get_or_insert(why);
    }
}
