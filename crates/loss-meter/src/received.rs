//! What has arrived: the numbers of each stream, by subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::Numbered;
use crate::latency::{Latency, Quantiles};

/// What a receiver has got, by subscription.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    /// Of this process: another one has forgotten what came before.
    pub(crate) instance: String,
    /// Requests that held no numbered event.
    pub(crate) others: u64,
    pub(crate) subscriptions: BTreeMap<String, Vec<Arrived>>,
}

/// What has arrived of one stream at one subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arrived {
    pub(crate) run: String,
    pub(crate) stream: String,
    /// A portable Roaring bitmap in base64.
    #[serde(serialize_with = "write_numbers", deserialize_with = "read_numbers")]
    pub(crate) numbers: RoaringBitmap,
    /// Those of which the broker said of a copy that it delivered it again; in the same form.
    #[serde(serialize_with = "write_numbers", deserialize_with = "read_numbers")]
    pub(crate) again: RoaringBitmap,
    /// How many came that had come before.
    pub(crate) doubled: u64,
    /// Of those, how many the broker says it delivered again.
    pub(crate) redelivered: u64,
    /// How many came after a higher number.
    pub(crate) reordered: u64,
    /// The longest time in which none came, and when it ended, in microseconds since 1970.
    pub(crate) longest_gap: Gap,
    /// From when it was sent to when it came.
    pub(crate) latency: Quantiles,
    pub(crate) timeline: Vec<Second>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gap {
    pub(crate) millis: u64,
    pub(crate) ended_micros: u64,
}

/// What came in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Second {
    /// In seconds since 1970.
    pub(crate) at: u64,
    pub(crate) count: u64,
    pub(crate) p99_micros: u64,
}

/// Counts a stream at a subscription.
pub(crate) struct Counter {
    arrived: Arrived,
    last_micros: Option<u64>,
    latency: Latency,
    second: Option<(u64, u64, Latency)>,
}

impl Counter {
    pub(crate) fn new(event: &Numbered) -> Self {
        let arrived = Arrived {
            run: event.run.clone(),
            stream: event.stream.clone(),
            numbers: RoaringBitmap::new(),
            again: RoaringBitmap::new(),
            doubled: 0,
            redelivered: 0,
            reordered: 0,
            longest_gap: Gap::default(),
            latency: Quantiles::default(),
            timeline: Vec::new(),
        };
        Self { arrived, last_micros: None, latency: Latency::new(), second: None }
    }

    /// An event has come; `is_redelivered` is what the broker says.
    pub(crate) fn add(&mut self, event: &Numbered, is_redelivered: bool, now_micros: u64) {
        let arrived = &mut self.arrived;
        let is_late = arrived.numbers.max().is_some_and(|highest| event.number < highest);
        // Whichever copy says so: the second delivery may overtake the first.
        if is_redelivered {
            arrived.again.insert(event.number);
        }
        if !arrived.numbers.insert(event.number) {
            arrived.doubled += 1;
            arrived.redelivered += u64::from(arrived.again.contains(event.number));
            return;
        }
        arrived.reordered += u64::from(is_late);
        if let Some(last) = self.last_micros.replace(now_micros) {
            let gap = Gap { millis: now_micros.saturating_sub(last) / 1000, ended_micros: now_micros };
            arrived.longest_gap = arrived.longest_gap.max(gap);
        }
        let age = event.age(now_micros);
        self.latency.record(age);
        self.note(now_micros / 1_000_000, age);
    }

    fn note(&mut self, now: u64, age: Duration) {
        if self.second.as_ref().is_none_or(|(second, ..)| *second != now) {
            self.arrived.timeline.extend(self.second.take().map(summary));
        }
        let (_, count, latency) = self.second.get_or_insert_with(|| (now, 0, Latency::new()));
        *count += 1;
        latency.record(age);
    }

    /// All of it so far.
    pub(crate) fn arrived(&self) -> Arrived {
        let mut arrived = Arrived { latency: self.latency.quantiles(), ..self.arrived.clone() };
        arrived.timeline.extend(self.second.clone().map(summary));
        // Rows of numbers become short.
        arrived.numbers.optimize();
        arrived.again.optimize();
        arrived
    }
}

fn summary((second, count, latency): (u64, u64, Latency)) -> Second {
    Second { at: second, count, p99_micros: latency.quantiles().p99 }
}

impl Arrived {
    /// What two receivers of the same subscription have got together.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        self.again |= &other.again;
        let both = &self.numbers & &other.numbers;
        self.doubled += other.doubled + both.len();
        self.redelivered += other.redelivered + both.intersection_len(&self.again);
        self.reordered += other.reordered;
        self.numbers |= &other.numbers;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.latency = self.latency.or_more(other.latency);
        self.timeline.extend(&other.timeline);
        self
    }
}

fn write_numbers<S: Serializer>(numbers: &RoaringBitmap, serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(numbers.serialized_size());
    numbers.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoaringBitmap, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
    RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u32, sent_micros: u64) -> Numbered {
        Numbered { run: "r".to_owned(), stream: "shop".to_owned(), number, sent_micros }
    }

    #[test]
    fn what_is_doubled_reordered_or_late_is_counted() {
        let mut counter = Counter::new(&event(0, 0));
        for (number, is_redelivered, now) in [
            (0, false, 1_000),
            (2, false, 2_000),
            (1, false, 3_000),
            (1, true, 4_000),
            (2, false, 5_000),
            (3, false, 2_003_000),
        ] {
            counter.add(&event(number, now - 1_000), is_redelivered, now);
        }
        let arrived = counter.arrived();
        assert_eq!(arrived.numbers.len(), 4);
        assert_eq!((arrived.doubled, arrived.redelivered, arrived.reordered), (2, 1, 1));
        assert_eq!(arrived.longest_gap, Gap { millis: 2_000, ended_micros: 2_003_000 });
        assert_eq!(arrived.latency.max, 1_000);
        let counts: Vec<(u64, u64)> = arrived.timeline.iter().map(|it| (it.at, it.count)).collect();
        assert_eq!(counts, [(0, 3), (2, 1)]);
    }

    #[test]
    fn two_receivers_count_together_and_through_json() {
        let of = |numbers: &[u32]| {
            let mut counter = Counter::new(&event(0, 0));
            for number in numbers {
                counter.add(&event(*number, 0), false, 1_000);
            }
            let text = serde_json::to_string(&counter.arrived()).expect("plain data");
            serde_json::from_str::<Arrived>(&text).expect("the same")
        };
        let both = of(&[0, 1]).with(&of(&[1, 2, 2]));
        assert_eq!(both.numbers.iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((both.doubled, both.redelivered), (2, 0));
    }

    #[test]
    fn a_second_delivery_is_known_whichever_copy_comes_first_and_wherever() {
        let of = |copies: &[(u32, bool)]| {
            let mut counter = Counter::new(&event(0, 0));
            for (number, is_redelivered) in copies {
                counter.add(&event(*number, 0), *is_redelivered, 1_000);
            }
            counter.arrived()
        };
        let overtaken = of(&[(1, true), (1, false)]);
        assert_eq!((overtaken.doubled, overtaken.redelivered), (1, 1));
        let apart = of(&[(1, false), (2, false)]).with(&of(&[(1, true), (2, false)]));
        assert_eq!((apart.doubled, apart.redelivered), (2, 1));
    }
}
