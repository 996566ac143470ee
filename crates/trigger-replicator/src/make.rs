//! From a cluster or files to a plan: observes, decides what should be, and compares.

use fairlead_job::codes::trigger_replicator as codes;
use fairlead_job::failure::Failure;
use fairlead_mesh::flows::desired;
use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_mesh::observed;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;

use crate::args::{Args, Command};
use crate::existing::Existing;
use crate::older;
use crate::plan::{Desired, Limits, Observed, plan};
use crate::replicas::{Replicas, Template};
use crate::retries::Retries;

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
    // Before v1 the API server leaves the field out without a word.
    if let Some(version) = trigger_version.as_deref().filter(|it| args.delivery.is_some() && !it.ends_with("/v1")) {
        let message = format!("Triggers of {version} have no delivery: leave --delivery out");
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_TRIGGER_KIND, message)));
    }
    if let Some(kind) = observed.missing_kind().filter(|_| !flows.is_empty()) {
        let message = format!("{} of {} is not served, and {} flows need it", kind.kind, kind.group, flows.len());
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_FLOW_KIND, message)));
    }
    if let Source::Manifests(_) = source {
        say_absent(source, !replicas.is_empty());
    }
    let (triggers, older) = (Existing::of(source, &replicas, &namespaces).await?, older::warning(source).await?);
    let observed = Observed { namespaces, flows: observed, triggers, older };
    let delivery = args.delivery.as_ref().map(Retries::document);
    let template = Template { api_version: trigger_version.unwrap_or_default(), delivery };
    let desired = Desired { replicas, flows, template };
    let is_shown = matches!(args.command, Command::Plan(_));
    let limits = Limits { release: &args.common.release.release, concurrency: args.common.concurrency.into(), is_shown };
    Ok(plan(desired, &observed, &limits))
}

/// Somebody may have left a kind out of a dump; a cluster says which kinds it serves.
fn say_absent(source: &Source<'_>, has_replicas: bool) {
    for (kinds, consequence) in absent(source).into_iter().filter(|_| has_replicas) {
        tracing::warn!("the input has neither objects nor the definition of {kinds}: {consequence}");
    }
}

/// Kinds that no file mentions, and what follows.
fn absent(source: &Source<'_>) -> Vec<(String, &'static str)> {
    let is_absent = |kind: &&&Kind| !source.kinds_of(&kind.group).contains(&*kind.kind);
    let name = |kind: &&Kind| format!("{}.{}", kind.kind, kind.group);
    let among = |kinds: &[&Kind]| kinds.iter().filter(is_absent).map(name).collect::<Vec<_>>().join(", ");
    let mesh = among(&[&kinds::TRIGGER, &kinds::BROKER, &kinds::CHANNEL, &kinds::SUBSCRIPTION]);
    let legacy = among(&[&kinds::ACTIVATION]);
    let said = [
        (mesh, "what a cluster has of them already, the plan creates or waits for"),
        (legacy, "the plan has Triggers, and no way of events to them"),
    ];
    said.into_iter().filter(|(kinds, _)| !kinds.is_empty()).collect()
}
