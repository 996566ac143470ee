//! Looks at the world after the purge.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Image, Target};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::address::target;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::decide::{ALLOWED, ALONG, Mesh, NO_EVENTS, Verdict, carried, decide, is_kyma_subscription};
use crate::observe::mesh;
use crate::options::Options;
use crate::stages::{HELM_OBJECTS, HOLDS, OBJECTS};
use crate::workloads::Running;
use fairlead_job::codes::legacy_purger as codes;

/// The interval between two looks at objects that others delete.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long others may take to delete an object before a warning names it.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is left of what was to go, and nothing like it has come meanwhile. What others delete along with it is waited for, and
/// only told of when it stays: it harms nobody.
pub(crate) async fn verify(
    cluster: &Cluster,
    options: &Options<'_>,
    patience: Duration,
    plan: &Plan,
) -> Result<(), Obstacle> {
    // The discovery of the session is old: the purge has deleted kinds since.
    let discovery = cluster.discover_for(plan, &cluster.discover().await?).await?;
    let objects = Objects::new(cluster, &discovery);
    wait_for_others(&Source::Cluster(cluster, &discovery), plan, patience).await?;
    for held in plan.changes().filter(|change| change.stage == HOLDS) {
        if let Running::Pods { wanted: wanted @ 1.., .. } = Running::of(objects.get(&held.target).await?.as_ref()) {
            tracing::warn!(workload = %held.target, replicas = wanted, "somebody has started what was held; it breaks without what is gone");
        }
    }
    expect_replicas(&Source::Cluster(cluster, &discovery), options, plan).await?;
    let targets = plan.changes().map(|change| change.target);
    let removed: HashSet<Target> = targets.filter(|target| target.kind == DEFINITION.kind).collect();
    let discovery = cluster.discover().await?;
    let again = remaining(&Source::Cluster(cluster, &discovery), options, &removed).await?;
    let Some(left) = again else { return Ok(()) };
    let (target, uid) = (target(&left), left["metadata"]["uid"].clone());
    let is_ours =
        |change: &Change| change.target == target && change.before().is_some_and(|it| it["metadata"]["uid"] == uid);
    if plan.changes().any(|change| is_ours(&change)) {
        return Err(Obstacle::Drift { target, what: "it should be gone, and is not".to_owned() });
    }
    // The fence is gone by now, and its kind stays: that is its creator's business.
    tracing::warn!(%target, "somebody has created it since");
    Ok(())
}

/// A Trigger that somebody has deleted meanwhile delivered what nothing else delivers any more. One that is not Ready is only told of: it
/// was, and may be again in a moment.
async fn expect_replicas(source: &Source<'_>, options: &Options<'_>, plan: &Plan) -> Result<(), Obstacle> {
    let is_replicated = |change: &Change| {
        let is_object = [OBJECTS, HELM_OBJECTS].contains(&change.stage)
            && ![ALLOWED, ALONG, NO_EVENTS].contains(&change.reason.as_str());
        let is_of =
            |image: &Image| options.purge.kinds.iter().any(|it| is_kyma_subscription(it) && it.observed_kind().is_of(image));
        is_object && change.before().is_some_and(is_of)
    };
    let mut subscriptions = plan.changes().filter(is_replicated).peekable();
    if subscriptions.peek().is_none() {
        return Ok(());
    }
    let mesh = mesh::after(source).await?;
    for change in subscriptions {
        let Some(Err(finding)) = change.before().map(|before| carried(before, &change.target, &mesh)) else { continue };
        if [codes::UNREPLICATED.id, codes::NO_WAY.id].contains(&finding.code.as_ref()) {
            return Err(Obstacle::Drift {
                target: change.target,
                what: format!("nothing delivers instead any more: {}", finding.message),
            });
        }
        tracing::warn!(subscription = %change.target, why = finding.message, "its events arrived on the mesh, and do not now");
    }
    Ok(())
}

/// Waits for what others delete along. There may be as much of it as of what was purged, so it is looked at kind by kind.
async fn wait_for_others(source: &Source<'_>, plan: &Plan, patience: Duration) -> Result<(), Obstacle> {
    let mut kinds: BTreeSet<(String, String)> = BTreeSet::new();
    let mut uids: HashSet<String> = HashSet::new();
    for change in plan.changes().filter(|change| plan.stages()[change.stage].cascaded) {
        uids.extend(change.before().and_then(|image| image["metadata"]["uid"].as_str()).map(str::to_owned));
        kinds.insert((change.target.api_version, change.target.kind));
    }
    let deadline = Instant::now() + patience.min(LEFTOVER_TIMEOUT);
    loop {
        let mut left = None;
        for (api_version, kind) in &kinds {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let kind = Kind::named(group, kind).in_version(version);
            let is_left = |object: Value| {
                object["metadata"]["uid"].as_str().is_some_and(|uid| uids.contains(uid)).then(|| target(&object))
            };
            left = left.or(source.find(&kind, is_left).await?);
        }
        let Some(first) = left else { return Ok(()) };
        if Instant::now() >= deadline {
            tracing::warn!(%first, "others should have deleted it with the rest, and have not yet");
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// An object that should be gone and is not, of the kinds whose definition was not removed.
async fn remaining(
    source: &Source<'_>,
    options: &Options<'_>,
    removed: &HashSet<Target>,
) -> Result<Option<Value>, Obstacle> {
    let mesh = Mesh::default();
    let known = options.known(&mesh);
    for entry in &options.purge.kinds {
        let kind = entry.observed_kind();
        let Some(definition) = source.definition(&kind).await? else { continue };
        if removed.contains(&target(&definition)) {
            continue;
        }
        let is_left = |object: Value| match decide(&object, entry, &known) {
            Verdict::Keep(_) | Verdict::NotSelected(_) => None,
            Verdict::Purge { .. } | Verdict::Refuse(_) => Some(object),
        };
        if let Some(left) = source.find(&kind, is_left).await? {
            return Ok(Some(left));
        }
    }
    Ok(None)
}
