//! Whether everything that was written is to be seen as it was written, and ready.
//!
//! What is asked for here costs one list per written kind. Where the answer is no, a second plan knows why: see `verify`.

use std::collections::{HashMap, HashSet};

use fairlead_apis::object;
use fairlead_apis::status::Status;
use fairlead_apis::trigger::Trigger;
use fairlead_job::codes::trigger_replicator as codes;
use fairlead_kube_client::objects::writable;
use fairlead_mesh::broker::BROKER;
use fairlead_mesh::kinds;
use fairlead_migration::change::{Change, Target, Targets};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::ready;
use crate::replicas::{REPLICATED_FROM, Replicas};

/// What a plan is to have brought about.
struct Wanted {
    /// There may be 100,000: what a Trigger delivers is in its name.
    triggers: Targets,
    others: HashMap<Target, Change>,
    /// Namespaces without a Broker: a Trigger there has no status until there is one.
    pending: HashSet<String>,
}

/// Looks at every object that `plan` has written.
pub(crate) async fn is_carried_out(source: &Source<'_>, plan: &Plan) -> Result<bool, Obstacle> {
    let wanted = Wanted::of(plan);
    // Where a Broker has come since, its Triggers are waited for.
    let has_come = |broker: Value| {
        let namespace = object::namespace(&broker);
        (object::name(&broker) == BROKER && wanted.pending.contains(namespace)).then_some(())
    };
    if !wanted.pending.is_empty() && source.find(&kinds::BROKER, has_come).await?.is_some() {
        return Ok(false);
    }
    let mut seen = 0;
    for kind in kinds::ALL {
        if wanted.has(kind) {
            let add = |seen: &mut usize, object| *seen += usize::from(wanted.is_met(kind, &object));
            seen += source.fold(kind, || 0, add).await?;
        }
    }
    Ok(seen == wanted.triggers.len() + wanted.others.len())
}

/// Namespaces whose Triggers the plan expects to have no status.
pub(crate) fn pending(plan: &Plan) -> HashSet<String> {
    let no_broker = plan.warnings().iter().filter(|warning| warning.code == codes::NO_BROKER.id);
    no_broker.filter_map(|warning| warning.target.namespace.clone()).collect()
}

impl Wanted {
    fn of(plan: &Plan) -> Self {
        let mut wanted = Self { triggers: Targets::default(), others: HashMap::new(), pending: pending(plan) };
        for change in plan.changes() {
            if change.target.kind == kinds::TRIGGER.kind {
                wanted.triggers.insert(&change.target);
            } else {
                wanted.others.insert(change.target.clone(), change);
            }
        }
        wanted
    }

    fn has(&self, kind: &Kind) -> bool {
        let is_trigger = *kind == kinds::TRIGGER;
        (is_trigger && !self.triggers.is_empty()) || self.others.keys().any(|target| ready::is_of(kind, target))
    }

    fn is_met(&self, kind: &Kind, object: &Value) -> bool {
        let target = target(object);
        if *kind == kinds::TRIGGER {
            return self.triggers.contains(&target) && self.is_replica(object);
        }
        // Of a namespace, Knative makes a Broker: `ready` waits for it.
        let Some(change) = self.others.get(&target).filter(|_| *kind != kinds::NAMESPACE) else { return false };
        let (Some(after), false) = (change.after(), object::is_terminating(object)) else { return false };
        let before = change.before().map(writable).unwrap_or_default();
        let is_written = fields::diff_by_key(&before, &writable(after)).is_none_or(|patch| fields::holds(&patch, object));
        is_written && (!ready::has_condition(kind) || Status::of(object) == Status::Current)
    }

    /// Its name is a hash of what it delivers.
    fn is_replica(&self, object: &Value) -> bool {
        let trigger = Trigger::read(object);
        let delivers = |delivery| Replicas::name(&delivery) == trigger.name;
        !trigger.is_terminating
            && trigger.broker == BROKER
            && object::annotation(object, REPLICATED_FROM).is_some()
            && trigger.delivery().is_some_and(delivers)
            && (self.pending.contains(&trigger.namespace) || Status::of(object) == Status::Current)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::tests::{created, plan_from};

    fn objects(with_broker: bool) -> Vec<Value> {
        let subscription = json!({
            "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": "orders", "name": "a"},
            "spec": {"source_id": "shop", "event_type": "a", "event_type_version": "v1", "endpoint": "http://mail.orders/"},
        });
        let broker = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": "orders", "name": "default"}});
        if with_broker { vec![subscription, broker] } else { vec![subscription] }
    }

    #[test]
    fn a_trigger_is_there_when_it_delivers_what_its_name_says_and_is_ready() {
        let plan = plan_from(objects(true), &[]);
        let wanted = Wanted::of(&plan);
        let is_met = |object: &Value| wanted.is_met(&kinds::TRIGGER, object);
        let written = created(&plan).remove(0);
        assert!(!is_met(&written), "no controller has looked at it");
        let with = |path: &str, value: Value| {
            let mut object = written.clone();
            object["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            *object.pointer_mut(path).expect(path) = value;
            object
        };
        let name = written["metadata"]["name"].clone();
        assert!(is_met(&with("/metadata/name", name)));
        assert!(!is_met(&with("/metadata/name", "other".into())));
        assert!(!is_met(&with("/spec/subscriber/uri", "http://elsewhere.orders/".into())));
        assert!(!is_met(&with("/spec/broker", "other".into())));
        assert!(!is_met(&with("/metadata/annotations", json!({}))));
        assert!(!is_met(&with("/status/conditions/0/status", "False".into())));
    }

    #[test]
    fn without_a_broker_nothing_is_waited_for() {
        let plan = plan_from(objects(false), &[]);
        assert!(Wanted::of(&plan).is_met(&kinds::TRIGGER, &created(&plan).remove(0)));
    }
}
