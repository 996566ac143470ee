//! From a cluster or files to a plan: observes, decides what should be, and compares.

use fairlead_job::codes::trigger_replicator as codes;
use fairlead_job::failure::Failure;
use fairlead_mesh::flows::desired;
use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_mesh::observed;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::source::Source;

use crate::args::{Args, Command};
use crate::existing::Existing;
use crate::older;
use crate::plan::{Desired, Limits, Observed, plan};
use crate::replicas::Replicas;

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum Unplannable {
    /// The cluster could not be read.
    Obstacle(Obstacle),
    /// A kind is needed that is not there.
    NotServed(Failure),
}

impl From<Obstacle> for Unplannable {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl From<Unplannable> for Failure {
    fn from(error: Unplannable) -> Self {
        match error {
            Unplannable::Obstacle(obstacle) => obstacle.into(),
            Unplannable::NotServed(failure) => failure,
        }
    }
}

/// Observes and decides; the same for a cluster and for files.
pub(crate) async fn make_plan(source: &Source<'_>, args: &Args) -> Result<Plan, Unplannable> {
    let namespaces = Namespaces::of(source, &args.exclude_namespace).await?;
    let observed = observed::Observed::of(source).await?;
    let flows = desired(&observed, &namespaces);
    let replicas = Replicas::of(source, &namespaces).await?;
    let trigger_version = source.api_version(&kinds::TRIGGER);
    if trigger_version.is_none() && !replicas.is_empty() {
        let message = format!("Trigger is not served in a version that can be written, and {} are needed", replicas.len());
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_TRIGGER_KIND, message)));
    }
    if let Some(kind) = observed.missing_kind().filter(|_| !flows.is_empty()) {
        let message = format!("{} of {} is not served, and {} flows need it", kind.kind, kind.group, flows.len());
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_FLOW_KIND, message)));
    }
    let (triggers, older) = (Existing::of(source, &replicas, &namespaces).await?, older::warning(source).await?);
    let observed = Observed { namespaces, flows: observed, triggers, older };
    let desired = Desired { replicas, flows, trigger_version: trigger_version.unwrap_or_default() };
    let is_shown = matches!(args.command, Command::Plan(_));
    let limits = Limits { release: &args.common.release.release, concurrency: args.common.concurrency.into(), is_shown };
    Ok(plan(desired, &observed, &limits))
}
