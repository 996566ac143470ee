//! Where the runs of a release are recorded. Secrets of a cluster are one store, a table of the database that is migrated another.
//! A release lives in one store.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::obstacle::{Damage, Obstacle, chain};
use crate::progress::Progress;
use crate::run::{Ending, RecordedRun, Reopened};
use crate::snapshot::Snapshot;
use crate::ticket::Ticket;
use crate::transfer::{Exported, Imported};

/// Keeps the ticket of the run that is under way.
#[async_trait(?Send)]
pub trait Journal {
    /// Stores ticket and snapshot, in phase [`crate::progress::Phase::Planned`], and returns the mark that created objects carry: the
    /// address of the ticket. Nothing else may be written before this has succeeded.
    async fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> Result<String, Obstacle>;

    /// Opens the ticket of an earlier run again: what is recorded from now on is recorded there.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Damaged`] names the part that is missing, truncated, changed, or written by a later version.
    async fn reopen(&mut self, name: &str) -> Result<Reopened, Obstacle>;

    /// Notes that a run whose ticket says [`crate::progress::Phase::Planned`] came to nothing: its snapshot may not be complete.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Damaged`] when a later version wrote it, [`Obstacle::Refused`] when it is in another phase.
    async fn abandon(&mut self, name: &str) -> Result<(), Obstacle>;

    /// Records where the run is; ahead of what it does next.
    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle>;

    /// Stores evidence beside the ticket, and notes in `progress` where it is. [`Self::record`] must follow.
    async fn attest(&mut self, evidence: &Value, progress: &mut Progress) -> Result<(), Obstacle>;

    /// Forgets a run for ever, with all that it holds. The ledger remembers that this was on purpose.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Damaged`] when its ticket cannot be read: a later version may have written it.
    async fn forget(&mut self, run: &RecordedRun) -> Result<(), Obstacle>;

    /// Notes that nobody asks any more for tickets that somebody has deleted.
    async fn forget_missing(&mut self, sequences: &[u64]) -> Result<(), Obstacle>;
}

/// What somebody is about to do with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To keep tickets, and forget old ones.
    Keep,
    /// To take runs back.
    Undo,
}

/// How the name of a holder ends that goes back itself: whoever insists waits for it as everybody else does, because it does what is
/// asked for.
pub const GOES_BACK: &str = "/rollback";

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To write on behalf of a release.
    Release,
    /// To watch what goes on in the background: for as long as that takes, and while others work on the release.
    Background,
}

/// How the lock of a release is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Which of its locks.
    pub scope: Scope,
    /// Who asks; another name for each process.
    pub holder: &'a str,
    /// How long it lasts without renewal.
    pub duration: Duration,
    /// How long to wait for another run.
    pub patience: Duration,
    /// Whether the holder is asked to stop, and loses the lock after that time.
    pub insists: bool,
}

/// The lock of a release, held. Whatever writes takes it as an argument, so that to hold none and to have lost one are two things.
#[async_trait(?Send)]
pub trait Lock {
    /// Whether a write that is answered or given up within this time ends while the lock lasts.
    fn lasts(&self, within: Duration) -> bool;

    /// Whether it is still this one that is held; asked of the store, because a clock does not say it.
    async fn is_held(&self) -> Result<bool, Obstacle>;

    /// Renews the lock for as long as this is waited for; returns when it is lost. `cancelled` is called when somebody asks this run to
    /// stop.
    async fn keep(&self, cancelled: &dyn Fn());

    /// Renews it now, so that what it remembers of the ledger is there before anything is done that rests on it.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Stopped`] when it is lost.
    async fn renew(&self) -> Result<(), Obstacle>;

    /// Says with the next renewal how far its holder is, for whoever asks meanwhile.
    fn tell(&self, how_far: &str);

    /// Gives it back, so that the next run need not wait.
    async fn release(self: Box<Self>);
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name: where it runs, and as which process.
    pub name: String,
    /// When it was last heard of; RFC 3339.
    pub renewed: String,
    /// How far it is, if it has said so.
    pub how_far: Option<String>,
}

