//! How a lease is waited for, and taken.

use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::store::{GOES_BACK, Scope, Terms};

use super::row::LeaseRow;
use super::{Lease, RENEWALS};
use crate::place::Place;
use fairlead_migration::boot_clock;

/// How often a run that waits looks whether the lease is free.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// An operator who waits wants to know for what.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Stands for a process that may believe in a lease whose row somebody has deleted. No process has such a name.
const UNKNOWN: &str = "a process whose lease somebody has deleted";

impl<'a> Lease<'a> {
    /// Waits until nobody else holds it, and takes it. `is_at_work` says whether a process may be at work on the release that has
    /// lost its lease because somebody deleted it.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Held`] when that takes longer than `terms.patience`.
    pub(crate) async fn acquire(
        place: &'a Place,
        terms: Terms<'a>,
        is_at_work: impl AsyncFn() -> Result<bool, Obstacle>,
    ) -> Result<Self, Obstacle> {
        let row = LeaseRow { place, scope: terms.scope };
        let lease = Self::new(row, terms);
        let link = &lease.link;
        let began = boot_clock::now();
        let waited = || boot_clock::since(began);
        let mut reported: Option<Duration> = None;
        // Who has been asked to stop, and from when on a lease is ours that was taken by force.
        let (mut asked, mut ours_from): (Option<String>, Option<Duration>) = (None, None);
        let mut duration = terms.duration;
        loop {
            let sent = boot_clock::now();
            let Some(live) = row.take(link, &terms, duration, None).await? else {
                let holder = if terms.scope == Scope::Release && is_at_work().await? { UNKNOWN } else { "" };
                row.create(link, holder, terms.duration).await?;
                continue;
            };
            if live.holder == terms.holder {
                lease.note(live.token, sent);
                if ours_from.is_none_or(|from| boot_clock::now() >= from) {
                    lease.enter();
                    return Ok(lease);
                }
                // Renewed meanwhile, and not used: the holder that it was taken from may still believe in it.
                tokio::time::sleep(POLL_INTERVAL.min(terms.duration / RENEWALS)).await;
                continue;
            }
            (ours_from, duration) = (None, terms.duration);
            let insists = terms.insists && !live.holder.ends_with(GOES_BACK);
            if insists && asked.as_ref() != Some(&live.holder) {
                row.ask_to_stop(link, terms.holder, live.token).await?;
                asked = Some(live.holder);
                continue;
            }
            if waited() >= terms.patience && insists {
                // Whether or not the answer arrives: from now on it waits as long as the holder may believe in its lease.
                ours_from = Some(boot_clock::now() + live.duration);
                duration = live.duration.max(terms.duration);
                tracing::warn!(
                    holder = live.holder,
                    lease = row.in_words(),
                    seconds = live.duration.as_secs(),
                    "it does not stop: taking over when its process must have noticed"
                );
                row.take(link, &terms, duration, Some(live.token)).await?;
                continue;
            }
            if waited() >= terms.patience {
                let holder = format!("{}, which has renewed it at {},", live.holder, live.renewed);
                return Err(Obstacle::Held { name: row.in_words(), holder });
            }
            if reported.is_none_or(|at| waited().saturating_sub(at) >= REPORT_INTERVAL) {
                reported = Some(waited());
                let at_most = terms.patience.saturating_sub(waited()).as_secs();
                tracing::info!(
                    holder = live.holder,
                    lease = row.in_words(),
                    at_most_seconds = at_most,
                    "waiting for another run to end"
                );
            }
            tokio::time::sleep(POLL_INTERVAL.min(terms.patience)).await;
        }
    }
}
