//! Signals, the deadline and progress, seen from the executor.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, stderr};
use std::ops::RangeInclusive;
use std::time::Duration;

use fairlead_migration::executor::Watcher;
use fairlead_migration::obstacle::{Obstacle, Stop};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Where there is no terminal a line is logged this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What the bar says while changes are taken back.
const RESTORING: &str = "restoring";

/// So many changes are begun at most before that is written down again, or as many as are made in five seconds.
const BATCH: RangeInclusive<f64> = 64.0..=500.0;

/// Watches over one run.
pub struct Watch {
    told: watch::Sender<Option<Stop>>,
    deadline: Cell<Instant>,
    reported: Cell<Instant>,
    how_far: RefCell<Option<String>>,
    /// Hidden where there is no terminal; it knows how fast it goes.
    bar: ProgressBar,
}

impl Watch {
    /// Begins to listen for SIGTERM, SIGINT and SIGHUP, and to count `run_timeout`.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to register a handler.
    pub fn start(run_timeout: Duration) -> std::io::Result<Self> {
        let (told, _) = watch::channel(None);
        // A terminal that is gone does not cut a run off in the middle.
        let hangup = (!is_hangup_ignored()).then(SignalKind::hangup);
        for kind in [SignalKind::terminate(), SignalKind::interrupt()].into_iter().chain(hangup) {
            let mut signals = signal(kind)?;
            let told = told.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    tracing::warn!("told to end: finishing what is in flight");
                    // One that was cancelled stays so: it must not be run again.
                    told.send_if_modified(|told| {
                        let is_first = told.is_none();
                        *told = Some(told.unwrap_or(Stop::Interrupted));
                        is_first
                    });
                }
            });
        }
        let now = Instant::now();
        let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Ok(Self {
            told,
            deadline: Cell::new(now + run_timeout),
            reported: Cell::new(now),
            how_far: RefCell::default(),
            bar: ProgressBar::with_draw_target(Some(0), target).with_style(style()),
        })
    }

    /// The run began earlier than this process: its Job has had other pods.
    pub fn began_before(&self, elapsed: Duration) {
        self.deadline.set(self.deadline.get().checked_sub(elapsed).unwrap_or_else(Instant::now));
    }

    /// The run begins only now, or began so long ago: until then it has waited for others.
    pub fn begin_again(&self, run_timeout: Duration, elapsed: Duration) {
        self.deadline.set(Instant::now() + run_timeout.saturating_sub(elapsed));
    }

    /// What is left until the deadline.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.get().saturating_duration_since(Instant::now())
    }

    /// Notes how far a run is that waits, for whoever asks.
    pub fn wait_for(&self, what: &str) {
        self.how_far.replace(Some(what.to_owned()));
    }

    /// What is waited for, as it was noted last.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.how_far.borrow().clone()
    }

    /// How many changes have been taken back, and of how many; none while nothing is taken back.
    #[must_use]
    pub fn taken_back(&self) -> Option<(u64, u64)> {
        (self.bar.message() == RESTORING).then(|| (self.bar.position(), self.bar.length().unwrap_or_default()))
    }

    /// A rollback has asked the run to stop.
    pub fn cancel(&self) {
        self.told.send_replace(Some(Stop::Cancelled));
    }

    /// Waits for so long, unless the run is told to end first.
    pub async fn pause(&self, time: Duration) -> Result<(), Obstacle> {
        let pausing = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.guard_patiently(pausing).await
    }

    /// Does `work`, which only reads, unless the run is told to end first, or its deadline passes.
    pub async fn guard<T, E: From<Obstacle>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.watched(work, true).await
    }

    /// The same without the deadline: for what has to be known before something can be taken back.
    pub async fn guard_patiently<T, E: From<Obstacle>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.watched(work, false).await
    }

    async fn watched<T, E: From<Obstacle>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        has_deadline: bool,
    ) -> Result<T, E> {
        let mut told = self.told.subscribe();
        let stop = async {
            let told = told.wait_for(Option::is_some).await.map(|told| *told);
            told.ok().flatten().unwrap_or(Stop::Interrupted)
        };
        tokio::select! {
            result = work => result,
            stop = stop => Err(Obstacle::Stopped(stop).into()),
            () = tokio::time::sleep_until(self.deadline.get()), if has_deadline => Err(Obstacle::Stopped(Stop::DeadlinePassed).into()),
        }
    }
}

/// Whether nohup has started this process: then it is to go on when its terminal is gone. To listen would end that.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first bit is that of signal 1. Source: proc_pid_status(5).
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

impl Watcher for Watch {
    fn stop(&self) -> Option<Stop> {
        let is_late = Instant::now() >= self.deadline.get();
        (*self.told.borrow()).or(is_late.then_some(Stop::DeadlinePassed))
    }

    fn batch(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between two small numbers")]
        let batch = (self.bar.per_sec() * 5.0).clamp(*BATCH.start(), *BATCH.end()) as usize;
        batch
    }

    fn progress(&self, done: usize, total: usize, undoing: bool) {
        let what = if undoing { RESTORING } else { "applying" };
        if self.bar.message() != what {
            // The other direction has a pace of its own.
            self.bar.reset();
            self.bar.set_message(what);
            self.reported.set(Instant::now());
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if done == total {
            self.bar.finish();
        }
        if self.bar.is_hidden() && self.reported.get().elapsed() >= REPORT_INTERVAL {
            self.reported.set(Instant::now());
            let per_second = self.bar.per_sec().round();
            let left = humantime::format_duration(Duration::from_secs(self.bar.eta().as_secs()));
            tracing::info!(done, total, per_second, %left, "{what}");
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {per_sec} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
