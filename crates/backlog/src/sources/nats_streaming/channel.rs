//! What is left in the channels; a pure function of an answer and of what was known before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::monitoring::{Channel, Reader};
use super::{Configuration, is_among};
use crate::positions::positions;

/// Where a subscription stood.
pub(super) struct Position {
    left: u64,
    /// Number of the last message then.
    last_seq: u64,
}

/// What the channels say together.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) left: u64,
    /// So much is left of each subscription, in words.
    pub(super) each: Vec<(u64, String)>,
    pub(super) unknown: Option<String>,
    pub(super) hopeless: Option<String>,
    /// Seconds; the longest.
    pub(super) ack_wait: Option<u64>,
    pub(super) seen: Value,
}

pub(super) fn judge(
    channels: &[Channel],
    configuration: &Configuration,
    known: &mut BTreeMap<(String, String), Position>,
) -> Verdict {
    let mut verdict = Verdict::default();
    // Of thousands of subscriptions no channel may be gone through for each.
    let readers_of: BTreeMap<&str, &BTreeMap<String, Reader>> =
        channels.iter().map(|channel| (channel.name.as_str(), &channel.readers)).collect();
    for channel in channels {
        let is_meant = |name: &String| configuration.durables.is_empty() || configuration.durables.contains(name);
        let all = channel.readers.iter();
        let readers: BTreeMap<&String, &Reader> = all.filter(|(name, _)| is_meant(name)).collect();
        for (&name, &reader) in &readers {
            verdict.add(channel, name, reader);
            let key = (channel.name.clone(), name.clone());
            if let Some(lost) = known.get(&key).and_then(|before| before.lost_with(channel, name)) {
                verdict.fail(lost);
                continue;
            }
            let position = Position { left: left(channel, reader), last_seq: channel.last_seq };
            known.insert(key, position);
        }
        let is_unread = readers.is_empty() && channel.msgs > 0;
        let has_been_read = || known.iter().any(|((of, _), position)| *of == channel.name && position.is_done(channel));
        if is_unread && !has_been_read() && !is_among(&channel.name, &configuration.accept_unread) {
            let (name, count) = (&channel.name, channel.msgs);
            let lacks = if channel.readers.is_empty() { "no subscription" } else { "none of the durables" };
            verdict.fail(format!(
                "channel {name} holds {count} messages and has {lacks}: nobody reads them; name it under acceptUnread if nobody needs them"
            ));
        }
    }
    let by_name: BTreeMap<&str, &Channel> = channels.iter().map(|channel| (channel.name.as_str(), channel)).collect();
    for ((of, name), position) in &*known {
        let channel = by_name.get(of.as_str());
        let is_there = readers_of.get(of.as_str()).is_some_and(|readers| readers.contains_key(name));
        if !is_there && !channel.is_some_and(|channel| position.is_done(channel)) {
            let count = position.left;
            verdict.fail(format!(
                "subscription {name} of channel {of} is gone, with its position: {count} messages were left when it was last seen"
            ));
        }
    }
    let subscriptions = readers_of.values().map(|readers| readers.len()).sum::<usize>();
    let seen = channels.iter().map(|channel| {
        let readers = channel.readers.iter();
        let is_meant =
            |(name, _): &(&String, &Reader)| configuration.durables.is_empty() || configuration.durables.contains(name);
        (&channel.name, evidence(channel, &readers.filter(is_meant).collect()))
    });
    verdict.seen = positions(subscriptions.max(channels.len()), seen);
    verdict
}

impl Position {
    /// The channel ends earlier than it did: it is another one with this name, as after a restart of a server that keeps nothing.
    fn lost_with(&self, channel: &Channel, name: &str) -> Option<String> {
        let (of, left) = (&channel.name, self.left);
        let is_lost = channel.last_seq < self.last_seq && left > 0;
        is_lost.then(|| format!("channel {of} was made again, without {left} messages that were left of {name}"))
    }

    /// Whether a subscription that is gone had got everything there is.
    fn is_done(&self, channel: &Channel) -> bool {
        self.left == 0 && self.last_seq == channel.last_seq
    }
}

/// Messages that were not sent yet, and those that were not acknowledged.
fn left(channel: &Channel, reader: &Reader) -> u64 {
    not_sent(channel, reader) + reader.pending
}

fn not_sent(channel: &Channel, reader: &Reader) -> u64 {
    (channel.last_seq + 1).saturating_sub(channel.first().max(reader.last_sent + 1))
}

impl Verdict {
    fn add(&mut self, channel: &Channel, name: &str, reader: &Reader) {
        let (of, left) = (&channel.name, left(channel, reader));
        self.left += left;
        let (not_sent, pending) = (not_sent(channel, reader), reader.pending);
        if left > 0 {
            self.each.push((left, format!("{of} of {name}: {not_sent} not sent, {pending} not acknowledged")));
        }
        self.ack_wait = self.ack_wait.max(Some(reader.ack_wait));
        let lost = channel.first().saturating_sub(reader.last_sent + 1);
        if lost > 0 {
            self.hopeless.get_or_insert(format!(
                "channel {of} has dropped {lost} messages before {name} got them: lost by retention"
            ));
        }
        if reader.is_offline && left > 0 {
            self.hopeless.get_or_insert(format!(
                "{name} of channel {of} is offline with {left} messages left: start its client again"
            ));
        }
    }

    /// Nobody can say how much is left, and waiting does not help.
    fn fail(&mut self, why: String) {
        self.unknown.get_or_insert(why.clone());
        self.hopeless.get_or_insert(why);
    }
}

fn evidence(channel: &Channel, readers: &BTreeMap<&String, &Reader>) -> Value {
    let position =
        |reader: &Reader| json!({"lastSent": reader.last_sent, "pending": reader.pending, "offline": reader.is_offline});
    let readers: BTreeMap<_, _> = readers.iter().map(|(name, reader)| (*name, position(reader))).collect();
    json!({"firstSeq": channel.first(), "lastSeq": channel.last_seq, "messages": channel.msgs, "subscriptions": readers})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_made_again_has_lost_what_was_left() {
        let configuration = serde_json::from_value(json!({"url": "http://host"})).expect("a configuration");
        let mut known = BTreeMap::new();
        let mut said = |last_seq: u64, last_sent: u64, pending: u64| {
            let reader = json!({"client_id": "reader", "durable_name": "worker", "is_offline": false, "ack_wait": 30,
                "last_sent": last_sent, "pending_count": pending});
            let channel = json!({"name": "orders", "msgs": last_seq, "first_seq": u64::from(last_seq > 0), "last_seq": last_seq,
                "subscriptions": [reader]});
            let channels = [serde_json::from_value(channel).expect("a channel")];
            judge(&channels, &configuration, &mut known).hopeless
        };
        assert_eq!(said(20, 20, 0), None);
        // It was done.
        assert_eq!(said(2, 2, 0), None);
        assert_eq!(said(20, 10, 5), None);
        let lost = Some("channel orders was made again, without 15 messages that were left of reader/worker".to_owned());
        assert_eq!(said(0, 0, 0), lost);
        assert_eq!(said(3, 3, 0), lost);
    }
}