/// The recorded runs of one release.
#[async_trait(?Send)]
pub trait Store {
    /// Every recorded run, the oldest first. One whose record cannot be read is among them, as unfinished where nobody knows that it is
    /// over: a run that nobody can see must not be run beside. Whoever opens it ends with [`Obstacle::Damaged`].
    async fn runs(&self) -> Result<Vec<RecordedRun>, Obstacle>;

    /// The sequences of runs that were recorded and are not there any more, though nobody has pruned them.
    async fn missing(&self) -> Result<Vec<u64>, Obstacle>;

    /// What keeps these runs from being taken back, or from being believed, as far as it can be seen without their snapshots.
    async fn damages(&self, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle>;

    /// Namespaces and releases that have runs here, as far as they may be read; for whoever has named one that has none.
    async fn others(&self) -> Result<BTreeSet<(String, String)>, Obstacle>;

    /// Where the ticket of a run is: `Secret shops/fairlead.v1.shop.3`.
    fn address(&self, sequence: u64) -> String;

    /// What a run has recorded, for reading only. Every digest has been checked.
    async fn read(&self, name: &str) -> Result<Reopened, Obstacle>;

    /// The ticket of a run, without its images.
    async fn ticket(&self, name: &str) -> Result<Ticket, Obstacle>;

    /// The evidence of a run, if it has any.
    async fn evidence(&self, run: &RecordedRun) -> Result<Option<Value>, Obstacle>;

    /// How the last runs ended, the oldest first; for people.
    async fn endings(&self) -> Result<Vec<Ending>, Obstacle>;

    /// Adds how a run ended. Needs no lock: runs that change nothing have none.
    async fn note(&self, ending: &Ending) -> Result<(), Obstacle>;

    /// Every ticket with all that it holds, but for those that are not whole.
    async fn export(&self) -> Result<Exported, Obstacle>;

    /// Creates what is not there. Nothing is created unless every ticket is whole, and what is there already has the same content.
    async fn import(&self, documents: &[Value]) -> Result<Vec<Imported>, Obstacle>;

    /// What exported tickets hold, the oldest first, whether or not they are here.
    fn read_exported(&self, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle>;

    /// Fails unless whoever runs this may do so, or somebody else of this name.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Forbidden`] with all rules that are missing.
    async fn require(&self, purpose: Purpose, user: Option<&str>) -> Result<(), Obstacle>;

    /// Waits until nobody else holds the lock of the release, and takes it.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Held`] when that takes longer than `terms.patience`.
    async fn lock<'a>(&'a self, terms: Terms<'a>) -> Result<Box<dyn Lock + 'a>, Obstacle>;

    /// Who holds a lock of the release, or has died with it.
    async fn holder(&self, scope: Scope) -> Result<Option<Holder>, Obstacle>;

    /// Keeps a ticket, while the lock is held.
    fn journal<'a>(&'a self, lock: &'a dyn Lock) -> Box<dyn Journal + 'a>;
}

/// Tickets that somebody has deleted, as damage.
pub async fn gone(store: &dyn Store) -> Result<Vec<Obstacle>, Obstacle> {
    let gone = |sequence| {
        let source = "it is not there: somebody has deleted it".into();
        Obstacle::Damaged { name: store.address(sequence), damage: Damage::Lost, source }
    };
    Ok(store.missing().await?.into_iter().map(gone).collect())
}

/// Forgets the runs of `step` that have been taken back or that only looked, but for the newest `keep` of them and those that are
/// `needed`. Runs in force, unfinished or dirty stay for ever.
pub async fn prune(
    store: &dyn Store,
    journal: &mut dyn Journal,
    step: &str,
    keep: usize,
    needed: impl Fn(&RecordedRun) -> bool,
) -> Result<(), Obstacle> {
    let mut runs = store.runs().await?;
    runs.retain(|run| run.step == step && run.is_superfluous() && !needed(run));
    let superfluous = runs.len().saturating_sub(keep);
    for run in &runs[..superfluous] {
        match journal.forget(run).await {
            Ok(()) => tracing::info!(ticket = run.name, "pruned"),
            // Of what a later version has written nobody here knows that it is not needed.
            Err(damaged @ Obstacle::Damaged { .. }) => tracing::warn!(error = %chain(&damaged), "not pruned"),
            Err(obstacle) => return Err(obstacle),
        }
    }
    Ok(())
}
