//! The kinds that are read and written, and the versions in which that is done.

use fairlead_apis::trigger::KNATIVE_VERSIONS;
use fairlead_apis::{application, messaging, subscription, trigger};
use fairlead_observe::kind::Kind;

pub(crate) static NAMESPACE: Kind = Kind::cluster_wide("", "Namespace", &[]);
pub(crate) static LEGACY_SUBSCRIPTION: Kind = Kind::namespaced(subscription::GROUP, subscription::KIND, &[]);
pub(crate) static ACTIVATION: Kind = Kind::namespaced(application::GROUP, "EventActivation", &[]);
pub(crate) static APPLICATION: Kind = Kind::cluster_wide(application::GROUP, "Application", &[]);
pub(crate) static MAPPING: Kind = Kind::namespaced(application::GROUP, "ApplicationMapping", &[]);
pub(crate) static INSTANCE: Kind = Kind::namespaced(application::SERVICE_CATALOG_GROUP, "ServiceInstance", &[]);
pub(crate) static TRIGGER: Kind = Kind::namespaced(trigger::GROUP, trigger::KIND, KNATIVE_VERSIONS);
pub(crate) static BROKER: Kind = Kind::namespaced(trigger::GROUP, "Broker", KNATIVE_VERSIONS);
pub(crate) static CHANNEL: Kind = Kind::namespaced(messaging::GROUP, "Channel", KNATIVE_VERSIONS);
// It holds all its subscribers: up to a megabyte.
pub(crate) static IN_MEMORY_CHANNEL: Kind =
    Kind::namespaced(messaging::GROUP, "InMemoryChannel", KNATIVE_VERSIONS).in_pages_of(20);
pub(crate) static SUBSCRIPTION: Kind = Kind::namespaced(messaging::GROUP, "Subscription", KNATIVE_VERSIONS);
pub(crate) static POLICY: Kind = Kind::namespaced("authentication.istio.io", "Policy", &[]);
pub(crate) static HTTP_SOURCE: Kind = Kind::namespaced("sources.kyma-project.io", "HTTPSource", &[]);

/// All of them.
pub(crate) static ALL: [&Kind; 13] = [
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
