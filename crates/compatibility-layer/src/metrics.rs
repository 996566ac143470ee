//! Metrics for Prometheus. Names of Applications come from publishers: only so many get a line of their own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::fault::Fault;

/// Applications with lines of their own. A large Kyma has some dozens.
const MOST_APPLICATIONS: usize = 100;

/// Longest name with a line of its own: that of an Application is one of a Kubernetes object.
const LONGEST_NAME: usize = 253;

/// The line of all further ones.
const OTHERS: &str = "";

/// Seconds: a synchronous channel answers within milliseconds, or after the retries of its subscribers.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApplication {
    application: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    application: String,
    reason: &'static str,
}

/// All of it.
pub(crate) struct Metrics {
    registry: Registry,
    accepted: Family<OfApplication, Counter>,
    refused: Family<OfReason, Counter>,
    forwarded: Family<OfApplication, Counter>,
    latency: Family<OfApplication, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    named: RefCell<BTreeSet<String>>,
}

/// A request that is being served.
pub(crate) struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// `applications` have lines of their own from the beginning.
    pub(crate) fn new<'a>(applications: impl Iterator<Item = &'a String>) -> Self {
        let mut registry = Registry::with_prefix("fairlead_layer");
        let latency = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let (accepted, refused, forwarded, in_flight) =
            (Family::default(), Family::default(), Family::default(), Gauge::default());
        registry.register("events_accepted", "Events that were answered with success", accepted.clone());
        registry.register("events_refused", "Events and requests that were answered with an error", refused.clone());
        registry.register("events_forwarded", "Events that their target has accepted", forwarded.clone());
        registry.register("target_seconds", "Time until a target answered", latency.clone());
        registry.register("in_flight", "Requests that are being served", in_flight.clone());
        let named = RefCell::new(applications.take(MOST_APPLICATIONS).cloned().collect());
        Self { registry, accepted, refused, forwarded, latency, in_flight, named }
    }

    /// Counts a request until it is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(crate) fn accept(&self, application: &str) {
        self.accepted.get_or_create(&OfApplication { application: self.label(application) }).inc();
    }

    pub(crate) fn refuse(&self, application: &str, fault: &Fault) {
        let label = OfReason { application: self.label(application), reason: fault.reason() };
        self.refused.get_or_create(&label).inc();
    }

    /// The target has answered for an event after this time, and accepted it or not.
    pub(crate) fn answered(&self, application: &str, elapsed: Duration, has_accepted: bool) {
        // A name gets a line when a target has accepted an event of it: a made-up name leads nowhere.
        if has_accepted {
            self.name(application);
        }
        let label = OfApplication { application: self.label(application) };
        self.latency.get_or_create(&label).observe(elapsed.as_secs_f64());
        if has_accepted {
            self.forwarded.get_or_create(&label).inc();
        }
    }

    /// The page.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut page, &self.registry);
        page
    }

    fn name(&self, application: &str) {
        let mut named = self.named.borrow_mut();
        if named.len() < MOST_APPLICATIONS && application.len() <= LONGEST_NAME && !named.contains(application) {
            named.insert(application.to_owned());
        }
    }

    fn label(&self, application: &str) -> String {
        if self.named.borrow().contains(application) { application } else { OTHERS }.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_publishers_make_up_have_one_line() {
        let configured = ["shop".to_owned()];
        let metrics = Metrics::new(configured.iter());
        for number in 0..1000 {
            metrics.refuse(&format!("made-up-{number}"), &Fault::Busy);
            metrics.answered(&format!("real-{number}"), Duration::from_millis(2), true);
            metrics.accept(&format!("real-{number}"));
        }
        metrics.refuse("shop", &Fault::Busy);
        let page = metrics.page();
        let count = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("fairlead_layer_events_forwarded_total{"), MOST_APPLICATIONS);
        assert_eq!(count("fairlead_layer_events_accepted_total{"), MOST_APPLICATIONS);
        assert_eq!(count("fairlead_layer_events_refused_total{"), 2, "{page}");
        let first = "fairlead_layer_target_seconds_bucket{le=\"0.0025\",application=\"real-0\"} 1";
        assert!(page.contains(first), "{page}");
        let line = "fairlead_layer_events_refused_total{application=\"\",reason=\"too_many_in_flight\"} 1000";
        assert!(page.contains(line), "{page}");
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_dropped() {
        let metrics = Metrics::new(std::iter::empty());
        let first = metrics.begin();
        let second = metrics.begin();
        drop(first);
        assert!(metrics.page().contains("fairlead_layer_in_flight 1"), "{}", metrics.page());
        drop(second);
        assert!(metrics.page().contains("fairlead_layer_in_flight 0"), "{}", metrics.page());
    }
}
