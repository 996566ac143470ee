//! What is drained: the section `drain` of the configuration file. Without one it is Kyma's legacy event bus, which is written down in the
//! same form.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fairlead_backlog::duration;
use fairlead_backlog::event::Event;
use fairlead_job::codes::shared;
use fairlead_job::configuration::{Section, section, section_of_text};
use fairlead_job::failure::Failure;
use fairlead_migration::change::Target;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sources::NamedSource;

const SECTION: &str = "drain";
const BUILT_IN: &str = include_str!("kyma-event-bus.yaml");

/// What is drained, and how its intake is closed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Drain {
    /// What must be empty.
    #[serde(default)]
    pub(crate) sources: Vec<NamedSource>,
    /// What takes messages.
    #[serde(default)]
    pub(crate) intake: Vec<Intake>,
    /// Only while one of these kinds is served; always, when there is none.
    #[serde(default)]
    pub(crate) only_with: Vec<Named>,
}

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
    /// Only where the entry stands for each object of a kind.
    #[serde(default)]
    may_be_absent: bool,
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

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) group: String,
    pub(crate) kind: String,
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

impl Drain {
    /// Reads the file, or what is built in. None where the file purges other kinds and drains nothing: there is no Kyma then.
    pub(crate) fn read(file: Option<&Path>) -> Result<Option<Section<Self>>, Failure> {
        let Some(file) = file else { return Self::built_in().map(Some) };
        let Some(drain) = section::<Self>(file, SECTION)? else {
            let has_purge = section::<Value>(file, "purge")?.is_some();
            return if has_purge { Ok(None) } else { Self::built_in().map(Some) };
        };
        drain.content.check().map_err(|what| invalid(&format!("{}: {what}", file.display())))?;
        Ok(Some(drain))
    }

    fn built_in() -> Result<Section<Self>, Failure> {
        let built_in = section_of_text("the built-in configuration", BUILT_IN, SECTION)?;
        built_in.ok_or_else(|| invalid("the built-in configuration is empty"))
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        if let Some(source) = self.sources.iter().find(|source| !names.insert(&source.name)) {
            return Err(format!("drain.sources: two are called {}", source.name));
        }
        let mut targets = BTreeSet::new();
        if let Some(twice) = self.intake.iter().map(Intake::target).find(|target| !targets.insert(target.clone())) {
            return Err(format!("drain.intake: {twice} stands twice"));
        }
        for intake in &self.intake {
            match intake {
                Intake::Redirect(redirect) if redirect.selector.is_empty() => {
                    return Err(format!("drain.intake: {} has an empty selector, which means no pod", intake.target()));
                }
                Intake::Redirect(redirect) if redirect.may_be_absent => {
                    return Err(format!("drain.intake: {}: a redirect cannot say mayBeAbsent", intake.target()));
                }
                Intake::Redirect(redirect) if !redirect.selector.values().all(Value::is_string) => {
                    return Err(format!("drain.intake: the selector of {} must hold texts", intake.target()));
                }
                Intake::Set(Setting { field, .. }) if field.is_empty() || is_not_ours(field) => {
                    let field = field.join(".");
                    let why = match field.as_str() {
                        "" => "it is empty",
                        "spec.replicas" => "use `scale`",
                        _ => "the API server sets it, or it says which object it is",
                    };
                    return Err(format!("drain.intake: {}: field {field:?} cannot be set: {why}", intake.target()));
                }
                _ => {}
            }
        }
        Ok(())
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

fn invalid(what: &str) -> Failure {
    Failure::new(&shared::INVALID_CONFIGURATION, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(drain: &str) -> Result<Option<Drain>, String> {
        let file = tempfile(&format!("apiVersion: fairlead.dev/v1\nkind: Configuration\n{drain}"));
        let read = Drain::read(Some(&file)).map(|section| section.map(|section| section.content));
        let _ = std::fs::remove_file(&file);
        read.map_err(|failure| failure.to_string())
    }

    fn tempfile(text: &str) -> std::path::PathBuf {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("drain-{}-{}.yaml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn kyma_is_built_in_and_a_purge_of_other_kinds_has_none() {
        let built_in = Drain::read(None).expect("valid").expect("there").content;
        assert_eq!(built_in.intake[0].target().to_string(), "Deployment kyma-system/event-bus-event-publish-service");
        assert_eq!(built_in.check(), Ok(()));
        assert!(read("layer: {}\n").expect("valid").is_some());
        assert!(read("purge: {kinds: []}\n").expect("valid").is_none());
    }

    #[test]
    fn a_section_is_read_whole() {
        let drain = read(
            "drain:\n  sources:\n  - name: workers\n    redelivery: 30s\n    kubernetes: {kind: Deployment, apiVersion: apps/v1, namespace: a, name: b, until: stopped}\n  \
             intake:\n  - scale: {namespace: a, name: b}\n  - suspend: {namespace: a, name: c}\n  \
             - redirect: {namespace: a, name: d, selector: {app: new}}\n  \
             - set: {apiVersion: example.com/v1, kind: Queue, name: e, field: [spec, paused], value: true}\n",
        );
        let drain = drain.expect("valid").expect("there");
        assert_eq!(drain.sources[0].redelivery, Some(Duration::from_secs(30)));
        let targets: Vec<String> = drain.intake.iter().map(|intake| intake.target().to_string()).collect();
        assert_eq!(targets, ["Deployment a/b", "CronJob a/c", "Service a/d", "Queue e"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let workload = "kubernetes: {kind: Deployment, apiVersion: apps/v1, namespace: a, name: b, until: stopped}";
        for (drain, expected) in [
            ("drain: {sources: [{kubernetes: {}}]}".to_owned(), "drain.sources[0]: a source needs a name"),
            ("drain: {sources: [{name: x}]}".to_owned(), "source x: it must have one kind beside its name"),
            ("drain: {sources: [{name: x, carrier: {}}]}".to_owned(), "source x: unknown variant `carrier`"),
            ("drain: {sources: [{name: x, kubernetes: {until: stopped}}]}".to_owned(), "source x: kubernetes"),
            (format!("drain: {{sources: [{{name: x, redelivery: soon, {workload}}}]}}"), "source x: redelivery \"soon\""),
            (format!("drain: {{sources: [{{name: x, {workload}}}, {{name: x, {workload}}}]}}"), "two are called x"),
            (
                "drain: {intake: [{scale: {namespace: a, name: b}}, {scale: {namespace: a, name: b}}]}".to_owned(),
                "Deployment a/b stands twice",
            ),
            ("drain: {intake: [{scale: {name: b}}]}".to_owned(), "missing field `namespace`"),
            ("drain: {intake: [{stop: {name: b}}]}".to_owned(), "unknown variant `stop`"),
            ("drain: {intake: [{redirect: {namespace: a, name: b, selector: {}}}]}".to_owned(), "has an empty selector"),
            (
                "drain: {intake: [{redirect: {namespace: a, name: b, selector: {app: c}, event: {url: x}}}]}".to_owned(),
                "drain.intake[0].redirect.event: url \"x\" is no URL of http or https",
            ),
            (
                "drain: {intake: [{set: {apiVersion: v1, kind: Pod, name: b, field: [status, x], value: 1}}]}".to_owned(),
                "field \"status.x\" cannot be set",
            ),
        ] {
            let error = read(&drain).expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
