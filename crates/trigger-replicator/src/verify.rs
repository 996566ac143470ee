//! Looks at the world after the writes: is everything as planned, and do the Triggers deliver?

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fairlead_apis::object;
use fairlead_apis::status::Status;
use fairlead_apis::trigger;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_migration::change::{Action, Target};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;

use crate::args::{ApplyArgs, Args};
use crate::desired::BROKER;
use crate::observe::{BROKER_KIND, Source, TRIGGER_API_VERSION, target};

/// Knative makes a Trigger ready in about half a second; asking more often than this only costs.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Verifies that `plan` has been carried out and that its Triggers are ready.
pub(crate) async fn verify(
    args: &Args,
    apply: &ApplyArgs,
    cluster: &Cluster,
    discovery: &Discovery,
    plan: &Plan,
) -> Result<(), Obstacle> {
    let source = Source::Cluster(cluster, discovery);
    as_planned(args, &source, plan).await?;
    // Without a Broker a Trigger has no status, for as long as there is none: reported in the plan, not waited for.
    let brokers = source.brokers().await?;
    let waited: HashSet<&Target> = plan
        .changes
        .iter()
        .filter(|change| change.action() == Action::Create)
        .map(|change| &change.target)
        .filter(|target| target.namespace.as_ref().is_some_and(|namespace| brokers.contains(namespace)))
        .collect();
    wait_until_ready(cluster, discovery, &waited, apply.ready_timeout).await
}

/// Plans again: what is planned again has not been done. See the documentation of this crate.
async fn as_planned(args: &Args, source: &Source<'_>, plan: &Plan) -> Result<(), Obstacle> {
    let desired = crate::desire(source, args).await?;
    let again = crate::compare(source, desired, args).await?;
    let ours: HashSet<&Target> = plan.changes.iter().map(|change| &change.target).collect();
    // An update is planned again when another Subscription has come to ask for the same: that is the next run's.
    let changes = again.changes.iter().filter(|change| change.action() == Action::Create).map(|change| &change.target);
    let refusals = again.refusals.iter().map(|refusal| &refusal.target);
    match changes.chain(refusals).find(|target| ours.contains(target)) {
        Some(target) => {
            let what = "was written, but is not as planned now: something changed or deleted it".to_owned();
            Err(Obstacle::Drift { target: target.clone(), what })
        }
        None => Ok(()),
    }
}

async fn wait_until_ready(
    cluster: &Cluster,
    discovery: &Discovery,
    waited: &HashSet<&Target>,
    ready_timeout: Duration,
) -> Result<(), Obstacle> {
    let Some(triggers) = discovery.find_version(TRIGGER_API_VERSION, trigger::KIND) else { return Ok(()) };
    let deadline = Instant::now() + ready_timeout;
    loop {
        let status = |object| {
            let target = target(&object);
            waited.contains(&target).then(|| (target, Status::of(&object)))
        };
        let found = cluster.list(triggers, None, None, status).await?;
        let found: HashMap<Target, Status> = found.into_iter().flatten().collect();
        if let Some(gone) = waited.iter().find(|target| !found.contains_key(*target)) {
            let what = "was created, and somebody has deleted it".to_owned();
            return Err(Obstacle::Drift { target: (*gone).clone(), what });
        }
        let mut open: Vec<(Target, Status)> = found.into_iter().filter(|(_, status)| *status != Status::Current).collect();
        open.sort_by(|a, b| a.0.cmp(&b.0));
        let Some((first, status)) = open.first() else { return Ok(()) };
        if Instant::now() >= deadline {
            let operation = format!("see {first} become ready within {ready_timeout:?}");
            let cause = explain(cluster, discovery, first, status, open.len() - 1).await?;
            return Err(Obstacle::Refused { operation, source: cause.into() });
        }
        tracing::debug!(open = open.len(), first = %first, "waiting for Triggers to become ready");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The condition that is not met, and what lies behind it where that is the Broker.
async fn explain(
    cluster: &Cluster,
    discovery: &Discovery,
    target: &Target,
    status: &Status,
    others: usize,
) -> Result<String, Obstacle> {
    let mut text = match status {
        Status::Current => "it is ready now".to_owned(),
        Status::Terminating => "it is being deleted".to_owned(),
        Status::InProgress(cause) | Status::Failed(cause) => cause.to_string(),
    };
    if let Some(brokers) = discovery.find_version(TRIGGER_API_VERSION, BROKER_KIND) {
        let namespace = target.namespace.as_deref();
        let broker = |object| (object::name(&object) == BROKER).then(|| Status::of(&object));
        let status = cluster.list(brokers, namespace, None, broker).await?.into_iter().flatten().next();
        if let Some(Status::InProgress(cause) | Status::Failed(cause)) = status {
            // Writing to a String cannot fail.
            let _ = write!(text, "; the cause is Broker {}/{BROKER}: {cause}", namespace.unwrap_or_default());
        }
    }
    if others > 0 {
        let _ = write!(text, " (and {others} other Triggers are not ready)");
    }
    Ok(text)
}
