//! What was seen before, and what has gone since without being done.

use std::collections::{BTreeMap, HashMap};

use super::consumer::{Consumer, Seen};
use super::stream::{Retention, Stream};

/// The stream and its consumers as they were when they were last seen.
#[derive(Default)]
pub(super) struct History {
    stream: Option<Stream>,
    consumers: HashMap<Box<str>, Seen>,
    /// What went without being done; nothing brings it back.
    lost: Option<String>,
}

impl History {
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    pub(super) fn knows_consumers(&self) -> bool {
        !self.consumers.is_empty()
    }

    /// Looks for what has gone since the last reading. Whether messages have come since.
    pub(super) fn look(&mut self, stream: &Stream, consumers: &[Consumer]) -> bool {
        let Some(before) = &self.stream else { return false };
        let name = &stream.config.name;
        let made_again = || format!("stream {name} was made again: what it held before is gone");
        let lost = (before.created != stream.created).then(made_again).or_else(|| {
            // Of thousands no list may be gone through for each.
            let now: HashMap<&str, &Consumer> = consumers.iter().map(|it| (it.name.as_str(), it)).collect();
            let mut lost = BTreeMap::new();
            for (name, seen) in &self.consumers {
                let now = now.get(&**name).copied();
                let dropped = || now.and_then(|now| seen.dropped(name, before, stream, now));
                lost.extend(seen.gone(name, stream, now).or_else(dropped).map(|what| (name, what)));
            }
            // One of them is said, and always the same.
            lost.into_values().next()
        });
        let has_moved = before.state.last_seq != stream.state.last_seq;
        self.lost = self.lost.take().or(lost);
        has_moved
    }

    pub(super) fn keep(&mut self, stream: Stream, consumers: &[Consumer]) {
        let last_seq = stream.state.last_seq;
        for consumer in consumers {
            let seen = consumer.seen(last_seq);
            match self.consumers.get_mut(consumer.name.as_str()) {
                Some(before) => *before = seen,
                None => {
                    self.consumers.insert(consumer.name.as_str().into(), seen);
                }
            }
        }
        self.stream = Some(stream);
    }
}

impl Seen {
    fn left(&self) -> u64 {
        self.pending + self.ack_pending
    }

    /// The consumer is not there any more, or another one has its name: its position has gone, and what came to it meanwhile.
    fn gone(&self, name: &str, stream: &Stream, now: Option<&Consumer>) -> Option<String> {
        let what = match now {
            None => "is gone, with its position",
            Some(now) if *now.created != *self.created => "was made again, without its position",
            Some(_) => return None,
        };
        let (left, came) = (self.left(), stream.state.last_seq.saturating_sub(self.last_seq));
        (left + came > 0).then(|| {
            format!("consumer {name} {what}: {left} messages were left when it was last seen, and {came} have come since")
        })
    }

    /// Messages that went before they were delivered, or before they were acknowledged.
    fn dropped(&self, name: &str, before: &Stream, stream: &Stream, now: &Consumer) -> Option<String> {
        let of = &stream.config.name;
        if before.state.last_seq == stream.state.last_seq {
            // Nothing has come meanwhile: what was pending has been delivered, or is lost.
            let delivered = now.delivered.consumer_seq.saturating_sub(self.delivered);
            let lost = self.pending.saturating_sub(now.num_pending + delivered);
            if lost > 0 {
                return Some(format!(
                    "stream {of} has dropped {lost} messages before consumer {name} got them: lost by retention"
                ));
            }
        }
        // Elsewhere messages go because they are acknowledged.
        let (first, count) = (stream.first(), self.ack_pending);
        let has_dropped = stream.config.retention == Retention::Limits && first > before.first();
        // What lies between these of a consumer that takes only some subjects may be that of others, and gone for long.
        let is_sparse = !now.takes_all(stream) && before.first() > self.ack_floor + 1;
        let from = if is_sparse { self.delivered_stream } else { self.ack_floor + 1 };
        (has_dropped && count > 0 && first > from).then(|| {
            format!(
                "stream {of} has dropped messages up to {}, and {count} that consumer {name} had not acknowledged may be among them",
                first - 1
            )
        })
    }
}
