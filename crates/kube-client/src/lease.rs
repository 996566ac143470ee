//! One run at a time: the Lease of a release.
//!
//! Clocks of two machines are not compared. A holder stops writing when its lease has run out by its own clock, less the time
//! that a request may still be under way; a successor takes over when it has itself seen no renewal for a whole lease and that
//! time. So the two never write at once, also when the holder was paused, or its machine suspended, and wakes up. Writes to the
//! ledger are guarded once more, by the resourceVersion of the ticket: the successor's first one makes the next one of the old
//! holder fail.
//!
//! Somebody may delete the Lease: its holder has lost it as soon as a renewal finds none. Whoever finds none while a run is unfinished
//! makes a new one, and waits as long as the old one may have lasted.
//!
//! A rollback asks the holder to stop, by an annotation that the holder sees when it renews; another rollback goes on all the
//! same, because it does what it is asked to. One that does not stop within the successor's patience loses the lease all the
//! same: it is taken, which keeps the holder from renewing, and the successor waits as long as the holder may still believe in
//! it.
//!
//! Decision: our own. The crates for it (`kube-leader-election`, `kubert`) compare the clocks of two machines and elect for
//! ever; a run has to know until when it may write.

mod object;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use async_trait::async_trait;
use fairlead_migration::obstacle::{LONGEST, Obstacle, Stop, cut};
use fairlead_migration::store::{GOES_BACK, Holder, Lock, Scope, Terms};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::request::Error;
use fairlead_migration::boot_clock;
use object::LeaseObject;
pub(crate) use object::needs;

/// How often a run that waits looks whether the lease is free.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// An operator who waits wants to know for what.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A lease is renewed so many times before it would run out: one lost answer is no reason to stop.
const RENEWALS: u32 = 3;

/// But at least so often, because a rollback may ask the holder to stop.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// Who has asked the holder to stop.
const CANCEL_ANNOTATION: &str = "fairlead.dev/cancel";

/// Which holder was not given the time to do so: when it wakes up, it must not be run again.
const CANCELLED_ANNOTATION: &str = "fairlead.dev/cancelled";

/// How far the holder is.
const HOW_FAR_ANNOTATION: &str = "fairlead.dev/how-far";

/// The last sequence of the release's ledger: the lease is there also when somebody has deleted every Secret.
const SEQUENCE_ANNOTATION: &str = "fairlead.dev/sequence";

/// The lease of a release, held.
pub(crate) struct Lease<'a> {
    object: LeaseObject<'a>,
    terms: Terms<'a>,
    resource_version: RefCell<String>,
    how_far: RefCell<Option<String>>,
    /// The last sequence of the ledger, as far as it is known: noted whenever the lease is written.
    sequence: &'a Cell<u64>,
    /// Until when a write must have been answered, by the boot clock.
    until: Cell<Duration>,
}

/// The lease as somebody else holds it.
struct Seen {
    resource_version: String,
    /// By the boot clock.
    since: Duration,
}

