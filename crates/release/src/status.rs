//! `status`: which runs there were, which are in force, and what the next command is.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_job::redact;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::{FirstPart, Phase, WhyBack};
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::store::Store;
use serde_json::{Value, json};

use crate::helm::{HelmRecords, HelmState};
use crate::next::{Known, Next, next, to_finish};
use crate::place::Place;

/// How often a status that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// So many endings are shown in text; all of them in JSON and YAML.
const ENDINGS_SHOWN: usize = 5;

/// Prints the runs of a release; with `watch` again whenever they have changed, for ever.
pub async fn run(cluster: &Cluster, place: Place<'_>, output: Output, watch: bool) -> anyhow::Result<ExitStatus> {
    let ledger = Ledger::new(cluster, place.namespace, place.release);
    let mut last = String::new();
    loop {
        let status = Status::of(cluster, &ledger, place).await.map_err(Failure::from)?;
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

/// What there is to show.
struct Status<'a> {
    place: Place<'a>,
    runs: Vec<RecordedRun>,
    /// Sequences of tickets that somebody has deleted.
    missing: Vec<u64>,
    endings: Vec<Ending>,
    helm: HelmRecords,
    state: HelmState,
    is_armed: Option<bool>,
    next: Vec<Next>,
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
        let next = next(&Known { runs: &runs, helm: &helm, state, is_armed, told: &told, place });
        Ok(Self { place, runs, missing, endings, helm, state, is_armed, next })
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

fn text(status: &Status<'_>) -> String {
    let Status { place: Place { namespace, release, .. }, runs, missing, endings, helm, next, .. } = status;
    if runs.is_empty() && endings.is_empty() && missing.is_empty() {
        let next =
            if helm.revisions.is_empty() { "\nIf there should be some: check the name, -n and --context.\n" } else { "" };
        return format!("Release {release} has no runs in namespace {namespace}.\n{next}");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["#", "STEP", "PHASE", "CHANGES", "REVISION", "BEGAN", ""]);
    for run in runs {
        let revision = run.helm_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let (sequence, phase) = (run.sequence.to_string(), run.phase().as_str());
        let changes = match run.phase() {
            Phase::Applying => format!("up to {} of {}", run.progress.begun.min(run.changes), run.changes),
            _ => run.changes.to_string(),
        };
        let remark = remark(run);
        table.add_row([sequence.as_str(), &run.step, phase, &changes, &revision, &run.created, &remark]);
    }
    let mut out = format!("Release {release} in namespace {namespace}\n\n");
    for line in table.to_string().lines() {
        // Columns are filled up with blanks, the last one, too.
        out.extend([line.trim_end(), "\n"]);
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let what = "MISSING: somebody has deleted tickets; what those runs changed cannot be taken back from here";
        out.extend(["\n", what, ": ", &missing.join(", "), "\n"]);
    }
    if let Some(newest) = helm.revisions.last().filter(|newest| newest.status != "deployed") {
        out.extend(["\nHelm: revision ", &newest.number.to_string(), " of release ", &helm.release, " is "]);
        out.extend([newest.status.as_str(), ".\n"]);
    }
    if !endings.is_empty() {
        out.push_str("\nLast outcomes:\n");
    }
    for ending in &endings[endings.len().saturating_sub(ENDINGS_SHOWN)..] {
        let Ending { time, step, command, exit, summary, .. } = ending;
        let code = ending.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        let summary = redact::text(summary);
        out.extend([&format!("  {time}  {step} {command}, exit {exit}: {code}{summary}"), "\n"]);
    }
    out.push_str("\nNext:\n");
    for Next { command, what } in next {
        out.extend(["  ", command, "\n      ", what, "\n"]);
    }
    out
}

/// What the phase means for the person who reads it.
fn remark(run: &RecordedRun) -> String {
    let cause = run.progress.cause().map(|cause| redact::text(&cause.message));
    let why = cause.map(|cause| format!(", because it failed: {cause}")).unwrap_or_default();
    match run.phase() {
        Phase::Committed if run.changes == 0 => "looked, and found it so".to_owned(),
        Phase::Committed => "in force".to_owned(),
        Phase::Background => "in force; what follows from it goes on in the background".to_owned(),
        Phase::Dirty => format!("NOT as before: a human must look{why}"),
        Phase::RolledBack if run.progress.begun == 0 => "nothing was changed".to_owned(),
        Phase::RolledBack if run.progress.why_back == Some(WhyBack::Planned) => "taken back, as planned".to_owned(),
        Phase::RolledBack => format!("taken back{why}"),
        Phase::RollingBack if run.progress.is_undone_before_helm() => {
            "taken back as far as it is before Helm's manifests; the rest follows them".to_owned()
        }
        Phase::RollingBack if run.progress.first_part == FirstPart::Begun => {
            "being taken back before Helm's manifests, or its process died".to_owned()
        }
        Phase::RollingBack => format!("being taken back, or its process died{why}"),
        Phase::Planned | Phase::Applying | Phase::Verifying => "under way, or its process died".to_owned(),
    }
}

fn document(status: &Status<'_>) -> Value {
    let Status { place, runs, missing, endings, helm, state, is_armed, next } = status;
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
    let next = next.iter().map(|Next { command, what }| json!({"command": command, "what": what}));
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Status", "release": place.release, "namespace": place.namespace,
        "runs": runs.collect::<Vec<Value>>(), "missing": missing, "outcomes": endings.collect::<Vec<Ending>>(), "helm": helm,
        "next": next.collect::<Vec<Value>>()})
}
