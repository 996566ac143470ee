//! The kinds from Application to Trigger, and the versions in which they are read and written.

use fairlead_apis::trigger::KNATIVE_VERSIONS;
use fairlead_apis::{application, messaging, subscription, trigger};
use fairlead_observe::kind::Kind;

/// Namespaces.
pub static NAMESPACE: Kind = Kind::cluster_wide("", "Namespace", &[]);
/// Subscriptions of the legacy bus.
pub static LEGACY_SUBSCRIPTION: Kind = Kind::namespaced(subscription::GROUP, subscription::KIND, &[]);
/// Lets the events of an Application into a namespace, on the legacy bus.
pub static ACTIVATION: Kind = Kind::namespaced(application::GROUP, "EventActivation", &[]);
/// Where events come from.
pub static APPLICATION: Kind = Kind::cluster_wide(application::GROUP, "Application", &[]);
/// Which services of an Application a namespace may use.
pub static MAPPING: Kind = Kind::namespaced(application::GROUP, "ApplicationMapping", &[]);
/// Instances of the services of Applications.
pub static INSTANCE: Kind = Kind::namespaced(application::SERVICE_CATALOG_GROUP, "ServiceInstance", &[]);
/// Delivers the events of a Broker.
pub static TRIGGER: Kind = Kind::namespaced(trigger::GROUP, trigger::KIND, KNATIVE_VERSIONS);
/// Where events of a namespace arrive.
pub static BROKER: Kind = Kind::namespaced(trigger::GROUP, "Broker", KNATIVE_VERSIONS);
/// Where events of an Application arrive.
pub static CHANNEL: Kind = Kind::namespaced(messaging::GROUP, "Channel", KNATIVE_VERSIONS);
/// Channels behind Channels and Brokers. Each holds all its subscribers: up to a megabyte.
pub static IN_MEMORY_CHANNEL: Kind = Kind::namespaced(messaging::GROUP, "InMemoryChannel", KNATIVE_VERSIONS).in_pages_of(20);
/// Carries events from a Channel to a Broker.
pub static SUBSCRIPTION: Kind = Kind::namespaced(messaging::GROUP, "Subscription", KNATIVE_VERSIONS);
/// Istio's authentication policies.
pub static POLICY: Kind = Kind::namespaced("authentication.istio.io", "Policy", &[]);
/// Where an Application sends its events.
pub static HTTP_SOURCE: Kind = Kind::namespaced("sources.kyma-project.io", "HTTPSource", &[]);

/// All kinds of the mesh.
pub static ALL: [&Kind; 13] = [
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
