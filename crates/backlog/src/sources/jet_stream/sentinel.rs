//! The sentinel of a stream: which one can be published, when, and whether every consumer has come past it.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use async_nats::client::RequestErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::JetStream;
use super::asked::missing_right;
use super::consumer::Consumer;
use super::stream::{Discard, Retention, Stream};
use super::subject::is_covered;
use crate::sentinel::{HEADER, Published, body, readers};
use crate::source::OpenError;

/// The server's code for a stream that is full; it comes with the status of a server that is busy.
const FULL: u32 = 10077;

/// The most bytes that a sentinel has, with its headers: a namespace, a ticket and a subject are in it.
const SIZE: usize = 1024;

/// Where a sentinel is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Subjects of the stream. Every consumer takes at least one of them; nothing else should be published there.
    pub subjects: Vec<String>,
}

/// A sentinel that is to be published, or was.
pub(super) struct Ordered {
    pub(super) id: String,
    /// Its number by subject, as far as it is published.
    numbers: BTreeMap<String, u64>,
}

impl Ordered {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), numbers: BTreeMap::new() }
    }

    /// Whether it is in every subject.
    fn is_whole(&self, subjects: &[String]) -> bool {
        subjects.iter().all(|subject| self.numbers.contains_key(subject))
    }

    /// What is known of it in a stream with this last number; none while it is not in every subject.
    pub(super) fn published(&self, subjects: &[String], consumers: &[Consumer], last_seq: u64) -> Option<Published> {
        self.is_whole(subjects).then(|| Published {
            id: self.id.clone(),
            positions: json!(self.numbers),
            readers: readers("consumer", consumers.len(), consumers.iter().map(|consumer| consumer.name.as_str())),
            is_passed: self.behind(consumers) == 0,
            is_last: self.is_last(last_seq),
        })
    }

    /// Whether the stream ends with it. Of several subjects nothing may be between them either: a consumer takes one of them.
    fn is_last(&self, last_seq: u64) -> bool {
        let (first, last) = (self.numbers.values().min(), self.numbers.values().max());
        last == Some(&last_seq) && first.is_some_and(|first| last_seq - first + 1 == self.numbers.len() as u64)
    }

    /// How many of the messages that a consumer has left are sentinels, in words that follow their number.
    pub(super) fn among(&self, consumer: &Consumer) -> String {
        let its = || self.numbers.iter().filter(|(subject, _)| takes(consumer, subject)).map(|(_, number)| *number);
        let ahead = its().filter(|number| *number > consumer.delivered.stream_seq).count();
        let is_in_doubt =
            its().any(|number| number <= consumer.delivered.stream_seq && number > consumer.ack_floor.stream_seq);
        match (ahead, is_in_doubt) {
            (0, false) => String::new(),
            (0, true) => "; the sentinel may be one of them".to_owned(),
            (1, _) => "; 1 of them is the sentinel".to_owned(),
            (count, _) => format!("; {count} of them are sentinels"),
        }
    }

    /// How many consumers have not come past it.
    pub(super) fn behind(&self, consumers: &[Consumer]) -> u64 {
        let is_behind = |consumer: &&Consumer| {
            let its = self.numbers.iter().filter(|(subject, _)| takes(consumer, subject)).map(|(_, number)| *number);
            its.max().is_some_and(|last| consumer.ack_floor.stream_seq < last)
        };
        consumers.iter().filter(is_behind).count() as u64
    }
}

fn takes(consumer: &Consumer, subject: &str) -> bool {
    let filters = consumer.filters();
    filters.is_empty() || is_covered(subject, filters)
}

/// `PubAck`.
#[derive(Deserialize)]
struct Acknowledgement {
    stream: Option<String>,
    domain: Option<String>,
    #[serde(default)]
    seq: u64,
    error: Option<PublishError>,
}

#[derive(Deserialize)]
struct PublishError {
    code: u16,
    #[serde(default)]
    err_code: u32,
    description: String,
}

