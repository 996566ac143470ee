//! Compares the desired Triggers and flows with those that exist. Pure: no IO, and the same plan for any order of the input.

use std::collections::BTreeMap;

use fairlead_mesh::broker::broker;
use fairlead_mesh::flows::Flows;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_mesh::{kinds, observed};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::stage::{Pacing, Stage, StageKind, UndoAt};

use crate::compared::{Compared, Entry};
use crate::existing::Existing;
use crate::flows::FlowChanges;
use crate::replicas::{Replicas, Template};
use fairlead_job::codes::trigger_replicator as codes;

/// The step, named like the binary.
pub const STEP: &str = "trigger-replicator";

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
    /// What all Triggers that are written have in common.
    pub template: Template,
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
    let Desired { replicas, flows, template } = desired;
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
    let compare = |index| Compared::of(&replicas, &template, index, &observed.triggers.get(index), limits.release);
    replicas.each(compare, |compared| {
        let Compared { namespace, source, is_created, entries } = compared;
        for entry in entries {
            match entry {
                Entry::Change(written) => plan.push_written(written),
                Entry::Unchanged(unchanged) => plan.keep(&unchanged),
                Entry::Refusal(finding) => plan.refuse(finding),
                Entry::Warning(finding) => plan.warn(finding),
            }
        }
        let has_broker = observed.flows.has_broker(&namespace) || changes.with_broker.contains(&namespace);
        awaited += usize::from(is_created && has_broker);
        *counts.entry((namespace, source)).or_default() += 1;
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

/// Whoever waits in a hook wants to know for how long.
fn warn_of_waiting(plan: &mut PlanBuilder, awaited: usize) {
    if awaited > MANY {
        let minutes = awaited.div_ceil(60);
        let message =
            format!("{awaited} Triggers have to become ready, which takes Knative about {minutes} minutes at its defaults");
        plan.warn(codes::LONG_WAIT.finding(kinds::TRIGGER.target("v1", "", "*"), message));
    }
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

#[cfg(test)]
pub(crate) mod tests;
