//! Waits until a backlog is proven empty: reads every source again and again, and looks that the intake stays closed.

use std::cell::RefCell;
use std::time::SystemTime;

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
use crate::event::Reached;
use crate::options::Options;
use crate::progress::{Progress, line};
use crate::proof::{PROVEN, Proof, Span, Verdict, WaitingFor, Watched};
use crate::sources::Reader;

/// Everything that waiting takes.
pub(crate) struct Wait<'a> {
    pub(crate) options: &'a Options<'a>,
    pub(crate) watch: &'a Watch,
    pub(crate) readers: Vec<Reader<'a>>,
    /// What is closed, for the certificate.
    pub(crate) rests_on: Vec<Condition>,
    /// What has shown where new connections lead, for the certificate.
    pub(crate) reached: Vec<Reached>,
    /// Id of the run, for sentinels.
    pub(crate) id: String,
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
        evidence.replace(Some(Evidence::begin(rules, self.rests_on.clone(), self.reached.clone(), &sources)));
        let began = Instant::now();
        let (mut waiting, mut has_sentinel) = (WaitingFor::Intake, false);
        loop {
            if let Some(stop) = self.watch.stop() {
                let seen = evidence.borrow();
                let last = seen.as_ref().map(Evidence::last).unwrap_or_default();
                return Err(stopped(stop, &sources, &last, waiting));
            }
            intact().await?;
            let is_closed = proof.closed().is_some();
            let due = if is_closed && !has_sentinel { (0..self.readers.len()).collect() } else { proof.sentinels_due() };
            has_sentinel |= is_closed;
            let id = format!("{}/{}", self.id, millis_now());
            for number in due {
                self.readers[number].order_sentinel(&id);
            }
            let from = began.elapsed();
            // The last round looks at everything, also at what seldom changes.
            if proof.may_end(from) {
                self.readers.iter_mut().for_each(Reader::renew);
            }
            // A server that does not answer must not keep the run beyond its deadline.
            let reads = join_all(self.readers.iter_mut().map(Reader::read));
            let Ok(readings) = self.watch.guard(async { Ok::<_, Obstacle>(reads.await) }).await else { continue };
            let span = Span { from, to: began.elapsed() };
            let verdict = proof.add(span, &readings);
            progress.show(span, &sources, &readings, &verdict);
            let is_cheap = readings.iter().all(|reading| reading.requests <= 1);
            if let Some(evidence) = evidence.borrow_mut().as_mut() {
                evidence.add(&proof, span, &verdict, readings);
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
                    tracing::info!(rounds, "{PROVEN}");
                    for line in evidence.borrow().iter().flat_map(Evidence::passages) {
                        tracing::info!("{line}");
                    }
                    return Ok(());
                }
                other => return Err(fault(&other)),
            }
            // While something is left a source is not sent more than a message in each interval.
            let pace = self.options.interval * if is_cheap { 1 } else { 2 };
            let next = proof.next(span.from, self.options.interval, pace);
            // Not longer than the run may take: the deadline is to be noticed in time.
            let next = next.saturating_sub(began.elapsed());
            sleep(next.min(self.watch.time_left())).await;
        }
    }
}

/// No two sentinels have the same id, whichever process of the run orders them: what one has proven ends with the process.
fn millis_now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Why a run ends that was stopped; at its deadline with what it still waited for.
fn stopped(stop: Stop, sources: &[Watched], last: &[&Reading], waiting: WaitingFor) -> Obstacle {
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
        Verdict::Moved { .. } | Verdict::Overtaken { .. } => &codes::MOVED,
        Verdict::NotPublished { .. } => &codes::NO_SENTINEL,
        Verdict::Stalled { .. } | Verdict::Waiting(_) | Verdict::Proven => &codes::STALLED,
    };
    Obstacle::Verdict { code: code.id.into(), message: redact::text(&verdict.message()) }
}
