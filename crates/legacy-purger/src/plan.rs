//! Puts a plan together: observes, orders, and says what speaks against it. The same for a cluster and for files, and whatever the order
//! of the input.

use std::path::Path;

use fairlead_job::codes::legacy_purger as codes;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::store::Store;
use fairlead_observe::source::Source;

use crate::configuration::file_target;
use crate::earlier::EarlierSteps;
use crate::findings::add_findings;
use crate::observe::named::{self, Earlier};
use crate::observe::{observe, stays, stream};
use crate::options::{Options, STEP};
use crate::order::{Part, order};
use crate::rehearse;
use crate::stages::stages;

/// Decides what goes. `store` has the earlier runs of the release, where there is a ledger to ask.
pub(crate) async fn make(source: &Source<'_>, options: &Options<'_>, store: Option<&dyn Store>) -> Result<Plan, Obstacle> {
    let runs = match store {
        Some(store) => Some(store.runs().await?),
        None => None,
    };
    let earlier = store.zip(runs.as_deref()).map(|(store, runs)| Earlier { store, runs });
    let slips = named::check(source, options.purge, earlier).await?;
    let found = observe(source, options).await?;
    let mut plan = PlanBuilder::new(STEP, stages(options.concurrency, found.helm_owned));
    found.index.unchanged.iter().for_each(|unchanged| plan.keep(&unchanged));
    options.purge.lacking.iter().for_each(|file| plan.warn(no_section(file)));
    for slip in slips {
        plan.warn(slip);
    }
    found.around.iter().for_each(|finding| plan.warn(finding.clone()));
    if found.is_idle() {
        return Ok(plan.build());
    }
    for part in order(options, &found) {
        match part {
            Part::Changes(changes) => {
                for change in &changes {
                    plan.push(change);
                }
            }
            Part::Pass(pass) => plan = stream(source, plan, &pass).await?,
        }
    }
    for unchanged in stays(source, options).await? {
        plan.keep(&unchanged);
    }
    let steps = match store.zip(runs.as_deref()) {
        Some((store, runs)) => Some(EarlierSteps::observe(source, options, store, runs).await?),
        None => None,
    };
    add_findings(&mut plan, options, &found, steps.as_ref());
    rehearse::add(source, options, &mut plan).await?;
    if let Some(message) = blocked(plan.refusals().len()) {
        plan.block(codes::NOT_SAFE.blocked(message));
    }
    Ok(plan.build())
}

/// Says of a file that it does not say what is purged.
fn no_section(file: &Path) -> Finding {
    codes::NO_SECTION
        .finding(file_target(file), "it has no section `purge`, so this is the purge of Kyma's legacy event bus")
}

/// Why so many refusals keep the rest from being purged, too.
fn blocked(refusals: usize) -> Option<String> {
    match refusals {
        0 => None,
        1 => Some("1 refusal, see below; until it is mended nothing is purged at all".to_owned()),
        several => Some(format!("{several} refusals, see below; until they are mended nothing is purged at all")),
    }
}
