//! Workloads around the purge: consumers that are held or must not run, and owners of finalizers that must. Pure.

use std::collections::BTreeMap;

use fairlead_apis::object;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_observe::address::target;
use serde_json::Value;

use crate::configuration::{Consumer, Workload};
use crate::definitions::Findings;
use fairlead_job::codes::legacy_purger as codes;

/// Kinds whose objects have one pod unless they say how many.
const SCALED: [&str; 4] = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];

/// A kind whose pods are counted, and that has no scale.
const DAEMON_SET: &str = "DaemonSet";

/// Whether a workload runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// The numbers of pods that are wanted and ready.
    Pods { wanted: u64, ready: u64 },
    /// The object is there, and of a kind whose pods nobody counts.
    Uncounted,
    /// The workload does not exist.
    Gone,
}

impl Running {
    pub(crate) fn of(image: Option<&Value>) -> Self {
        let Some(image) = image else { return Self::Gone };
        let count = |part: &str, field: &str| image[part][field].as_u64();
        let (wanted, ready) = match (object::kind(image), count("spec", "replicas")) {
            (DAEMON_SET, _) => (count("status", "desiredNumberScheduled").unwrap_or(1), count("status", "numberReady")),
            (_, Some(wanted)) => (wanted, count("status", "readyReplicas")),
            // Kubernetes' default is one.
            (kind, None) if SCALED.contains(&kind) => (1, count("status", "readyReplicas")),
            // What an autoscaler scales may not say how many it wants; its controller says how many there are.
            (_, None) => {
                let ready = count("status", "readyReplicas");
                let Some(there) = count("status", "replicas").max(ready) else { return Self::Uncounted };
                (there, ready)
            }
        };
        Self::Pods { wanted, ready: ready.unwrap_or(0) }
    }

    /// What to do so that objects with its finalizer can go.
    pub(crate) fn remedy(&self, owner: &Workload, finalizer: &str) -> String {
        match self {
            Self::Gone => format!("when it is gone for good, --strip-finalizers {finalizer}"),
            Self::Pods { .. } if owner.kind == DAEMON_SET => {
                format!("see why no node runs it: kubectl -n {} describe daemonset/{}", owner.namespace, owner.name)
            }
            Self::Pods { .. } => owner.start_command(),
            Self::Uncounted => "name the workload whose pods take it away".to_owned(),
        }
    }

    /// The reason why the workload does not work, if it does not.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self {
            Self::Gone => Some("does not exist".to_owned()),
            Self::Pods { wanted: 0, .. } => Some("has 0 replicas".to_owned()),
            Self::Pods { wanted, ready: 0 } => Some(format!("has no pod that is ready, of {wanted}")),
            Self::Pods { .. } => None,
            Self::Uncounted => Some("has no pods that are counted".to_owned()),
        }
    }
}

/// Whether an object says how many pods it wants, or its kind has a default.
fn says_replicas(image: &Value) -> bool {
    image["spec"]["replicas"].is_u64() || SCALED.contains(&object::kind(image))
}

fn count_replicas(count: u64) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

/// How many pods a workload still has, as its controller says.
pub(crate) fn pods(image: &Value) -> u64 {
    let fields: &[&str] = match object::kind(image) {
        DAEMON_SET => &["currentNumberScheduled", "numberMisscheduled"],
        _ => &["replicas"],
    };
    fields.iter().filter_map(|field| image["status"][field].as_u64()).sum()
}

/// The workloads around the purge.
#[derive(Default)]
pub(crate) struct Workloads {
    /// Workloads to scale to zero, in the order of their addresses.
    pub(crate) held: BTreeMap<Target, Image>,
    /// Workloads that have stopped already.
    pub(crate) unchanged: Vec<Unchanged>,
    pub(crate) findings: Findings,
    /// By finalizer.
    pub(crate) owners: BTreeMap<String, (Workload, Running)>,
}

impl Workloads {
    /// Adds a consumer as it is found; `has_scale` is whether its replicas can be set.
    pub(crate) fn add_consumer(&mut self, consumer: &Consumer, has_scale: bool, image: Option<Image>) {
        let Some(image) = image else { return };
        let (target, has_scale) = (consumer.workload.target(), has_scale && object::kind(&image) != DAEMON_SET);
        let Running::Pods { wanted, .. } = Running::of(Some(&image)) else {
            let message = "it is there, and needs the kinds that are purged; it has no replicas that could be held at 0";
            self.findings.refusals.push(codes::CONSUMER_RUNS.finding(target, message));
            return;
        };
        if wanted == 0 && pods(&image) == 0 {
            self.unchanged.push(Unchanged { target, reason: "stands still already, with 0 replicas".to_owned() });
        } else if consumer.hold && has_scale && says_replicas(&image) {
            self.held.insert(target, image);
        } else {
            let way = match object::kind(&image) {
                DAEMON_SET => "; a DaemonSet cannot be held at 0: give it a nodeSelector that no node fits",
                _ if !has_scale => "; its kind has no scale, so that it cannot be held at 0",
                _ if consumer.hold => "; its spec.replicas is not set, so that no rollback could set it again after a hold",
                _ => "",
            };
            let message = format!("it has {}, and needs the kinds that are purged{way}", count_replicas(wanted));
            self.findings.refusals.push(codes::CONSUMER_RUNS.finding(target, message));
        }
    }

