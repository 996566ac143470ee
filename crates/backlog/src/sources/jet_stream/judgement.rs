//! What is left for the consumers of a stream, and what is kept of it; a pure function of the answers.

use serde_json::{Value, json};

use super::consumer::{Consumer, Verdict};
use super::history::History;
use super::sentinel::Ordered;
use super::stream::{Retention, State, Stream};
use super::unread::Unread;
use crate::positions::positions;

/// Why these answers may not be the truth.
pub(super) fn doubt(stream: &Stream, consumers: &[Consumer]) -> Option<String> {
    let of_stream = stream.cluster.as_ref().and_then(|group| group.doubt(&format!("stream {}", stream.config.name)));
    of_stream.or_else(|| consumers.iter().find_map(|consumer| consumer.doubt(stream)))
}

/// An error is something that can never prove anything.
pub(super) fn judge(
    stream: &Stream,
    consumers: &[Consumer],
    history: &History,
    unread: &Unread,
    named: &[String],
    sentinel: Option<&Ordered>,
) -> Result<Verdict, String> {
    let mut verdict = Verdict::default();
    let name = &stream.config.name;
    verdict.count_origins(stream);
    let keeps = stream.keeps_until_acknowledged(named.is_empty());
    for consumer in consumers {
        if let Some(why) = consumer.useless(keeps) {
            return Err(why);
        }
        let ours = sentinel.map(|sentinel| sentinel.among(consumer)).unwrap_or_default();
        consumer.add_to(&mut verdict, stream, &ours);
    }
    if let Some(lost) = history.lost() {
        verdict.fail(lost.to_owned());
    }
    let messages = stream.state.messages;
    if keeps {
        // There the messages themselves are what is left: they go when they are acknowledged.
        verdict.left = verdict.left.max(messages);
    }
    match stream.config.retention {
        Retention::Interest if consumers.is_empty() => {
            verdict.fail(format!("stream {name} drops every message, because it has no consumer"));
        }
        Retention::Limits if consumers.is_empty() && !history.knows_consumers() && messages > 0 => {
            verdict.fail(format!("stream {name} holds {messages} messages and has no consumer: nobody reads them"));
        }
        _ => unread.add_to(&mut verdict, name),
    }
    Ok(verdict)
}

/// What the stream and its consumers say, for the certificate.
pub(super) fn evidence(stream: &Stream, consumers: &[Consumer], unread: &Unread) -> Value {
    let leader = stream.cluster.as_ref().map(|group| &group.leader);
    let consumers = positions(consumers.len(), consumers.iter().map(|consumer| (&consumer.name, consumer.evidence())));
    let State { messages, last_seq, .. } = &stream.state;
    json!({"messages": messages, "firstSeq": stream.first(), "lastSeq": last_seq, "leader": leader,
        "toCome": stream.to_come(), "schedules": unread.schedules, "consumers": consumers})
}
