//! What was lost, doubled or late: what was sent, compared with what has arrived. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::configuration::Stream;
use crate::latency::Quantiles;
use crate::received::{Arrived, Gap, Second};
use crate::sent::Sent;

/// So many missing numbers are named.
const NAMED: usize = 20;

/// The verdict on a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    pub(crate) run: String,
    pub(crate) streams: Vec<Published>,
    pub(crate) subscriptions: Vec<Delivered>,
}

/// What a publisher saw.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    pub(crate) stream: String,
    pub(crate) sent: u32,
    pub(crate) accepted: u64,
    /// How many were not accepted, by what the publisher saw.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) latency: Quantiles,
}

/// What a subscription has got of a stream.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delivered {
    pub(crate) subscription: String,
    pub(crate) stream: String,
    pub(crate) accepted: u64,
    pub(crate) received: u64,
    /// Accepted, and not received.
    pub(crate) missing: u64,
    /// The first of them.
    pub(crate) missing_numbers: Vec<u32>,
    /// Received, although the publisher got no answer.
    pub(crate) unanswered: u64,
    /// Received, although the publisher was refused: who sends such an event again doubles it.
    pub(crate) refused: u64,
    pub(crate) doubled: u64,
    /// Of the doubled ones, those of which the broker says that it delivered them again.
    pub(crate) redelivered: u64,
    pub(crate) reordered: u64,
    pub(crate) longest_gap: Gap,
    pub(crate) latency: Quantiles,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) timeline: Vec<Second>,
}

impl Verdict {
    /// Compares; `arrived` is by subscription and stream.
    pub(crate) fn new(run: &str, sent: &[(&Stream, Sent)], arrived: &BTreeMap<(String, String), Arrived>) -> Self {
        let streams = sent.iter().map(|(stream, sent)| Published {
            stream: stream.name.clone(),
            sent: sent.count,
            accepted: sent.accepted.len(),
            faults: sent.faults.clone(),
            latency: sent.latency(),
        });
        let subscriptions = sent.iter().flat_map(|(stream, sent)| {
            stream.subscriptions.iter().map(move |name| {
                let key = (name.clone(), stream.name.clone());
                delivered(name, &stream.name, sent, arrived.get(&key))
            })
        });
        Self { run: run.to_owned(), streams: streams.collect(), subscriptions: subscriptions.collect() }
    }

    /// How many are missing, at all subscriptions together.
    pub(crate) fn missing(&self) -> u64 {
        self.subscriptions.iter().map(|it| it.missing).sum()
    }

    /// How many are doubled, and no broker says that it delivered them again.
    pub(crate) fn doubled(&self) -> u64 {
        self.subscriptions.iter().map(|it| it.doubled - it.redelivered).sum()
    }
}

fn delivered(subscription: &str, stream: &str, sent: &Sent, arrived: Option<&Arrived>) -> Delivered {
    let none = roaring::RoaringBitmap::new();
    let numbers = arrived.map_or(&none, |it| &it.numbers);
    let missing = &sent.accepted - numbers;
    let others = numbers - &sent.accepted;
    let unanswered = others.intersection_len(&sent.unanswered);
    Delivered {
        subscription: subscription.to_owned(),
        stream: stream.to_owned(),
        accepted: sent.accepted.len(),
        received: numbers.len(),
        missing: missing.len(),
        missing_numbers: missing.iter().take(NAMED).collect(),
        unanswered,
        refused: others.len() - unanswered,
        doubled: arrived.map_or(0, |it| it.doubled),
        redelivered: arrived.map_or(0, |it| it.redelivered),
        reordered: arrived.map_or(0, |it| it.reordered),
        longest_gap: arrived.map_or(Gap::default(), |it| it.longest_gap),
        latency: arrived.map_or(Quantiles::default(), |it| it.latency),
        timeline: arrived.map_or(Vec::new(), |it| it.timeline.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::event::Numbered;
    use crate::received::Counter;
    use crate::sent::Fate;

    fn verdict(count: u32, dropped: &[u32], doubled: &[(u32, bool)]) -> Verdict {
        let stream: Stream =
            serde_json::from_value(json!({"name": "shop", "url": "http://x/", "api": "cloudEvents", "source": "shop",
            "type": "order.created", "rate": 1, "subscriptions": ["orders"]}))
            .expect("valid");
        let event = |number: u32| Numbered { run: "r".to_owned(), stream: "shop".to_owned(), number, sent_micros: 0 };
        let (mut sent, mut counter) = (Sent::new(), Counter::new(&event(0)));
        for number in 0..count {
            sent.add(number, Fate::Accepted, Duration::from_millis(1));
            if !dropped.contains(&number) {
                counter.add(&event(number), false, 1_000);
            }
        }
        sent.add(count, Fate::Refused(StatusCode::SERVICE_UNAVAILABLE), Duration::from_millis(1));
        sent.add(count + 1, Fate::Unanswered("reset".to_owned()), Duration::from_millis(1));
        counter.add(&event(count + 1), false, 1_000);
        for (number, is_redelivered) in doubled {
            counter.add(&event(*number), *is_redelivered, 2_000);
        }
        let arrived = BTreeMap::from([(("orders".to_owned(), "shop".to_owned()), counter.arrived())]);
        Verdict::new("r", &[(&stream, sent)], &arrived)
    }

    #[test]
    fn one_that_is_missing_of_a_hundred_thousand_is_found_and_named() {
        let whole = verdict(100_000, &[], &[]);
        assert_eq!((whole.missing(), whole.doubled()), (0, 0));
        let lossy = verdict(100_000, &[70_001], &[(3, false), (4, true)]);
        assert_eq!((lossy.missing(), lossy.doubled()), (1, 1));
        let Delivered { missing_numbers, unanswered, refused, received, .. } = &lossy.subscriptions[0];
        assert_eq!((missing_numbers.as_slice(), *unanswered, *refused, *received), (&[70_001][..], 1, 0, 100_000));
        assert_eq!(
            lossy.streams[0].faults,
            BTreeMap::from([("HTTP 503".to_owned(), 1), ("no answer: reset".to_owned(), 1)])
        );
    }

    #[test]
    fn a_subscription_that_has_got_nothing_misses_everything() {
        let stream: Stream =
            serde_json::from_value(json!({"name": "shop", "url": "http://x/", "api": "cloudEvents", "source": "shop",
            "type": "t", "rate": 1, "subscriptions": ["orders", "audit"]}))
            .expect("valid");
        let mut sent = Sent::new();
        sent.add(0, Fate::Accepted, Duration::ZERO);
        assert_eq!(Verdict::new("r", &[(&stream, sent)], &BTreeMap::new()).missing(), 2);
    }
}
