//! Quantiles of times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Times, to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

/// What people ask of them; microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    #[serde(rename = "p50Micros")]
    pub(crate) p50: u64,
    #[serde(rename = "p99Micros")]
    pub(crate) p99: u64,
    #[serde(rename = "maxMicros")]
    pub(crate) max: u64,
}

impl Latency {
    /// None yet.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new(3);
        // Fails beyond five digits only.
        Self(histogram.unwrap_or_else(|_| unreachable!("three digits")))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        // The histogram grows as it must; no time is too long for it.
        let _ = self.0.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile: f64| self.0.value_at_quantile(quantile);
        Quantiles { p50: at(0.5), p99: at(0.99), max: self.0.max() }
    }
}

impl Quantiles {
    /// The larger one of each: of two sets whose times are gone nothing better can be said.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self { p50: self.p50.max(other.p50), p99: self.p99.max(other.p99), max: self.max.max(other.max) }
    }
}

/// `1.3 ms`.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        let Quantiles { p50, p99, max } = latency.quantiles();
        assert!((499_000..=501_000).contains(&p50) && (989_000..=991_000).contains(&p99));
        assert!((1_000_000..=1_001_000).contains(&max));
        assert_eq!(millis(1_349), "1.3 ms");
        assert_eq!(Latency::new().quantiles(), Quantiles::default());
    }
}