/// Why this stream can hold no sentinel, or a consumer would never get it.
pub(super) fn check(
    subjects: &[String],
    stream: &Stream,
    consumers: &[Consumer],
    most: usize,
    size: usize,
) -> Result<(), String> {
    let (name, config) = (&stream.config.name, &stream.config);
    let is_plain = |subject: &String| {
        !subject.contains(char::is_whitespace) && !subject.split('.').any(|token| matches!(token, "" | "*" | ">"))
    };
    if subjects.is_empty() {
        return Err("sentinel: name one of the stream's subjects under subjects".to_owned());
    }
    if let Some(subject) = subjects.iter().find(|subject| !is_plain(subject)) {
        return Err(format!("sentinel: {subject:?} is no subject that a message can have"));
    }
    if config.mirror.is_some() {
        return Err(format!("stream {name} is a mirror, which nobody can publish to: name the stream that it mirrors"));
    }
    if config.sealed {
        return Err(format!("stream {name} is sealed, and takes no message any more"));
    }
    if config.no_ack {
        return Err(format!(
            "stream {name} acknowledges nothing to who publishes (no_ack), so nobody knows whether it has a sentinel"
        ));
    }
    if config.subject_transform.is_some() {
        return Err(format!("stream {name} changes subjects (subject_transform), so nobody knows who would get a sentinel"));
    }
    if let Some(subject) = subjects.iter().find(|subject| !is_covered(subject, &config.subjects)) {
        return Err(format!("stream {name} does not take subject {subject}, but {}", config.subjects.join(", ")));
    }
    let limit = usize::try_from(config.max_msg_size).ok().filter(|limit| *limit > 0).unwrap_or(most).min(most);
    if size > limit {
        return Err(format!("a sentinel has {size} bytes, and stream {name} takes {limit} in a message"));
    }
    if consumers.is_empty() {
        return Err(format!("stream {name} has no consumer, and nobody would take a sentinel: leave sentinel out"));
    }
    let is_for_nobody = |subject: &&String| !consumers.iter().any(|consumer| takes(consumer, subject));
    if let Some(subject) = subjects.iter().find(is_for_nobody) {
        return Err(format!("no consumer takes subject {subject}, where a sentinel would stay: leave it out"));
    }
    match consumers.iter().find(|consumer| !subjects.iter().any(|subject| takes(consumer, subject))) {
        Some(consumer) => Err(format!(
            "consumer {} takes none of {}: name a subject under sentinel.subjects that it takes",
            consumer.name,
            subjects.join(", ")
        )),
        None => Ok(()),
    }
}

/// Whether there is room for so many messages, or only messages go for them which everybody has acknowledged. Where only some consumers
/// are named, nobody knows what the others need.
fn has_room(stream: &Stream, consumers: &[Consumer], are_named: bool, messages: u64) -> Result<bool, String> {
    let (config, state) = (&stream.config, &stream.state);
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
    let is_full = limit(config.max_msgs).is_some_and(|most| state.messages + messages > most)
        || limit(config.max_bytes).is_some_and(|most| state.bytes + messages * SIZE as u64 > most);
    if is_full && config.discard == Discard::New && config.retention == Retention::Limits {
        return Err(format!("stream {} is full, and takes no message any more (discard: new)", config.name));
    }
    let is_limited = limit(config.max_msgs_per_subject).is_some();
    let name = &config.name;
    let why = match (is_full, is_limited) {
        (false, false) => return Ok(true),
        (true, _) => format!("stream {name} is full"),
        (false, true) => format!("stream {name} limits the messages of a subject (max_msgs_per_subject)"),
    };
    // Where all are read, one may have come or gone between two questions.
    if are_named && consumers.len() < state.consumer_count {
        return Err(format!(
            "{why}, and a sentinel could take the place of a message that a consumer needs which is not named: leave consumers out, so that all of the stream are read, or leave sentinel out"
        ));
    }
    Ok(consumers.iter().all(|consumer| consumer.left() == 0))
}

