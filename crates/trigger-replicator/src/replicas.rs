//! What should be: one replica per delivery that legacy Subscriptions ask for. Pure but for reading, and the same whatever the
//! order of the input.
//!
//! There may be 100,000 Subscriptions in a pod of 64 MiB, so of each only what a replica needs is kept, in `records`, and a
//! [`Replica`] is made when it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::sync_channel;

use fairlead_apis::delivery::{Delivery, Undeliverable};
use fairlead_apis::endpoint::Endpoint;
use fairlead_apis::object;
use fairlead_apis::subscription::{Legacy, Shape};
use fairlead_apis::trigger::{self, BROKER_LABEL};
use fairlead_mesh::broker::BROKER;
use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::packed::Packed;
use fairlead_observe::address::target;
use fairlead_observe::source::Source;
use serde_json::{Value, json};

use crate::naming;
use crate::records::{Content, Record, Records};
use fairlead_job::codes::trigger_replicator as codes;

/// Names the Subscriptions that a replica serves: `namespace/name`, sorted, with commas.
pub const REPLICATED_FROM: &str = "fairlead.dev/replicated-from";

/// So many replicas go from one thread to the other at once.
const BATCH: usize = 64;

/// Labels by which tools find what they manage: on a Trigger that is not in their source they would have it pruned.
/// Sources: Argo CD's resource tracking, Flux's kustomize- and helm-controller, Helm 3's ownership check, kubectl's `ApplySet`, Rancher's
/// Fleet (rancher/fleet#1141) and its object sets, kapp, Velero, OLM, Crossplane.
const TRACKING_PREFIXES: [&str; 12] = [
    "objectset.rio.cattle.io/",
    "fleet.cattle.io/",
    "kapp.k14s.io/",
    "velero.io/",
    "olm.",
    "crossplane.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "fluxcd.io/",
    "helm.sh/",
    "applyset.kubernetes.io/",
];
const TRACKING_LABELS: [&str; 3] = ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "heritage"];

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

/// What all Triggers that are made have in common.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// Group and version in which they are written.
    pub api_version: String,
    /// How Knative delivers to their subscribers; as their Broker says, where this is none.
    pub delivery: Option<Value>,
}

/// Everything that should be, and what was found on the way.
#[derive(Default)]
pub struct Replicas {
    /// Those of one replica follow each other, in the order of their targets.
    records: Records,
    /// Subscriptions that cannot be replicated.
    pub refusals: Vec<Finding>,
    /// Subscriptions that can, but not in every respect.
    pub warnings: Vec<Finding>,
    /// Subscriptions that are not ours to replicate.
    pub left_out: Packed<Unchanged>,
    /// How many Subscriptions there are in each namespace that does not take part.
    pub(crate) left_out_in: BTreeMap<String, usize>,
}

impl Replica {
    /// The value of [`REPLICATED_FROM`].
    #[must_use]
    pub fn replicated_from(&self) -> String {
        self.subscriptions.iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// The Trigger.
    #[must_use]
    pub fn image(&self, template: &Template) -> Image {
        let mut labels = self.labels.clone();
        labels.insert(BROKER_LABEL.to_owned(), BROKER.to_owned());
        let mut image = json!({
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
        });
        if let Some(delivery) = &template.delivery {
            image["spec"]["delivery"] = delivery.clone();
        }
        image
    }
}

impl Replicas {
    /// Reads the legacy Subscriptions, and decides what should be.
    pub async fn of(source: &Source<'_>, namespaces: &Namespaces) -> Result<Self, Obstacle> {
        let read = |object: Value| Asked::by(&object, namespaces);
        let mut replicas = source.fold_read(&kinds::LEGACY_SUBSCRIPTION, read, Self::default, Self::add).await?;
        // The first by name gives a replica its spelling of the endpoint and its labels.
        replicas.records.finish();
        Ok(replicas)
    }

    /// How many replicas there should be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.groups()
    }