    /// Findings about held workloads that somebody has started.
    pub(crate) fn started(&self) -> impl Iterator<Item = Finding> {
        self.held.iter().filter_map(|(target, image)| match Running::of(Some(image)) {
            Running::Pods { wanted: wanted @ 1.., .. } => {
                let replicas = count_replicas(wanted);
                let message = format!("it has {replicas}, and should have none by now: see who has started it");
                Some(codes::CONSUMER_RUNS.finding(target.clone(), message))
            }
            _ => None,
        })
    }

    /// Whether the owner of a finalizer that is taken away stands still.
    pub(crate) fn guard_stripped(&self, finalizer: &str, first: &Target) -> Option<Finding> {
        let (owner, running) = self.owners.get(finalizer)?;
        let message = format!("it carries {finalizer}, whose owner {owner} runs");
        running.trouble().is_none().then(|| codes::OWNER_RUNS.finding(first.clone(), message))
    }

    /// Whether the owner of a finalizer, which so many objects carry, finishes their deletion.
    pub(crate) fn guard_finalizer(&self, finalizer: &str, first: &Target, count: usize) -> Result<(), Finding> {
        let others = match count {
            0 | 1 => String::new(),
            2 => ", as 1 other does".to_owned(),
            count => format!(", as {} others do", count - 1),
        };
        let Some((owner, running)) = self.owners.get(finalizer) else {
            let message = format!("it carries {finalizer}{others}, whose owner is not configured");
            return Err(codes::UNKNOWN_FINALIZER.finding(first.clone(), message));
        };
        match running.trouble() {
            Some(trouble) => {
                let command = running.remedy(owner, finalizer);
                let message = format!("it carries {finalizer}{others}, whose owner {owner} {trouble}: {command}");
                Err(codes::OWNER_STOPPED.finding(first.clone(), message))
            }
            None => Ok(()),
        }
    }
}

