//! Plan and report as documents of `apiVersion: fairlead.dev/v1`, which stay readable for ever. They are written change by
//! change: as a whole they may be larger than the memory of a pod.

use fairlead_migration::finding::Blocked;
use fairlead_migration::plan::Plan;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use fairlead_migration::obstacle::chain;

use crate::outcome::Ended;
use crate::redact;

const API_VERSION: &str = "fairlead.dev/v1";

/// `kind: Plan`.
pub(super) struct PlanDocument<'a>(pub(super) &'a Plan);

impl Serialize for PlanDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plan = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", API_VERSION)?;
        map.serialize_entry("kind", "Plan")?;
        map.serialize_entry("step", plan.step())?;
        map.serialize_entry("digest", &plan.digest())?;
        if let Some(blocked) = plan.blocked() {
            map.serialize_entry("blocked", &Blocked { message: redact::text(&blocked.message), ..blocked.clone() })?;
        }
        map.serialize_entry("stages", plan.stages())?;
        map.serialize_entry("changes", &Sequence(|| plan.changes().map(redact::change)))?;
        map.serialize_entry("refusals", plan.refusals())?;
        map.serialize_entry("warnings", plan.warnings())?;
        map.serialize_entry("unchanged", &Sequence(|| super::unchanged(plan)))?;
        map.end()
    }
}

/// `kind: Report`, with the plan that was carried out.
pub(super) struct ReportDocument<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ended: &'a Ended,
    pub(super) release: &'a str,
}

impl Serialize for ReportDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { plan, ended, release } = self;
        let failure = |failure| json!({"code": failure, "message": ended.failure.as_ref().map(|failure| chain(failure))});
        let left = ended.left.iter().map(|(target, what)| json!({"target": target, "message": what}));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", API_VERSION)?;
        map.serialize_entry("kind", "Report")?;
        map.serialize_entry("step", plan.step())?;
        map.serialize_entry("release", release)?;
        map.serialize_entry("outcome", ended.outcome)?;
        map.serialize_entry("exitStatus", &ended.status().code())?;
        map.serialize_entry("ticket", &ended.ticket)?;
        map.serialize_entry("error", &ended.failure.as_ref().map(|error| failure(error.code.id)))?;
        map.serialize_entry("left", &left.collect::<Vec<Value>>())?;
        map.serialize_entry("plan", &PlanDocument(plan))?;
        map.end()
    }
}

/// A list whose items are made one after the other while it is written.
struct Sequence<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Sequence<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}
