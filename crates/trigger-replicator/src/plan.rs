//! Compares the desired Triggers and flows with those that exist. Pure: no IO, and the same plan for any order of the input.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::limits::{self, Violation};
use fairlead_mesh::broker::broker;
use fairlead_mesh::flows::Flows;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_mesh::{kinds, observed};
use fairlead_migration::change::{Change, Image, Images, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::stage::{Pacing, Stage, StageKind, UndoAt};
use fairlead_observe::address::other_release;

use crate::existing::{Existing, Found, Namesake};
use crate::flows::{FlowChanges, TRIGGERS};
use crate::replicas::{REPLICATED_FROM, Replica, Replicas};
use fairlead_job::codes::trigger_replicator as codes;

/// The step, named like the binary.
pub const STEP: &str = "trigger-replicator";

/// So much is said of who asks for what cannot be written: it may be more than an annotation holds.
const MAX_ASKING: usize = 300;

/// So many Triggers become ready within the time that a hook has.
const MANY: usize = 60;

/// The limits of a plan.
pub struct Limits<'a> {
    /// The release that the run belongs to; what another release has made is not changed.
    pub release: &'a str,
    /// How many changes are made at once, at most.
    pub concurrency: usize,
    /// Whether the plan is only shown.
    pub is_shown: bool,
}

/// The desired state.
pub struct Desired {
    /// The Triggers.
    pub replicas: Replicas,
    /// The flows that bring events to Triggers.
    pub flows: Flows,
    /// Group and version of the Triggers that are written.
    pub trigger_version: String,
}

/// The state that was read.
pub struct Observed {
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Everything that flows are made of.
    pub flows: observed::Observed,
    /// Triggers.
    pub triggers: Existing,
    /// What is to be said about Subscriptions of an older group.
    pub older: Option<Finding>,
}

/// Compares what should be with what there is.
#[must_use]
pub fn plan(desired: Desired, observed: &Observed, limits: &Limits<'_>) -> Plan {
    let Desired { replicas, flows, trigger_version } = desired;
    let stage = |name: &str| Stage::new(name, StageKind::Expand, UndoAt::PostRollback, limits.concurrency);
    let fed = Stage { pacing: pacing(), ..stage("Triggers, and the Subscriptions that feed them") };
    let mut plan = PlanBuilder::new(STEP, vec![stage("Brokers"), fed]);
    if limits.is_shown {
        plan = plan.passing();
    }
    replicas.left_out.iter().for_each(|unchanged| plan.keep(&unchanged));
    let changes = FlowChanges::of(&mut plan, &flows, &observed.flows, &observed.namespaces, limits.release);
    changes.brokers.values().for_each(|change| plan.push(change));
    let (mut counts, mut awaited): (BTreeMap<(String, String), usize>, _) = (BTreeMap::new(), 0);
    let made = |index| Made::of(&replicas, index, &trigger_version, observed.triggers.get(index));
    replicas.each(made, |made| {
        let Made { replica, findings, found, image } = made;
        for finding in findings {
            if finding.code == codes::NAME_TAKEN.id { plan.refuse(finding) } else { plan.warn(finding) }
        }
        let is_created = compare(&mut plan, &replica, found, image, limits.release);
        let namespace = &replica.delivery.namespace;
        let has_broker = observed.flows.has_broker(namespace) || changes.with_broker.contains(namespace);
        awaited += usize::from(is_created && has_broker);
        *counts.entry((replica.delivery.namespace, replica.delivery.source)).or_default() += 1;
    });
    // The group of Subscriptions sorts after that of Triggers, so a Trigger exists before its events begin to flow.
    changes.subscriptions.values().for_each(|change| plan.push(change));
    warn_of_waiting(&mut plan, awaited);
    warn_of_missing_brokers(&mut plan, &counts, &changes, &observed.flows);
    warn_of_missing_flows(&mut plan, &counts, &flows, &changes, &observed.flows);
    for (channel, count) in observed.triggers.subscribers.dead() {
        let message = format!("it still has {count} subscriber{} whose Trigger is gone", if count == 1 { "" } else { "s" });
        plan.warn(codes::DEAD_SUBSCRIBERS.finding(channel.clone(), message));
    }
    observed.triggers.orphans.warning().into_iter().for_each(|orphans| plan.warn(orphans));
    observed.older.iter().for_each(|older| plan.warn(older.clone()));
    replicas.refusals.into_iter().chain(flows.refusals).for_each(|finding| plan.refuse(finding));
    replicas.warnings.into_iter().chain(flows.warnings).for_each(|finding| plan.warn(finding));
    let is_apart = |unchanged: &&Unchanged| is_left_out(unchanged, &observed.namespaces);
    flows.left_out.iter().filter(|unchanged| !is_apart(unchanged)).for_each(|unchanged| plan.keep(unchanged));
    keep_namespaces(&mut plan, replicas.left_out_in, flows.left_out.iter().filter(is_apart), &observed.namespaces);
    plan.build()
}

