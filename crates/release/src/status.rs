//! Which runs there were, which are in force, and what the next command is.

use std::io::Write as _;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::manifests;
use fairlead_kube_client::ledger::{Entry, Ledger};
use fairlead_migration::ticket::Phase;
use serde_json::{Value, json};

/// Where the ledger of which release is, and the binary that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Namespace of the ledger.
    pub namespace: &'a str,
    /// The release.
    pub release: &'a str,
    /// Name of the binary, for the commands that are printed.
    pub binary: &'a str,
}

/// Prints the runs of a release.
pub async fn run(ledger: &Ledger<'_>, place: Place<'_>, output: Output) -> anyhow::Result<ExitStatus> {
    let entries = ledger.entries(place.release).await.map_err(fairlead_job::failure::Failure::from)?;
    let next = next(&entries, place);
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&document(&entries, &next, place))?),
        Output::Yaml => manifests::write_yaml(&mut out, &document(&entries, &next, place)).map_err(std::io::Error::other),
        Output::Text | Output::Junit | Output::Github => write!(out, "{}", text(&entries, &next, place)),
    }
    .context("failed to write the status to stdout")?;
    Ok(ExitStatus::Done)
}

/// Whether a run has changed something that has not been taken back.
pub(crate) fn is_in_force(entry: &Entry) -> bool {
    entry.phase == Phase::Committed
}

/// Whether a run may have changed something.
pub(crate) fn may_be_undone(entry: &Entry) -> bool {
    !matches!(entry.phase, Phase::Planned | Phase::RolledBack)
}

fn text(entries: &[Entry], next: &[(String, String)], place: Place<'_>) -> String {
    let Place { namespace, release, .. } = place;
    if entries.is_empty() {
        return format!("Release {release} has no runs in namespace {namespace}.\n");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["#", "STEP", "PHASE", "REVISION", "BEGAN", ""]);
    for entry in entries {
        let revision = entry.helm_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let (sequence, phase) = (entry.sequence.to_string(), entry.phase.as_str());
        let remark = match entry.phase {
            Phase::Committed => "in force",
            Phase::Dirty => "NOT as before: a human must look",
            phase if phase.is_unfinished() => "under way, or its process died",
            _ => "",
        };
        table.add_row([sequence.as_str(), &entry.step, phase, &revision, &entry.created, remark]);
    }
    let mut out = format!("Release {release} in namespace {namespace}\n\n");
    for line in table.to_string().lines() {
        // Columns are filled up with blanks, the last one, too.
        out.extend([line.trim_end(), "\n"]);
    }
    out.push_str("\nNext:\n");
    for (command, what) in next {
        out.extend(["  ", command, "\n      ", what, "\n"]);
    }
    out
}

/// Commands, each with what it does.
fn next(entries: &[Entry], place: Place<'_>) -> Vec<(String, String)> {
    let Place { namespace, release, binary } = place;
    let command = |what: &str| format!("{binary} {what} --release {release} --ledger-namespace {namespace}");
    let mut next = Vec::new();
    if let Some(entry) = entries.iter().rev().find(|entry| entry.phase.is_unfinished()) {
        let finish = command("apply").replacen(binary, &entry.step, 1);
        next.push((finish, format!("finishes run {}, if nobody is at it", entry.sequence)));
    }
    if let Some(last) = entries.iter().rev().find(|entry| may_be_undone(entry)) {
        next.push((command("rollback --last"), format!("takes back run {} ({})", last.sequence, last.step)));
    }
    if entries.iter().filter(|entry| may_be_undone(entry)).count() > 1 {
        next.push((command("rollback --to 0"), "takes back all runs, the newest first".to_owned()));
    }
    if next.is_empty() {
        next.push((command("plan"), "shows what would be done".to_owned()));
    }
    next
}

fn document(entries: &[Entry], next: &[(String, String)], place: Place<'_>) -> Value {
    let runs = entries.iter().map(|entry| {
        json!({"sequence": entry.sequence, "ticket": entry.name, "step": entry.step, "phase": entry.phase.as_str(),
            "helmRevision": entry.helm_revision, "began": entry.created, "inForce": is_in_force(entry)})
    });
    let next = next.iter().map(|(command, what)| json!({"command": command, "what": what}));
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Status", "release": place.release, "namespace": place.namespace,
        "runs": runs.collect::<Vec<Value>>(), "next": next.collect::<Vec<Value>>()})
}
