//! Which runs there were, which are in force, and what the next command is.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::{Entry, Ledger, Outcome};
use fairlead_migration::ticket::{FirstPart, Phase};
use serde_json::{Value, json};

use crate::helm::Helm;
use crate::next::{Next, next};

/// Where the ledger of which release is, and the binary that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Namespace of the ledger.
    pub namespace: &'a str,
    /// The release.
    pub release: &'a str,
    /// Name of the binary, for the commands that are printed.
    pub binary: &'a str,
    /// Name of the Helm release.
    pub helm_release: &'a str,
}

impl Place<'_> {
    /// A command line that does this there.
    #[must_use]
    pub fn command(&self, what: &str) -> String {
        let Self { namespace, release, binary, helm_release } = self;
        let helm = if helm_release == release { String::new() } else { format!(" --helm-release {helm_release}") };
        format!("{binary} {what} --release {release} --ledger-namespace {namespace}{helm}")
    }
}

/// How often a status that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// So many outcomes are shown in text; all of them in JSON and YAML.
const OUTCOMES_SHOWN: usize = 5;

/// Prints the runs of a release; with `watch` again whenever they have changed, for ever.
pub async fn run(cluster: &Cluster, place: Place<'_>, output: Output, watch: bool) -> anyhow::Result<ExitStatus> {
    let ledger = Ledger::new(cluster, place.namespace);
    let mut last = String::new();
    loop {
        let entries = ledger.entries(place.release).await.map_err(Failure::from)?;
        let outcomes = ledger.outcomes(place.release).await.map_err(Failure::from)?;
        let helm = Helm::of(cluster, place).await.map_err(Failure::from)?;
        let helm = helm.looked_up(cluster, &entries).await.map_err(Failure::from)?;
        let now = written(&Seen { entries: &entries, outcomes: &outcomes, helm: &helm }, place, output)?;
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
struct Seen<'a> {
    entries: &'a [Entry],
    outcomes: &'a [Outcome],
    helm: &'a Helm,
}

fn written(seen: &Seen<'_>, place: Place<'_>, output: Output) -> anyhow::Result<String> {
    let next = next(seen.entries, seen.helm, place);
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(&document(seen, &next, place))? + "\n",
        Output::Yaml => {
            let mut out = Vec::new();
            manifests::write_yaml(&mut out, &document(seen, &next, place))?;
            String::from_utf8(out)?
        }
        Output::Text | Output::Junit | Output::Github => text(seen, &next, place),
    })
}

/// Whether a run has changed something that has not been taken back.
pub(crate) fn is_in_force(entry: &Entry) -> bool {
    entry.phase == Phase::Committed
}

/// Whether a run may have changed something.
pub(crate) fn may_be_undone(entry: &Entry) -> bool {
    !matches!(entry.phase, Phase::Planned | Phase::RolledBack)
}

fn text(seen: &Seen<'_>, next: &[Next], place: Place<'_>) -> String {
    let (Place { namespace, release, .. }, Seen { entries, outcomes, helm }) = (place, seen);
    if entries.is_empty() && outcomes.is_empty() {
        return format!("Release {release} has no runs in namespace {namespace}.\n");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["#", "STEP", "PHASE", "CHANGES", "REVISION", "BEGAN", ""]);
    for entry in *entries {
        let revision = entry.helm_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let (sequence, phase) = (entry.sequence.to_string(), entry.phase.as_str());
        let changes = match entry.phase {
            Phase::Applying => format!("up to {} of {}", entry.progress.begun.min(entry.changes), entry.changes),
            _ => entry.changes.to_string(),
        };
        let remark = remark(entry);
        table.add_row([sequence.as_str(), &entry.step, phase, &changes, &revision, &entry.created, &remark]);
    }
    let mut out = format!("Release {release} in namespace {namespace}\n\n");
    for line in table.to_string().lines() {
        // Columns are filled up with blanks, the last one, too.
        out.extend([line.trim_end(), "\n"]);
    }
    if let Some(newest) = helm.revisions.last().filter(|newest| newest.status != "deployed") {
        out.extend(["\nHelm: revision ", &newest.number.to_string(), " of release ", &helm.release, " is "]);
        out.extend([newest.status.as_str(), ".\n"]);
    }
    if !outcomes.is_empty() {
        out.push_str("\nLast outcomes:\n");
    }
    for outcome in &outcomes[outcomes.len().saturating_sub(OUTCOMES_SHOWN)..] {
        let Outcome { time, step, command, exit, summary, .. } = outcome;
        let code = outcome.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        out.extend([&format!("  {time}  {step} {command}, exit {exit}: {code}{summary}"), "\n"]);
    }
    out.push_str("\nNext:\n");
    for (command, what) in next {
        out.extend(["  ", command, "\n      ", what, "\n"]);
    }
    out
}

/// What the phase means for the person who reads it.
fn remark(entry: &Entry) -> String {
    let why = entry.progress.cause.as_deref().map(|cause| format!(", because it failed: {cause}")).unwrap_or_default();
    match entry.phase {
        Phase::Committed => "in force".to_owned(),
        Phase::Dirty => format!("NOT as before: a human must look{why}"),
        Phase::RolledBack if entry.progress.begun == 0 => "nothing was changed".to_owned(),
        Phase::RolledBack => format!("taken back{why}"),
        Phase::RollingBack if entry.progress.is_undone_before_helm() => {
            "taken back as far as it is before Helm's manifests; the rest follows them".to_owned()
        }
        Phase::RollingBack if entry.progress.first_part == FirstPart::Begun => {
            "being taken back before Helm's manifests, or its process died".to_owned()
        }
        Phase::RollingBack => format!("being taken back, or its process died{why}"),
        Phase::Planned | Phase::Applying | Phase::Verifying => "under way, or its process died".to_owned(),
    }
}

fn document(seen: &Seen<'_>, next: &[Next], place: Place<'_>) -> Value {
    let Seen { entries, outcomes, helm } = seen;
    let runs = entries.iter().map(|entry| {
        json!({"sequence": entry.sequence, "ticket": entry.name, "step": entry.step, "phase": entry.phase.as_str(),
            "helmRevision": entry.helm_revision, "began": entry.created, "inForce": is_in_force(entry),
            "changes": entry.changes, "begun": entry.progress.begun.min(entry.changes), "cause": entry.progress.cause,
            "undoneBeforeHelm": entry.progress.is_undone_before_helm()})
    });
    let revisions = helm.revisions.iter().map(|it| json!({"number": it.number, "status": it.status}));
    let way_back = helm.way_back(entries);
    let helm = json!({"release": helm.release, "revisions": revisions.collect::<Vec<Value>>(), "wayBack": way_back, "armed": helm.is_armed});
    let next = next.iter().map(|(command, what)| json!({"command": command, "what": what}));
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Status", "release": place.release, "namespace": place.namespace,
        "runs": runs.collect::<Vec<Value>>(), "outcomes": outcomes, "helm": helm, "next": next.collect::<Vec<Value>>()})
}
