//! Patience with Triggers. A new one that is Ready can lose that for a moment: the dispatcher of Knative's in-memory channel patches the
//! list of subscribers by what it last saw of it.
//! Source: knative/eventing@v0.47.0 `pkg/reconciler/inmemorychannel/dispatcher/inmemorychannel.go`, `patchSubscriberStatus`.

use std::time::{Duration, Instant};

use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;

use fairlead_job::codes::legacy_purger as codes;

/// Each look reads everything again.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// An operator who waits wants to know for what.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Looks again for as long as nothing speaks against the purge but Triggers that are not Ready, until `timeout` has passed. Returns the
/// last look, whatever it has found.
///
/// # Errors
///
/// Those of `look`.
pub(crate) async fn wait<T>(
    timeout: Duration,
    look: impl AsyncFn() -> Result<T, Obstacle>,
    refusals: impl Fn(&T) -> &[Finding],
) -> Result<T, Obstacle> {
    let deadline = Instant::now() + timeout;
    let mut reported: Option<Instant> = None;
    loop {
        let seen = look().await?;
        let refusals = refusals(&seen);
        let Some(first) = refusals.first().filter(|_| refusals.iter().all(is_about_readiness)) else { return Ok(seen) };
        if Instant::now() >= deadline {
            return Ok(seen);
        }
        if reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            reported = Some(Instant::now());
            tracing::info!(open = refusals.len(), first = %first.target, why = first.message, "waiting until Triggers are Ready");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether a refusal may be over in a moment.
pub(crate) fn is_about_readiness(refusal: &Finding) -> bool {
    [codes::NOT_READY.id, codes::WAY_NOT_READY.id].contains(&refusal.code.as_ref())
}