fn is_left_out(unchanged: &Unchanged, namespaces: &Namespaces) -> bool {
    unchanged.target.namespace.as_ref().is_some_and(|namespace| namespaces.left_out(namespace).is_some())
}

/// One line for each namespace that does not take part, however many objects it has.
fn keep_namespaces<'a>(
    plan: &mut PlanBuilder,
    subscriptions: BTreeMap<String, usize>,
    activations: impl Iterator<Item = &'a Unchanged>,
    namespaces: &Namespaces,
) {
    let mut counts: BTreeMap<String, [usize; 2]> =
        subscriptions.into_iter().map(|(namespace, count)| (namespace, [count, 0])).collect();
    activations.for_each(|it| counts.entry(it.target.namespace.clone().unwrap_or_default()).or_default()[1] += 1);
    for (namespace, counts) in counts {
        let count = |(count, kind): (usize, &str)| match count {
            0 => None,
            1 => Some(format!("1 {kind}")),
            more => Some(format!("{more} {kind}s")),
        };
        let counts: Vec<String> = counts.into_iter().zip(["Subscription", "EventActivation"]).filter_map(count).collect();
        let reason = namespaces.left_out(&namespace).unwrap_or_default();
        let target = kinds::NAMESPACE.target("v1", "", &namespace);
        plan.keep(&Unchanged { target, reason: format!("{reason}, with {}", counts.join(" and ")) });
    }
}

/// Triggers of one Broker, and Subscriptions of one Channel, that are deleted at once leave dead subscribers behind in the channel,
/// and senders then hang (knative/eventing#6636). Each is gone from there before the next one goes.
fn pacing() -> Vec<Pacing> {
    let [trigger, subscription] =
        [("Trigger", "InMemoryChannel", "{/spec/broker}-kne-trigger"), ("Subscription", "Channel", "{/spec/channel/name}")]
            .map(|(kind, holder_kind, holder_name)| Pacing {
                kind: kind.to_owned(),
                holder_api_version: "messaging.knative.dev/v1".to_owned(),
                holder_kind: holder_kind.to_owned(),
                holder_name: holder_name.to_owned(),
                holder_field: "/spec/subscribers".to_owned(),
            });
    vec![trigger, subscription]
}

/// A replica, and all that is known of it before it is compared.
struct Made<'a> {
    replica: Replica,
    findings: Vec<Finding>,
    found: &'a Found,
    /// The Trigger where none has its name; or what the API server would not take.
    image: Option<Result<Image, Violation>>,
}

impl<'a> Made<'a> {
    fn of(replicas: &Replicas, index: usize, trigger_version: &str, found: &'a Found) -> Self {
        let (replica, findings) = replicas.get(index, trigger_version);
        let image = (found.namesake == Namesake::Absent).then(|| {
            let image = replica.image();
            limits::violation(&image).map_or(Ok(image), Err)
        });
        Self { replica, findings, found, image }
    }
}

/// Whether a Trigger is created.
fn compare(
    plan: &mut PlanBuilder,
    replica: &Replica,
    found: &Found,
    image: Option<Result<Image, Violation>>,
    release: &str,
) -> bool {
    let target = &replica.target;
    let equal = found.equal(&target.name);
    let doubles: BTreeSet<&str> = equal.keys().skip(1).map(String::as_str).chain(found.overlapping()).collect();
    let warn = |plan: &mut PlanBuilder, name: &str| {
        if !doubles.is_empty() {
            let doubles = doubles.iter().copied().collect::<Vec<_>>().join(", ");
            let message = format!("may deliver the same events to {} as Trigger {doubles}", replica.delivery.endpoint);
            let target = Target { name: name.to_owned(), ..target.clone() };
            plan.warn(codes::DOUBLE_DELIVERY.finding(target, message));
        }
    };
    if let Some((first, is_replica)) = equal.first_key_value() {
        warn(plan, first);
        let (name, is_replica) = equal.get_key_value(&target.name).unwrap_or((first, is_replica));
        keep(plan, replica, found, name, *is_replica, release);
        return false;
    }
    match (found.namesake, image) {
        (Namesake::Terminating, _) => {
            let message = format!("it is being deleted, and {} needs it", subscriptions_of(replica));
            plan.refuse(codes::TERMINATING.finding(target.clone(), message));
        }
        (_, Some(Ok(image))) => {
            warn(plan, &target.name);
            let (images, reason) = (Images::Create(image), format!("replicates {}", subscriptions_of(replica)));
            plan.push(&Change { stage: TRIGGERS, target: target.clone(), images, reason });
            return true;
        }
        (_, Some(Err(violation))) => plan.refuse(not_taken(target, &violation, replica)),
        _ => {
            let difference = found.difference().unwrap_or("its spec is another");
            let message = format!("{difference}, so it is not the replica of {}", subscriptions_of(replica));
            plan.refuse(codes::NAME_TAKEN.finding(target.clone(), message));
        }
    }
    false
}

