//! Time since the machine was started, suspend included: a lease runs out while its holder sleeps, and the clock of
//! [`std::time::Instant`] stands still then. Source: `clock_gettime(2)`, `CLOCK_BOOTTIME`.

use std::time::Duration;

/// The time now.
#[must_use]
pub fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

/// How long ago that was.
#[must_use]
pub fn since(earlier: Duration) -> Duration {
    now().saturating_sub(earlier)
}