impl<'a> Lease<'a> {
    /// Waits until nobody else holds it, and takes it. `is_at_work` says whether a process may be at work on the release that has
    /// lost its lease because somebody deleted it. `sequence` is the last one of the ledger.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Held`] when that takes longer than `terms.patience`.
    pub(crate) async fn acquire(
        cluster: &'a Cluster,
        namespace: &'a str,
        release: &str,
        terms: Terms<'a>,
        sequence: &'a Cell<u64>,
        is_at_work: impl AsyncFn() -> Result<bool, Obstacle>,
    ) -> Result<Self, Obstacle> {
        let object = LeaseObject::of(cluster, namespace, release, terms.scope);
        let (resource_version, how_far, until) = (RefCell::default(), RefCell::default(), Cell::default());
        let lease = Self { object, terms, resource_version, how_far, sequence, until };
        let began = boot_clock::now();
        let waited = || boot_clock::since(began);
        let (mut seen, mut reported): (Option<Seen>, Option<Duration>) = (None, None);
        // Who has been asked to stop, and from when on a lease is ours that was taken by force, or in place of one that was deleted.
        let (mut asked, mut ours_from): (Option<String>, Option<Duration>) = (None, None);
        loop {
            let sent = boot_clock::now();
            let Some(live) = lease.object.get().await? else {
                if lease.create(sent).await? {
                    // Asked now: from here on whoever has lost the lease cannot renew it.
                    if !is_at_work().await? {
                        return Ok(lease);
                    }
                    let patience = terms.duration + cluster.request_timeout;
                    tracing::warn!(
                        lease = lease.object.name,
                        seconds = patience.as_secs(),
                        "a run is unfinished and has no lease: somebody may have deleted it; waiting until its process must have noticed"
                    );
                    ours_from = Some(boot_clock::now() + patience);
                }
                continue;
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (holder, version) = (text(&live["spec"]["holderIdentity"]), text(&live["metadata"]["resourceVersion"]));
            if seen.as_ref().is_none_or(|seen| seen.resource_version != version) {
                // From now on: before this answer it may have been renewed.
                seen = Some(Seen { resource_version: version.clone(), since: boot_clock::now() });
            }
            let held_for = Duration::from_secs(live["spec"]["leaseDurationSeconds"].as_u64().unwrap_or_default());
            let is_over =
                seen.as_ref().is_some_and(|seen| boot_clock::since(seen.since) >= held_for + cluster.request_timeout);
            if holder != terms.holder {
                ours_from = None;
            }
            if ours_from.is_some_and(|from| boot_clock::now() < from) {
                // Renewed meanwhile, and not used: the holder that it was taken from may still believe in it.
                lease.take(&version, &live, sent, held_for.max(terms.duration)).await?;
                tokio::time::sleep(POLL_INTERVAL.min(terms.duration / RENEWALS)).await;
                continue;
            }
            if holder.is_empty() || holder == terms.holder || is_over {
                if lease.take(&version, &live, sent, terms.duration).await? {
                    return Ok(lease);
                }
                continue;
            }
            let insists = terms.insists && !holder.ends_with(GOES_BACK);
            if insists && asked.as_ref() != Some(&holder) {
                if lease.ask_to_stop(&version).await? {
                    asked = Some(holder);
                }
                continue;
            }
            if waited() >= terms.patience && insists {
                // Whether or not the answer arrives: from now on it waits as long as the holder may believe in its lease.
                let longest = held_for + cluster.request_timeout * 2;
                ours_from = Some(boot_clock::now() + longest);
                tracing::warn!(
                    holder,
                    lease = lease.object.name,
                    seconds = longest.as_secs(),
                    "it does not stop: taking over when its process must have noticed"
                );
                lease.take(&version, &live, sent, held_for.max(terms.duration)).await?;
                continue;
            }
            if waited() >= terms.patience {
                let renewed = text(&live["spec"]["renewTime"]);
                let holder = format!("{holder}, which has renewed it at {renewed},");
                return Err(Obstacle::Held { name: format!("Lease {namespace}/{}", lease.object.name), holder });
            }
            if reported.is_none_or(|at| waited().saturating_sub(at) >= REPORT_INTERVAL) {
                reported = Some(waited());
                let at_most = terms.patience.saturating_sub(waited()).as_secs();
                tracing::info!(
                    holder,
                    lease = lease.object.name,
                    at_most_seconds = at_most,
                    "waiting for another run to end"
                );
            }
            tokio::time::sleep(POLL_INTERVAL.min(terms.patience)).await;
        }
    }

    fn spec(&self, transitions: i64, duration: Duration) -> Value {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        json!({"holderIdentity": self.terms.holder, "leaseDurationSeconds": duration.as_secs(), "leaseTransitions": transitions,
            "acquireTime": now, "renewTime": now})
    }

    fn note(&self, live: &Value, sent: Duration) {
        // Counted from when it was sent: the server may have renewed it at once.
        self.until.set(sent + self.terms.duration);
        self.adopt(live);
    }

    fn adopt(&self, live: &Value) {
        live["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut self.resource_version.borrow_mut());
        let sequence = live["metadata"]["annotations"][SEQUENCE_ANNOTATION].as_str().and_then(|text| text.parse().ok());
        self.sequence.set(self.sequence.get().max(sequence.unwrap_or_default()));
    }

    fn annotations(&self) -> Value {
        let mut annotations = json!({ HOW_FAR_ANNOTATION: *self.how_far.borrow() });
        if self.sequence.get() > 0 {
            annotations[SEQUENCE_ANNOTATION] = self.sequence.get().to_string().into();
        }
        annotations
    }

    /// False when somebody else was quicker.
    async fn create(&self, sent: Duration) -> Result<bool, Obstacle> {
        let created = self.object.create(&self.spec(0, self.terms.duration)).await?;
        if let Some(live) = &created {
            self.note(live, sent);
        }
        Ok(created.is_some())
    }

    /// False when somebody else was quicker.
    async fn ask_to_stop(&self, version: &str) -> Result<bool, Obstacle> {
        let annotations = json!({ CANCEL_ANNOTATION: self.terms.holder });
        match self.object.patch(&json!({"metadata": {"resourceVersion": version, "annotations": annotations}})).await {
            Ok(_) => Ok(true),
            Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => Ok(false),
            Err(error) => Err(self.object.obstacle("patch", error).await),
        }
    }

    /// Takes it for so long without renewal: as long as the one before may believe in it. False when somebody else was quicker.
    async fn take(&self, version: &str, live: &Value, sent: Duration, duration: Duration) -> Result<bool, Obstacle> {
        let transitions = live["spec"]["leaseTransitions"].as_i64().unwrap_or_default() + 1;
        let mut annotations = json!({ CANCEL_ANNOTATION: null, HOW_FAR_ANNOTATION: null });
        let holder = &live["spec"]["holderIdentity"];
        if self.terms.insists && *holder != *self.terms.holder && *holder != "" {
            annotations[CANCELLED_ANNOTATION] = holder.clone();
        }
        let metadata = json!({"resourceVersion": version, "annotations": annotations});
        let patch = json!({"metadata": metadata, "spec": self.spec(transitions, duration)});
        match self.object.patch(&patch).await {
            Ok(live) => {
                self.note(&live, sent);
                Ok(true)
            }
            Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => Ok(false),
            Err(error) => Err(self.object.obstacle("patch", error).await),
        }
    }

    /// Renews it, and notes what it is to remember.
    async fn prolong(&self) -> Result<Value, Error> {
        let sent = boot_clock::now();
        let version = self.resource_version.borrow().clone();
        let metadata = json!({"resourceVersion": version, "annotations": self.annotations()});
        let patch = json!({"metadata": metadata, "spec": {"renewTime": MicroTime(k8s_openapi::jiff::Timestamp::now())}});
        let live = self.object.patch(&patch).await?;
        self.note(&live, sent);
        Ok(live)
    }

    /// Stops if somebody asks for it, once. One that goes back already need not be asked to.
    fn heed(&self, live: &Value, is_asked: &mut bool, cancelled: &dyn Fn()) {
        let by = live["metadata"]["annotations"][CANCEL_ANNOTATION].as_str();
        if let Some(by) = by.filter(|_| !self.terms.insists && !std::mem::replace(is_asked, true)) {
            tracing::warn!(lease = self.object.name, by, "asked to stop");
            cancelled();
        }
    }
}

#[async_trait(?Send)]
impl Lock for Lease<'_> {
    fn lasts(&self, within: Duration) -> bool {
        boot_clock::now() + within < self.until.get()
    }

    async fn is_held(&self) -> Result<bool, Obstacle> {
        Ok(self.object.get().await?.is_some_and(|live| live["spec"]["holderIdentity"] == *self.terms.holder))
    }

    async fn keep(&self, cancelled: &dyn Fn()) {
        let interval = (self.terms.duration / RENEWALS).min(RENEWAL_INTERVAL);
        let (mut pause, mut is_asked) = (interval, false);
        loop {
            tokio::time::sleep(pause).await;
            pause = interval;
            match self.prolong().await {
                Ok(live) => self.heed(&live, &mut is_asked, cancelled),
                Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => {
                    // Somebody wrote to it: ourselves, when an answer was lost, or a successor, or one who asks us to stop.
                    match self.object.get().await {
                        Ok(Some(live)) if live["spec"]["holderIdentity"] == *self.terms.holder => {
                            // Not renewed yet: that comes at once.
                            self.adopt(&live);
                            pause = Duration::ZERO;
                            self.heed(&live, &mut is_asked, cancelled);
                        }
                        Ok(live) => {
                            self.until.set(Duration::ZERO);
                            let annotations = &live.unwrap_or_default()["metadata"]["annotations"];
                            if annotations[CANCELLED_ANNOTATION] == *self.terms.holder {
                                cancelled();
                            }
                            return tracing::warn!(lease = self.object.name, "another run has taken over");
                        }
                        Err(error) => tracing::warn!(lease = self.object.name, error = %error, "the lease is not renewed"),
                    }
                }
                Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => {
                    self.until.set(Duration::ZERO);
                    return tracing::warn!(lease = self.object.name, "somebody has deleted the lease: it is lost");
                }
                Err(error) => tracing::warn!(lease = self.object.name, error = %error, "the lease is not renewed"),
            }
        }
    }

    async fn renew(&self) -> Result<(), Obstacle> {
        loop {
            match self.prolong().await {
                Ok(_) => return Ok(()),
                Err(error) if error.status().is_some_and(|status| status.is_conflict() || status.is_not_found()) => {}
                Err(error) => return Err(self.object.obstacle("patch", error).await),
            }
            match self.object.get().await? {
                // A renewal of ours was on its way, or somebody has asked us to stop.
                Some(live) if live["spec"]["holderIdentity"] == *self.terms.holder => self.adopt(&live),
                _ => {
                    self.until.set(Duration::ZERO);
                    return Err(Obstacle::Stopped(Stop::LeaseOver));
                }
            }
        }
    }

    fn tell(&self, how_far: &str) {
        self.how_far.replace(Some(cut(how_far, LONGEST).into_owned()));
    }

    async fn release(self: Box<Self>) {
        self.how_far.replace(None);
        loop {
            let version = self.resource_version.borrow().clone();
            let metadata = json!({"resourceVersion": version, "annotations": self.annotations()});
            let patch = json!({"metadata": metadata, "spec": {"holderIdentity": ""}});
            let Err(error) = self.object.patch(&patch).await else { return };
            if error.status().is_some_and(kube::core::Status::is_not_found) {
                return;
            }
            if error.status().is_some_and(kube::core::Status::is_conflict) {
                match self.object.get().await {
                    // Somebody has asked us to stop, or a renewal of ours was on its way.
                    Ok(Some(live)) if live["spec"]["holderIdentity"] == *self.terms.holder => {
                        self.adopt(&live);
                        continue;
                    }
                    // Somebody else has it.
                    Ok(_) => return,
                    Err(_) => {}
                }
            }
            return tracing::warn!(lease = self.object.name, error = %error, "the lease is not given back; it runs out by itself");
        }
    }
}

/// Who holds the lease of a release, or has died with it.
pub(crate) async fn holder(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
    scope: Scope,
) -> Result<Option<Holder>, Obstacle> {
    let Some(live) = LeaseObject::of(cluster, namespace, release, scope).get().await? else { return Ok(None) };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let how_far = text(&live["metadata"]["annotations"][HOW_FAR_ANNOTATION]);
    let renewed = text(&live["spec"]["renewTime"]).unwrap_or_default();
    Ok(text(&live["spec"]["holderIdentity"]).map(|name| Holder { name, renewed, how_far }))
}
