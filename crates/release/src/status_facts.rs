//! Where a release stands, by everything that says something of it: the ledger, Helm's records, the Jobs of the charts.

use std::time::SystemTime;

use fairlead_job::codes::shared;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::stuck::{ReleaseJobs, Stuck};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::store::{Holder, Scope, Store};

use crate::helm::{HelmRecords, HelmState};
use crate::known::{Hooks, Known, Next};
use crate::leads_nowhere::{LeadsNowhere, leads_nowhere};
use crate::left_over::{LeftOver, left_over};
use crate::next::{next, to_finish, to_watch};
use crate::place::Place;
use crate::under_way;

/// All that is known of a release.
pub(crate) struct Overview<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) runs: Vec<RecordedRun>,
    /// Sequences of tickets that somebody has deleted.
    pub(crate) missing: Vec<u64>,
    /// What else keeps runs from being taken back.
    pub(crate) damages: Vec<Obstacle>,
    pub(crate) endings: Vec<Ending>,
    pub(crate) helm: HelmRecords,
    pub(crate) state: HelmState,
    pub(crate) is_armed: Option<bool>,
    /// Who is at a run that is unfinished, or has died at it.
    pub(crate) at_work: Option<Holder>,
    /// Who watches what goes on in the background, likewise.
    pub(crate) watches: Option<Holder>,
    /// Jobs that do not run.
    pub(crate) stuck: Vec<Stuck>,
    /// Services that lead to a new side which is not there.
    pub(crate) leads_nowhere: Vec<LeadsNowhere>,
    /// What is left of the old side.
    pub(crate) left_over: Vec<LeftOver>,
    pub(crate) next: Vec<Next>,
}

impl<'a> Overview<'a> {
    /// Reads it.
    pub(crate) async fn of(cluster: &Cluster, store: &dyn Store, place: Place<'a>) -> Result<Self, Obstacle> {
        let runs = store.runs().await?;
        let (missing, endings) = (store.missing().await?, store.endings().await?);
        let damages = store.damages(&runs).await?;
        let is_unfinished = runs.iter().any(RecordedRun::is_unfinished);
        let at_work = if is_unfinished { holder(store, Scope::Release).await? } else { None };
        let watches = match to_watch(&runs) {
            // What was heard of before it began is of an earlier one.
            Some(run) => holder(store, Scope::Background).await?.filter(|holder| holder.renewed >= run.created),
            None => None,
        };
        let helm = HelmRecords::of(cluster, place).await?;
        let state = helm.state(&runs);
        let is_armed = match state.way_back() {
            Some(revision) => helm.is_armed(cluster, revision).await?,
            None => None,
        };
        let told = match to_watch(&runs).or_else(|| to_finish(&runs, &helm)) {
            // One that is damaged is told of there.
            Some(run) if damages.is_empty() => store.ticket(&run.name).await?.told.flags,
            _ => Vec::new(),
        };
        let ReleaseJobs { mut stuck, working } = cluster.release_jobs(place.namespace, place.helm_release).await?;
        // One that has written how it ended is told of there.
        let is_told = |job: &Stuck| endings.iter().any(|ending| !job.began.is_empty() && ending.time >= job.began);
        stuck.retain(|job| !job.has_failed || !is_told(job));
        let hooks = hooks(&endings, &stuck);
        let leads_nowhere = leads_nowhere(cluster, store, &runs).await?;
        let left_over = left_over(cluster, store, &runs).await?;
        let under_way = under_way::sign_of_life(&helm, &working, at_work.as_ref(), SystemTime::now());
        let next = next(&Known {
            runs: &runs,
            missing: &missing,
            damages: &damages,
            helm: &helm,
            state,
            is_armed,
            hooks,
            under_way: under_way.as_deref(),
            told: &told,
            place,
        });
        Ok(Self {
            place,
            runs,
            missing,
            damages,
            endings,
            helm,
            state,
            is_armed,
            at_work,
            watches,
            stuck,
            leads_nowhere,
            left_over,
            next,
        })
    }

    /// Whether neither we nor Helm have heard of it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.runs.is_empty() && self.endings.is_empty() && self.missing.is_empty() && self.helm.revisions.is_empty()
    }
}

/// Who may see the runs of a release need not be allowed to see its leases.
async fn holder(store: &dyn Store, scope: Scope) -> Result<Option<Holder>, Obstacle> {
    match store.holder(scope).await {
        Err(Obstacle::Forbidden { .. }) => Ok(None),
        holder => holder,
    }
}

/// How the hooks of the way back have fared: the last word of a rollback says so, or that its Job could not even begin.
fn hooks(endings: &[Ending], stuck: &[Stuck]) -> Hooks {
    if stuck.iter().any(|stuck| stuck.is_rollback && (stuck.is_in_vain || stuck.has_failed)) {
        return Hooks::InVain;
    }
    let last = endings.last().filter(|last| last.command == "rollback");
    let is_hooks = last.is_some_and(|last| last.helm_revision.is_some());
    match last.and_then(|last| last.code.as_deref()) {
        // Also by hand: the same objects would stop the hooks.
        Some(code) if code == shared::CHANGED_SINCE.id => Hooks::Drifted,
        Some(code) if is_hooks && [shared::FORBIDDEN.id, shared::DAMAGED.id, shared::OTHER_EXECUTOR.id].contains(&code) => {
            Hooks::InVain
        }
        _ => Hooks::Good,
    }
}
