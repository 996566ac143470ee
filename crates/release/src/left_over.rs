//! What a migration that is done has left of the old side: workloads that stand still, Services that lead elsewhere, objects that nobody has
//! deleted with those that owned them, and labels. Each is somebody's, who takes it away: this release has not made it.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Action, Images, Target};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::StageKind;
use fairlead_migration::store::Store;
use fairlead_migration::ticket::KUBERNETES;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::{Value, json};

use crate::place::Place;

/// The group of Kyma's legacy Subscriptions.
const KYMA: &str = "eventing.kyma-project.io/";

/// Kyma's application-broker put it on each namespace that it gave a Broker. A Knative that serves Brokers in v1 does not read it.
const INJECTION: &str = "knative-eventing-injection";

static BROKER: Kind = Kind::namespaced("eventing.knative.dev", "Broker", &["v1"]);
static NAMESPACE: Kind = Kind::cluster_wide("", "Namespace", &[]);

/// What is left of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// It was stopped, and stands still.
    Stopped,
    /// A Service that leads to the new side.
    Redirected,
    /// It should have gone with what was purged.
    Undeleted,
    /// It has a label that nobody reads any more.
    Labelled,
}

/// An object of the old side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOver {
    target: Target,
    what: What,
    /// Name and namespace of the Helm release that has made it.
    release: Option<[String; 2]>,
}

/// What runs in force have stopped, led elsewhere, or left without its owner, and is so still. What nobody may look at is left out.
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
    for run in runs.iter().filter(|run| run.is_in_force() && run.changes > 0) {
        let Reopened { plan, ticket, progress, .. } = match store.read(&run.name).await {
            // A damaged one is told of elsewhere.
            Err(Obstacle::Damaged { .. }) => continue,
            read => read?,
        };
        if ticket.executor != KUBERNETES {
            continue;
        }
        let discovery = cluster.discover_for(&plan, &cluster.discover().await?).await?;
        let (objects, source) = (Objects::new(cluster, &discovery), Source::Cluster(cluster, &discovery));
        all.extend(undeleted(&source, &plan).await);
        all.extend(labelled(&source, &plan).await);
        if !run.holds {
            continue;
        }
        for (position, change) in plan.changes().enumerate() {
            let kind = plan.stages()[change.stage].kind;
            let Images::Update(before, after) = &change.images else { continue };
            if !kind.may_be_ended() || progress.ended.contains(&position) || !objects.serves(&change.target) {
                continue;
            }
            let Ok(Some(live)) = objects.get(&change.target).await else { continue };
            let what = if kind == StageKind::Switch { What::Redirected } else { What::Stopped };
            let mut patch = fields::diff(before, after).unwrap_or_default();
            if what == What::Redirected {
                // What else was written beside it says nothing of where it leads.
                patch = json!({"spec": patch["spec"]});
            }
            if fields::holds(&patch, &live) {
                all.push(LeftOver { target: change.target.clone(), what, release: release(&live) });
            }
        }
    }
    Ok(all)
}

/// What others delete with the objects of a purge, and have not: their controller is gone, say.
async fn undeleted(source: &Source<'_>, plan: &Plan) -> Vec<LeftOver> {
    let mut uids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let cascaded = |stage: usize| plan.stages()[stage].cascaded;
    if !(0..plan.stages().len()).any(cascaded) {
        return Vec::new();
    }
    for change in plan.changes().filter(|change| cascaded(change.stage) && change.action() == Action::Delete) {
        let uid = change.before().and_then(|before| before["metadata"]["uid"].as_str()).map(str::to_owned);
        uids.entry((change.target.api_version, change.target.kind)).or_default().extend(uid);
    }
    let mut all = Vec::new();
    for ((api_version, kind), uids) in uids {
        let any = Target { api_version, kind, namespace: None, name: String::new() };
        let is_left = |object: Value| {
            let is_it = object["metadata"]["uid"].as_str().is_some_and(|uid| uids.contains(uid));
            is_it.then(|| LeftOver { target: target(&object), what: What::Undeleted, release: release(&object) })
        };
        all.extend(source.list(&Kind::of(&any), is_left).await.unwrap_or_default());
    }
    all
}

