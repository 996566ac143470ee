//! The ways of events on the mesh: from the Channel of an Application, through a Knative Subscription, to the Broker of a namespace.
//! They are read as they are; which ways there should be [`crate::flows`] decides, by the same labels.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::application::{Activation, Instance};
use fairlead_apis::messaging::{Channel, Subscription};
use fairlead_apis::status::Status;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::broker::{BROKER, Broker};
use crate::kinds;
use crate::observed::{INTEGRATION_NAMESPACE, integrated};

/// The ways of a cluster, and who gets events on the legacy bus.
#[derive(Default)]
pub struct Ways {
    /// Namespaces and the Applications whose events an `EventActivation` lets in.
    activated: BTreeSet<(String, String)>,
    /// Names of Channels by Application, each with why the Channel is not Ready.
    channels: BTreeMap<String, BTreeMap<String, Unready>>,
    /// Knative Subscriptions by namespace and Application, then by name.
    carriers: BTreeMap<(String, String), BTreeMap<String, Carrier>>,
    /// The Brokers that are named `default`, by namespace, each with why it is not Ready.
    brokers: BTreeMap<String, (Broker, Unready)>,
}

/// Why an object is not Ready; none where it is.
type Unready = Option<String>;

/// A Knative Subscription.
struct Carrier {
    subscription: Subscription,
    /// Why its subscriber is not the Broker, as far as the object itself says.
    elsewhere: Option<String>,
    unready: Unready,
}

/// What keeps events from arriving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A link is missing, or leads elsewhere.
    Missing(String),
    /// All links are there, and one is not Ready.
    NotReady(String),
}

impl Ways {
    /// Reads who gets events today, and the ways where anybody does.
    pub async fn of(source: &Source<'_>) -> Result<Self, Obstacle> {
        let activations = source.list(&kinds::ACTIVATION, |object| Some(Activation::read(&object))).await?;
        if activations.is_empty() {
            return Ok(Self::default());
        }
        let instances = source.list(&kinds::INSTANCE, |object| Some(Instance::read(&object))).await?;
        let mut ways = Self::links(source).await?;
        ways.activate(activations, &instances);
        Ok(ways)
    }

    /// Reads the ways, whoever gets events today.
    pub async fn links(source: &Source<'_>) -> Result<Self, Obstacle> {
        let mut ways = Self::default();
        let channel = integrated(|object| (unready(&object), Channel::read(&object)));
        for (unready, channel) in source.list(&kinds::CHANNEL, channel).await? {
            let Some(application) = channel.application else { continue };
            ways.channels.entry(application).or_default().insert(channel.name, unready);
        }
        for carrier in source.list(&kinds::SUBSCRIPTION, integrated(|object| Carrier::read(&object))).await? {
            let Subscription { application, broker_namespace, name, is_terminating, .. } = carrier.subscription.clone();
            let (Some(application), Some(namespace), false) = (application, broker_namespace, is_terminating) else {
                continue;
            };
            ways.carriers.entry((namespace, application)).or_default().insert(name, carrier);
        }
        let broker = |object: Value| {
            let (namespace, broker) = Broker::read(&object)?;
            Some((namespace, (broker, unready(&object))))
        };
        ways.brokers = source.list(&kinds::BROKER, broker).await?.into_iter().collect();
        Ok(ways)
    }

    fn activate(&mut self, activations: Vec<Activation>, instances: &[Instance]) {
        // One that is being deleted lets nothing in any more, unless its service has been asked for again.
        let is_asked_for = |activation: &Activation| {
            let asks = |instance: &Instance| {
                instance.namespace == activation.namespace
                    && instance.services.contains(&activation.service)
                    && !instance.is_terminating
            };
            !activation.is_terminating || instances.iter().any(asks)
        };
        let pair = |activation: Activation| Some((activation.namespace, activation.application?));
        self.activated = activations.into_iter().filter(is_asked_for).filter_map(pair).collect();
    }

    /// Whether the legacy bus lets the events of an Application into a namespace.
    #[must_use]
    pub fn is_activated(&self, namespace: &str, application: &str) -> bool {
        self.activated.contains(&(namespace.to_owned(), application.to_owned()))
    }

