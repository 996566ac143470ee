//! Reads what there is, from a cluster or from files, into plain data. What is kept of an object is what is needed to decide.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::object;
use fairlead_apis::subscription::{self, FieldError, Legacy, Shape};
use fairlead_apis::trigger::{self, Trigger};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::{Discovery, Resource};
use fairlead_migration::change::{Image, Target};
use fairlead_migration::obstacle::Obstacle;
use serde_json::Value;

use crate::desired::{BROKER, REPLICATED_FROM};

/// The version of Trigger that is written.
pub(crate) const TRIGGER_API_VERSION: &str = "eventing.knative.dev/v1";

/// The kind that Triggers need in their namespace.
pub(crate) const BROKER_KIND: &str = "Broker";

/// The legacy side: what is asked for.
#[derive(Clone, Debug, Default)]
pub struct Legacies {
    /// Every Subscription, whatever its shape.
    pub subscriptions: Vec<Subscription>,
    /// Namespaces that are being deleted.
    pub terminating_namespaces: BTreeSet<String>,
}

/// One Subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Address.
    pub target: Target,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// What it asks for, or why that cannot be said.
    pub content: Content,
}

/// What a Subscription asks for.
#[derive(Clone, Debug)]
pub enum Content {
    /// The legacy shape, complete.
    Legacy(Legacy),
    /// The legacy shape, with fields that are wrong.
    Invalid(Vec<FieldError>),
    /// Another shape.
    Other(Shape),
}

/// One Trigger that exists.
#[derive(Clone, Debug)]
pub struct Existing {
    /// What is compared.
    pub trigger: Trigger,
    /// Annotation [`REPLICATED_FROM`]: it is a replica.
    pub replicated_from: Option<String>,
    /// The whole object; only of replicas whose annotation is not the wanted one, because only those are changed.
    pub image: Option<Image>,
}

impl Subscription {
    fn read(object: &Value) -> Self {
        let content = match Shape::of(object) {
            Shape::Legacy => Legacy::read(object).map_or_else(Content::Invalid, Content::Legacy),
            other => Content::Other(other),
        };
        Self {
            target: target(object),
            labels: object::labels(object).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            is_terminating: object::is_terminating(object),
            content,
        }
    }
}

impl Existing {
    /// `wanted` is the annotation that a replica at this namespace and name should have.
    fn read(object: Value, wanted: impl Fn(&str, &str) -> Option<String>) -> Self {
        let trigger = Trigger::read(&object);
        let replicated_from = object::annotation(&object, REPLICATED_FROM).map(str::to_owned);
        let is_stale = replicated_from.is_some() && replicated_from != wanted(&trigger.namespace, &trigger.name);
        Self { trigger, replicated_from, image: is_stale.then_some(object) }
    }
}

/// Namespaced objects of our kinds as the server would have them: without a namespace they go to the default one.
#[must_use]
pub fn normal(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        let is_ours = [subscription::GROUP, trigger::GROUP].contains(&object::group(object));
        if is_ours && object::namespace(object).is_empty() && object["metadata"].is_object() {
            object["metadata"]["namespace"] = "default".into();
        }
    }
    objects
}

/// Where objects come from.
pub enum Source<'a> {
    /// A cluster and what it serves.
    Cluster(&'a Cluster, &'a Discovery),
    /// Manifests, as [`normal`] gives them. A kind that is missing among them has no objects; a namespace that is missing is an ordinary one.
    Manifests(&'a [Value]),
}

impl Source<'_> {
    /// Whether Triggers can be written.
    #[must_use]
    pub fn serves_triggers(&self) -> bool {
        match self {
            Self::Cluster(_, discovery) => discovery.find_version(TRIGGER_API_VERSION, trigger::KIND).is_some(),
            Self::Manifests(objects) => {
                let mut crds = objects.iter().filter(|object| {
                    object::kind(object) == "CustomResourceDefinition"
                        && object["spec"]["group"] == trigger::GROUP
                        && object["spec"]["names"]["kind"] == trigger::KIND
                });
                // Without a CRD it is what `--knative-version` says, which has only one value.
                crds.next().is_none_or(|crd| {
                    let versions = crd["spec"]["versions"].as_array();
                    versions.into_iter().flatten().any(|version| version["name"] == "v1" && version["served"] != false)
                })
            }
        }
    }

    /// Reads namespaces and Subscriptions.
    pub async fn legacies(&self) -> Result<Legacies, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => {
                let Some(subscriptions) = discovery.find(subscription::GROUP, subscription::KIND) else {
                    return Ok(Legacies::default());
                };
                let namespaces = Resource::core("Namespace", "namespaces", false);
                let terminating = cluster.list(&namespaces, None, None, |object| terminating_namespace(&object)).await?;
                Ok(Legacies {
                    subscriptions: cluster.list(subscriptions, None, None, |object| Subscription::read(&object)).await?,
                    terminating_namespaces: terminating.into_iter().flatten().collect(),
                })
            }
            Self::Manifests(objects) => Ok(Legacies {
                subscriptions: of_kind(objects, subscription::GROUP, subscription::KIND).map(Subscription::read).collect(),
                terminating_namespaces: of_kind(objects, "", "Namespace").filter_map(terminating_namespace).collect(),
            }),
        }
    }

    /// The namespaces that have the Broker to which Triggers are made.
    pub async fn brokers(&self) -> Result<BTreeSet<String>, Obstacle> {
        let namespace = |object: &Value| {
            let is_it = object::name(object) == BROKER && !object::is_terminating(object);
            is_it.then(|| object::namespace(object).to_owned())
        };
        match self {
            Self::Cluster(cluster, discovery) => match discovery.find_version(TRIGGER_API_VERSION, BROKER_KIND) {
                Some(brokers) => {
                    Ok(cluster.list(brokers, None, None, |object| namespace(&object)).await?.into_iter().flatten().collect())
                }
                None => Ok(BTreeSet::new()),
            },
            Self::Manifests(objects) => Ok(of_kind(objects, trigger::GROUP, BROKER_KIND).filter_map(namespace).collect()),
        }
    }

    /// Reads Triggers. `wanted` is the annotation that a replica at this namespace and name should have.
    pub async fn triggers(&self, wanted: impl Fn(&str, &str) -> Option<String>) -> Result<Vec<Existing>, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => match discovery.find_version(TRIGGER_API_VERSION, trigger::KIND) {
                Some(triggers) => cluster.list(triggers, None, None, |object| Existing::read(object, &wanted)).await,
                None => Ok(Vec::new()),
            },
            Self::Manifests(objects) => Ok(of_kind(objects, trigger::GROUP, trigger::KIND)
                .map(|object| Existing::read(object.clone(), &wanted))
                .collect()),
        }
    }
}

fn of_kind<'a>(objects: &'a [Value], group: &'a str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object::group(object) == group && object::kind(object) == kind)
}

fn terminating_namespace(namespace: &Value) -> Option<String> {
    let is_terminating = object::is_terminating(namespace) || namespace["status"]["phase"] == "Terminating";
    is_terminating.then(|| object::name(namespace).to_owned())
}

/// The address of a namespaced object.
pub(crate) fn target(object: &Value) -> Target {
    Target {
        api_version: object::api_version(object).to_owned(),
        kind: object::kind(object).to_owned(),
        namespace: Some(object::namespace(object).to_owned()),
        name: object::name(object).to_owned(),
    }
}
