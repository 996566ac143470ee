//! Signals, the deadline and progress, seen from the executor.

use std::cell::Cell;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use fairlead_migration::executor::Watcher;
use fairlead_migration::obstacle::{Obstacle, Stop};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Where there is no terminal a line is logged this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Watches over one run.
pub struct Watch {
    interrupted: watch::Receiver<bool>,
    deadline: Instant,
    reported: Cell<Instant>,
    /// Hidden where there is no terminal; it knows how fast it goes.
    bar: ProgressBar,
}

impl Watch {
    /// Begins to listen for SIGTERM and SIGINT, and to count `run_timeout`.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to register a handler.
    pub fn start(run_timeout: Duration) -> std::io::Result<Self> {
        let (interrupt, interrupted) = watch::channel(false);
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut signals = signal(kind)?;
            let interrupt = interrupt.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    tracing::warn!("told to end: finishing what is in flight");
                    interrupt.send_replace(true);
                }
            });
        }
        let now = Instant::now();
        let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Ok(Self {
            interrupted,
            deadline: now + run_timeout,
            reported: Cell::new(now),
            bar: ProgressBar::with_draw_target(Some(0), target).with_style(style()),
        })
    }

    /// Does `work`, which only reads, unless the run is told to end first.
    pub async fn guard<T, E: From<Obstacle>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            result = work => result,
            _ = interrupted.wait_for(|interrupted| *interrupted) => Err(Obstacle::Stopped(Stop::Interrupted).into()),
            () = tokio::time::sleep_until(self.deadline) => Err(Obstacle::Stopped(Stop::DeadlinePassed).into()),
        }
    }
}

impl Watcher for Watch {
    fn stop(&self) -> Option<Stop> {
        if *self.interrupted.borrow() {
            Some(Stop::Interrupted)
        } else {
            (Instant::now() >= self.deadline).then_some(Stop::DeadlinePassed)
        }
    }

    fn progress(&self, done: usize, total: usize, undoing: bool) {
        let what = if undoing { "restoring" } else { "applying" };
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
