//! `status` without a release: which releases have runs.

use comfy_table::{Table, presets};
use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_kube_client::objects::NamespaceState;
use fairlead_migration::store::Store as _;
use serde_json::{Value, json};

use crate::args::CommonArgs;
use crate::place::Place;
use crate::status::{namespace_state, require_form};

/// Prints the releases that have runs: in the namespace that was named, or in all that may be read.
///
/// # Errors
///
/// `FL032` where there is none.
pub async fn run(cluster: &Cluster, common: &CommonArgs, binary: &str) -> anyhow::Result<ExitStatus> {
    require_form(common.output.output)?;
    let place = crate::place::place(common, cluster, binary);
    let found = Ledger::new(cluster, place.namespace, place.release).others().await.map_err(Failure::from)?;
    let named = common.release.ledger_namespace.as_deref();
    let is_meant = |namespace: &str| named.is_none_or(|named| named == namespace);
    let found: Vec<(String, String)> = found.into_iter().filter(|(namespace, _)| is_meant(namespace)).collect();
    if found.is_empty() {
        let message = match named {
            None => "no release has runs in any namespace that you may see".to_owned(),
            Some(named) => match namespace_state(cluster, named).await {
                NamespaceState::Gone => format!("there is no namespace {named}"),
                NamespaceState::There => format!("no release has runs in namespace {named}"),
                going @ NamespaceState::Going(_) => format!("namespace {named} {going}; no release has runs in it any more"),
            },
        };
        return Err(Failure::new(&shared::UNKNOWN_RELEASE, message).into());
    }
    report::say(&written(&found, place, common.output.output)?)?;
    Ok(ExitStatus::Done)
}

fn written(found: &[(String, String)], place: Place<'_>, output: Output) -> anyhow::Result<String> {
    let releases = || found.iter().map(|(namespace, release)| json!({"namespace": namespace, "release": release}));
    let document =
        || json!({"apiVersion": "fairlead.dev/v1", "kind": "Releases", "releases": releases().collect::<Vec<Value>>()});
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => {
            let mut out = Vec::new();
            manifests::write_yaml(&mut out, &document())?;
            String::from_utf8(out)?
        }
        Output::Text | Output::Junit | Output::Github => {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING).set_header(["NAMESPACE", "RELEASE"]);
            table.add_rows(found.iter().map(|(namespace, release)| [namespace, release]));
            let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
            let (namespace, release) = &found[0];
            let next = Place { namespace, release, helm_release: release, ..place }.command("status");
            format!("{}\nNext:\n  {next}\n", lines.concat())
        }
    })
}
