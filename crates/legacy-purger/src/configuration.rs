//! What is purged: the section `purge` of the configuration file. Without one it is Kyma's legacy event bus, which is written down
//! in the same form.

mod check;

use std::fmt;
use std::path::{Path, PathBuf};

use fairlead_job::codes::shared;
use fairlead_job::configuration::{Section, section, section_of_text};
use fairlead_job::failure::Failure;
use fairlead_kube_client::selector::Selector;
use fairlead_migration::change::Target;

use fairlead_observe::kind::Kind;
use serde::Deserialize;

const SECTION: &str = "purge";
const BUILT_IN: &str = include_str!("kyma-event-bus.yaml");

/// What is purged, and what is around it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Purge {
    /// The file that says so; none for what is built in.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    /// A file that has no section `purge`, so that what is built in stands in for it.
    #[serde(skip)]
    pub(crate) lacking: Option<PathBuf>,
    /// Custom kinds, each with its definition.
    pub(crate) kinds: Vec<PurgedKind>,
    /// Workloads that break without them, or make their objects.
    #[serde(default)]
    pub(crate) consumers: Vec<Consumer>,
    /// Who takes finalizers away.
    #[serde(default)]
    pub(crate) finalizers: Vec<Finalizer>,
    /// What the garbage collector deletes with its owners.
    #[serde(default)]
    pub(crate) dependents: Vec<Named>,
    /// In which other kinds objects are looked for that purged objects own.
    pub(crate) owned: Option<Owned>,
    /// What to do instead of creating such an object; the fence says so.
    pub(crate) instead: Option<String>,
    /// The step that proves that nothing is in flight any more, before the objects go.
    pub(crate) drained_by: Option<String>,
    /// Kinds whose objects stay, which the plan says.
    #[serde(default)]
    pub(crate) stays: Vec<Staying>,
}

/// A kind whose objects stay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Staying {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// Why they stay.
    pub(crate) reason: String,
}

/// In which kinds objects are looked for that purged objects own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Owned {
    /// In those that the configuration names: somebody knows that there are no others.
    Named,
    /// In every kind that the cluster serves.
    All,
}

/// Objects of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PurgedKind {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// Only in these namespaces. Left out: in all of them.
    #[serde(default, deserialize_with = "at_least_one")]
    pub(crate) namespaces: Vec<String>,
    /// Only these of them.
    #[serde(default)]
    pub(crate) selector: Selector,
    /// Whether the kind itself stays.
    #[serde(default)]
    pub(crate) keep_definition: bool,
}

/// A workload that breaks without the kinds, or makes their objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Consumer {
    pub(crate) workload: Workload,
    /// Whether it is scaled to zero; otherwise the purge is refused while it runs.
    #[serde(default)]
    pub(crate) hold: bool,
    /// Whether nothing is said where it does not exist; otherwise the purge is refused.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// A finalizer, and who takes it away.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Finalizer {
    pub(crate) name: String,
    pub(crate) owner: Workload,
    /// What the owner deletes before it does.
    #[serde(default)]
    pub(crate) deletes: Vec<Product>,
}

/// Objects that the owner of a finalizer deletes: those that are selected, and those that carry the finalizer as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Product {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) selector: Selector,
}

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) group: String,
    pub(crate) kind: String,
}

/// The address of a workload with replicas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Workload {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Workload {
    /// Its kind, in the version that was named.
    pub(crate) fn observed_kind(&self) -> Kind {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        Kind::named(group, &self.kind).in_version(version)
    }

    pub(crate) fn target(&self) -> Target {
        let Self { api_version, kind, namespace, name } = self.clone();
        Target { api_version, kind, namespace: Some(namespace), name }
    }

    /// The command that starts it.
    pub(crate) fn start_command(&self) -> String {
        format!("kubectl -n {} scale {}/{} --replicas=1", self.namespace, self.kind.to_lowercase(), self.name)
    }
}

impl PurgedKind {
    /// Whether some objects of the kind may stay.
    pub(crate) fn is_narrowed(&self) -> bool {
        !self.namespaces.is_empty() || !self.selector.is_empty()
    }

    pub(crate) fn observed_kind(&self) -> Kind {
        Kind::named(&self.group, &self.kind)
    }
}

impl Purge {
    /// Reads the file, or what is built in.
    pub(crate) fn read(file: Option<&Path>) -> Result<Section<Self>, Failure> {
        let purge = match file {
            Some(file) => section::<Self>(file, SECTION)?,
            None => None,
        };
        let Some(mut purge) = purge else {
            let mut built_in = Self::built_in()?;
            built_in.content.lacking = file.map(Path::to_owned);
            return Ok(built_in);
        };
        purge.content.check().map_err(|what| invalid(&format!("{}: {what}", file.unwrap_or(Path::new("-")).display())))?;
        purge.content.file = file.map(Path::to_owned);
        Ok(purge)
    }

    /// Kyma's legacy event bus.
    pub(crate) fn built_in() -> Result<Section<Self>, Failure> {
        let built_in = section_of_text("the built-in configuration", BUILT_IN, SECTION)?;
        built_in.ok_or_else(|| invalid("the built-in configuration is empty"))
    }

