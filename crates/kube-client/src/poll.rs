//! The one loop for everything that is waited for: it looks, pauses a little longer each time, tells an operator what it waits for, and
//! ends at its timeout or when it is told to.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use fairlead_migration::obstacle::{Obstacle, Stop};

/// The first pause: effects within a cluster take some milliseconds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// The longest: asking less often than this keeps an operator waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An operator who waits wants to know for what.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What one look has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is so.
    Done(T),
    /// It is not so yet, and why.
    NotYet(String),
}

/// How something is waited for.
#[derive(Clone, Copy)]
pub struct Poll<'a> {
    timeout: Duration,
    what: Option<&'a str>,
    stop: Option<&'a dyn Fn() -> Option<Stop>>,
}

impl<'a> Poll<'a> {
    /// Waits so long.
    #[must_use]
    pub fn of(timeout: Duration) -> Self {
        Self { timeout, what: None, stop: None }
    }

    /// The same, telling an operator every few seconds: `waiting for Trigger a/b to become Ready`. Not where many wait side by side.
    #[must_use]
    pub fn telling(self, what: &'a str) -> Self {
        Self { what: Some(what), ..self }
    }

    /// The same, ending when it is told to.
    #[must_use]
    pub fn until_told(self, stop: &'a dyn Fn() -> Option<Stop>) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Looks until it is so. The inner error says why it was not, when the time was over.
    ///
    /// # Errors
    ///
    /// Those of `look`, and [`Obstacle::Stopped`].
    pub async fn wait<T>(
        self,
        mut look: impl AsyncFnMut() -> Result<Look<T>, Obstacle>,
    ) -> Result<Result<T, String>, Obstacle> {
        let (began, mut reported) = (Instant::now(), Instant::now());
        let pauses = ExponentialBuilder::default().with_min_delay(SHORTEST_PAUSE).with_max_delay(LONGEST_PAUSE);
        let mut pauses = pauses.without_max_times().build();
        loop {
            let why = match look().await? {
                Look::Done(done) => return Ok(Ok(done)),
                Look::NotYet(why) => why,
            };
            if began.elapsed() >= self.timeout {
                return Ok(Err(why));
            }
            if let Some(stop) = self.stop.and_then(|stop| stop()) {
                return Err(Obstacle::Stopped(stop));
            }
            if let Some(what) = self.what.filter(|_| reported.elapsed() >= REPORT_INTERVAL) {
                reported = Instant::now();
                tracing::info!(why, "waiting for {what}");
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn it_waits_until_it_is_so_or_the_time_is_over() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            Ok(if looks.get() == 3 { Look::Done("done") } else { Look::NotYet(format!("look {}", looks.get())) })
        };
        let waited = block_on(Poll::of(Duration::from_mins(1)).wait(look)).expect("nothing fails");
        assert_eq!((waited, looks.get()), (Ok("done"), 3));
        let never = async || Ok(Look::<()>::NotYet("no".to_owned()));
        let waited = block_on(Poll::of(Duration::ZERO).wait(never)).expect("nothing fails");
        assert_eq!(waited, Err("no".to_owned()));
        let stop = || Some(Stop::Interrupted);
        let waited = block_on(Poll::of(Duration::from_mins(1)).until_told(&stop).wait(never));
        assert!(matches!(waited, Err(Obstacle::Stopped(Stop::Interrupted))), "{waited:?}");
    }
}
