//! Everything that flows are made of, as it is.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::application::{Activation, Application, Instance, Mapping};
use fairlead_apis::messaging::{self, Channel};
use fairlead_apis::object;
use fairlead_migration::change::Image;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::broker::Broker;
use crate::kinds;

/// Where Applications have their Channels, and Channels their Subscriptions. Source: Kyma 1.11.0
/// `components/application-broker/internal/knative`, hard coded there, too.
pub const INTEGRATION_NAMESPACE: &str = "kyma-integration";

/// Everything that flows are made of.
#[derive(Default)]
pub struct Observed {
    /// `EventActivations` of the legacy bus.
    pub activations: Vec<Activation>,
    /// Applications, by name.
    pub applications: BTreeMap<String, Application>,
    /// `ApplicationMappings`, by namespace and Application.
    pub mappings: BTreeMap<(String, String), Mapping>,
    /// `ServiceInstances`.
    pub instances: Vec<Instance>,
    /// Channels in the integration namespace.
    pub channels: Vec<Channel>,
    /// Knative's Subscriptions in the integration namespace, as read and as they are.
    pub subscriptions: Vec<(messaging::Subscription, Image)>,
    /// Brokers that are named `default`, by namespace.
    pub brokers: BTreeMap<String, Broker>,
    /// Namespaces and names of Istio's policies.
    pub policies: BTreeSet<(String, String)>,
    /// Names of the `HTTPSources` in the integration namespace.
    pub http_sources: BTreeSet<String>,
    /// The versions in which objects are written.
    pub versions: Versions,
}

/// The group and version of each kind that may be written; none where the kind is not served.
#[derive(Default)]
pub struct Versions {
    /// Of Brokers.
    pub broker: Option<String>,
    /// Of Channels.
    pub channel: Option<String>,
    /// Of Knative's Subscriptions.
    pub subscription: Option<String>,
    /// Of Istio's policies.
    pub policy: Option<String>,
    /// Of `HTTPSources`.
    pub http_source: Option<String>,
    /// Whether the cluster has the legacy bus's way to let events into a namespace.
    pub has_activations: bool,
}

impl Observed {
    /// Reads everything; without activations and instances only Brokers.
    pub async fn of(source: &Source<'_>) -> Result<Self, Obstacle> {
        let version = |kind: &Kind| source.api_version(kind);
        let has_activations = version(&kinds::ACTIVATION).is_some();
        let mut observed = Self {
            brokers: source.list(&kinds::BROKER, |object| Broker::read(&object)).await?.into_iter().collect(),
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
        // Without activations no flow exists, and nothing else matters.
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
    #[must_use]
    pub fn missing_kind(&self) -> Option<&'static Kind> {
        let Versions { broker, channel, subscription, .. } = &self.versions;
        let needed = [(broker, &kinds::BROKER), (channel, &kinds::CHANNEL), (subscription, &kinds::SUBSCRIPTION)];
        needed.into_iter().find(|(version, _)| version.is_none()).map(|(_, kind)| kind)
    }

    /// Whether the namespace has the Broker to which Triggers are made.
    #[must_use]
    pub fn has_broker(&self, namespace: &str) -> bool {
        self.brokers.get(namespace).is_some_and(|broker| !broker.is_terminating)
    }

    /// Whether the legacy bus of this cluster knew activations at all.
    #[must_use]
    pub fn has_activations(&self) -> bool {
        self.versions.has_activations
    }
}

pub(crate) fn integrated<T>(read: impl Fn(Value) -> T) -> impl Fn(Value) -> Option<T> {
    move |object| (object::namespace(&object) == INTEGRATION_NAMESPACE).then(|| read(object))
}

fn subscription(object: Value) -> Option<(messaging::Subscription, Image)> {
    let read = messaging::Subscription::read(&object);
    let is_ours = object::namespace(&object) == INTEGRATION_NAMESPACE;
    is_ours.then_some((read, object))
}

fn address(object: &Value) -> (String, String) {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}
