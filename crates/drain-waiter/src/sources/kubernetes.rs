//! Objects of the cluster as a source: a workload without pods, a Job that is finished, a condition or a field of any object.

use std::cell::Cell;

use async_trait::async_trait;
use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::source::{OpenError, Source};
use fairlead_kube_client::selector::Selector;
use fairlead_migration::change::Target;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_observe::kind::Kind;
use fairlead_observe::source as observe;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Place;

pub(crate) static POD: Kind = Kind::namespaced("", "Pod", &[]);

/// An object, and what it must be like.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Observed {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    pub(crate) until: Until,
    /// Whether nothing is left when the object does not exist.
    #[serde(default)]
    may_be_absent: bool,
}

/// When nothing is left.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Until {
    /// The workload has 0 replicas, and not one pod, also none that is ending.
    Stopped,
    /// The Job is complete.
    Finished,
    /// No Job of the `CronJob` is at work.
    Idle,
    /// This condition of its status is True.
    Condition(String),
    /// A field has this value.
    Field(Field),
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    /// A JSON pointer: `/status/pending`.
    pointer: String,
    is: Value,
}

/// The kind of an object, in the version that was named.
pub(crate) fn kind_of(target: &Target) -> Kind {
    let (group, version) = target.api_version.split_once('/').unwrap_or(("", &target.api_version));
    let kind = Kind::named(group, &target.kind).in_version(version);
    Kind { is_namespaced: target.namespace.is_some(), ..kind }
}

impl Observed {
    /// Reads the configuration of the source.
    pub(crate) fn read(content: Value) -> Result<Self, String> {
        let observed: Self = serde_json::from_value(content).map_err(|error| error.to_string())?;
        match &observed.until {
            Until::Field(Field { pointer, .. }) if !pointer.starts_with('/') => {
                Err(format!("until.field.pointer {pointer:?} must begin with /, like /status/pending"))
            }
            _ => Ok(observed),
        }
    }

    /// An object of the intake, which may go.
    pub(crate) fn of_intake(target: &Target, until: Until) -> Self {
        let Target { api_version, kind, namespace, name } = target.clone();
        Self { api_version, kind, namespace, name, until, may_be_absent: true }
    }

    pub(crate) fn target(&self) -> Target {
        let Self { api_version, kind, namespace, name, .. } = self.clone();
        Target { api_version, kind, namespace, name }
    }
}

/// The source.
pub(crate) struct KubernetesSource<'a> {
    place: Place<'a>,
    observed: Observed,
}

impl<'a> KubernetesSource<'a> {
    /// Looks whether there is such an object.
    pub(crate) async fn open(place: Place<'a>, observed: Observed) -> Result<Self, OpenError> {
        let source = Self { place, observed };
        let target = source.observed.target();
        let is_served = || place.discovery.find_version(&target.api_version, &target.kind).is_some();
        if target.api_version != "v1" && !is_served() && !source.observed.may_be_absent {
            let Target { api_version, kind, .. } = &target;
            return Err(OpenError::Invalid(format!("the cluster does not serve kind {kind} of {api_version}")));
        }
        match source.object().await {
            Ok(None) if !source.observed.may_be_absent => Err(OpenError::Invalid(format!("there is no {target}"))),
            Ok(Some(object)) if source.observed.until == Until::Stopped && object["spec"]["selector"].is_null() => {
                Err(OpenError::Invalid(format!("{target} has no pods: it has no spec.selector")))
            }
            Ok(_) => Ok(source),
            Err(obstacle) => Err(OpenError::Invalid(chain(&obstacle))),
        }
    }