/// Whoever waits in a hook wants to know for how long.
fn warn_of_waiting(plan: &mut PlanBuilder, awaited: usize) {
    if awaited > MANY {
        let minutes = awaited.div_ceil(60);
        let message =
            format!("{awaited} Triggers have to become ready, which takes Knative about {minutes} minutes at its defaults");
        plan.warn(codes::LONG_WAIT.finding(kinds::TRIGGER.target("v1", "", "*"), message));
    }
}

fn not_taken(target: &Target, violation: &Violation, replica: &Replica) -> Finding {
    let mut asking = subscriptions_of(replica);
    if asking.len() > MAX_ASKING {
        asking.truncate(asking.floor_char_boundary(MAX_ASKING));
        asking = format!("{asking}… ({} of them)", replica.subscriptions.len());
    }
    codes::NOT_TAKEN.finding(target.clone(), format!("{violation}; {asking} asks for it"))
}

/// An equal Trigger stays; only a replica that names other Subscriptions is told the right ones.
fn keep(plan: &mut PlanBuilder, replica: &Replica, found: &Found, name: &str, is_replica: bool, release: &str) {
    let target = Target { name: name.to_owned(), ..replica.target.clone() };
    if let Some(before) = found.stale().filter(|_| name == replica.target.name) {
        if let Some(other) = other_release(&before, release) {
            let message = format!("release {other} has made it; {} asks for it, too", subscriptions_of(replica));
            return plan.refuse(codes::OTHER_RELEASE.finding(target, message));
        }
        let mut after = before.clone();
        after["metadata"]["annotations"][REPLICATED_FROM] = replica.replicated_from().into();
        if let Some(violation) = limits::violation(&after) {
            return plan.refuse(not_taken(&target, &violation, replica));
        }
        let reason = format!("replicates {}", subscriptions_of(replica));
        return plan.push(&Change { stage: TRIGGERS, target, images: Images::Update(before, after), reason });
    }
    let origin = if is_replica { "" } else { "made by others, " };
    plan.keep(&Unchanged { target, reason: format!("{origin}already replicates {}", subscriptions_of(replica)) });
}

/// One warning for a namespace, however many Triggers it has.
fn warn_of_missing_brokers(
    plan: &mut PlanBuilder,
    counts: &BTreeMap<(String, String), usize>,
    changes: &FlowChanges,
    observed: &observed::Observed,
) {
    let mut pending: BTreeMap<&str, usize> = BTreeMap::new();
    for ((namespace, _), count) in counts {
        let has_broker = observed.has_broker(namespace) || changes.with_broker.contains(namespace);
        *pending.entry(namespace).or_default() += if has_broker { 0 } else { *count };
    }
    for (namespace, count) in pending.into_iter().filter(|(_, count)| *count > 0) {
        let message = format!("pending: no Broker, so {} nothing yet", count_delivering(count));
        plan.warn(codes::NO_BROKER.finding(broker(&kinds::BROKER.api_version("v1"), namespace), message));
    }
}

/// One warning for an Application in a namespace.
fn warn_of_missing_flows(
    plan: &mut PlanBuilder,
    counts: &BTreeMap<(String, String), usize>,
    flows: &Flows,
    changes: &FlowChanges,
    observed: &observed::Observed,
) {
    let missing = counts.iter().filter(|(pair, _)| !changes.carried.contains(*pair));
    for ((namespace, application), count) in missing.filter(|_| observed.has_activations()) {
        let target = kinds::APPLICATION.target("v1alpha1", "", application);
        let delivering = count_delivering(*count);
        plan.warn(if flows.has(namespace, application) {
            let message = format!("its way into {namespace} is refused above, so {delivering} nothing");
            codes::FLOW_REFUSED.finding(target, message)
        } else {
            let message = format!("no EventActivation lets its events into {namespace}, so {delivering} nothing");
            codes::NO_ACTIVATION.finding(target, message)
        });
    }
}

fn count_delivering(count: usize) -> String {
    format!("{count} Trigger{}", if count == 1 { " delivers" } else { "s deliver" })
}

fn subscriptions_of(replica: &Replica) -> String {
    format!("Subscription {}", replica.replicated_from().replace(',', ", "))
}

#[cfg(test)]
pub(crate) mod tests;
