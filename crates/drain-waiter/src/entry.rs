//! An entry of the intake: an object, and how it is closed.

use std::time::Duration;

use fairlead_backlog::duration;
use fairlead_backlog::event::Event;
use fairlead_migration::change::Target;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One way to close an intake.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Intake {
    /// A workload is scaled to zero: a hold.
    Scale(Workload),
    /// A `CronJob` is suspended: a hold.
    Suspend(Scheduled),
    /// A Service leads to other pods: a switch.
    Redirect(Redirect),
    /// A field of any object has another value for a while: a hold.
    Set(Setting),
}

/// The address of a workload with a scale.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Workload {
    #[serde(default = "apps")]
    api_version: String,
    #[serde(default = "deployment")]
    kind: String,
    namespace: String,
    name: String,
    #[serde(default)]
    may_be_absent: bool,
}

/// The address of a `CronJob`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Scheduled {
    namespace: String,
    name: String,
    #[serde(default)]
    may_be_absent: bool,
}

/// A Service, and which pods it leads to afterwards.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Redirect {
    namespace: String,
    name: String,
    /// The whole selector.
    pub(crate) selector: Map<String, Value>,
    /// What shows that new connections lead to the new side.
    pub(crate) event: Option<Box<Event>>,
    /// How long the new side takes to drain when the Service leads back, before anything older is taken back.
    #[serde(default, deserialize_with = "duration::deserialize")]
    pub(crate) new_side_drains: Duration,
    /// How long the old side takes to take up its work again, when its pods are ready: before the Service leads back.
    #[serde(default, deserialize_with = "duration::deserialize")]
    pub(crate) old_side_starts: Duration,
    /// Whether Helm leaves the Service there when its release does not name it any more.
    #[serde(default)]
    pub(crate) keep: bool,
    /// Only where the entry stands for each object of a kind.
    #[serde(default)]
    pub(crate) may_be_absent: bool,
}

/// A field of an object, and its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Setting {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    #[serde(default)]
    may_be_absent: bool,
    /// Names from the top of the object to the field.
    pub(crate) field: Vec<String>,
    /// What it is set to.
    pub(crate) value: Value,
}

fn apps() -> String {
    "apps/v1".to_owned()
}

fn deployment() -> String {
    "Deployment".to_owned()
}

impl Intake {
    /// The object.
    pub(crate) fn target(&self) -> Target {
        let target = |api_version: &str, kind: &str, namespace: Option<&String>, name: &str| Target {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.cloned(),
            name: name.to_owned(),
        };
        match self {
            Self::Scale(Workload { api_version, kind, namespace, name, .. }) => {
                target(api_version, kind, Some(namespace), name)
            }
            Self::Suspend(Scheduled { namespace, name, .. }) => target("batch/v1", "CronJob", Some(namespace), name),
            Self::Redirect(Redirect { namespace, name, .. }) => target("v1", "Service", Some(namespace), name),
            Self::Set(Setting { api_version, kind, namespace, name, .. }) => {
                target(api_version, kind, namespace.as_ref(), name)
            }
        }
    }

    /// Whether nothing is wrong when the object does not exist.
    pub(crate) fn may_be_absent(&self) -> bool {
        match self {
            Self::Scale(Workload { may_be_absent, .. })
            | Self::Suspend(Scheduled { may_be_absent, .. })
            | Self::Set(Setting { may_be_absent, .. })
            | Self::Redirect(Redirect { may_be_absent, .. }) => *may_be_absent,
        }
    }
}

impl Intake {
    /// Whether its values make sense.
    ///
    /// # Errors
    ///
    /// What does not, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Redirect(redirect) if redirect.selector.is_empty() => {
                Err(format!("drain.intake: {} has an empty selector, which means no pod", self.target()))
            }
            Self::Redirect(redirect) if !redirect.selector.values().all(Value::is_string) => {
                Err(format!("drain.intake: the selector of {} must hold texts", self.target()))
            }
            Self::Set(Setting { field, .. }) if field.is_empty() || is_not_ours(field) => {
                let field = field.join(".");
                let why = match field.as_str() {
                    "" => "it is empty",
                    "spec.replicas" => "use `scale`",
                    _ => "the API server sets it, or it says which object it is",
                };
                Err(format!("drain.intake: {}: field {field:?} cannot be set: {why}", self.target()))
            }
            _ => Ok(()),
        }
    }
}

/// Fields that the server sets, or that say which object it is; and replicas, which go through the scale.
fn is_not_ours(field: &[String]) -> bool {
    match field.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["apiVersion" | "kind" | "status", ..] | ["metadata"] | ["spec", "replicas"] => true,
        ["metadata", part, ..] => !["labels", "annotations"].contains(&part),
        _ => false,
    }
}