    fn cluster(&self) -> observe::Source<'a> {
        observe::Source::Cluster(self.place.cluster, self.place.discovery)
    }

    async fn object(&self) -> Result<Option<Value>, Obstacle> {
        let target = self.observed.target();
        let namespace = target.namespace.as_deref().unwrap_or_default();
        self.cluster().get(&kind_of(&target), namespace, &target.name).await
    }

    /// How many pods a workload has that have not ended.
    async fn pods(&self, workload: &Value) -> Result<u64, Obstacle> {
        let selector = serde_json::from_value::<Selector>(workload["spec"]["selector"].clone());
        let selector = selector.map_err(|error| Obstacle::Refused {
            operation: format!("read the selector of {}", self.observed.target()),
            source: error.into(),
        })?;
        let count = Cell::new(0);
        let add = |pod: Value| {
            let has_ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
            count.set(count.get() + u64::from(selector.matches(&pod) && !has_ended));
            None::<()>
        };
        self.cluster().find_in(&POD, self.observed.namespace.as_deref(), add).await?;
        Ok(count.get())
    }

    async fn look(&self) -> Result<Reading, Obstacle> {
        let Some(object) = self.object().await? else {
            let left = if self.observed.may_be_absent {
                Left::Empty
            } else {
                Left::Unknown("it does not exist any more".to_owned())
            };
            return Ok(Reading { left, seen: json!({"exists": false}), ..Reading::unknown("") });
        };
        Ok(match &self.observed.until {
            Until::Stopped => stopped(&object, self.pods(&object).await?),
            until => judge(until, &object),
        })
    }
}

#[async_trait(?Send)]
impl Source for KubernetesSource<'_> {
    async fn read(&mut self) -> Reading {
        self.look().await.unwrap_or_else(|obstacle| Reading::unknown(chain(&obstacle)))
    }
}

fn reading(left: u64, seen: Value) -> Reading {
    let left = if left == 0 { Left::Empty } else { Left::Some(left) };
    Reading { left, seen, ..Reading::unknown("") }
}

/// A workload, and how many pods it has.
fn stopped(workload: &Value, pods: u64) -> Reading {
    let status = &workload["status"];
    // A workload that does not say how many has one.
    let wanted = workload["spec"]["replicas"].as_u64().unwrap_or(1);
    let known = status["replicas"].as_u64().unwrap_or_default();
    // A status of before the last change may not know of pods that are still to come.
    let is_late = is_of_before(workload);
    let left = pods.max(wanted).max(known).max(u64::from(is_late));
    reading(left, json!({"replicas": wanted, "pods": pods}))
}

/// Whether the status was written before the last change.
fn is_of_before(object: &Value) -> bool {
    let seen = object["status"]["observedGeneration"].as_i64();
    seen.is_some_and(|seen| object["metadata"]["generation"].as_i64().is_some_and(|generation| seen < generation))
}

