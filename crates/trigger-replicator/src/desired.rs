//! What should be: one replica per delivery that legacy Subscriptions ask for. Pure: no IO, and the same whatever the order of
//! the input.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::delivery::Delivery;
use fairlead_apis::endpoint::Endpoint;
use fairlead_apis::subscription::Shape;
use fairlead_apis::trigger::{self, BROKER_LABEL};
use fairlead_migration::change::{Image, Target};
use fairlead_migration::plan::{Finding, Unchanged};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::codes;
use crate::observe::{Content, Legacies, Subscription, TRIGGER_API_VERSION};

/// Names the Subscriptions that a replica serves: `namespace/name`, sorted, with commas.
pub const REPLICATED_FROM: &str = "fairlead.dev/replicated-from";

/// The Broker of every namespace on the new mesh.
pub const BROKER: &str = "default";

/// Source: Kyma 1.11.0 `components/event-bus/cmd/mesh-namespaces-migration`, hard coded there, too.
const SYSTEM_NAMESPACES: [&str; 10] = [
    "istio-system",
    "knative-eventing",
    "knative-serving",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "kyma-installer",
    "kyma-integration",
    "kyma-system",
    "natss",
];

/// Labels by which tools find what they manage: on a Trigger that is not in their source they would have it pruned.
/// Sources: Argo CD's resource tracking, Flux's kustomize- and helm-controller, Helm 3's ownership check, kubectl's `ApplySet`.
const TRACKING_PREFIXES: [&str; 6] = [
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "fluxcd.io/",
    "helm.sh/",
    "applyset.kubernetes.io/",
];
const TRACKING_LABELS: [&str; 3] = ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "heritage"];

/// Length of a DNS label.
const MAX_NAME: usize = 63;

/// 40 bits in hex: two of a million deliveries in one namespace collide with a probability below one half, and only if the
/// readable parts are equal, too.
const HASH_LENGTH: usize = 10;

/// One Trigger that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// What it delivers.
    pub delivery: Delivery,
    /// Its address.
    pub target: Target,
    /// `namespace/name` of the Subscriptions, sorted.
    pub subscriptions: BTreeSet<String>,
    /// Labels of the Subscriptions without those of tracking tools.
    labels: BTreeMap<String, String>,
}

/// Everything that should be, and what was found on the way.
#[derive(Debug, Default)]
pub struct Desired {
    replicas: BTreeMap<[String; 5], Replica>,
    /// By namespace and name, the key of the replica.
    names: BTreeMap<(String, String), [String; 5]>,
    /// Subscriptions that cannot be replicated.
    pub refusals: Vec<Finding>,
    /// Subscriptions that can, but not in every respect.
    pub warnings: Vec<Finding>,
    /// Subscriptions that are not ours to replicate.
    pub left_out: Vec<Unchanged>,
}

impl Replica {
    /// The value of [`REPLICATED_FROM`].
    #[must_use]
    pub fn replicated_from(&self) -> String {
        self.subscriptions.iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// The Trigger.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut labels = self.labels.clone();
        labels.insert(BROKER_LABEL.to_owned(), BROKER.to_owned());
        json!({
            "apiVersion": self.target.api_version,
            "kind": self.target.kind,
            "metadata": {
                "namespace": self.target.namespace,
                "name": self.target.name,
                "labels": labels,
                "annotations": {REPLICATED_FROM: self.replicated_from()},
            },
            "spec": {
                "broker": BROKER,
                "filter": {"attributes": BTreeMap::from(self.delivery.attributes())},
                "subscriber": {"uri": self.delivery.endpoint.as_str()},
            },
        })
    }
}

impl Desired {
    /// Decides what should be.
    #[must_use]
    pub fn of(legacies: Legacies, excluded: &[String]) -> Self {
        let Legacies { mut subscriptions, terminating_namespaces } = legacies;
        // The first by name gives a replica its spelling of the endpoint and its labels.
        subscriptions.sort_by(|a, b| a.target.cmp(&b.target));
        let mut desired = Self::default();
        for subscription in subscriptions {
            desired.add(subscription, &terminating_namespaces, excluded);
        }
        desired
    }

    /// The replicas, in the order of their deliveries.
    #[must_use]
    pub fn replicas(&self) -> impl ExactSizeIterator<Item = &Replica> {
        self.replicas.values()
    }

    /// The annotation that the replica at this address should have.
    #[must_use]
    pub fn replicated_from(&self, namespace: &str, name: &str) -> Option<String> {
        let key = self.names.get(&(namespace.to_owned(), name.to_owned()))?;
        Some(self.replicas.get(key)?.replicated_from())
    }

