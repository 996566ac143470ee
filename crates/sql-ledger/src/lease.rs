//! One run at a time: the lease of a release, a row.
//!
//! The server tells the time: a lease is over when the server has seen no renewal for its duration, and by its own clock a holder stops
//! writing at the latest then, because it counts from when it *sent* the renewal. Beside that every write of a ticket names the holder and
//! its token, a number that grows whenever the lease is taken, and the server compares both while it has the row of the lease locked. So a
//! holder that was paused, and wakes up when another run has taken over, cannot write any more, whatever the clocks say.
//!
//! No lock of a session is needed, nor anything else that a session remembers: behind a pooler that gives each transaction another
//! connection all of this works. Renewals have a connection of their own, so that no statement has to end before them.
//!
//! Somebody may delete the row: its holder has lost the lease as soon as a renewal finds none. Whoever finds none while a run is unfinished
//! waits as long as that holder may believe in it.
//!
//! A rollback asks the holder to stop, in a column that the holder sees when it renews; another rollback goes on all the same, because it
//! does what it is asked to. One that does not stop within the successor's patience loses the lease.

mod acquire;
mod row;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use async_trait::async_trait;
use fairlead_migration::obstacle::{LONGEST, Obstacle, Stop, chain, cut};
use fairlead_migration::store::{Holder, Lock, Scope, Terms};

use self::row::{LeaseRow, Row};
use crate::link::{LIMIT, Link};
use crate::place::{Fence, Place};
use fairlead_migration::boot_clock;

/// A lease is renewed so many times before it would run out: one lost answer is no reason to stop.
const RENEWALS: u32 = 3;

/// But at least so often, because a rollback may ask the holder to stop.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// A busy server may take so long for a renewal, whatever the lease lasts.
const LEAST: Duration = Duration::from_secs(2);

/// The lease of a release, held.
pub(crate) struct Lease<'a> {
    row: LeaseRow<'a>,
    link: Link,
    terms: Terms<'a>,
    token: Cell<u64>,
    how_far: RefCell<Option<String>>,
    /// Until when a write must have been answered, by the boot clock.
    until: Cell<Duration>,
}

impl<'a> Lease<'a> {
    fn new(row: LeaseRow<'a>, terms: Terms<'a>) -> Self {
        let link = row.place.link.another((terms.duration / RENEWALS).clamp(LEAST, LIMIT));
        Self { row, link, terms, token: Cell::default(), how_far: RefCell::default(), until: Cell::default() }
    }

    fn note(&self, token: u64, sent: Duration) {
        self.token.set(token);
        // Counted from when it was sent: the server may have renewed it at once.
        self.until.set(sent + self.terms.duration);
    }

    fn fence(&self) -> Fence {
        Fence { holder: self.terms.holder.to_owned(), token: self.token.get() }
    }

    /// From now on it is this one that writes.
    fn enter(&self) {
        if self.terms.scope == Scope::Release {
            self.row.place.fence.replace(Some(self.fence()));
        }
    }

    fn is_ours(&self, live: &Row) -> bool {
        live.holder == self.terms.holder && live.token == self.token.get()
    }

    /// Renews it; the row as it is then, whoever holds it.
    async fn prolong(&self) -> Result<Option<Row>, Obstacle> {
        let sent = boot_clock::now();
        let how_far = self.how_far.borrow().clone();
        let live = self.row.renew(&self.link, &self.fence(), how_far.as_deref()).await?;
        match &live {
            Some(live) if self.is_ours(live) => self.note(live.token, sent),
            _ => self.until.set(Duration::ZERO),
        }
        Ok(live)
    }
}

#[async_trait(?Send)]
impl Lock for Lease<'_> {
    fn lasts(&self, within: Duration) -> bool {
        boot_clock::now() + within < self.until.get()
    }

    async fn is_held(&self) -> Result<bool, Obstacle> {
        Ok(self.row.get(&self.link).await?.is_some_and(|live| self.is_ours(&live)))
    }

    async fn keep(&self, cancelled: &dyn Fn()) {
        let mut is_asked = false;
        loop {
            tokio::time::sleep((self.terms.duration / RENEWALS).min(RENEWAL_INTERVAL)).await;
            let lease = self.row.in_words();
            match self.prolong().await {
                Ok(Some(live)) if self.is_ours(&live) => {
                    // Once. One that goes back already need not be asked to.
                    let by = live.cancel.filter(|_| !self.terms.insists && !is_asked);
                    if let Some(by) = by {
                        is_asked = true;
                        tracing::warn!(lease, by, "asked to stop");
                        cancelled();
                    }
                }
                Ok(Some(live)) => {
                    if live.cancelled.as_deref() == Some(self.terms.holder) {
                        cancelled();
                    }
                    return tracing::warn!(lease, "another run has taken over");
                }
                Ok(None) => return tracing::warn!(lease, "somebody has deleted the lease: it is lost"),
                Err(error) => tracing::warn!(lease, error = chain(&error), "the lease is not renewed"),
            }
        }
    }

    async fn renew(&self) -> Result<(), Obstacle> {
        match self.prolong().await? {
            Some(live) if self.is_ours(&live) => Ok(()),
            _ => Err(Obstacle::Stopped(Stop::LeaseOver)),
        }
    }

    fn tell(&self, how_far: &str) {
        self.how_far.replace(Some(cut(how_far, LONGEST).into_owned()));
    }

    async fn release(self: Box<Self>) {
        if let Err(error) = self.row.free(&self.link, &self.fence()).await {
            let lease = self.row.in_words();
            tracing::warn!(lease, error = chain(&error), "the lease is not given back; it runs out by itself");
        }
    }
}

/// Who holds the lease of a release, or has died with it.
pub(crate) async fn holder(place: &Place, scope: Scope) -> Result<Option<Holder>, Obstacle> {
    let row = LeaseRow { place, scope }.get(&place.link).await?;
    let holder = |Row { holder, renewed, how_far, .. }| Holder { name: holder, renewed, how_far };
    Ok(row.filter(|row| !row.holder.is_empty()).map(holder))
}
