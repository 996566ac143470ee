//! One run at a time.

use std::pin::pin;
use std::time::Duration;

use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::lease::{Lease, Terms};
use fairlead_migration::executor::Watcher;
use fairlead_migration::obstacle::Stop;

use crate::session::Session;

/// What the executor is told while a lease is held.
pub struct Exclusive<'a> {
    watch: &'a Watch,
    cluster: &'a Cluster,
}

impl Watcher for Exclusive<'_> {
    fn stop(&self) -> Option<Stop> {
        match self.watch.stop() {
            // Whoever has taken over may have cancelled this run: then it must not be run again.
            Some(Stop::Cancelled) => Some(Stop::Cancelled),
            _ if !self.cluster.may_write() => Some(Stop::LeaseOver),
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
    /// It is asked to stop, and loses its lease when it does not.
    Insisting,
}

impl Session<'_> {
    /// Does `work` while nobody else works on the release, and waits for that as it is said.
    pub async fn exclusively<T>(&self, waiting: Waiting, work: impl AsyncFnOnce(&Exclusive<'_>) -> T) -> Result<T, Failure> {
        let (cluster, watch, args) = (self.cluster, &self.watch, &self.common.lease);
        if args.lease_duration < (cluster.request_timeout() * 2).max(Duration::from_secs(1)) {
            let [lease, request] = [args.lease_duration, cluster.request_timeout()].map(humantime::format_duration);
            let message = format!("--lease-duration {lease} is too short for --request-timeout {request}");
            return Err(Failure::new(ExitStatus::Usage, &code::LEASE_TOO_SHORT, message));
        }
        let (namespace, release) = (self.place.namespace, self.place.release);
        let insists = waiting == Waiting::Insisting;
        let terms = Terms { namespace, release, duration: args.lease_duration, patience: args.lease_wait, insists };
        let acquire = Lease::acquire(cluster, terms, holder());
        let lease = match waiting {
            Waiting::UntilDeadline => watch.guard(acquire).await,
            Waiting::Patient | Waiting::Insisting => watch.guard_patiently(acquire).await,
        };
        let lease = lease.map_err(Failure::from)?;
        let exclusive = Exclusive { watch, cluster };
        let result = {
            let mut work = pin!(work(&exclusive));
            tokio::select! {
                result = &mut work => result,
                // The lease is lost: the work sees that before its next write, and ends.
                () = lease.keep(|| watch.cancel()) => work.await,
            }
        };
        lease.release().await;
        Ok(result)
    }
}

/// A name for this process: the pod's or the machine's, its number, and when it asked.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}/{}/{}", host.trim(), std::process::id(), now.as_nanos())
}
