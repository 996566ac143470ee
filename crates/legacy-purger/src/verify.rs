//! Looks at the world after the purge.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Target};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_release::observe::Source;

use crate::plan::{self, Options, removed_definitions};
use crate::stages::HOLDS;
use crate::workloads::Running;

/// How often what others delete is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What others delete may take so long, before it is only told of.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is left of what was to go, and nothing like it has come meanwhile. What others delete along with it is waited for, and
/// only told of when it stays: it harms nobody.
pub(crate) async fn verify(
    cluster: &Cluster,
    options: &Options<'_>,
    patience: Duration,
    plan: &Plan,
) -> Result<(), Obstacle> {
    // Asked again: kinds have gone.
    let discovery = cluster.discover_for(plan, &cluster.discover().await?).await?;
    let objects = Objects::new(cluster, &discovery);
    wait_for_others(&objects, plan, patience).await?;
    for held in plan.changes().filter(|change| change.stage == HOLDS) {
        if let Running::Pods { wanted: wanted @ 1.., .. } = Running::of(objects.get(&held.target).await?.as_ref()) {
            tracing::warn!(workload = %held.target, replicas = wanted, "somebody has started what was held; it breaks without what is gone");
        }
    }
    let removed: HashSet<Target> = removed_definitions(plan).into_iter().collect();
    let discovery = cluster.discover().await?;
    let again = plan::remaining(&Source::Cluster(cluster, &discovery), options, &removed).await?;
    match again {
        Some(target) => {
            let what = "it should be gone: somebody has created it meanwhile".to_owned();
            Err(Obstacle::Drift { target, what })
        }
        None => Ok(()),
    }
}

async fn wait_for_others(objects: &Objects<'_>, plan: &Plan, patience: Duration) -> Result<(), Obstacle> {
    let is_cascaded = |change: &Change| plan.stages[change.stage].cascaded;
    let mut left: Vec<Change> = plan.changes().filter(is_cascaded).collect();
    let deadline = Instant::now() + patience.min(LEFTOVER_TIMEOUT);
    loop {
        let mut still = Vec::new();
        for change in left {
            let live = objects.get(&change.target).await?;
            let uid = |image: &serde_json::Value| image["metadata"]["uid"].as_str().map(str::to_owned);
            if live.as_ref().is_some_and(|live| uid(live) == change.before().and_then(uid)) {
                still.push(change);
            }
        }
        left = still;
        let Some(first) = left.first() else { return Ok(()) };
        if Instant::now() >= deadline {
            tracing::warn!(left = left.len(), first = %first.target, "others should have deleted it with the rest, and have not");
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
