//! What has to be done so that what should be, is. Pure: no IO, and the same whatever the order of the input.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fairlead_apis::object;
use fairlead_apis::trigger::{self, Relation, Subscriber};
use fairlead_kube_client::objects::TICKET_ANNOTATION;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::plan::{Plan, Stage, StageKind, Unchanged, UndoAt};

use crate::codes;
use crate::desired::{BROKER, Desired, REPLICATED_FROM, Replica};
use crate::observe::{BROKER_KIND, Existing, TRIGGER_API_VERSION};

/// The step, named like the binary.
pub const STEP: &str = "trigger-replicator";

/// Existing Triggers, found by name and by whom they reach: only a Trigger to the same host can deliver the same twice.
struct Index<'a> {
    by_name: HashMap<(&'a str, &'a str), &'a Existing>,
    by_host: HashMap<(&'a str, &'a str), Vec<&'a Existing>>,
}

impl<'a> Index<'a> {
    fn of(triggers: &'a [Existing]) -> Self {
        let mut by_name = HashMap::with_capacity(triggers.len());
        let mut by_host: HashMap<_, Vec<_>> = HashMap::new();
        for existing in triggers {
            let trigger = &existing.trigger;
            by_name.insert((trigger.namespace.as_str(), trigger.name.as_str()), existing);
            let host = match &trigger.subscriber {
                Subscriber::Uri(endpoint) => endpoint.host(),
                Subscriber::Service(host) => host,
                Subscriber::Other => continue,
            };
            by_host.entry((trigger.namespace.as_str(), host)).or_default().push(existing);
        }
        Self { by_name, by_host }
    }

    /// The Triggers that carry out the delivery, and those that may carry it out once more, each by name.
    fn related(&self, replica: &Replica) -> (Vec<&'a Existing>, Vec<&'a Existing>) {
        let delivery = &replica.delivery;
        let reaching = self.by_host.get(&(delivery.namespace.as_str(), delivery.endpoint.host()));
        let (mut equal, mut overlapping) = (Vec::new(), Vec::new());
        for existing in reaching.into_iter().flatten() {
            match existing.trigger.relation(delivery, BROKER) {
                Relation::Equal => equal.push(*existing),
                Relation::Overlapping => overlapping.push(*existing),
                Relation::Unrelated => {}
            }
        }
        for found in [&mut equal, &mut overlapping] {
            found.sort_by(|a, b| a.trigger.name.cmp(&b.trigger.name));
        }
        (equal, overlapping)
    }
}

/// What a plan must keep to.
pub struct Limits<'a> {
    /// The release that the run belongs to; what another release has made is not changed.
    pub release: &'a str,
    /// How many changes are made at once.
    pub concurrency: usize,
}

/// Compares what should be with the Triggers that are. `brokers` are the namespaces that have a Broker.
#[must_use]
pub fn plan(desired: Desired, triggers: &[Existing], brokers: &BTreeSet<String>, limits: &Limits<'_>) -> Plan {
    let index = Index::of(triggers);
    let mut plan = Plan {
        step: STEP.to_owned(),
        stages: vec![Stage {
            name: "Triggers".to_owned(),
            kind: StageKind::Expand,
            undo_at: UndoAt::PostRollback,
            concurrency: limits.concurrency,
        }],
        changes: Vec::with_capacity(desired.replicas().len()),
        refusals: Vec::new(),
        warnings: Vec::new(),
        unchanged: Vec::new(),
    };
    for replica in desired.replicas() {
        compare(&mut plan, &index, replica, limits.release);
    }
    warn_of_missing_brokers(&mut plan, &desired, brokers);
    let Desired { refusals, warnings, left_out, .. } = desired;
    plan.refusals.extend(refusals);
    plan.warnings.extend(warnings);
    plan.unchanged.extend(left_out);
    plan.sorted()
}

