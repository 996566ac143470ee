//! A release keeps its runs in one store. The cluster's ledger has a mark where that is another one, and whoever asks the ledger meets it;
//! here is what somebody does who has another store.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::{Scope, Store as _, Terms};
use fairlead_migration::ticket::Tool;

use crate::args::{CommonArgs, LeaseArgs};
use crate::holder::holder;
use crate::missing::numbers;
use crate::place::Place;

/// What the cluster's ledger says of another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// That it is the one.
    Marked,
    /// Nothing, and it has no run in force itself.
    Free,
    /// It may not be read.
    Hidden,
}

/// Fails where the release lives in the cluster's ledger, or in a third store.
pub(crate) async fn require(cluster: &Cluster, place: Place<'_>, other: &str) -> Result<(), Failure> {
    said(&Ledger::new(cluster, place.namespace, place.release), place, other).await.map(drop)
}

async fn said(ledger: &Ledger<'_>, place: Place<'_>, other: &str) -> Result<Said, Failure> {
    let runs = match ledger.runs().await {
        Err(Obstacle::Elsewhere { store, .. }) if store == other => return Ok(Said::Marked),
        // Tickets may be elsewhere just because nobody may write Secrets.
        Err(obstacle @ Obstacle::Forbidden { .. }) => {
            let error = chain(&obstacle);
            tracing::warn!(error, "whether the cluster's ledger has runs of this release is not known");
            return Ok(Said::Hidden);
        }
        runs => runs?,
    };
    let in_force: Vec<u64> = runs.iter().filter(|run| run.may_be_last()).map(|run: &RecordedRun| run.sequence).collect();
    if in_force.is_empty() {
        return Ok(Said::Free);
    }
    let Place { release, namespace, .. } = place;
    let message = format!(
        "release {release} keeps its runs in the cluster's ledger in namespace {namespace}, where {} in force, and not in {other}",
        if let [run] = in_force[..] { format!("run {run} is") } else { format!("runs {} are", numbers(&in_force)) }
    );
    let status = Place { store_flags: None, ..place }.command("status");
    Err(Failure::new(&shared::ELSEWHERE, message).with_aftermath(format!("Those runs, and their way back: {status}\n")))
}

/// Before the first ticket in another store: says so in the cluster's ledger. Whoever is killed after that finds its own mark.
pub(crate) async fn claim(
    cluster: &Cluster,
    common: &CommonArgs,
    place: Place<'_>,
    other: &str,
    tool: &Tool,
) -> Result<(), Failure> {
    let ledger = Ledger::new(cluster, place.namespace, place.release);
    if said(&ledger, place, other).await? != Said::Free {
        return Ok(());
    }
    let (holder, LeaseArgs { lease_duration, lease_wait }) = (holder(), common.lease);
    let (scope, insists) = (Scope::Release, false);
    let terms = Terms { scope, holder: &holder, duration: lease_duration, patience: lease_wait, insists };
    let lock = ledger.lock(terms).await?;
    let marked = async {
        // Again: who had the lock may have begun a run there.
        if said(&ledger, place, other).await? == Said::Free {
            ledger.mark_elsewhere(other, &tool.to_string(), &*lock).await?;
        }
        Ok(())
    };
    let marked = marked.await;
    lock.release().await;
    marked
}