    /// What keeps the events of an Application from the Broker of a namespace; none where they arrive.
    #[must_use]
    pub fn gap(&self, namespace: &str, application: &str) -> Option<Gap> {
        match self.walk(namespace, application) {
            Err(missing) => Some(Gap::Missing(missing)),
            Ok(unready) => unready.map(Gap::NotReady),
        }
    }

    /// Goes from link to link. Fails with the first that is missing; otherwise returns the first that is not Ready.
    fn walk(&self, namespace: &str, application: &str) -> Result<Unready, String> {
        let broker = self.brokers.get(namespace).filter(|(broker, _)| !broker.is_terminating);
        let (broker, broker_unready) = broker.ok_or_else(|| format!("namespace {namespace} has no Broker {BROKER}"))?;
        let channels = self.channels.get(application);
        let mut channels = channels.into_iter().flatten();
        let (channel, channel_unready) = match (channels.next(), channels.next()) {
            (Some(one), None) => one,
            (None, _) => return Err(format!("{INTEGRATION_NAMESPACE} has no Channel of Application {application}")),
            (Some((one, _)), Some((other, _))) => {
                let names: Vec<&str> =
                    [one, other].into_iter().chain(channels.map(|(name, _)| name)).map(String::as_str).collect();
                return Err(format!("Application {application} has more than one Channel: {}", names.join(", ")));
            }
        };
        let carriers = self.carriers.get(&(namespace.to_owned(), application.to_owned()));
        let mut elsewhere = format!(
            "no Knative Subscription carries the events of {application} from Channel {INTEGRATION_NAMESPACE}/{channel} to the \
             Broker in {namespace}"
        );
        let mut unready: Option<Unready> = None;
        // One that is Ready is enough; of others the last by name is told of.
        for (name, carrier) in carriers.into_iter().flatten().rev() {
            match carrier.leads_elsewhere(channel, broker) {
                Some(where_to) => elsewhere = format!("Knative Subscription {INTEGRATION_NAMESPACE}/{name} {where_to}"),
                None if unready == Some(None) => {}
                None => unready = Some(not_ready("Knative Subscription", INTEGRATION_NAMESPACE, name, &carrier.unready)),
            }
        }
        let unready = unready.ok_or(elsewhere)?;
        Ok(not_ready("Broker", namespace, BROKER, broker_unready)
            .or_else(|| not_ready("Channel", INTEGRATION_NAMESPACE, channel, channel_unready))
            .or(unready))
    }
}

impl Carrier {
    fn read(object: &Value) -> Self {
        let subscription = Subscription::read(object);
        let subscriber = &object["spec"]["subscriber"];
        let reference = &subscriber["ref"];
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let namespace = reference["namespace"].as_str().unwrap_or(INTEGRATION_NAMESPACE);
        let is_broker = text("kind") == kinds::BROKER.kind
            && text("name") == BROKER
            && subscription.broker_namespace.as_deref() == Some(namespace);
        let elsewhere = if reference.is_object() {
            (!is_broker).then(|| format!("carries to {} {namespace}/{}", text("kind"), text("name")))
        } else {
            subscription.subscriber.is_none().then(|| "has no address to carry to".to_owned())
        };
        Self { subscription, elsewhere, unready: unready(object) }
    }

    /// Where it leads, if that is not from this Channel to this Broker.
    fn leads_elsewhere(&self, channel: &str, broker: &Broker) -> Option<String> {
        let Subscription { channel: from, subscriber, .. } = &self.subscription;
        if from != channel {
            return Some(format!("carries from Channel {from}, and the Application's is {channel}"));
        }
        let moved = || {
            let (to, address) = subscriber.as_ref().zip(broker.address.as_ref()).filter(|(to, address)| to != address)?;
            Some(format!("carries to {}, and the Broker's address is {}", to.as_str(), address.as_str()))
        };
        self.elsewhere.clone().or_else(moved)
    }
}

fn unready(object: &Value) -> Unready {
    match Status::of(object) {
        Status::Current => None,
        Status::InProgress(cause) | Status::Failed(cause) => Some(cause.to_string()),
        Status::Terminating => Some("it is being deleted".to_owned()),
    }
}

fn not_ready(kind: &str, namespace: &str, name: &str, unready: &Unready) -> Unready {
    unready.as_ref().map(|why| format!("{kind} {namespace}/{name} is not Ready: {why}"))
}