    /// Whether there should be none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.groups() == 0
    }

    /// The replica at this position, of the positions below [`Self::len`] in the order of their targets, and what is to be
    /// said about its Subscriptions.
    #[must_use]
    pub fn get(&self, index: usize, api_version: &str) -> (Replica, Vec<Finding>) {
        let mut findings = Vec::new();
        let records = self.records.group(index);
        let first = &records[0];
        let target = Target {
            api_version: api_version.to_owned(),
            kind: trigger::KIND.to_owned(),
            namespace: Some(first.namespace.clone()),
            name: first.trigger.clone(),
        };
        let mut replica =
            Replica { delivery: delivery(first), target, subscriptions: BTreeSet::new(), labels: BTreeMap::new() };
        for (position, record) in records.iter().enumerate() {
            let Record { namespace, trigger, name, content: Content { labels, .. } } = record;
            let subscription = || kinds::LEGACY_SUBSCRIPTION.target("v1alpha1", namespace, name);
            if position > 0 && delivery(record) != replica.delivery {
                let message = format!("its Trigger would have the name {trigger}, which another Subscription's has");
                findings.push(codes::NAME_TAKEN.finding(subscription(), message));
                continue;
            }
            replica.subscriptions.insert(format!("{namespace}/{name}"));
            for (label, value) in labels {
                let kept = replica.labels.entry(label.clone()).or_insert_with(|| value.clone());
                if kept != value {
                    let message = format!("label {label} is {value} here, {kept} on the Trigger {trigger}");
                    findings.push(codes::LABELS_DIFFER.finding(subscription(), message));
                }
            }
        }
        (replica, findings)
    }

    /// Takes what `make` makes of each position, in their order. Of many replicas, a second thread makes the next ones.
    pub(crate) fn each<T: Send>(&self, make: impl Fn(usize) -> T + Sync, take: impl FnMut(T)) {
        if self.len() <= BATCH {
            return (0..self.len()).map(make).for_each(take);
        }
        let make = &make;
        std::thread::scope(|scope| {
            let (sender, batches) = sync_channel::<Vec<T>>(1);
            let batch = move |begin| (begin..self.len().min(begin + BATCH)).map(make).collect();
            scope.spawn(move || (0..self.len()).step_by(BATCH).all(|begin| sender.send(batch(begin)).is_ok()));
            batches.iter().flatten().for_each(take);
        });
    }

    /// The position of the replica with this address.
    pub(crate) fn position(&self, namespace: &str, trigger: &str) -> Option<usize> {
        self.records.position(namespace, trigger)
    }

    /// What the replica at this position delivers.
    pub(crate) fn delivery(&self, index: usize) -> Delivery {
        delivery(&self.records.group(index)[0])
    }

    /// `namespace/name` of the Subscriptions that are there, and have no replica.
    pub(crate) fn not_replicated(&self) -> impl Iterator<Item = String> {
        let targets = self.refusals.iter().map(|refusal| refusal.target.clone());
        let targets = targets.chain(self.left_out.iter().map(|unchanged| unchanged.target));
        targets.map(|Target { namespace, name, .. }| format!("{}/{name}", namespace.unwrap_or_default()))
    }

    /// The name that the replica of a delivery has.
    pub(crate) fn name(delivery: &Delivery) -> String {
        naming::name(&delivery.event_type, &delivery.key())
    }

    fn add(&mut self, asked: Asked) {
        match asked {
            Asked::Replica(line, warning) => {
                self.records.add(&line);
                self.warnings.extend(warning);
            }
            Asked::Refused(refusal) => self.refusals.push(refusal),
            Asked::LeftOut(unchanged) => self.left_out.push(&unchanged),
            Asked::Apart(namespace) => *self.left_out_in.entry(namespace).or_default() += 1,
        }
    }
}

/// What a Subscription asks for, as far as it alone says.
enum Asked {
    /// A replica, as the line of its record, and what is to be said about it.
    Replica(String, Option<Finding>),
    /// A replica that it cannot have.
    Refused(Finding),
    /// Nothing of ours.
    LeftOut(Unchanged),
    /// Nothing: its namespace does not take part.
    Apart(String),
}

impl Asked {
    fn by(object: &Value, namespaces: &Namespaces) -> Self {
        let namespace = object::namespace(object);
        if namespaces.left_out(namespace).is_some() {
            return Self::Apart(namespace.to_owned());
        }
        let target = target(object);
        match Shape::of(object) {
            Shape::Legacy => {}
            Shape::Unknown => {
                return Self::Refused(codes::UNKNOWN_SHAPE.finding(target, "spec has none of the known shapes"));
            }
            Shape::Filter | Shape::Types => {
                let reason = "left out, it is not of the legacy bus but of later Kyma".to_owned();
                return Self::LeftOut(Unchanged { target, reason });
            }
        }
        match replica(object, &target, namespaces) {
            Ok((record, warning)) => Self::Replica(record.line(), warning),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

fn replica(object: &Value, target: &Target, namespaces: &Namespaces) -> Result<(Record, Option<Finding>), Finding> {
    let (namespace, name) = (object::namespace(object), object::name(object));
    let legacy = Legacy::read(object).map_err(|errors| {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        codes::BAD_FIELDS.finding(target.clone(), message)
    })?;
    // No server has such names; files may.
    if [namespace, name].iter().any(|name| name.contains(|c: char| c.is_control() || c == '/')) {
        return Err(codes::BAD_FIELDS.finding(target.clone(), "its name has characters that no name can have"));
    }
    if namespaces.is_terminating(namespace) {
        let message = format!("namespace {namespace} is being deleted");
        return Err(codes::NAMESPACE_TERMINATING.finding(target.clone(), message));
    }
    if object::is_terminating(object) {
        return Err(codes::SUBSCRIPTION_TERMINATING.finding(target.clone(), "it is being deleted"));
    }
    let delivery = Delivery::asked_for(namespace, &legacy).map_err(|error| {
        let code = if error == Undeliverable::NoEndpoint { &codes::NO_ENDPOINT } else { &codes::BAD_ENDPOINT };
        code.finding(target.clone(), error.to_string())
    })?;
    let warning = legacy.include_subscription_name_header.then(|| {
        let message = "include_subscription_name_header is set and has no counterpart";
        codes::NAME_HEADER.finding(target.clone(), message)
    });
    let labels = object::labels(object).filter(|(label, _)| !is_tracking(label));
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    let trigger = Replicas::name(&delivery);
    let Delivery { source, event_type, event_type_version, endpoint, .. } = delivery;
    let content = Content { source, event_type, event_type_version, endpoint: endpoint.as_str().to_owned(), labels };
    Ok((Record { namespace: namespace.to_owned(), trigger, name: name.to_owned(), content }, warning))
}

fn delivery(record: &Record) -> Delivery {
    let Content { source, event_type, event_type_version, endpoint, .. } = &record.content;
    let [namespace, source, event_type, event_type_version] =
        [&record.namespace, source, event_type, event_type_version].map(String::clone);
    let endpoint = Endpoint::parse(endpoint).expect("parsed by Replicas::replicate");
    Delivery { namespace, source, event_type, event_type_version, endpoint }
}

fn is_tracking(label: &str) -> bool {
    TRACKING_LABELS.contains(&label) || TRACKING_PREFIXES.iter().any(|prefix| label.starts_with(prefix))
}
