//! A stream, as its leader tells of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::group::Group;
use super::subject::is_covered;

/// After how long without a word from the origin of a stream nobody knows what is still to come. The server looks every 10 seconds
/// whether it has heard from there, and is told every second when nothing happens.
pub(super) const ORIGIN_CONTACT: std::time::Duration = std::time::Duration::from_secs(10);

/// `STREAM.INFO`.
#[derive(Deserialize)]
pub(super) struct Stream {
    /// When it was made.
    pub(super) created: String,
    pub(super) config: StreamConfig,
    pub(super) state: State,
    /// Absent where there is one server only.
    pub(super) cluster: Option<Group>,
    /// Domain of its JetStream, where it has one.
    pub(super) domain: Option<String>,
    mirror: Option<Origin>,
    sources: Option<Vec<Origin>>,
}

#[derive(Deserialize)]
pub(super) struct StreamConfig {
    pub(super) name: String,
    pub(super) retention: Retention,
    #[serde(default)]
    pub(super) subjects: Vec<String>,
    pub(super) subject_transform: Option<Value>,
    pub(super) mirror: Option<Value>,
    #[serde(default)]
    pub(super) sealed: bool,
    /// Whoever publishes gets no acknowledgement.
    #[serde(default)]
    pub(super) no_ack: bool,
    #[serde(default)]
    pub(super) discard: Discard,
    /// Limits; none where they are 0 or less.
    #[serde(default)]
    pub(super) max_msgs: i64,
    #[serde(default)]
    pub(super) max_bytes: i64,
    #[serde(default)]
    pub(super) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(super) max_msg_size: i64,
    /// Messages may be orders to the server to publish later.
    #[serde(default)]
    pub(super) allow_msg_schedules: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Retention {
    Limits,
    Interest,
    WorkQueue,
}

/// What a stream that is full does with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Discard {
    /// Its oldest one goes.
    #[default]
    Old,
    /// It does not take the new one.
    New,
}

#[derive(Deserialize)]
pub(super) struct State {
    pub(super) messages: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    first_seq: u64,
    pub(super) last_seq: u64,
    #[serde(default)]
    pub(super) num_subjects: u64,
    pub(super) consumer_count: usize,
    /// Messages of each subject, where it was asked for.
    #[serde(default)]
    pub(super) subjects: BTreeMap<String, u64>,
}

/// A stream that this one takes its messages from.
#[derive(Deserialize)]
struct Origin {
    name: String,
    /// Messages that are still to come.
    lag: u64,
    /// Nanoseconds since it was heard of; negative when it never was.
    active: i64,
}

impl Stream {
    /// Number of the first message that is there.
    pub(super) fn first(&self) -> u64 {
        if self.state.messages == 0 { self.state.last_seq + 1 } else { self.state.first_seq }
    }

    /// Whether a message stays until its consumers have acknowledged it: then the messages are what is left.
    pub(super) fn keeps_until_acknowledged(&self, has_all_consumers: bool) -> bool {
        match self.config.retention {
            Retention::WorkQueue => true,
            Retention::Interest => has_all_consumers,
            Retention::Limits => false,
        }
    }

    /// Whether these filters take every message that it can hold.
    pub(super) fn is_taken_by(&self, filters: &[&String]) -> bool {
        let StreamConfig { subjects, subject_transform, .. } = &self.config;
        let knows_subjects = !subjects.is_empty() && subject_transform.is_none() && self.origins().next().is_none();
        filters.iter().any(|filter| *filter == ">")
            || knows_subjects && subjects.iter().all(|subject| is_covered(subject, filters.iter().copied()))
    }

    fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.mirror.iter().chain(self.sources.iter().flatten())
    }

    pub(super) fn has_origins(&self) -> bool {
        self.origins().next().is_some()
    }

    /// Messages that are still to come from elsewhere.
    pub(super) fn to_come(&self) -> u64 {
        self.origins().map(|origin| origin.lag).sum()
    }

    /// Why nobody knows what is still to come from elsewhere.
    pub(super) fn silent_origin(&self) -> Option<String> {
        let is_silent = |origin: &&Origin| {
            u128::try_from(origin.active).map_or(true, |nanoseconds| nanoseconds > ORIGIN_CONTACT.as_nanos())
        };
        let origin = self.origins().find(is_silent)?;
        let (stream, name) = (&self.config.name, &origin.name);
        Some(format!("stream {stream} takes messages from stream {name}, and does not hear from it"))
    }
}