/// Says of an autoscaler that it scales what is held.
pub(crate) fn autoscaled(held: &BTreeMap<Target, Image>, autoscaler: &Value) -> Option<Finding> {
    let scaled = &autoscaler["spec"]["scaleTargetRef"];
    let is_scaled = |target: &&Target| {
        scaled["kind"] == *target.kind
            && scaled["name"] == *target.name
            && target.namespace.as_deref() == Some(object::namespace(autoscaler))
    };
    let held = held.keys().find(is_scaled)?;
    let (min, max) = (&autoscaler["spec"]["minReplicas"], &autoscaler["spec"]["maxReplicas"]);
    let message = format!("it scales {held} between {min} and {max} replicas, which is held at 0");
    Some(codes::AUTOSCALED.finding(target(autoscaler), message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broker() -> Workload {
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "ki", "name": "broker"}))
            .expect("valid")
    }

    #[test]
    fn a_consumer_is_held_or_refused_while_it_runs() {
        let add_where = |has_scale, hold, image: Option<Value>| {
            let mut workloads = Workloads::default();
            workloads.add_consumer(&Consumer { workload: broker(), hold, optional: false }, has_scale, image);
            workloads
        };
        let add = |hold, image| add_where(true, hold, image);
        let running = json!({"spec": {"replicas": 2}, "status": {"replicas": 2}});
        assert_eq!(add(true, Some(running.clone())).held.len(), 1);
        let refused = add(false, Some(running));
        assert_eq!(refused.findings.refusals[0].code, "LP104");
        // Scaled down, and its pods are still at work.
        assert_eq!(add(true, Some(json!({"spec": {"replicas": 0}, "status": {"replicas": 1}}))).held.len(), 1);
        let still = add(true, Some(json!({"spec": {"replicas": 0}, "status": {}})));
        assert_eq!((still.held.len(), still.unchanged.len()), (0, 1));
        assert!(add(true, None).unchanged.is_empty());
        // What has no replicas is no number of them.
        let refusal = |workloads: Workloads| {
            assert!(workloads.held.is_empty());
            workloads.findings.refusals[0].message.clone()
        };
        let data = json!({"kind": "ConfigMap", "data": {"replicas": "2"}});
        let message = "it is there, and needs the kinds that are purged; it has no replicas that could be held at 0";
        assert_eq!([true, false].map(|hold| refusal(add(hold, Some(data.clone())))), [message, message]);
        // What has no scale is not held.
        let daemons = json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 3}});
        let message = "it has 3 replicas, and needs the kinds that are purged; a DaemonSet cannot be held at 0: give it a nodeSelector \
                       that no node fits";
        assert_eq!([true, false].map(|hold| refusal(add(hold, Some(daemons.clone())))), [message, message]);
        let rollout = |spec: Value| json!({"kind": "Rollout", "spec": spec, "status": {"replicas": 1}});
        let counted = rollout(json!({"replicas": 1}));
        assert_eq!(add(true, Some(counted.clone())).held.len(), 1);
        let needs = "it has 1 replica, and needs the kinds that are purged";
        let no_scale = format!("{needs}; its kind has no scale, so that it cannot be held at 0");
        assert_eq!(refusal(add_where(false, true, Some(counted))), no_scale);
        // What is not set through the scale cannot be unset there.
        let no_number =
            format!("{needs}; its spec.replicas is not set, so that no rollback could set it again after a hold");
        assert_eq!(refusal(add(true, Some(rollout(json!({}))))), no_number);
        assert_eq!(refusal(add(false, Some(rollout(json!({}))))), needs);
        // Its pods are still at work where nodes do not fit any more.
        let status =
            |left: u64| json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 0, "numberMisscheduled": left}});
        assert_eq!((add(true, Some(status(1))).unchanged.len(), add(true, Some(status(0))).unchanged.len()), (0, 1));
    }

    #[test]
    fn a_finalizer_needs_its_owner() {
        let object =
            Target { api_version: "a.b/v1".into(), kind: "Thing".into(), namespace: Some("n".into()), name: "x".into() };
        let guard = |image: Option<Value>| {
            let mut workloads = Workloads::default();
            workloads.owners.insert("f".into(), (broker(), Running::of(image.as_ref())));
            workloads.guard_finalizer("f", &object, 3).map_err(|finding| format!("{}: {}", finding.code, finding.message))
        };
        assert_eq!(guard(Some(json!({"kind": "Deployment", "spec": {}, "status": {"readyReplicas": 1}}))), Ok(()));
        let stopped = guard(Some(json!({"spec": {"replicas": 0}}))).expect_err("it is stopped");
        assert_eq!(
            stopped,
            "LP111: it carries f, as 2 others do, whose owner Deployment ki/broker has 0 replicas: kubectl -n ki scale \
             deployment/broker --replicas=1"
        );
        assert!(
            guard(Some(json!({"spec": {"replicas": 1}}))).expect_err("not ready").contains("no pod that is ready, of 1")
        );
        assert!(guard(None).expect_err("gone").contains("does not exist"));
        let daemons = Workload { kind: "DaemonSet".into(), ..broker() };
        let remedy = Running::of(Some(&json!({"kind": "DaemonSet", "status": {}}))).remedy(&daemons, "f");
        assert_eq!(remedy, "see why no node runs it: kubectl -n ki describe daemonset/broker");
        // What an autoscaler scales need not say how many pods it wants.
        let rollout = |status: Value| guard(Some(json!({"kind": "Rollout", "spec": {}, "status": status})));
        assert_eq!(rollout(json!({"readyReplicas": 1})), Ok(()));
        assert_eq!(rollout(json!({"replicas": 2, "readyReplicas": 1})), Ok(()));
        for (status, trouble) in [
            (json!({"replicas": 2}), "has no pod that is ready, of 2"),
            (json!({"replicas": 0}), "has 0 replicas"),
            (json!({"phase": "Healthy"}), "has no pods that are counted"),
        ] {
            assert!(rollout(status).expect_err(trouble).contains(trouble), "{trouble}");
        }
        let stripped = |image: Option<Value>| {
            let mut workloads = Workloads::default();
            workloads.owners.insert("f".into(), (broker(), Running::of(image.as_ref())));
            workloads.guard_stripped("f", &object).map(|finding| finding.code)
        };
        assert_eq!(
            stripped(Some(json!({"kind": "Deployment", "spec": {}, "status": {"readyReplicas": 1}}))).as_deref(),
            Some("LP115")
        );
        assert_eq!(stripped(None), None);
        let unknown = Workloads::default().guard_finalizer("f", &object, 1).expect_err("nobody owns it");
        assert_eq!(unknown.code, "LP121");
    }

    #[test]
    fn an_autoscaler_of_what_is_held_is_seen() {
        let held = BTreeMap::from([(broker().target(), json!({}))]);
        let autoscaler = |name: &str| {
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"namespace": "ki", "name": "h"},
                "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": name}}})
        };
        assert_eq!(autoscaled(&held, &autoscaler("broker")).expect("it is seen").code, "LP203");
        assert!(autoscaled(&held, &autoscaler("other")).is_none());
    }
}