fn compare(plan: &mut Plan, index: &Index<'_>, replica: &Replica, release: &str) {
    let target = &replica.target;
    let namespace = replica.delivery.namespace.as_str();
    let (equal, overlapping) = index.related(replica);
    let doubles: Vec<&str> = equal.iter().skip(1).chain(&overlapping).map(|other| other.trigger.name.as_str()).collect();
    if let Some(first) = equal.first() {
        if !doubles.is_empty() {
            warn(plan, replica, &first.trigger.name, &doubles);
        }
        let own = equal.iter().find(|existing| existing.trigger.name == target.name);
        return keep(plan, replica, own.unwrap_or(first), release);
    }
    match index.by_name.get(&(namespace, target.name.as_str())) {
        Some(existing) if existing.trigger.is_terminating => {
            let message = format!("it is being deleted, and {} needs it", names(replica));
            return plan.refusals.push(codes::TRIGGER_TERMINATING.finding(target.clone(), message));
        }
        Some(_) => {
            let message = format!("it is not the replica of {}", names(replica));
            return plan.refusals.push(codes::NAME_TAKEN.finding(target.clone(), message));
        }
        None => {}
    }
    if !doubles.is_empty() {
        warn(plan, replica, &target.name, &doubles);
    }
    let (images, reason) = (Images::Create(replica.image()), format!("replicates {}", names(replica)));
    plan.changes.push(Change { stage: 0, target: target.clone(), images, reason });
}

/// An equal Trigger stays; only a replica that names other Subscriptions is told the right ones.
fn keep(plan: &mut Plan, replica: &Replica, existing: &Existing, release: &str) {
    let name = &existing.trigger.name;
    let target = Target { name: name.clone(), ..replica.target.clone() };
    let wanted = replica.replicated_from();
    if let Some(before) = existing.image.as_ref().filter(|_| *name == replica.target.name) {
        if let Some(other) =
            object::annotation(before, TICKET_ANNOTATION).and_then(release_of).filter(|other| *other != release)
        {
            let message = format!("release {other} has made it; {} asks for it, too", names(replica));
            return plan.refusals.push(codes::OTHER_RELEASE.finding(target, message));
        }
        let mut after = before.clone();
        after["metadata"]["annotations"][REPLICATED_FROM] = wanted.into();
        let reason = format!("replicates {}", names(replica));
        return plan.changes.push(Change { stage: 0, target, images: Images::Update(before.clone(), after), reason });
    }
    let origin = if existing.replicated_from.is_some() { "" } else { "made by others, " };
    plan.unchanged.push(Unchanged { target, reason: format!("{origin}already replicates {}", names(replica)) });
}

/// The release in the address of a ticket, `namespace/fairlead.v1.<release>.<sequence>`.
fn release_of(ticket: &str) -> Option<&str> {
    ticket.split_once("/fairlead.v1.")?.1.rsplit_once('.').map(|(release, _)| release)
}

fn warn(plan: &mut Plan, replica: &Replica, name: &str, doubles: &[&str]) {
    let target = Target { name: name.to_owned(), ..replica.target.clone() };
    let message = format!("may deliver the same events to {} as Trigger {}", replica.delivery.endpoint, doubles.join(", "));
    plan.warnings.push(codes::DOUBLE_DELIVERY.finding(target, message));
}

/// One warning for a namespace, however many Triggers it has.
fn warn_of_missing_brokers(plan: &mut Plan, desired: &Desired, brokers: &BTreeSet<String>) {
    let mut pending: BTreeMap<&str, usize> = BTreeMap::new();
    for replica in desired.replicas().filter(|replica| !brokers.contains(&replica.delivery.namespace)) {
        *pending.entry(replica.delivery.namespace.as_str()).or_default() += 1;
    }
    for (namespace, count) in pending {
        let target = Target {
            api_version: TRIGGER_API_VERSION.to_owned(),
            kind: BROKER_KIND.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: BROKER.to_owned(),
        };
        let message = format!(
            "pending: no Broker, so {count} Trigger{} nothing yet",
            if count == 1 { " delivers" } else { "s deliver" }
        );
        plan.warnings.push(codes::NO_BROKER.finding(target, message));
    }
}

fn names(replica: &Replica) -> String {
    format!("Subscription {}", replica.replicated_from().replace(',', ", "))
}

/// The kind that is written, for errors about it.
#[must_use]
pub fn trigger_kind() -> String {
    format!("{} {TRIGGER_API_VERSION}", trigger::KIND)
}

#[cfg(test)]
mod tests;
