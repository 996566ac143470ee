//! `status`: which runs there were, which are in force, and what the next command is.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_job::redact;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_kube_client::stuck::Stuck;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::store::Store;
use serde_json::{Value, json};

use crate::helm::{HelmRecords, HelmState};
use crate::next::{Hooks, Known, Next, next, to_finish};
use crate::place::Place;
use crate::shown::text;

/// How often a status that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Prints the runs of a release; with `watch` again whenever they have changed, for ever.
pub async fn run(cluster: &Cluster, place: Place<'_>, output: Output, watch: bool) -> anyhow::Result<ExitStatus> {
    require_form(output)?;
    let ledger = Ledger::new(cluster, place.namespace, place.release);
    let mut last = String::new();
    loop {
        let status = Status::of(cluster, &ledger, place).await.map_err(Failure::from)?;
        if status.is_unknown() && !watch {
            return Err(unknown(place, &ledger.others().await.map_err(Failure::from)?).into());
        }
        let now = written(&status, output)?;
        if now != last {
            write!(anstream::stdout().lock(), "{now}").context("failed to write the status to stdout")?;
            last = now;
        }
        if !watch {
            return Ok(ExitStatus::Done);
        }
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

fn unknown(place: Place<'_>, others: &BTreeSet<(String, String)>) -> Failure {
    let Place { namespace, release, helm_release, .. } = place;
    let others: Vec<String> =
        others.iter().map(|(namespace, release)| format!("{release} in namespace {namespace}")).collect();
    let others = if others.is_empty() { "no release that you may see has any".to_owned() } else { others.join(", ") };
    let message = format!(
        "release {release} has no runs in namespace {namespace}, and Helm has no release {helm_release} there; runs have: {others}"
    );
    Failure::new(&shared::UNKNOWN_RELEASE, message)
}

/// What there is to show.
pub(crate) struct Status<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) runs: Vec<RecordedRun>,
    /// Sequences of tickets that somebody has deleted.
    pub(crate) missing: Vec<u64>,
    pub(crate) endings: Vec<Ending>,
    pub(crate) helm: HelmRecords,
    pub(crate) state: HelmState,
    pub(crate) is_armed: Option<bool>,
    /// Jobs that do not run.
    pub(crate) stuck: Vec<Stuck>,
    pub(crate) next: Vec<Next>,
}

impl<'a> Status<'a> {
    async fn of(cluster: &Cluster, store: &dyn Store, place: Place<'a>) -> Result<Self, Obstacle> {
        let runs = store.runs().await?;
        let (missing, endings) = (store.missing().await?, store.endings().await?);
        let helm = HelmRecords::of(cluster, place).await?;
        let state = helm.state(&runs);
        let is_armed = match state.way_back() {
            Some(revision) => helm.is_armed(cluster, revision).await?,
            None => None,
        };
        let told = match to_finish(&runs, &helm) {
            Some(run) => store.ticket(&run.name).await?.told.flags,
            None => Vec::new(),
        };
        let mut stuck = cluster.stuck_jobs(place.namespace, place.helm_release).await?;
        // One that has written how it ended is told of there.
        let is_told = |job: &Stuck| endings.iter().any(|ending| !job.began.is_empty() && ending.time >= job.began);
        stuck.retain(|job| !job.has_failed || !is_told(job));
        let hooks = hooks(&endings, &stuck);
        let next = next(&Known { runs: &runs, helm: &helm, state, is_armed, hooks, told: &told, place });
        Ok(Self { place, runs, missing, endings, helm, state, is_armed, stuck, next })
    }

    fn is_unknown(&self) -> bool {
        self.runs.is_empty() && self.endings.is_empty() && self.missing.is_empty() && self.helm.revisions.is_empty()
    }
}

/// How the hooks of the way back have fared: the last word of a rollback says so, or that its Job could not even begin.
fn hooks(endings: &[Ending], stuck: &[Stuck]) -> Hooks {
    if stuck.iter().any(|stuck| stuck.is_rollback && (stuck.is_in_vain || stuck.has_failed)) {
        return Hooks::InVain;
    }
    let last = endings.last().filter(|last| last.command == "rollback" && last.helm_revision.is_some());
    match last.and_then(|last| last.code.as_deref()) {
        Some(code) if code == shared::CHANGED_SINCE.id => Hooks::Drifted,
        Some(code) if [shared::FORBIDDEN.id, shared::DAMAGED.id, shared::OTHER_EXECUTOR.id].contains(&code) => Hooks::InVain,
        _ => Hooks::Good,
    }
}

fn written(status: &Status<'_>, output: Output) -> anyhow::Result<String> {
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

fn document(status: &Status<'_>) -> Value {
    let Status { place, runs, missing, endings, helm, state, is_armed, stuck, next } = status;
    let runs = runs.iter().map(|run| {
        let cause = run.progress.cause().map(|cause| redact::text(&cause.message));
        json!({"sequence": run.sequence, "ticket": run.name, "step": run.step, "phase": run.phase().as_str(),
            "helmRevision": run.helm_revision, "began": run.created, "inForce": run.is_in_force(),
            "changes": run.changes, "begun": run.progress.begun.min(run.changes), "cause": cause,
            "undoneBeforeHelm": run.progress.is_undone_before_helm(), "hasEvidence": run.progress.evidence.is_some()})
    });
    let revisions = helm.revisions.iter().map(|it| json!({"number": it.number, "status": it.status}));
    let endings = endings.iter().map(|ending| Ending { summary: redact::text(&ending.summary), ..ending.clone() });
    let helm = json!({"release": helm.release, "revisions": revisions.collect::<Vec<Value>>(), "wayBack": state.way_back(), "armed": is_armed});
    let stuck = stuck.iter().map(|it| json!({"job": it.job, "hasFailed": it.has_failed, "why": redact::text(&it.why)}));
    let next = next.iter().map(|Next { command, what }| json!({"command": command, "what": what}));
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Status", "release": place.release, "namespace": place.namespace,
        "runs": runs.collect::<Vec<Value>>(), "missing": missing, "outcomes": endings.collect::<Vec<Ending>>(), "helm": helm,
        "stuckJobs": stuck.collect::<Vec<Value>>(), "next": next.collect::<Vec<Value>>()})
}