impl JetStream {
    /// Whether the stream can hold the sentinel that the configuration asks for.
    pub(super) fn check_sentinel(&self, stream: &Stream, consumers: &[Consumer]) -> Result<(), OpenError> {
        let Some(Configuration { subjects }) = &self.configuration.sentinel else { return Ok(()) };
        let most = self.client.server_info().max_payload;
        check(subjects, stream, consumers, most, SIZE).map_err(OpenError::NoSentinel)?;
        // What is published already takes no place any more.
        if self.sentinel.as_ref().is_some_and(|ordered| ordered.is_whole(subjects)) {
            return Ok(());
        }
        has_room(stream, consumers, !self.configuration.consumers.is_empty(), subjects.len() as u64)
            .map(drop)
            .map_err(OpenError::NoSentinel)
    }

    /// Publishes what is due of the sentinel, unless a message would go for it that somebody needs. Whether it has published anything.
    pub(super) async fn publish_sentinel(&mut self, stream: &Stream, consumers: &[Consumer]) -> Result<bool, OpenError> {
        let (Some(Configuration { subjects }), Some(ordered)) = (&self.configuration.sentinel, &self.sentinel) else {
            return Ok(false);
        };
        let is_due = |subject: &&String| !ordered.numbers.contains_key(*subject);
        let due: Vec<String> = subjects.iter().filter(is_due).cloned().collect();
        let id = ordered.id.clone();
        if due.is_empty()
            || !has_room(stream, consumers, !self.configuration.consumers.is_empty(), due.len() as u64)
                .map_err(OpenError::NoSentinel)?
        {
            return Ok(false);
        }
        for subject in due {
            let number = self.publish(&subject, &id, stream.domain.as_ref()).await?;
            self.sentinel.get_or_insert_with(|| Ordered::new(&id)).numbers.insert(subject, number);
        }
        Ok(true)
    }

    /// Publishes the sentinel of this id, and returns its number. The server knows by the id whether it has it already.
    async fn publish(&self, subject: &str, id: &str, domain: Option<&String>) -> Result<u64, OpenError> {
        let refused = |why: String| OpenError::NoSentinel(format!("{subject}: {why}"));
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, format!("{id}/{subject}").as_str());
        headers.insert(HEADER, id);
        self.sent.set(self.sent.get().wrapping_add(1));
        let is_ours = |text: &str| missing_right(subject, text).map(|_| text.to_owned());
        let answer = tokio::select! {
            answer = self.client.request_with_headers(subject.to_owned(), headers, body(id)) => answer,
            // Nobody answers then.
            text = self.denied(is_ours) => return Err(refused(format!("{} says: {text}", self.address))),
        };
        let message = answer.map_err(|error| match error.kind() {
            // The stream has the subject, so it has no leader for a moment, or this server has yet to hear of it (NATS ADR-22).
            RequestErrorKind::NoResponders => self.unreachable("no server takes the sentinel just now".to_owned()),
            RequestErrorKind::TimedOut => {
                self.unreachable("the sentinel is not acknowledged; there may be no leader".to_owned())
            }
            _ => self.unreachable(error.to_string()),
        })?;
        let answer: Acknowledgement = serde_json::from_slice(&message.payload)
            .map_err(|error| OpenError::Invalid(format!("the sentinel is not acknowledged as expected: {error}")))?;
        let name = &self.configuration.stream;
        match (answer.error, answer.stream) {
            (Some(error), _) if error.code >= 500 && error.err_code != FULL => Err(self.unreachable(error.description)),
            (Some(error), _) => Err(refused(error.description)),
            (None, Some(stream)) if stream != *name => Err(refused(format!("stream {stream} takes it, and not {name}"))),
            // A stream of the same name, beyond a leaf node.
            (None, Some(stream)) if answer.domain.as_ref() != self.configuration.domain.as_ref().or(domain) => {
                let of = answer.domain.map_or_else(|| "without a domain".to_owned(), |domain| format!("of domain {domain}"));
                Err(refused(format!("stream {stream} {of} takes it, and not that of the configuration")))
            }
            (None, Some(_)) if answer.seq > 0 => Ok(answer.seq),
            // Whoever else listens to the subject may answer before the stream does.
            (None, _) => Err(self.unreachable("another than the stream answers to the sentinel".to_owned())),
        }
    }
}