    fn add(&mut self, subscription: Subscription, terminating_namespaces: &BTreeSet<String>, excluded: &[String]) {
        let Subscription { target, labels, is_terminating, content } = subscription;
        let namespace = target.namespace.clone().unwrap_or_default();
        let mut leave_out = |target, reason: String| self.left_out.push(Unchanged { target, reason });
        if SYSTEM_NAMESPACES.contains(&namespace.as_str()) {
            return leave_out(target, format!("left out, {namespace} is a system namespace"));
        }
        if excluded.contains(&namespace) {
            return leave_out(target, format!("left out, {namespace} is excluded"));
        }
        let legacy = match content {
            Content::Legacy(legacy) => legacy,
            Content::Other(Shape::Unknown) => {
                return self.refusals.push(codes::UNKNOWN_SHAPE.finding(target, "spec has none of the known shapes"));
            }
            Content::Other(_) => {
                return leave_out(target, "left out, it is not of the legacy bus but of later Kyma".to_owned());
            }
            Content::Invalid(errors) => {
                let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return self.refusals.push(codes::BAD_FIELDS.finding(target, message));
            }
        };
        if terminating_namespaces.contains(&namespace) {
            let message = format!("namespace {namespace} is being deleted");
            return self.refusals.push(codes::NAMESPACE_TERMINATING.finding(target, message));
        }
        if is_terminating {
            return self.refusals.push(codes::SUBSCRIPTION_TERMINATING.finding(target, "it is being deleted"));
        }
        let Some(written) = legacy.endpoint else {
            return self.refusals.push(codes::NO_ENDPOINT.finding(target, "spec.endpoint is missing"));
        };
        let endpoint = match Endpoint::parse(&written) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                return self
                    .refusals
                    .push(codes::BAD_ENDPOINT.finding(target, format!("spec.endpoint {written:?} {error}")));
            }
        };
        if legacy.include_subscription_name_header {
            let message = "include_subscription_name_header is set and has no counterpart";
            self.warnings.push(codes::NAME_HEADER.finding(target.clone(), message));
        }
        let delivery = Delivery {
            namespace,
            source: legacy.source,
            event_type: legacy.event_type,
            event_type_version: legacy.event_type_version,
            endpoint,
        };
        self.replicate(delivery, &target, labels);
    }

    fn replicate(&mut self, delivery: Delivery, subscription: &Target, mut labels: BTreeMap<String, String>) {
        labels.retain(|label, _| !is_tracking(label));
        let key = delivery.key().map(str::to_owned);
        let replica = self.replicas.entry(key.clone()).or_insert_with(|| {
            let name = name(&delivery);
            self.names.insert((delivery.namespace.clone(), name.clone()), key);
            let target = Target {
                api_version: TRIGGER_API_VERSION.to_owned(),
                kind: trigger::KIND.to_owned(),
                namespace: Some(delivery.namespace.clone()),
                name,
            };
            Replica { delivery, target, subscriptions: BTreeSet::new(), labels: BTreeMap::new() }
        });
        let namespace = &replica.delivery.namespace;
        replica.subscriptions.insert(format!("{namespace}/{}", subscription.name));
        for (label, value) in labels {
            let kept = replica.labels.entry(label.clone()).or_insert_with(|| value.clone());
            if *kept != value {
                let message = format!("label {label} is {value} here, {kept} on the Trigger {}", replica.target.name);
                self.warnings.push(codes::LABELS_DIFFER.finding(subscription.clone(), message));
            }
        }
    }
}

fn is_tracking(label: &str) -> bool {
    TRACKING_LABELS.contains(&label) || TRACKING_PREFIXES.iter().any(|prefix| label.starts_with(prefix))
}

/// A DNS label: the event type as far as it can be read, and a hash of the whole delivery.
fn name(delivery: &Delivery) -> String {
    // The separator cannot be part of a namespace, so different deliveries have different texts.
    let digest = Sha256::digest(delivery.key().join("\n"));
    let hash: String = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).take(HASH_LENGTH).filter_map(hex).collect();
    let mut readable = String::new();
    for c in delivery.event_type.to_ascii_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            readable.push(c);
        } else if !readable.ends_with('-') {
            readable.push('-');
        }
    }
    let readable = readable.trim_matches('-');
    let readable = readable[..readable.len().min(MAX_NAME - 1 - HASH_LENGTH)].trim_end_matches('-');
    if readable.is_empty() { hash } else { format!("{readable}-{hash}") }
}

fn hex(digit: u8) -> Option<char> {
    char::from_digit(digit.into(), 16)
}