/// Any other object.
fn judge(until: &Until, object: &Value) -> Reading {
    let condition = |kind: &str| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().find(|condition| condition["type"] == *kind)
    };
    match until {
        Until::Stopped | Until::Idle => {
            let active = object["status"]["active"].as_array().map_or(0, Vec::len);
            reading(active as u64, json!({"active": active}))
        }
        Until::Finished => {
            let is = |kind: &str| condition(kind).is_some_and(|condition| condition["status"] == "True");
            let active = object["status"]["active"].as_u64().unwrap_or_default();
            let seen = json!({"active": active, "complete": is("Complete")});
            if is("Complete") {
                return reading(0, seen);
            }
            let hopeless = match () {
                () if is("Failed") => Some("the Job has failed".to_owned()),
                () if object["spec"]["suspend"] == true => Some("the Job is suspended".to_owned()),
                () => None,
            };
            Reading { hopeless, ..reading(active.max(1), seen) }
        }
        Until::Condition(kind) => match condition(kind) {
            _ if is_of_before(object) => Reading::unknown("its status is of before its last change"),
            None => Reading::unknown(format!("it has no condition {kind}")),
            Some(condition) if condition["status"] == "Unknown" => {
                Reading::unknown(format!("its condition {kind} is Unknown"))
            }
            Some(condition) => reading(u64::from(condition["status"] != "True"), json!({ kind: condition["status"] })),
        },
        Until::Field(Field { pointer, is }) => match object.pointer(pointer) {
            None | Some(Value::Null) if !is.is_null() => Reading::unknown(format!("it has no field {pointer}")),
            found => {
                let found = found.unwrap_or(&Value::Null);
                let seen = json!({ pointer: found });
                match (found.as_u64(), is.as_u64()) {
                    _ if found == is => reading(0, seen),
                    (Some(found), Some(is)) => reading(found.saturating_sub(is).max(1), seen),
                    _ if is.is_number() && !found.is_number() => {
                        Reading { seen, ..Reading::unknown(format!("its field {pointer} is no number: {found}")) }
                    }
                    _ => reading(1, seen),
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(until: &Value, object: &Value) -> Left {
        let until: Until = serde_json::from_value(until.clone()).expect("valid");
        judge(&until, object).left
    }

    #[test]
    fn a_workload_has_stopped_when_not_one_pod_is_left() {
        let workload = |replicas: u64, status: &Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status});
        let seen = json!({"observedGeneration": 2});
        assert_eq!(stopped(&workload(0, &seen), 0).left, Left::Empty);
        // The controller does not count a pod that is ending.
        assert_eq!(stopped(&workload(0, &seen), 1).left, Left::Some(1));
        assert_eq!(stopped(&workload(2, &seen), 0).left, Left::Some(2));
        assert_eq!(stopped(&workload(0, &json!({"observedGeneration": 1})), 0).left, Left::Some(1));
        assert_eq!(stopped(&workload(0, &json!({"replicas": 3})), 0).left, Left::Some(3));
        assert_eq!(stopped(&json!({"spec": {}}), 0).left, Left::Some(1));
    }

    #[test]
    fn a_job_is_finished_when_it_is_complete() {
        let job = |condition: &str, spec: &Value| {
            let conditions = json!([{"type": condition, "status": "True"}]);
            judge(&Until::Finished, &json!({"spec": spec, "status": {"active": 2, "conditions": conditions}}))
        };
        assert_eq!(job("Complete", &json!({})).left, Left::Empty);
        assert_eq!(job("FailureTarget", &json!({})).left, Left::Some(2));
        assert_eq!(job("Failed", &json!({})).hopeless.as_deref(), Some("the Job has failed"));
        assert_eq!(job("Suspended", &json!({"suspend": true})).hopeless.as_deref(), Some("the Job is suspended"));
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_never_zero() {
        let field = json!({"field": {"pointer": "/status/pending", "is": 0}});
        let pending = |value: Value| left(&field, &json!({"status": {"pending": value}}));
        assert_eq!(pending(json!(0)), Left::Empty);
        assert_eq!(pending(json!(7)), Left::Some(7));
        for value in [Value::Null, json!("0"), json!(false), json!([])] {
            assert!(matches!(pending(value.clone()), Left::Unknown(_)), "{value}");
        }
        assert!(matches!(left(&field, &json!({})), Left::Unknown(_)));
        let ready = json!({"condition": "Drained"});
        let condition = |status: &str, generation: u64| {
            let conditions = json!([{"type": "Drained", "status": status}]);
            left(
                &ready,
                &json!({"metadata": {"generation": 2}, "status": {"observedGeneration": generation, "conditions": conditions}}),
            )
        };
        assert_eq!(condition("True", 2), Left::Empty);
        assert_eq!(condition("False", 2), Left::Some(1));
        assert!(matches!(condition("Unknown", 2), Left::Unknown(_)));
        assert!(matches!(condition("True", 1), Left::Unknown(_)));
        assert!(matches!(left(&ready, &json!({})), Left::Unknown(_)));
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        let content =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "until": {"field": {"pointer": "data", "is": 0}}});
        assert!(Observed::read(content).expect_err("no slash").contains("must begin with /"));
    }
}
