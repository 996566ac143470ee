//! What should be: one replica per delivery that legacy Subscriptions ask for. Pure but for reading, and the same whatever the
//! order of the input.
//!
//! There may be 100,000 Subscriptions in a pod of 64 MiB, so of each only what a replica needs is kept, as text, and a
//! [`Replica`] is made when it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

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
use fairlead_job::codes::trigger_replicator as codes;

/// Names the Subscriptions that a replica serves: `namespace/name`, sorted, with commas.
pub const REPLICATED_FROM: &str = "fairlead.dev/replicated-from";

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

/// Everything that should be, and what was found on the way.
#[derive(Default)]
pub struct Replicas {
    /// All records, in the order in which they were read. In one piece: 100,000 pieces cost some MiB more.
    text: String,
    /// Where each record is, sorted, so that those of one replica follow each other, in the order of their targets.
    records: Vec<Span>,
    /// Where the records of each replica begin.
    begins: Vec<u32>,
    /// Subscriptions that cannot be replicated.
    pub refusals: Vec<Finding>,
    /// Subscriptions that can, but not in every respect.
    pub warnings: Vec<Finding>,
    /// Subscriptions that are not ours to replicate.
    pub left_out: Packed<Unchanged>,
    /// How many Subscriptions there are in each namespace that does not take part.
    pub(crate) left_out_in: BTreeMap<String, usize>,
}

/// Where a record is in the text of all.
#[derive(Clone, Copy)]
struct Span {
    begin: u32,
    end: u32,
}

/// A Subscription that can be replicated: namespace, slash and name of the Trigger, name of the Subscription, and a JSON array of
/// all else, with line breaks between them. None of the names has one, and a line break is before every other character: so these
/// texts have the order of [`Target`].
#[derive(Clone, Copy)]
struct Record<'a>(&'a str);

/// What [`Record`] has in its array: source, type, version, endpoint and labels.
type Content = (String, String, String, String, BTreeMap<String, String>);

impl<'a> Record<'a> {
    /// Namespace and name of the Trigger, name of the Subscription, content.
    fn parts(self) -> [&'a str; 4] {
        let mut parts = self.0.splitn(3, '\n');
        let [address, name, content] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let (namespace, trigger) = address.split_once('/').unwrap_or_default();
        [namespace, trigger, name, content]
    }

    /// Where the Trigger is.
    fn address(self) -> &'a str {
        self.0.split_once('\n').map_or(self.0, |(address, _)| address)
    }

    fn read(self) -> (Delivery, BTreeMap<String, String>) {
        let [namespace, _, _, content] = self.parts();
        let (source, event_type, event_type_version, endpoint, labels): Content =
            serde_json::from_str(content).expect("written by Replicas::replicate");
        let endpoint = Endpoint::parse(&endpoint).expect("parsed by Replicas::replicate");
        (Delivery { namespace: namespace.to_owned(), source, event_type, event_type_version, endpoint }, labels)
    }
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

impl Replicas {
    /// Reads the legacy Subscriptions, and decides what should be.
    pub async fn of(source: &Source<'_>, namespaces: &Namespaces) -> Result<Self, Obstacle> {
        let add = |replicas: &mut Self, object: Value| replicas.add(&object, namespaces);
        let mut replicas = source.fold(&kinds::LEGACY_SUBSCRIPTION, Self::default, add).await?;
        // The first by name gives a replica its spelling of the endpoint and its labels.
        let Self { text, records, begins, .. } = &mut replicas;
        records.sort_unstable_by_key(|span| text.get(span.begin as usize..span.end as usize));
        let mut last = None;
        for (index, span) in (0_u32..).zip(records.iter()) {
            let address = Record(&text[span.begin as usize..span.end as usize]).address();
            if last.replace(address) != Some(address) {
                begins.push(index);
            }
        }
        Ok(replicas)
    }

