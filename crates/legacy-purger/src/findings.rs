//! What speaks against a purge, and what should be known about it: the guards, put together. Looked at when it is planned, and once more
//! before the first deletion.

use fairlead_driver::earlier_steps;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_migration::plan::PlanBuilder;

use crate::count::count_of;
use crate::earlier::EarlierSteps;
use crate::fence::is_fenced;
use crate::found::Found;
use crate::options::{Options, STEP};
use crate::stages::{HELM_OBJECTS, HelmOwned, OBJECTS, PRODUCTS, STRIPPED_PRODUCTS, stages};
use fairlead_job::codes::legacy_purger as codes;

/// Adds what every guard says. `earlier` are the steps that must have run before; none where there is no ledger to ask.
pub(crate) fn add_findings(plan: &mut PlanBuilder, options: &Options<'_>, found: &Found, earlier: Option<&EarlierSteps>) {
    let Found { definitions, index, workloads, .. } = found;
    index.refusals.iter().chain(&workloads.findings.refusals).for_each(|finding| plan.refuse(finding.clone()));
    index.warnings.iter().chain(&workloads.findings.warnings).for_each(|finding| plan.warn(finding.clone()));
    workloads.unchanged.iter().for_each(|unchanged| plan.keep(unchanged));
    let has_fence = found.fence.is_some();
    let mut tracked = index.tracked.clone();
    workloads.held.values().for_each(|workload| tracked.add(workload));
    for (position, definition) in definitions.iter().enumerate() {
        let tally = &index.tallies[position];
        let goes = found.is_definition_purged(position);
        let findings = definition.guard(goes, &options.helm_releases);
        findings.refusals.into_iter().for_each(|finding| plan.refuse(finding));
        findings.warnings.into_iter().for_each(|finding| plan.warn(finding));
        let Some(target) = definition.target() else { continue };
        if !goes {
            let kind = &definition.entry.kind;
            let message = match &tally.first_kept {
                Some(first) => format!("not this purge's: {}, the first is {first}", count_of(tally.kept, kind)),
                None if definition.entry.keep_definition => "the configuration keeps it".to_owned(),
                None => "it has no objects, and is not that of the legacy bus but of later Kyma".to_owned(),
            };
            plan.warn(codes::DEFINITION_STAYS.finding(target.clone(), message));
        }
        definition.image.iter().filter(|_| goes).for_each(|image| tracked.add(image));
        if !(has_fence && is_fenced(&definition.entry)) && tally.purged > 0 {
            plan.warn(codes::NO_FENCE.finding(target, "nothing keeps others from creating its objects"));
        }
    }
    tracked.findings().for_each(|finding| plan.warn(finding));
    let of_ledgers = other_ledgers(options, found).filter(|_| earlier.is_some());
    for finding in owned_unseen(options, found).into_iter().chain(silent(found)).chain(of_ledgers) {
        plan.warn(finding);
    }
    let not_selected: usize = index.tallies.iter().map(|tally| tally.not_selected).sum();
    for (finalizer, (first, count)) in &index.finalizers {
        if !options.stripped.contains(finalizer) {
            match workloads.guard_finalizer(finalizer, first, *count) {
                Err(finding) if finding.code == codes::UNKNOWN_FINALIZER.id && options.finalizers.contains(finalizer) => {
                    plan.warn(codes::FINALIZER_ALLOWED.finding(first.clone(), finding.message));
                }
                other => other.err().into_iter().for_each(|finding| plan.refuse(finding)),
            }
            continue;
        }
        let message = format!("{finalizer} is taken away, from {}", count_of(*count, "object"));
        plan.warn(codes::STRIPPED.finding(first.clone(), message));
        workloads.guard_stripped(finalizer, first).into_iter().for_each(|finding| plan.refuse(finding));
        let makes = options.purge.finalizer(finalizer).is_some_and(|finalizer| !finalizer.deletes.is_empty());
        if makes && not_selected > 0 {
            let stay = if not_selected == 1 { "stays" } else { "stay" };
            let message = format!("{} of the same kinds {stay}", count_of(not_selected, "object"));
            plan.refuse(codes::SHARED_PRODUCTS.finding(first.clone(), message));
        }
    }
    if let Some(first) = first_purged(found) {
        let names =
            index.unmatched.names().map(|name| codes::UNMATCHED.finding(first.clone(), format!("nothing fits {name}")));
        names.for_each(|finding| plan.warn(finding));
    }
    match earlier {
        Some(earlier) => add_steps(plan, options, earlier),
        None => add_step_names(plan, options),
    }
}

/// Adds what the names of earlier steps say without a ledger to ask.
fn add_step_names(plan: &mut PlanBuilder, options: &Options<'_>) {
    let slips = EarlierSteps::of_names(options);
    slips.refusals().for_each(|slip| plan.refuse(slip));
    for step in options.required_steps.iter().filter(|step| !slips.is_required(step)) {
        let message = format!("whether --require-step {step} has run is not known: files have no ledger");
        plan.warn(codes::UNMATCHED.finding(earlier_steps::target(step), message));
    }
}

