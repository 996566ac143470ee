//! One run at a time.

use std::pin::pin;
use std::time::Duration;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_migration::executor::Watcher;
use fairlead_migration::obstacle::Stop;
use fairlead_migration::store::{GOES_BACK, Lock, Scope, Terms};
use fairlead_migration::ticket::Tool;

use crate::holder::holder;
use crate::one_store;
use crate::session::Session;

/// What the executor is told while the lock of the release is held.
pub struct Exclusive<'a> {
    watch: &'a Watch,
    lock: &'a dyn Lock,
    request_timeout: Duration,
}

impl<'a> Exclusive<'a> {
    /// The lock that is held.
    #[must_use]
    pub fn lock(&self) -> &'a dyn Lock {
        self.lock
    }
}

impl Watcher for Exclusive<'_> {
    fn stop(&self) -> Option<Stop> {
        match self.watch.stop() {
            // Whoever has taken over may have cancelled this run: then it must not be run again.
            Some(Stop::Cancelled) => Some(Stop::Cancelled),
            _ if !self.lock.lasts(self.request_timeout) => Some(Stop::LeaseOver),
            stop => stop,
        }
    }

    fn progress(&self, done: usize, total: usize, undoing: bool) {
        self.watch.progress(done, total, undoing);
    }

    fn batch(&self) -> usize {
        self.watch.batch()
    }
}

/// How another run is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Until the deadline of this run: it has done nothing yet.
    UntilDeadline,
    /// Also when the deadline has passed: what an earlier process has begun is to be taken back then.
    Patient,
    /// To go back: a holder that goes forward is asked to stop, and loses its lock when it does not.
    Insisting,
}

impl Session<'_> {
    /// Does `work` while nobody else works on the release, and waits for that as it is said.
    pub async fn exclusively<T>(&self, waiting: Waiting, work: impl AsyncFnOnce(&Exclusive<'_>) -> T) -> Result<T, Failure> {
        let work = async |exclusive: &Exclusive<'_>| {
            if let Some(other) = self.other_store {
                one_store::claim_again(self.cluster, self.common, self.place, other, &*self.store).await;
            }
            work(exclusive).await
        };
        self.holding(Scope::Release, waiting, work).await
    }

    /// Does `work`, which writes nothing, while nobody else watches what goes on in the background. Waits for whoever does as long as the
    /// run may take.
    pub async fn in_background<T>(&self, work: impl AsyncFnOnce(&Exclusive<'_>) -> T) -> Result<T, Failure> {
        self.holding(Scope::Background, Waiting::Patient, work).await
    }

    async fn holding<T>(
        &self,
        scope: Scope,
        waiting: Waiting,
        work: impl AsyncFnOnce(&Exclusive<'_>) -> T,
    ) -> Result<T, Failure> {
        let (watch, args, request_timeout) = (&self.watch, &self.common.lease, self.cluster.request_timeout());
        if args.lease_duration < (request_timeout * 2).max(Duration::from_secs(1)) {
            let [lease, request] = [args.lease_duration, request_timeout].map(humantime::format_duration);
            let message = format!("--lease-duration {lease} is too short for --request-timeout {request}");
            return Err(Failure::new(&shared::LEASE_TOO_SHORT, message));
        }
        let insists = waiting == Waiting::Insisting;
        let holder = holder() + if insists { GOES_BACK } else { "" };
        // Who watches what another process watches has nothing else to do.
        let patience = if scope == Scope::Background { args.lease_wait.max(watch.time_left()) } else { args.lease_wait };
        let terms = Terms { scope, holder: &holder, duration: args.lease_duration, patience, insists };
        let acquire = self.store.lock(terms);
        let lock = match waiting {
            Waiting::UntilDeadline => watch.guard(acquire).await,
            Waiting::Patient | Waiting::Insisting => watch.guard_patiently(acquire).await,
        };
        let lock = lock.map_err(Failure::from)?;
        let result = {
            let exclusive = Exclusive { watch, lock: &*lock, request_timeout };
            let mut work = pin!(work(&exclusive));
            let cancel = || watch.cancel();
            tokio::select! {
                result = &mut work => result,
                // The lock is lost: the work sees that before its next write, and ends.
                () = lock.keep(&cancel) => work.await,
            }
        };
        lock.release().await;
        Ok(result)
    }

    /// Before the first ticket in a store that is not the cluster's ledger: says so there.
    pub async fn claim_store(&self, tool: &Tool) -> Result<(), Failure> {
        let Some(other) = self.other_store else { return Ok(()) };
        self.watch.guard(one_store::claim(self.cluster, self.common, self.place, other, tool)).await
    }
}