    /// The finalizer of this name.
    pub(crate) fn finalizer(&self, name: &str) -> Option<&Finalizer> {
        self.finalizers.iter().find(|finalizer| finalizer.name == name)
    }
}

/// A list that a template has left empty does not mean everything.
fn at_least_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(serde::de::Error::custom("it names none; leave it out where all are meant"));
    }
    Ok(names)
}

/// Groups of Kubernetes itself have no dot, or belong to `k8s.io`; those of the service catalog, too, whose objects have effects
/// outside the cluster.
pub(crate) fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group == "k8s.io" || group.ends_with(".k8s.io")
}

/// The address of a configuration file, for what is said of it.
pub(crate) fn file_target(file: &Path) -> Target {
    let name = file.display().to_string();
    Target { api_version: "fairlead.dev/v1".to_owned(), kind: "Configuration".to_owned(), namespace: None, name }
}

pub(crate) fn invalid(what: &str) -> Failure {
    Failure::new(&shared::INVALID_CONFIGURATION, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Purge, String> {
        let text = format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:\n{section}");
        let purge = section_of_text::<Purge>("f.yaml", &text, SECTION).map_err(|failure| failure.to_string())?;
        let purge = purge.expect("it has the section").content;
        purge.check().map(|()| purge)
    }

    #[test]
    fn what_is_built_in_is_complete() {
        let purge = Purge::built_in().expect("it can be read").content;
        assert_eq!((purge.kinds.len(), purge.consumers.len(), purge.finalizers.len()), (2, 1, 2));
        assert!(purge.consumers[0].hold);
        purge.check().expect("it may be purged");
    }

    #[test]
    fn what_must_not_be_purged_is_refused() {
        for (section, expected) in [
            ("  kinds: [{group: '', kind: Secret}]", "is not a custom kind"),
            ("  kinds: [{group: apps, kind: Deployment}]", "is not a custom kind"),
            ("  kinds: [{group: coordination.k8s.io, kind: Lease}]", "is not a custom kind"),
            ("  kinds: [{group: servicecatalog.k8s.io, kind: ServiceInstance}]", "is not a custom kind"),
            ("  kinds: [{group: eventing.knative.dev, kind: Trigger}]", "fairlead itself needs Trigger"),
            ("  kinds: [{group: a.b, kind: C}, {group: a.b, kind: C}]", "stands twice"),
            ("  kinds: [{group: a.b, kind: C, colour: red}]", "purge.kinds[0].colour: unknown field `colour`"),
            ("  kinds: [{group: a.b}]", "missing field `kind`"),
            ("  kinds: [{group: a.b, kind: C, namespaces: []}]", "it names none; leave it out where all are meant"),
            ("  kinds: [{group: a.b, kind: C}]\n  drainedBy: ''", "purge.drainedBy: it names no step"),
            ("  consumers: []", "missing field `kinds`"),
            ("  kinds: [{group: a.b/v1, kind: C}]", "purge.kinds: a.b/v1 has a version; a group is written without: a.b"),
            ("  kinds: [{group: a.b, kind: C, namespaces: ['']}]", "purge.kinds: no namespace can have the name \"\""),
            ("  kinds: [{group: a.b, kind: C, namespaces: [Shop]}]", "purge.kinds: no namespace can have the name \"Shop\""),
            ("  kinds: [{group: a.b, kind: C, namespaces: [shop/a]}]", "no namespace can have the name \"shop/a\""),
            (
                "  kinds: [{group: a.b, kind: C}]\n  stays: [{group: a.b, kind: C, reason: x}]",
                "purge.stays: C of a.b stands under kinds",
            ),
            (
                "  kinds: [{group: a.b, kind: C}]\n  consumers: [{workload: {apiVersion: v1, kind: Pod, namespace: a, name: b}, hold: true}]",
                "purge.consumers: Pod a/b of v1 cannot be held",
            ),
            (
                "  kinds: [{group: a.b, kind: C}]\n  consumers: [{workload: {apiVersion: apps/v1, kind: Deployment, namespace: a, name: b/c}}]",
                "purge.consumers: no workload can have the name \"b/c\"",
            ),
            ("  kinds: []", "purge.kinds: it is empty, so nothing would be removed"),
            (
                "  kinds: [{group: a.b, kind: D}]\n  dependents: [{group: a.b, kind: C}, {group: a.b, kind: C}]",
                "purge.dependents: C of \"a.b\" stands twice",
            ),
            (
                "  kinds: [{group: a.b, kind: D}]\n  finalizers: [{name: f, owner: {apiVersion: v1, kind: X, namespace: a, name: b}, \
                 deletes: [{group: a.b, kind: C, namespace: ns, selector: {}}]}]",
                "would mean everything",
            ),
        ] {
            let error = read(section).expect_err(section);
            assert!(error.contains(expected), "{section}: {error}");
        }
        let workload = "{apiVersion: apps/v1, kind: Deployment, namespace: a, name: b";
        let held = format!(
            "  kinds: [{{group: a.b, kind: D}}]\n  consumers: [{{workload: {workload}}}, hold: true}}]\n  finalizers: [{{name: f, owner: {workload}}}}}]"
        );
        assert!(read(&held).expect_err("it owns a finalizer").contains("must run until the objects are gone"));
    }
}
