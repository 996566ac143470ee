//! Objects of the cluster as a source: a workload without pods, a Job that is finished, a condition or a field of any object.
//!
//! - `judgement`: what an object says of itself

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

use self::judgement::{idle, is_at_work, judge, stopped};
use super::Place;

mod judgement;

pub(crate) static POD: Kind = Kind::namespaced("", "Pod", &[]);
static JOB: Kind = Kind::namespaced("batch", "Job", &["v1"]);

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
    /// A Job that was complete when it was last seen: when it is gone, it is still done.
    was_complete: bool,
    /// A workload as it was last seen: when it is gone, its pods may not be.
    last: Option<Value>,
    /// What was left when the object was last seen.
    left: u64,
}

impl<'a> KubernetesSource<'a> {
    /// Looks whether there is such an object.
    pub(crate) async fn open(place: Place<'a>, observed: Observed) -> Result<Self, OpenError> {
        let source = Self { place, observed, was_complete: false, last: None, left: 0 };
        let target = source.observed.target();
        let only = match source.observed.until {
            Until::Finished => Some("Job"),
            Until::Idle => Some("CronJob"),
            _ => None,
        };
        if let Some(only) = only.filter(|only| *only != target.kind) {
            return Err(OpenError::Invalid(format!("only a {only} can be that, and {target} is none")));
        }
        let is_served = || place.discovery.find_version(&target.api_version, &target.kind).is_some();
        // A kind that is not served is no object that is absent, unless somebody brings it with a definition.
        let may_be_absent = source.observed.may_be_absent && is_defined(&target.api_version);
        if target.api_version != "v1" && !is_served() && !may_be_absent {
            let Target { api_version, kind, .. } = &target;
            return Err(OpenError::Invalid(format!("the cluster does not serve kind {kind} of {api_version}")));
        }
        match source.object().await {
            Ok(None) if !source.observed.may_be_absent => Err(OpenError::Invalid(format!("there is no {target}"))),
            Ok(Some(object)) if source.observed.until == Until::Stopped && object["spec"]["selector"].is_null() => {
                Err(OpenError::Invalid(format!("{target} has no pods: it has no spec.selector")))
            }
            Ok(Some(_)) if source.observed.until == Until::Stopped && !source.cluster().has_scale(&Kind::of(&target)) => {
                Err(OpenError::Invalid(format!("{target} never stops: its kind has no replicas")))
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
        self.cluster().get(&Kind::of(&target), namespace, &target.name).await
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

    /// How many Jobs of a `CronJob` are at work, also those that somebody has made from it by hand: its status does not count them.
    async fn jobs(&self, cron_job: &Value) -> Result<u64, Obstacle> {
        let count = Cell::new(0);
        let add = |job: Value| {
            count.set(count.get() + u64::from(is_at_work(&job, &cron_job["metadata"]["uid"])));
            None::<()>
        };
        self.cluster().find_in(&JOB, self.observed.namespace.as_deref(), add).await?;
        Ok(count.get())
    }

    async fn look(&mut self) -> Result<Reading, Obstacle> {
        let Some(object) = self.object().await? else {
            let pods = match self.last.clone() {
                Some(last) => self.pods(&last).await?,
                None => 0,
            };
            if pods > 0 {
                return Ok(Reading { seen: json!({"exists": false, "pods": pods}), ..Reading::new(Left::Some(pods)) });
            }
            if self.left > 0 && self.observed.until != Until::Stopped {
                let why = format!("it is gone, and {} were left when it was last seen", self.left);
                return Ok(Reading { hopeless: Some(why.clone()), ..Reading::unknown(why) });
            }
            let left = if self.observed.may_be_absent || self.was_complete {
                Left::Empty
            } else {
                Left::Unknown("it does not exist any more".to_owned())
            };
            return Ok(Reading { left, seen: json!({"exists": false}), ..Reading::unknown("") });
        };
        let reading = match &self.observed.until {
            Until::Stopped => {
                let pods = self.pods(&object).await?;
                self.last = Some(object.clone());
                stopped(&object, pods)
            }
            Until::Idle => idle(&object, self.jobs(&object).await?),
            until => {
                let reading = judge(until, &object);
                self.was_complete = *until == Until::Finished && reading.left == Left::Empty;
                reading
            }
        };
        self.left = if let Left::Some(left) = reading.left { left } else { 0 };
        Ok(reading)
    }
}

#[async_trait(?Send)]
impl Source for KubernetesSource<'_> {
    async fn read(&mut self) -> Reading {
        self.look().await.unwrap_or_else(|obstacle| Reading::unknown(chain(&obstacle)))
    }
}

/// Whether somebody brings the kinds of this group with a definition: those of Kubernetes itself are always served.
fn is_defined(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group.contains('.') && !group.ends_with(".k8s.io")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_of_kubernetes_itself_are_never_absent() {
        assert!(is_defined("eventing.kyma-project.io/v1alpha1"));
        assert!(!is_defined("batch/v1") && !is_defined("networking.k8s.io/v1") && !is_defined("v1"));
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        let content =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "until": {"field": {"pointer": "data", "is": 0}}});
        assert!(Observed::read(content).expect_err("no slash").contains("must begin with /"));
    }
}
