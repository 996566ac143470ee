//! `history`: Helm's revisions with the chart of each, and to which of them there is a way back now.

use std::time::Duration;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::cluster::Cluster;
pub use fairlead_kube_client::helm::Chart;
use fairlead_kube_client::helm::Revision;
use fairlead_migration::progress::OnDrift;
use fairlead_migration::store::Store;

use crate::args::{CommonArgs, Goal, RollbackArgs};
use crate::binary::Binary;
use crate::helm::{HelmRecords, is_good};
use crate::missing::numbers;
use crate::place::Place;
use crate::runs_to_undo::choose;

/// A revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub revision: u32,
    /// When it began; RFC 3339.
    pub created: String,
    /// As Helm has it: `deployed`, `superseded`, `failed`, …
    pub status: String,
    /// The chart that it installed; none where the record cannot be read.
    pub chart: Option<Chart>,
    /// The way back to it.
    pub back: Back,
}

/// Whether `helm rollback` leads to a revision now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// It is the one that runs.
    Runs,
    /// It does, and takes back the runs of these steps with these numbers.
    Open(Vec<(u64, String)>),
    /// It does not.
    Closed(String),
}

/// Reads the revisions of the release, the oldest first.
///
/// # Errors
///
/// `FL032` where Helm has recorded nothing, and whatever keeps the records from being read.
pub async fn read<'a>(
    cluster: &'a Cluster,
    common: &'a CommonArgs,
    binary: impl Into<Binary<'a>>,
) -> anyhow::Result<Vec<Entry>> {
    let binary = binary.into();
    let place = binary.place(common, cluster);
    let store = binary.store(cluster, place).await?;
    let helm = HelmRecords::of(cluster, place).await.map_err(Failure::from)?;
    if helm.revisions.is_empty() {
        let Place { namespace, helm_release, .. } = place;
        let why = if helm.is_hidden { "you may not read Helm's records" } else { "Helm has recorded nothing" };
        let message = format!("{why} of release {helm_release} in namespace {namespace}");
        return Err(Failure::new(&shared::UNKNOWN_RELEASE, message).into());
    }
    let mut entries = Vec::new();
    for revision in &helm.revisions {
        let Revision { number, status, created, goes_to: _ } = revision.clone();
        let chart = cluster.helm_chart(place.namespace, place.helm_release, number).await.map_err(Failure::from)?;
        let back = way_back(cluster, &*store, place, &helm, revision).await?;
        entries.push(Entry { revision: number, created, status, chart, back });
    }
    Ok(entries)
}

async fn way_back(
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    helm: &HelmRecords,
    revision: &Revision,
) -> Result<Back, Failure> {
    if helm.newest() == Some(revision.number) && is_good(revision) {
        return Ok(Back::Runs);
    }
    if !is_good(revision) {
        return Ok(Back::Closed(format!("its status is {}", revision.status)));
    }
    let args = RollbackArgs {
        goal: Goal { last: false, to: None, to_revision: Some(revision.number) },
        dry_run: true,
        on_drift: OnDrift::Stop,
        without_missing: false,
        undo_at: None,
        wait_for: Vec::new(),
        wait_timeout: Duration::ZERO,
        run_timeout: Duration::ZERO,
    };
    let chosen = match choose(store, place, helm, &args).await {
        Ok(chosen) => chosen,
        Err(failure) => return Ok(Back::Closed(format!("{} {failure}", failure.code.id))),
    };
    let runs: Vec<(u64, String)> = chosen.runs.iter().map(|run| (run.sequence, run.step.clone())).collect();
    let is_armed = helm.is_armed(cluster, revision.number).await?;
    if !runs.is_empty() && is_armed == Some(false) {
        let numbers = numbers(&runs.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>());
        let of = if runs.len() == 1 { "run" } else { "runs" };
        return Ok(Back::Closed(format!("it has no rollback hooks, so the changes of {of} {numbers} would stay")));
    }
    Ok(Back::Open(runs))
}