/// Namespaces of Kyma's purged Subscriptions that still have a label of the old side.
async fn labelled(source: &Source<'_>, plan: &Plan) -> Vec<LeftOver> {
    let is_purged = |target: &Target| target.kind == "Subscription" && target.api_version.starts_with(KYMA);
    if plan.count(Action::Delete) == 0 || source.api_version(&BROKER).is_none() {
        return Vec::new();
    }
    let purged = plan.changes().filter(|change| change.action() == Action::Delete && is_purged(&change.target));
    let namespaces: BTreeSet<String> = purged.filter_map(|change| change.target.namespace).collect();
    let is_left = |namespace: Value| {
        let target = target(&namespace);
        let is_it = namespaces.contains(&target.name) && !namespace["metadata"]["labels"][INJECTION].is_null();
        is_it.then_some(LeftOver { target, what: What::Labelled, release: None })
    };
    if namespaces.is_empty() { Vec::new() } else { source.list(&NAMESPACE, is_left).await.unwrap_or_default() }
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
        let Self { target, what, release } = self;
        let is = match what {
            What::Redirected => "leads to the new side",
            What::Stopped => "stands still",
            What::Undeleted => "should have gone with what was purged, and is still there",
            What::Labelled => {
                let command = place.kubectl(&format!("label namespace {} {INJECTION}-", target.name));
                let whose = "Kyma's application-broker has put it there, and nobody takes it away";
                return format!(
                    "{target} has label {INJECTION}, which Knative does not read any more. {whose}: `{command}`"
                );
            }
        };
        let how = match (release, what) {
            (Some([name, namespace]), _) => format!(
                "Release {name} in namespace {namespace} has made it, and a version of its chart without it takes it away"
            ),
            (None, What::Redirected) => format!("When nobody sends there any more: {}", delete(target, place)),
            (None, What::Undeleted) => {
                format!(
                    "A controller of the old side has made it, and takes it away if it still runs. Or: `{}`",
                    delete(target, place)
                )
            }
            (None, _) => format!("When nobody wants to go back any more: {}", delete(target, place)),
        };
        format!("{target} {is}. {how}")
    }

    /// For programs.
    pub(crate) fn document(&self) -> Value {
        let release = self.release.as_ref().map(|[name, namespace]| json!({"name": name, "namespace": namespace}));
        let what = match self.what {
            What::Redirected => "redirected",
            What::Stopped => "stopped",
            What::Undeleted => "undeleted",
            What::Labelled => "labelled",
        };
        json!({"target": self.target, "what": what, "helmRelease": release})
    }
}

/// With the group of a custom resource: several have a kind `Subscription`.
fn delete(target: &Target, place: Place<'_>) -> String {
    let kind = target.kind.to_lowercase();
    let kind = match target.api_version.split_once('/') {
        Some((group, _)) if group.contains('.') => format!("{kind}.{group}"),
        _ => kind,
    };
    let what = format!("delete {kind} {}", target.name);
    place.kubectl_in(target.namespace.as_deref().unwrap_or(place.namespace), &what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_takes_away_what_its_release_has_made_unless_it_is_to_be_kept() {
        let of = |annotations: Value| release(&json!({"metadata": {"annotations": annotations}}));
        let mut bus = json!({"meta.helm.sh/release-name": "bus", "meta.helm.sh/release-namespace": "kyma"});
        assert_eq!(of(bus.clone()), Some(["bus", "kyma"].map(str::to_owned)));
        bus["helm.sh/resource-policy"] = "keep".into();
        assert_eq!([of(bus), of(json!({})), of(json!({"meta.helm.sh/release-name": "bus"}))], [None, None, None]);
    }
}
