//! What a migration that is done has left of the old side: workloads that stand still, and Services that lead elsewhere. Each is somebody's, who
//! takes it away: this release has not made it.

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Images, Target};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::StageKind;
use fairlead_migration::store::Store;
use fairlead_migration::ticket::KUBERNETES;
use serde_json::{Value, json};

use crate::place::Place;

/// An object of the old side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOver {
    target: Target,
    is_switched: bool,
    /// Name and namespace of the Helm release that has made it.
    release: Option<[String; 2]>,
}

/// What runs in force have stopped, or led elsewhere, and is so still. What nobody may look at is left out.
pub(crate) async fn left_over(
    cluster: &Cluster,
    store: &dyn Store,
    runs: &[RecordedRun],
) -> Result<Vec<LeftOver>, Obstacle> {
    let mut all = Vec::new();
    // What is on its way may be on its way back.
    if runs.iter().any(RecordedRun::is_unfinished) {
        return Ok(all);
    }
    for run in runs.iter().filter(|run| run.holds && run.is_in_force()) {
        let Reopened { plan, ticket, progress, .. } = match store.read(&run.name).await {
            // A damaged one is told of elsewhere.
            Err(Obstacle::Damaged { .. }) => continue,
            read => read?,
        };
        if ticket.executor != KUBERNETES {
            continue;
        }
        let discovery = cluster.discover_for(&plan, &cluster.discover().await?).await?;
        let objects = Objects::new(cluster, &discovery);
        for (position, change) in plan.changes().enumerate() {
            let kind = plan.stages()[change.stage].kind;
            let Images::Update(before, after) = &change.images else { continue };
            if !kind.may_be_ended() || progress.ended.contains(&position) || !objects.serves(&change.target) {
                continue;
            }
            let Ok(Some(live)) = objects.get(&change.target).await else { continue };
            let is_switched = kind == StageKind::Switch;
            let mut patch = fields::diff(before, after).unwrap_or_default();
            if is_switched {
                // What else was written beside it says nothing of where it leads.
                patch = json!({"spec": patch["spec"]});
            }
            if fields::holds(&patch, &live) {
                all.push(LeftOver { target: change.target.clone(), is_switched, release: release(&live) });
            }
        }
    }
    Ok(all)
}

/// Helm takes away nothing that is to be kept.
fn release(object: &Value) -> Option<[String; 2]> {
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str().map(str::to_owned);
    if annotation("helm.sh/resource-policy").as_deref() == Some("keep") {
        return None;
    }
    Some([annotation("meta.helm.sh/release-name")?, annotation("meta.helm.sh/release-namespace")?])
}

impl LeftOver {
    /// `Deployment kyma-system/publish stands still. Release event-bus has made it: …`
    pub(crate) fn in_words(&self, place: Place<'_>) -> String {
        let Self { target, is_switched, release } = self;
        let what = if *is_switched { "leads to the new side" } else { "stands still" };
        let how = match release {
            Some([name, namespace]) => format!(
                "Release {name} in namespace {namespace} has made it, and a version of its chart without it takes it away"
            ),
            None if *is_switched => format!("When nobody sends there any more: {}", delete(target, place)),
            None => format!("When nobody wants to go back any more: {}", delete(target, place)),
        };
        format!("{target} {what}. {how}")
    }

    /// For programs.
    pub(crate) fn document(&self) -> Value {
        let release = self.release.as_ref().map(|[name, namespace]| json!({"name": name, "namespace": namespace}));
        let what = if self.is_switched { "redirected" } else { "stopped" };
        json!({"target": self.target, "what": what, "helmRelease": release})
    }
}

fn delete(target: &Target, place: Place<'_>) -> String {
    let what = format!("delete {} {}", target.kind.to_lowercase(), target.name);
    place.kubectl_in(target.namespace.as_deref().unwrap_or(place.namespace), &what)
}
