//! Services that a run has led to the new side, which is not there: Helm has taken it away, say, by going back further than to the revision
//! that came with it. Whoever publishes is refused then.

use fairlead_apis::readiness::readiness;
use fairlead_job::redact;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_kube_client::selector::Selector;
use fairlead_migration::change::{Images, Target};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::StageKind;
use fairlead_migration::store::Store;
use fairlead_migration::ticket::KUBERNETES;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::{Value, json};

static POD: Kind = Kind::namespaced("", "Pod", &[]);

/// A Service without a ready pod, and the labels of the pods that it leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeadsNowhere {
    target: Target,
    selector: Value,
}

/// Those that runs have redirected, also where they are half taken back, and that still lead there. What nobody may look at is left out.
pub(crate) async fn leads_nowhere(
    cluster: &Cluster,
    store: &dyn Store,
    runs: &[RecordedRun],
) -> Result<Vec<LeadsNowhere>, Obstacle> {
    let mut all: Vec<LeadsNowhere> = Vec::new();
    for run in runs.iter().filter(|run| run.holds && run.may_be_undone()) {
        let Reopened { plan, ticket, progress, .. } = match store.read(&run.name).await {
            // A damaged one is told of elsewhere.
            Err(Obstacle::Damaged { .. }) => continue,
            read => read?,
        };
        let is_switch = |stage: usize| plan.stages()[stage].kind == StageKind::Switch;
        if ticket.executor != KUBERNETES || !(0..plan.stages().len()).any(is_switch) {
            continue;
        }
        let discovery = cluster.discover_for(&plan, &cluster.discover().await?).await?;
        let (objects, source) = (Objects::new(cluster, &discovery), Source::Cluster(cluster, &discovery));
        let begun = plan.changes().enumerate().take(progress.begun);
        for (_, change) in begun.filter(|(position, change)| is_switch(change.stage) && !progress.ended.contains(position)) {
            let Images::Update(before, after) = &change.images else { continue };
            let selector = json!({"spec": {"selector": after["spec"]["selector"]}});
            let is_told = all.iter().any(|told| told.target == change.target);
            let is_redirect =
                after["spec"]["selector"].is_object() && before["spec"]["selector"] != after["spec"]["selector"];
            if change.target.kind != "Service" || is_told || !is_redirect {
                continue;
            }
            let Ok(Some(live)) = objects.get(&change.target).await else { continue };
            if fields::holds(&selector, &live) && has_ready_pod(&source, &live).await == Ok(false) {
                all.push(LeadsNowhere { selector: live["spec"]["selector"].clone(), target: change.target });
            }
        }
    }
    Ok(all)
}

/// Whether a Service leads to a pod that is ready; an error where nobody may look.
async fn has_ready_pod(source: &Source<'_>, service: &Value) -> Result<bool, ()> {
    let selector = json!({"matchLabels": service["spec"]["selector"]});
    let selector: Selector = serde_json::from_value(selector).map_err(drop)?;
    let look = |pod: Value| (selector.matches(&pod) && readiness(&pod) == Some(Ok(()))).then_some(());
    let found = source.find_in(&POD, service["metadata"]["namespace"].as_str(), look).await.map_err(drop)?;
    Ok(found.is_some())
}

impl LeadsNowhere {
    /// `Service kyma-system/event-publish-service leads to pods with app=layer, and none of them is ready`
    pub(crate) fn in_words(&self) -> String {
        let labels = self.selector.as_object().into_iter().flatten();
        let labels: Vec<String> =
            labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        redact::text(&format!("{} leads to pods with {}, and none of them is ready", self.target, labels.join(",")))
    }

    /// For programs.
    pub(crate) fn document(&self) -> Value {
        json!({"target": self.target, "selector": self.selector})
    }
}
