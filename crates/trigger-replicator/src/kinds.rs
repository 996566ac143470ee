//! The kinds that are read and written, and the versions in which that is done.

use fairlead_apis::{application, messaging, subscription, trigger};
use fairlead_migration::change::Target;

/// A kind, whatever its version.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    /// `Trigger`.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
    /// The versions that we can write, best first; empty for kinds that have had one version only.
    pub versions: &'static [&'static str],
}

/// Trigger, Broker, Channel and Subscription have had these versions, whose fields that we write are the same. Knative served
/// v1alpha1 until 0.15, v1beta1 from 0.14, v1 from 0.16.
const KNATIVE: &[&str] = &["v1", "v1beta1", "v1alpha1"];

const fn namespaced(group: &'static str, kind: &'static str, versions: &'static [&'static str]) -> Kind {
    Kind { group, kind, is_namespaced: true, versions }
}

const fn cluster_wide(group: &'static str, kind: &'static str) -> Kind {
    Kind { group, kind, is_namespaced: false, versions: &[] }
}

pub(crate) const NAMESPACE: Kind = cluster_wide("", "Namespace");
pub(crate) const LEGACY_SUBSCRIPTION: Kind = namespaced(subscription::GROUP, subscription::KIND, &[]);
pub(crate) const ACTIVATION: Kind = namespaced(application::GROUP, "EventActivation", &[]);
pub(crate) const APPLICATION: Kind = cluster_wide(application::GROUP, "Application");
pub(crate) const MAPPING: Kind = namespaced(application::GROUP, "ApplicationMapping", &[]);
pub(crate) const INSTANCE: Kind = namespaced(application::SERVICE_CATALOG_GROUP, "ServiceInstance", &[]);
pub(crate) const TRIGGER: Kind = namespaced(trigger::GROUP, trigger::KIND, KNATIVE);
pub(crate) const BROKER: Kind = namespaced(trigger::GROUP, "Broker", KNATIVE);
pub(crate) const CHANNEL: Kind = namespaced(messaging::GROUP, "Channel", KNATIVE);
pub(crate) const IN_MEMORY_CHANNEL: Kind = namespaced(messaging::GROUP, "InMemoryChannel", KNATIVE);
pub(crate) const SUBSCRIPTION: Kind = namespaced(messaging::GROUP, "Subscription", KNATIVE);
pub(crate) const POLICY: Kind = namespaced("authentication.istio.io", "Policy", &[]);
pub(crate) const HTTP_SOURCE: Kind = namespaced("sources.kyma-project.io", "HTTPSource", &[]);

/// All of them.
pub(crate) const ALL: [&Kind; 13] = [
    &NAMESPACE,
    &LEGACY_SUBSCRIPTION,
    &ACTIVATION,
    &APPLICATION,
    &MAPPING,
    &INSTANCE,
    &TRIGGER,
    &BROKER,
    &CHANNEL,
    &IN_MEMORY_CHANNEL,
    &SUBSCRIPTION,
    &POLICY,
    &HTTP_SOURCE,
];

impl Kind {
    /// Whether Knative defines it.
    pub(crate) fn is_knative(&self) -> bool {
        self.versions == KNATIVE
    }

    /// The address of an object of this kind.
    pub(crate) fn target(&self, version: &str, namespace: &str, name: &str) -> Target {
        Target {
            api_version: self.api_version(version),
            kind: self.kind.to_owned(),
            namespace: self.is_namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// `eventing.knative.dev/v1` for `v1`.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}
