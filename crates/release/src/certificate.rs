//! `certificate`: what the last run of drain-waiter has seen, as a document that is checked without the cluster.

use std::io::Write as _;

use anyhow::Context as _;
use fairlead_job::args::Output;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::evidence;
use fairlead_migration::store::Store as _;
use serde_json::json;

use crate::place::Place;
use crate::status::require_form;

/// The step that makes certificates.
const STEP: &str = "drain-waiter";

/// Prints it; as JSON unless it is to be YAML.
pub async fn print(cluster: &Cluster, place: Place<'_>, output: Output) -> anyhow::Result<ExitStatus> {
    require_form(output)?;
    let ledger = Ledger::new(cluster, place.namespace, place.release);
    let runs = ledger.runs().await.map_err(Failure::from)?;
    let last = runs.iter().rev().find(|run| run.step == STEP && run.progress.evidence.is_some());
    let missing = || {
        let message = format!("release {} has none in namespace {}", place.release, place.namespace);
        Failure::new(&codes::NO_CERTIFICATE, message)
    };
    let run = last.ok_or_else(missing)?;
    let evidence = ledger.evidence(run).await.map_err(Failure::from)?.ok_or_else(missing)?;
    let certificate = json!({
        "apiVersion": "fairlead.dev/v1", "kind": "Certificate", "release": place.release, "namespace": place.namespace,
        "ticket": run.name, "sequence": run.sequence, "helmRevision": run.helm_revision, "phase": run.phase().as_str(),
        "digest": evidence::digest(&evidence), "evidence": evidence,
    });
    let mut out = Vec::new();
    if output == Output::Yaml {
        manifests::write_yaml(&mut out, &certificate)?;
    } else {
        serde_json::to_writer_pretty(&mut out, &certificate)?;
        out.push(b'\n');
    }
    anstream::stdout().write_all(&out).context("failed to write the certificate to stdout")?;
    Ok(ExitStatus::Done)
}