/// Says in which kinds nobody has looked for what purged objects own.
fn owned_unseen(options: &Options<'_>, found: &Found) -> Option<Finding> {
    let target = first_purged(found).filter(|_| options.purge.owned.is_none())?;
    let of = |group: &str, kind: &str| if group.is_empty() { kind.to_owned() } else { format!("{kind} of {group}") };
    let purged = options.purge.kinds.iter().map(|it| of(&it.group, &it.kind));
    let named = options.purge.dependents.iter().map(|it| of(&it.group, &it.kind));
    let seen = purged.chain(named).collect::<Vec<_>>().join(", ");
    let message = format!("objects that purged ones own are not looked at in any kind but {seen}");
    Some(codes::OWNED_UNSEEN.finding(target, message))
}

/// The first kind of which objects go.
fn first_purged(found: &Found) -> Option<Target> {
    let position = found.index.tallies.iter().position(|tally| tally.purged > 0)?;
    let definition = &found.definitions[position];
    // Files may hold objects without their definition.
    let every = || Target { namespace: None, ..definition.kind.target(&definition.kind.group, "", "*") };
    Some(definition.target().unwrap_or_else(every))
}

/// Says in which groups nobody can look for what purged objects own.
fn silent(found: &Found) -> Option<Finding> {
    let target = first_purged(found).filter(|_| !found.silent.is_empty())?;
    let message = format!("what its objects own is not looked for in {}: no server answers for it", found.silent.join(", "));
    Some(codes::UNSEEN_GROUP.finding(target, message))
}

/// Says whose rollback would take the Triggers away on which the purge relies.
fn other_ledgers(options: &Options<'_>, found: &Found) -> impl Iterator<Item = Finding> {
    let target = first_purged(found);
    let makers = found.mesh.deliveries.makers();
    let others = makers.filter(|(namespace, release, _)| (*namespace, *release) != (options.namespace, options.release));
    others.filter_map(move |(namespace, release, count)| {
        let message = format!(
            "{} made with --release {release} --ledger-namespace {namespace}, and this is --release {} \
             --ledger-namespace {}: a rollback there deletes them",
            if count == 1 {
                "1 Trigger that delivers instead was".to_owned()
            } else {
                format!("{count} Triggers that deliver instead were")
            },
            options.release,
            options.namespace
        );
        Some(codes::OTHER_LEDGER.finding(target.clone()?, message))
    })
}

/// Adds the findings about steps that must have run before.
fn add_steps(plan: &mut PlanBuilder, options: &Options<'_>, earlier: &EarlierSteps) {
    for finding in earlier.refusals() {
        plan.refuse(finding);
    }
    let drain = options.purge.drained_by.as_deref();
    if drain.is_some_and(|drain| earlier.is_required(drain)) {
        return;
    }
    let goes = plan.positions(OBJECTS).len() + plan.positions(HELM_OBJECTS).len() > 0;
    if let Some(drain) = drain.filter(|_| goes) {
        plan.warn(codes::NOT_DRAINED.finding(earlier_steps::target(drain), "it has not run for this release"));
    }
    // After a proven drain durables are empty.
    let mut durables = plan
        .changes()
        .filter(|change| [PRODUCTS, STRIPPED_PRODUCTS].contains(&change.stage) && change.target.kind == "Subscription")
        .map(|change| change.target);
    let Some(first) = durables.next() else { return };
    let count = count_of(1 + durables.count(), "Knative Subscription");
    let message = format!("durables go with {count}, of which this is the first");
    plan.warn(codes::DURABLES.finding(first, message));
}

/// Refusals that have come up since a purge was planned. An object that the purge has begun to delete causes none, nor does a workload that
/// somebody has removed since.
pub(crate) fn objections(options: &Options<'_>, found: &Found, steps: &EarlierSteps) -> Vec<Finding> {
    let mut plan = PlanBuilder::new(STEP, stages(options.concurrency, HelmOwned::Nothing));
    if found.is_idle() {
        steps.refusals().for_each(|finding| plan.refuse(finding));
    } else {
        add_findings(&mut plan, options, found, Some(steps));
        found.workloads.started().for_each(|finding| plan.refuse(finding));
    }
    let plan = plan.build();
    let is_over = |refusal: &&Finding| [codes::TERMINATING.id, codes::NO_CONSUMER.id].contains(&&*refusal.code);
    plan.refusals().iter().filter(|refusal| !is_over(refusal)).cloned().collect()
}

/// The first refusals, for messages outside the report.
pub(crate) fn first_refusals(refusals: &[Finding]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> =
        refusals.iter().take(SHOWN).map(|it| format!("{} {}: {}", it.code, it.target, it.message)).collect();
    if refusals.len() > SHOWN {
        text.push(format!("and {} more", refusals.len() - SHOWN));
    }
    text.join("; ")
}