    /// How many replicas there should be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.begins.len()
    }

    /// Whether there should be none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    /// The replica at this position, of the positions below [`Self::len`] in the order of their targets, and what is to be
    /// said about its Subscriptions.
    #[must_use]
    pub fn get(&self, index: usize, api_version: &str) -> (Replica, Vec<Finding>) {
        let mut findings = Vec::new();
        let first = self.first(index);
        let (delivery, _) = first.read();
        let [namespace, trigger, ..] = first.parts();
        let target = Target {
            api_version: api_version.to_owned(),
            kind: trigger::KIND.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: trigger.to_owned(),
        };
        let mut replica = Replica { delivery, target, subscriptions: BTreeSet::new(), labels: BTreeMap::new() };
        for record in self.records_of(index) {
            let [namespace, trigger, name, _] = record.parts();
            let subscription = || kinds::LEGACY_SUBSCRIPTION.target("v1alpha1", namespace, name);
            let (delivery, labels) = record.read();
            if delivery != replica.delivery {
                let message = format!("its Trigger would have the name {trigger}, which another Subscription's has");
                findings.push(codes::NAME_TAKEN.finding(subscription(), message));
                continue;
            }
            replica.subscriptions.insert(format!("{namespace}/{name}"));
            for (label, value) in labels {
                let kept = replica.labels.entry(label.clone()).or_insert_with(|| value.clone());
                if *kept != value {
                    let message = format!("label {label} is {value} here, {kept} on the Trigger {trigger}");
                    findings.push(codes::LABELS_DIFFER.finding(subscription(), message));
                }
            }
        }
        (replica, findings)
    }

    /// The position of the replica with this address.
    pub(crate) fn position(&self, namespace: &str, trigger: &str) -> Option<usize> {
        let address = |begin: &u32| self.record(*begin as usize).address();
        self.begins.binary_search_by_key(&format!("{namespace}/{trigger}").as_str(), address).ok()
    }

    /// What the replica at this position delivers.
    pub(crate) fn delivery(&self, index: usize) -> Delivery {
        self.first(index).read().0
    }

    /// The name that the replica of a delivery has.
    pub(crate) fn name(delivery: &Delivery) -> String {
        naming::name(&delivery.event_type, &delivery.key())
    }

    fn record(&self, position: usize) -> Record<'_> {
        let Span { begin, end } = self.records[position];
        Record(&self.text[begin as usize..end as usize])
    }

    fn first(&self, index: usize) -> Record<'_> {
        self.record(self.begins[index] as usize)
    }

    fn records_of(&self, index: usize) -> impl Iterator<Item = Record<'_>> {
        let end = self.begins.get(index + 1).map_or(self.records.len(), |end| *end as usize);
        (self.begins[index] as usize..end).map(|position| self.record(position))
    }

    fn add(&mut self, object: &Value, namespaces: &Namespaces) {
        let namespace = object::namespace(object);
        if namespaces.left_out(namespace).is_some() {
            *self.left_out_in.entry(namespace.to_owned()).or_default() += 1;
            return;
        }
        let target = target(object);
        match Shape::of(object) {
            Shape::Legacy => {}
            Shape::Unknown => {
                return self.refusals.push(codes::UNKNOWN_SHAPE.finding(target, "spec has none of the known shapes"));
            }
            Shape::Filter | Shape::Types => {
                let reason = "left out, it is not of the legacy bus but of later Kyma".to_owned();
                return self.left_out.push(&Unchanged { target, reason });
            }
        }
        if let Err(refusal) = self.replicate(object, &target, namespaces) {
            self.refusals.push(refusal);
        }
    }

    fn replicate(&mut self, object: &Value, target: &Target, namespaces: &Namespaces) -> Result<(), Finding> {
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
        if legacy.include_subscription_name_header {
            let message = "include_subscription_name_header is set and has no counterpart";
            self.warnings.push(codes::NAME_HEADER.finding(target.clone(), message));
        }
        let labels: BTreeMap<&str, &str> = object::labels(object).filter(|(label, _)| !is_tracking(label)).collect();
        let Delivery { source, event_type, event_type_version: version, endpoint, .. } = &delivery;
        let content = json!([source, event_type, version, endpoint.as_str(), labels]);
        let trigger = Self::name(&delivery);
        let begin = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{namespace}/{trigger}\n{name}\n{content}");
        let [begin, end] = [begin, self.text.len()].map(|at| u32::try_from(at).expect("less than 4 GiB of Subscriptions"));
        self.records.push(Span { begin, end });
        Ok(())
    }
}

fn is_tracking(label: &str) -> bool {
    TRACKING_LABELS.contains(&label) || TRACKING_PREFIXES.iter().any(|prefix| label.starts_with(prefix))
}
