//! A release keeps its runs in one store. The cluster's ledger has a mark where that is another one, and whoever asks the ledger meets it;
//! here is what somebody does who has another store.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::{Ledger, ticket_name};
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::{Scope, Store, Terms};
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

/// Fails where the release lives in the cluster's ledger, or in a third store. Says so where this one is to have its runs, and has none.
pub(crate) async fn require(cluster: &Cluster, place: Place<'_>, other: &str, store: &dyn Store) -> Result<(), Failure> {
    if said(&Ledger::new(cluster, place.namespace, place.release), place, other).await? != Said::Marked {
        return Ok(());
    }
    // What cannot be read here whoever reads it next is told.
    let (runs, endings) = (store.runs().await, store.endings().await);
    if runs.is_ok_and(|runs| runs.is_empty()) && endings.is_ok_and(|endings| endings.is_empty()) {
        let mark = ticket_name(place.release, "store");
        let remove = place.kubectl(&format!("delete secret {mark}"));
        tracing::warn!(
            remove,
            "the mark {mark} names this store, {other}, and it has no run of release {}: they are lost, or the job was killed before its first one",
            place.release
        );
    }
    Ok(())
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
    let status = Place { store_flags: None, store_name: None, ..place }.command("status");
    Err(Failure::new(&shared::ELSEWHERE, message).with_aftermath(format!("Those runs, and their way back: {status}\n")))
}

/// Somebody may have taken the mark away, with other Secrets of the release: where runs are in force in the other store, says so again.
pub(crate) async fn claim_again(cluster: &Cluster, common: &CommonArgs, place: Place<'_>, other: &str, store: &dyn Store) {
    // What cannot be read here whoever reads it next is told.
    if !store.runs().await.is_ok_and(|runs| runs.iter().any(RecordedRun::may_be_last)) {
        return;
    }
    if let Err(failure) = claim(cluster, common, place, other, &tool(place.binary, common)).await {
        tracing::warn!(error = chain(&failure), "the cluster's ledger does not say that the runs are in {other}");
    }
}

/// This binary.
pub(crate) fn tool(name: &str, common: &CommonArgs) -> Tool {
    let [name, version] = [name, env!("CARGO_PKG_VERSION")].map(str::to_owned);
    Tool { name, version, image: common.release.image.clone() }
}

/// Before the first ticket in another store: says so in the cluster's ledger. Whoever is killed after that finds its own mark.
pub(crate) async fn claim(
    cluster: &Cluster,
    common: &CommonArgs,
    place: Place<'_>,
    other: &str,
    tool: &Tool,
) -> Result<(), Failure> {
    // Nobody can ask a cluster that is not there.
    if cluster.is_absent() {
        return Ok(());
    }
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
