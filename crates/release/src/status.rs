//! `status`: which runs there were, which are in force, and what the next command is.

use std::collections::BTreeSet;
use std::time::Duration;

use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, redact, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::{NamespaceState, Objects};
use fairlead_migration::obstacle::chain;
use fairlead_migration::run::Ending;
use fairlead_migration::store::{Holder, Store};
use serde_json::{Value, json};

use crate::helm::HelmRecords;
use crate::known::Next;
use crate::leads_nowhere::LeadsNowhere;
use crate::left_over::LeftOver;
use crate::place::Place;
use crate::status_facts::Overview;
use crate::status_text::text;

/// How often a status that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Prints the runs of a release; with `watch` again whenever they have changed, for ever.
pub async fn run(
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    output: Output,
    watch: bool,
) -> anyhow::Result<ExitStatus> {
    require_form(output)?;
    let mut last = String::new();
    loop {
        let status = Overview::of(cluster, store, place).await.map_err(Failure::from)?;
        if status.is_unknown() && !watch {
            return Err(unknown(cluster, place, &store.others().await.map_err(Failure::from)?).await.into());
        }
        let now = written(&status, output)?;
        let is_heard = now == last || report::say(&now)?;
        if !watch || !is_heard {
            return Ok(ExitStatus::Done);
        }
        last = now;
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// What is asked of a release has no findings that a forge could show at a line.
pub(crate) fn require_form(output: Output) -> Result<(), Failure> {
    match output {
        Output::Junit | Output::Github => {
            Err(Failure::new(&shared::NO_SUCH_FORM, "what is asked of a release comes as text, json or yaml"))
        }
        Output::Text | Output::Json | Output::Yaml => Ok(()),
    }
}

/// What has no document yet.
pub(crate) fn require_text(output: Output) -> Result<(), Failure> {
    match output {
        Output::Text => Ok(()),
        _ => Err(Failure::new(&shared::NO_SUCH_FORM, "this comes as text only")),
    }
}

/// Fails for a release of which neither we nor Helm have heard, and names those that have runs.
///
/// # Errors
///
/// `FL032`.
pub async fn require_known(
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    helm: &HelmRecords,
) -> Result<(), Failure> {
    let is_known = !helm.revisions.is_empty()
        || !store.runs().await?.is_empty()
        || !store.endings().await?.is_empty()
        || !store.missing().await?.is_empty();
    if is_known { Ok(()) } else { Err(unknown(cluster, place, &store.others().await?).await) }
}

async fn unknown(cluster: &Cluster, place: Place<'_>, others: &BTreeSet<(String, String)>) -> Failure {
    let Place { namespace, release, helm_release, .. } = place;
    if let Some(store) = place.store_name {
        let others: Vec<&str> = others.iter().map(|(_, release)| release.as_str()).collect();
        let others = match others.as_slice() {
            [] => "nor has any other release".to_owned(),
            others => format!("runs have: {}", others.join(", ")),
        };
        return Failure::new(&shared::UNKNOWN_RELEASE, format!("release {release} has no runs in {store}; {others}"));
    }
    let others: Vec<String> =
        others.iter().map(|(namespace, release)| format!("{release} in namespace {namespace}")).collect();
    let others = match others.as_slice() {
        [] => "nor has any release that you may see".to_owned(),
        others => format!("runs have: {}", others.join(", ")),
    };
    let message = match namespace_state(cluster, namespace).await {
        NamespaceState::Gone => format!("there is no namespace {namespace}; {others}"),
        NamespaceState::There => format!(
            "release {release} has no runs in namespace {namespace}, and Helm has no release {helm_release} there; {others}"
        ),
        going @ NamespaceState::Going(_) => {
            format!("namespace {namespace} {going}; no runs of release {release} are left in it; {others}")
        }
    };
    let failure = Failure::new(&shared::UNKNOWN_RELEASE, message);
    // Its run was killed, and its ledger is lost: nobody else takes them away.
    let policies = cluster.policies_left(namespace, release).await;
    let lines = policies.iter().map(|name| {
        let delete = place.kubectl(&format!("delete validatingadmissionpolicy,validatingadmissionpolicybinding {name}"));
        format!(
            "A run of it has left ValidatingAdmissionPolicy {name}, which goes on denying. If no run is at work: {delete}\n"
        )
    });
    let lines: String = lines.collect();
    if lines.is_empty() { failure } else { failure.with_aftermath(lines) }
}

/// What became of a namespace. Who may not ask, or gets no answer, takes it to be there.
pub(crate) async fn namespace_state(cluster: &Cluster, namespace: &str) -> NamespaceState {
    Objects::new(cluster, Discovery::default()).namespace_state(namespace).await.unwrap_or(NamespaceState::There)
}

fn written(status: &Overview<'_>, output: Output) -> anyhow::Result<String> {
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(&document(status))? + "\n",
        Output::Yaml => {
            let mut out = Vec::new();
            manifests::write_yaml(&mut out, &document(status))?;
            String::from_utf8(out)?
        }
        Output::Text | Output::Junit | Output::Github => text(status),
    })
}

fn document(status: &Overview<'_>) -> Value {
    let Overview {
        place,
        runs,
        missing,
        damages,
        endings,
        helm,
        state,
        is_armed,
        at_work,
        watches,
        stuck,
        leads_nowhere,
        left_over,
        next,
    } = status;
    let runs = runs.iter().map(|run| {
        let cause = run.progress.cause().map(|cause| redact::text(&cause.message));
        json!({"sequence": run.sequence, "ticket": run.name, "step": run.step, "phase": run.phase().as_str(),
            "helmRevision": run.helm_revision, "isOfThisInstallation": helm.is_ours(run), "began": run.created, "inForce": run.is_in_force(),
            "changes": run.changes, "begun": run.progress.begun.min(run.changes), "cause": cause,
            "undoneBeforeHelm": run.progress.is_undone_before_helm(), "hasEvidence": run.progress.evidence.is_some()})
    });
    let revisions = helm.revisions.iter().map(|it| json!({"number": it.number, "status": it.status}));
    let endings = endings.iter().map(|ending| Ending { summary: redact::text(&ending.summary), ..ending.clone() });
    let damages = damages.iter().map(|damage| redact::text(&chain(damage))).collect::<Vec<String>>();
    let helm = json!({"release": helm.release, "revisions": revisions.collect::<Vec<Value>>(), "wayBack": state.way_back(), "armed": is_armed});
    let holder = |holder: &Option<Holder>| {
        holder
            .as_ref()
            .map(|it| json!({"name": it.name, "renewed": it.renewed, "howFar": it.how_far.as_deref().map(redact::text)}))
    };
    let stuck = stuck.iter().map(|it| json!({"job": it.job, "hasFailed": it.has_failed, "why": redact::text(&it.why)}));
    let next = next.iter().map(|Next { command, what }| json!({"command": command, "what": what}));
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Status", "release": place.release, "namespace": place.namespace,
        "runs": runs.collect::<Vec<Value>>(), "missing": missing, "damages": damages, "outcomes": endings.collect::<Vec<Ending>>(), "helm": helm,
        "atWork": holder(at_work), "watches": holder(watches), "stuckJobs": stuck.collect::<Vec<Value>>(),
        "leadsNowhere": leads_nowhere.iter().map(LeadsNowhere::document).collect::<Vec<Value>>(),
        "leftOver": left_over.iter().map(LeftOver::document).collect::<Vec<Value>>(), "next": next.collect::<Vec<Value>>()})
}
