//! Signals, the deadline and progress, seen from the executor.

use std::cell::Cell;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use fairlead_migration::executor::Watcher;
use fairlead_migration::obstacle::{Obstacle, Stop};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Where there is no terminal a line is logged this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Watches over one run.
pub struct Watch {
    interrupted: watch::Receiver<bool>,
    started: Instant,
    deadline: Instant,
    reported: Cell<Instant>,
    bar: Option<ProgressBar>,
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
        Ok(Self {
            interrupted,
            started: now,
            deadline: now + run_timeout,
            reported: Cell::new(now),
            bar: stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style())),
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

    /// How long the run has taken.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
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
        if let Some(bar) = &self.bar {
            bar.set_message(what);
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            if done == total {
                bar.finish();
            }
        } else if self.reported.get().elapsed() >= REPORT_INTERVAL {
            self.reported.set(Instant::now());
            tracing::info!(done, total, elapsed = %humantime::format_duration(self.elapsed()), "{what}");
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {per_sec} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
