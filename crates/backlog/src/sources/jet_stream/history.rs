//! What was seen before, and what has gone since without being done.

use std::collections::BTreeMap;

use super::consumer::Consumer;
use super::stream::{Retention, Stream};

/// The stream and its consumers as they were when they were last seen.
#[derive(Default)]
pub(super) struct History {
    stream: Option<Stream>,
    consumers: BTreeMap<String, Seen>,
    /// What went without being done; nothing brings it back.
    lost: Option<String>,
}

struct Seen {
    consumer: Consumer,
    /// Number of the last message then.
    last_seq: u64,
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
            self.consumers.values().find_map(|seen| {
                let now = consumers.iter().find(|consumer| consumer.name == seen.consumer.name);
                seen.gone(stream, now).or_else(|| seen.dropped(before, stream, now?))
            })
        });
        let has_moved = before.state.last_seq != stream.state.last_seq;
        self.lost = self.lost.take().or(lost);
        has_moved
    }

    pub(super) fn keep(&mut self, stream: Stream, consumers: Vec<Consumer>) {
        let last_seq = stream.state.last_seq;
        let seen = |consumer: Consumer| (consumer.name.clone(), Seen { consumer, last_seq });
        self.consumers.extend(consumers.into_iter().map(seen));
        self.stream = Some(stream);
    }
}

impl Seen {
    /// The consumer is not there any more, or another one has its name: its position has gone, and what came to it meanwhile.
    fn gone(&self, stream: &Stream, now: Option<&Consumer>) -> Option<String> {
        let Consumer { name, created, .. } = &self.consumer;
        let what = match now {
            None => "is gone, with its position",
            Some(now) if now.created != *created => "was made again, without its position",
            Some(_) => return None,
        };
        let (left, came) = (self.consumer.left(), stream.state.last_seq.saturating_sub(self.last_seq));
        (left + came > 0).then(|| {
            format!("consumer {name} {what}: {left} messages were left when it was last seen, and {came} have come since")
        })
    }

    /// Messages that went before they were delivered, or before they were acknowledged.
    fn dropped(&self, before: &Stream, stream: &Stream, now: &Consumer) -> Option<String> {
        let (of, Consumer { name, .. }) = (&stream.config.name, &self.consumer);
        let then = &self.consumer;
        if before.state.last_seq == stream.state.last_seq {
            // Nothing has come meanwhile: what was pending has been delivered, or is lost.
            let delivered = now.delivered.consumer_seq.saturating_sub(then.delivered.consumer_seq);
            let lost = then.num_pending.saturating_sub(now.num_pending + delivered);
            if lost > 0 {
                return Some(format!(
                    "stream {of} has dropped {lost} messages before consumer {name} got them: lost by retention"
                ));
            }
        }
        // Elsewhere messages go because they are acknowledged.
        let (first, count) = (stream.first(), then.num_ack_pending);
        let has_dropped = stream.config.retention == Retention::Limits && first > before.first();
        // What lies between these of a consumer that takes only some subjects may be that of others, and gone for long.
        let is_sparse = !now.takes_all(stream) && before.first() > then.ack_floor.stream_seq + 1;
        let from = if is_sparse { then.delivered.stream_seq } else { then.ack_floor.stream_seq + 1 };
        (has_dropped && count > 0 && first > from).then(|| {
            format!(
                "stream {of} has dropped messages up to {}, and {count} that consumer {name} had not acknowledged may be among them",
                first - 1
            )
        })
    }
}
