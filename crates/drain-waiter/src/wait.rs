//! Waits until a backlog is proven empty: reads every source again and again, and looks that the intake stays closed.

use std::cell::RefCell;

use fairlead_backlog::reading::{Left, Reading};
use fairlead_job::codes::{drain_waiter as codes, shared};
use fairlead_job::redact;
use fairlead_job::watch::Watch;
use fairlead_migration::evidence::Condition;
use fairlead_migration::executor::Watcher as _;
use fairlead_migration::obstacle::{Obstacle, Stop};
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::certificate::Evidence;
use crate::options::Options;
use crate::progress::{Progress, line};
use crate::proof::{Proof, Span, Verdict, WaitingFor, Watched};
use crate::sources::Reader;

/// Everything that waiting takes.
pub(crate) struct Wait<'a> {
    pub(crate) options: &'a Options<'a>,
    pub(crate) watch: &'a Watch,
    pub(crate) readers: Vec<Reader<'a>>,
    /// What is closed, for the certificate.
    pub(crate) rests_on: Vec<Condition>,
}

impl Wait<'_> {
    /// Waits. What was seen is in `evidence` however it ends; `intact` fails when the intake is not closed any more.
    pub(crate) async fn run(
        mut self,
        evidence: &RefCell<Option<Evidence>>,
        intact: impl AsyncFn() -> Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let rules = self.options.rules;
        let sources: Vec<Watched> = self.readers.iter().map(|reader| reader.watched.clone()).collect();
        let (mut proof, mut progress) = (Proof::new(rules, sources.clone()), Progress::new(sources.len()));
        evidence.replace(Some(Evidence::begin(rules, self.rests_on.clone(), &sources)));
        let began = Instant::now();
        let (mut last, mut waiting) = (Vec::<Reading>::new(), WaitingFor::Intake);
        loop {
            if let Some(stop) = self.watch.stop() {
                return Err(stopped(stop, &sources, &last, waiting));
            }
            intact().await?;
            let from = began.elapsed();
            // A server that does not answer must not keep the run beyond its deadline.
            let reads = join_all(self.readers.iter_mut().map(Reader::read));
            let Ok(readings) = self.watch.guard(async { Ok::<_, Obstacle>(reads.await) }).await else { continue };
            let span = Span { from, to: began.elapsed() };
            let verdict = proof.add(span, &readings);
            progress.show(span, &sources, &readings, &verdict);
            if let Some(evidence) = evidence.borrow_mut().as_mut() {
                evidence.add(&proof, &verdict, readings.clone());
            }
            match verdict {
                Verdict::Waiting(now) => waiting = now,
                Verdict::Proven if self.options.drain.sources.is_empty() => {
                    tracing::warn!("the grace period has passed, and nothing is proven: no source is named");
                    return Ok(());
                }
                Verdict::Proven => {
                    // It may have been opened during the last round.
                    intact().await?;
                    let rounds = proof.row().len();
                    tracing::info!(rounds, "proven: every source was empty, and no end position moved");
                    return Ok(());
                }
                other => return Err(fault(&other)),
            }
            last = readings;
            // Not longer than the run may take: the deadline is to be noticed in time.
            let next = (span.from + self.options.interval).saturating_sub(began.elapsed());
            sleep(next.min(self.watch.time_left())).await;
        }
    }
}

/// Why a run ends that was stopped; at its deadline with what it still waited for.
fn stopped(stop: Stop, sources: &[Watched], last: &[Reading], waiting: WaitingFor) -> Obstacle {
    if stop != Stop::DeadlinePassed {
        return Obstacle::Stopped(stop);
    }
    let is_left = |reading: &Reading| reading.left != Left::Empty;
    let left: Vec<String> =
        sources.iter().zip(last).filter(|(_, it)| is_left(it)).map(|(source, it)| line(source, it, &[])).collect();
    let what = if left.is_empty() { Verdict::Waiting(waiting).message() } else { left.join("; ") };
    let message = redact::text(&format!("the deadline of the run has passed: {what}"));
    Obstacle::OutOfTime { code: shared::DEADLINE.id.into(), message }
}

/// A verdict that ends the run.
fn fault(verdict: &Verdict) -> Obstacle {
    let code = match verdict {
        Verdict::Hopeless { .. } => &codes::HOPELESS,
        Verdict::Unreadable { .. } => &codes::UNREADABLE,
        Verdict::Moved { .. } => &codes::MOVED,
        Verdict::Stalled { .. } | Verdict::Waiting(_) | Verdict::Proven => &codes::STALLED,
    };
    Obstacle::Verdict { code: code.id.into(), message: redact::text(&verdict.message()) }
}
