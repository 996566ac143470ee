//! `certificate`: what the last run of drain-waiter has seen, as a document that is checked without the cluster.

use fairlead_job::args::Output;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, redact, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_migration::evidence::{self, Claim};
use fairlead_migration::obstacle::chain;
use fairlead_migration::run::RecordedRun;
use fairlead_observe::claim_broken::broken;
use fairlead_observe::source::Source;
use serde_json::{Value, json};

use crate::args::CommonArgs;
use crate::binary::Binary;
use crate::status::require_form;

/// The step that makes certificates.
const STEP: &str = "drain-waiter";

/// What the evidence rests on, and is not so any more: in words. After a successful upgrade that is as it should be.
async fn open_again(cluster: &Cluster, run: &RecordedRun, evidence: &Value) -> Vec<String> {
    let look = async {
        let claim = Claim::of(evidence).unwrap_or_default();
        let discovery = cluster.discover().await?;
        broken(&Source::Cluster(cluster, &discovery), &claim).await
    };
    match look.await {
        Ok(broken) if broken.is_empty() && !run.progress.ended.is_empty() => vec!["its holds have ended".to_owned()],
        Ok(broken) => broken,
        // Whoever may read the ledger need not be allowed to read what was closed.
        Err(obstacle) => vec![format!("not known, because it cannot be looked at: {}", redact::text(&chain(&obstacle)))],
    }
}

/// Prints it; as JSON unless it is to be YAML.
pub async fn print<'a>(
    cluster: &'a Cluster,
    common: &'a CommonArgs,
    binary: impl Into<Binary<'a>>,
) -> anyhow::Result<ExitStatus> {
    let (binary, output) = (binary.into(), common.output.output);
    require_form(output)?;
    let place = binary.place(common, cluster);
    let store = binary.store(cluster, place).await?;
    let runs = store.runs().await.map_err(Failure::from)?;
    let mut seen = runs.iter().rev().filter(|run| run.step == STEP && run.progress.evidence.is_some());
    // A later run that failed has taken nothing from the proof of one in force.
    let last = seen.clone().find(|run| run.is_in_force()).or_else(|| seen.next());
    if let (Some(last), Some(newest)) = (last, runs.iter().rfind(|run| run.step == STEP))
        && last.sequence != newest.sequence
    {
        let (shown, newest, phase) = (last.sequence, newest.sequence, newest.phase());
        tracing::warn!("this is what run {shown} has seen; run {newest} is {}", phase.as_str());
    }
    let missing = || {
        let message = format!("release {} has none in namespace {}", place.release, place.namespace);
        Failure::new(&codes::NO_CERTIFICATE, message)
    };
    let run = last.ok_or_else(missing)?;
    let evidence = store.evidence(run).await.map_err(Failure::from)?.ok_or_else(missing)?;
    let mut certificate = json!({
        "apiVersion": "fairlead.dev/v1", "kind": "Certificate", "release": place.release, "namespace": place.namespace,
        "ticket": run.name, "sequence": run.sequence, "helmRevision": run.helm_revision, "phase": run.phase().as_str(),
        "openAgain": open_again(cluster, run, &evidence).await, "evidence": evidence,
    });
    // It is handed on: what a field of the intake was set to, or is now, may hold a password. Readings are redacted when they are made, and
    // their numbers stand under names that a user has chosen.
    for part in ["/openAgain", "/evidence/restsOn"] {
        if let Some(part) = certificate.pointer_mut(part) {
            redact::value(part);
        }
    }
    certificate["digest"] = evidence::digest(&certificate).into();
    let mut out = Vec::new();
    if output == Output::Yaml {
        manifests::write_yaml(&mut out, &certificate)?;
    } else {
        serde_json::to_writer_pretty(&mut out, &certificate)?;
        out.push(b'\n');
    }
    report::say(&String::from_utf8(out)?)?;
    Ok(ExitStatus::Done)
}
