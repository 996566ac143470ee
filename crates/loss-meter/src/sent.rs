//! What became of the events of a stream, as their publisher sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use roaring::RoaringBitmap;

use crate::latency::{Latency, Quantiles};

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A 2xx: from here on it must not get lost.
    Accepted,
    /// Another status.
    Refused(StatusCode),
    /// No connection: nobody can have got it.
    NotConnected(String),
    /// The request was sent, and no answer came: somebody may have got it.
    Unanswered(String),
}

/// What became of all of them.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) accepted: RoaringBitmap,
    pub(crate) unanswered: RoaringBitmap,
    /// How many were not accepted, by what the publisher saw.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) count: u32,
    latency: Latency,
}

impl Sent {
    pub(crate) fn new() -> Self {
        let (accepted, unanswered) = (RoaringBitmap::new(), RoaringBitmap::new());
        Self { accepted, unanswered, faults: BTreeMap::new(), count: 0, latency: Latency::new() }
    }

    /// An event has got its answer, or none, after this time.
    pub(crate) fn add(&mut self, number: u32, fate: Fate, took: Duration) {
        self.count += 1;
        self.latency.record(took);
        let fault = match fate {
            Fate::Accepted => {
                self.accepted.insert(number);
                return;
            }
            Fate::Refused(status) => format!("HTTP {}", status.as_u16()),
            Fate::NotConnected(why) => format!("no connection: {why}"),
            Fate::Unanswered(why) => {
                self.unanswered.insert(number);
                format!("no answer: {why}")
            }
        };
        *self.faults.entry(fault).or_default() += 1;
    }

    /// How long answers took.
    pub(crate) fn latency(&self) -> Quantiles {
        self.latency.quantiles()
    }
}
