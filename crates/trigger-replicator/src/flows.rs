//! What a Trigger needs to get events, per namespace and Application: the *flow*. Read here; `desired` decides what should be,
//! `changes` what has to be done for it.
//!
//! On the legacy bus an EventActivation let the events of an Application into a namespace. On the mesh that is a Knative
//! Subscription, in Kyma's integration namespace, from the Application's Channel to the namespace's Broker.

pub(crate) mod changes;
mod desired;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::application::{Activation, Application, Instance, Mapping};
use fairlead_apis::endpoint::Endpoint;
use fairlead_apis::messaging::{self, Channel};
use fairlead_apis::object;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use serde_json::Value;

use crate::kinds;
use crate::namespaces::Namespaces;
use crate::replicas::BROKER;
use fairlead_observe::source::Source;

/// Where Applications have their Channels, and Channels their Subscriptions. Source: Kyma 1.11.0
/// `components/application-broker/internal/knative`, hard coded there, too.
pub(crate) const INTEGRATION_NAMESPACE: &str = "kyma-integration";

/// Everything that flows are made of.
#[derive(Default)]
pub struct Observed {
    activations: Vec<Activation>,
    applications: BTreeMap<String, Application>,
    mappings: BTreeMap<(String, String), Mapping>,
    instances: Vec<Instance>,
    channels: Vec<Channel>,
    subscriptions: Vec<(messaging::Subscription, Image)>,
    /// By namespace, those that are named `default`.
    brokers: BTreeMap<String, Broker>,
    /// Namespaces and names.
    policies: BTreeSet<(String, String)>,
    /// Names of those in the integration namespace.
    http_sources: BTreeSet<String>,
    versions: Versions,
}

/// The group and version of each kind that may be written; none where the kind is not served.
#[derive(Default)]
struct Versions {
    broker: Option<String>,
    channel: Option<String>,
    subscription: Option<String>,
    policy: Option<String>,
    http_source: Option<String>,
    /// Whether the cluster has the legacy bus's way to let events into a namespace.
    has_activations: bool,
}

/// The Broker of a namespace.
struct Broker {
    is_terminating: bool,
    /// `status.address.url`, where its controller has given it one.
    address: Option<Endpoint>,
}

/// One flow that should be.
struct Flow {
    /// Where its events go.
    namespace: String,
    /// Where they come from.
    application: String,
    /// The first service by name that was asked for.
    service: String,
    /// The EventActivation of that service, by which findings name the flow.
    activation: Target,
    channel: Channel,
}

/// The flows that should be, and what was found on the way.
#[derive(Default)]
pub struct Flows {
    all: Vec<Flow>,
    /// Namespaces and Applications that have an EventActivation, whether or not they get a flow.
    activated: BTreeSet<(String, String)>,
    /// Activations that get no flow.
    pub refusals: Vec<Finding>,
    /// What the operator should know.
    pub warnings: Vec<Finding>,
    /// Activations that are not ours.
    pub left_out: Vec<Unchanged>,
}

impl Flows {
    /// How many there should be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there should be none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether events of the Application were let into the namespace.
    pub(crate) fn has(&self, namespace: &str, application: &str) -> bool {
        self.activated.contains(&(namespace.to_owned(), application.to_owned()))
    }
}

/// Whether a Broker of this group and version is made as an object. Before v1 a Broker needed ServiceAccounts that only
/// Knative's own namespace controller made, and that was asked for with a label.
pub(crate) fn is_made_as_object(broker_version: &str) -> bool {
    broker_version.ends_with("/v1")
}

impl Observed {
    /// Reads them.
    pub async fn of(source: &Source<'_>) -> Result<Self, Obstacle> {
        let version = |kind: &Kind| source.api_version(kind);
        let has_activations = version(&kinds::ACTIVATION).is_some();
        let mut observed = Self {
            brokers: source.list(&kinds::BROKER, |object| broker(&object)).await?.into_iter().collect(),
            versions: Versions {
                broker: version(&kinds::BROKER),
                channel: version(&kinds::CHANNEL),
                subscription: version(&kinds::SUBSCRIPTION),
                policy: version(&kinds::POLICY),
                http_source: version(&kinds::HTTP_SOURCE),
                has_activations,
            },
            ..Self::default()
        };
        // Without them there is no flow, and nothing else matters.
        if !has_activations {
            return Ok(observed);
        }
        // One after the other, on one connection: side by side each would pay for a TLS handshake of its own, which takes longer
        // than its usual one small page.
        observed.activations = source.list(&kinds::ACTIVATION, |object| Some(Activation::read(&object))).await?;
        observed.instances = source.list(&kinds::INSTANCE, |object| Some(Instance::read(&object))).await?;
        if observed.activations.is_empty() && observed.instances.is_empty() {
            return Ok(observed);
        }
        let applications = source.list(&kinds::APPLICATION, |object| Some(Application::read(&object))).await?;
        let mappings = source.list(&kinds::MAPPING, |object| Some(Mapping::read(&object))).await?;
        observed.applications = applications.into_iter().map(|it| (it.name.clone(), it)).collect();
        observed.mappings = mappings.into_iter().map(|it| ((it.namespace.clone(), it.application.clone()), it)).collect();
        observed.channels = source.list(&kinds::CHANNEL, integrated(|object| Channel::read(&object))).await?;
        observed.subscriptions = source.list(&kinds::SUBSCRIPTION, subscription).await?;
        observed.policies = source.list(&kinds::POLICY, |object| Some(address(&object))).await?.into_iter().collect();
        let name = integrated(|object| object::name(&object).to_owned());
        observed.http_sources = source.list(&kinds::HTTP_SOURCE, name).await?.into_iter().collect();
        Ok(observed)
    }

    /// The first kind that is not served and that a flow cannot do without.
    pub(crate) fn missing_kind(&self) -> Option<&'static Kind> {
        let Versions { broker, channel, subscription, .. } = &self.versions;
        let needed = [(broker, &kinds::BROKER), (channel, &kinds::CHANNEL), (subscription, &kinds::SUBSCRIPTION)];
        needed.into_iter().find(|(version, _)| version.is_none()).map(|(_, kind)| kind)
    }

    /// Whether the namespace has the Broker to which Triggers are made.
    pub(crate) fn has_broker(&self, namespace: &str) -> bool {
        self.brokers.get(namespace).is_some_and(|broker| !broker.is_terminating)
    }

    /// Whether the legacy bus of this cluster knew activations at all.
    pub(crate) fn has_activations(&self) -> bool {
        self.versions.has_activations
    }

    /// Decides what should be.
    #[must_use]
    pub fn desired(&self, namespaces: &Namespaces) -> Flows {
        desired::desired(self, namespaces)
    }
}

fn integrated<T>(read: impl Fn(Value) -> T) -> impl Fn(Value) -> Option<T> {
    move |object| (object::namespace(&object) == INTEGRATION_NAMESPACE).then(|| read(object))
}

fn subscription(object: Value) -> Option<(messaging::Subscription, Image)> {
    let read = messaging::Subscription::read(&object);
    let is_ours = object::namespace(&object) == INTEGRATION_NAMESPACE;
    is_ours.then_some((read, object))
}

fn broker(object: &Value) -> Option<(String, Broker)> {
    let url = &object["status"]["address"]["url"];
    // v1alpha1 also had `hostname`, which says the same with less.
    let address = url.as_str().and_then(|url| Endpoint::parse(url).ok());
    let broker = Broker { is_terminating: object::is_terminating(object), address };
    (object::name(object) == BROKER).then(|| (object::namespace(object).to_owned(), broker))
}

fn address(object: &Value) -> (String, String) {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}
