//! Whether a backlog is proven empty: a state machine over rounds of readings. Pure, and knows no clock: times are counted from its beginning.
//!
//! A round reads every source once, side by side. The proof is a row of rounds in which every source was empty and no end position moved.
//! It is longer than the time after which a broker delivers again what was not acknowledged: whatever is in flight shows itself in such a
//! time at least once.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::{Published, Sentinel};

/// So many sentinels go into a queue, each behind what came after the one before; then somebody goes on for ever.
const SENTINELS: usize = 4;

/// What a proof takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Rounds in a row.
    pub(crate) samples: usize,
    /// Least time since the intake was closed.
    pub(crate) grace: Duration,
    /// How long nothing less may be left, beside the time of redelivery.
    pub(crate) stall: Duration,
    /// The time of redelivery where no source says it, and the least where one does.
    pub(crate) redelivery: Duration,
}

/// A source, as the proof knows it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Its name.
    pub(crate) name: String,
    /// Whether it says that the intake is closed, not that the backlog is empty.
    pub(crate) is_intake: bool,
}

/// When a round began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// What follows from all rounds so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not yet, and for what.
    Waiting(WaitingFor),
    /// Nothing is in flight. Without a source that is only said.
    Proven,
    /// No waiting would empty this source.
    Hopeless { source: String, why: String },
    /// Nothing less was left for so long.
    Stalled { source: String, left: u64, largest: Vec<String>, is_intake: bool, after: Duration },
    /// This source could not say how much is left for too long.
    Unreadable { source: String, why: String },
    /// The sentinel that the configuration asks for cannot be published.
    NotPublished { source: String, why: String },
    /// Messages came behind every sentinel.
    Overtaken { source: String, publishers: Vec<String> },
    /// An end position moved although the intake is closed.
    Moved { source: String, position: String, publishers: Vec<String> },
}

/// The row is all that is looked at: what moved before it was in flight.
pub(crate) const PROVEN: &str =
    "proven: every source was empty in a row of rounds, and no end position moved from the first of them to the last";

impl Verdict {
    /// What ends the run, in words.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Hopeless { source, why } | Self::Unreadable { source, why } => format!("{source}: {why}"),
            Self::NotPublished { source, why } => format!("{source}: the sentinel cannot be published: {why}"),
            Self::Stalled { source, left, largest, is_intake, after } => {
                let after = humantime::format_duration(*after);
                let what = if *is_intake { " does not close" } else { "" };
                let largest: String = largest.iter().flat_map(|what| ["; ", what]).collect();
                format!(
                    "{source}{what}: {left} left, and nothing less for {after} (--stall, and the time of redelivery){largest}"
                )
            }
            Self::Moved { source, position, publishers } if publishers.is_empty() => format!(
                "{source}: end position {position} moved after the intake was closed; the source does not say who publishes"
            ),
            Self::Moved { source, position, publishers } => format!(
                "{source}: end position {position} moved after the intake was closed; clients that have sent something, acknowledgements included: {}",
                publishers.join(", ")
            ),
            Self::Overtaken { source, publishers } => {
                let who =
                    if publishers.is_empty() { String::new() } else { format!("; connected are {}", publishers.join(", ")) };
                format!(
                    "{source}: messages came behind each of {SENTINELS} sentinels: somebody still publishes, or a consumer answers a sentinel \
                     with a message (a retry, a dead letter), or another run drains the same queue{who}"
                )
            }
            Self::Proven => PROVEN.to_owned(),
            Self::Waiting(WaitingFor::Intake) => "the intake was not closed yet".to_owned(),
            Self::Waiting(WaitingFor::Backlog) => "something was left".to_owned(),
            Self::Waiting(WaitingFor::Sentinel) => {
                "messages came behind the sentinel, and another one was not passed yet".to_owned()
            }
            Self::Waiting(WaitingFor::Samples) => "everything was empty, but not for long enough".to_owned(),
            Self::Waiting(WaitingFor::Grace) => "everything was empty, and the grace period was not over".to_owned(),
        }
    }
}

/// What is still missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    /// The intake is not closed.
    Intake,
    /// Something is left.
    Backlog,
    /// Everything is empty, and messages came behind the sentinel: it proves nothing of them.
    Sentinel,
    /// Everything is empty, and not for long enough.
    Samples,
    /// The grace period.
    Grace,
}

/// An end position that has moved.
struct Move {
    source: usize,
    position: String,
}

/// What is remembered of one source.
#[derive(Default)]
struct Track {
    least: Option<u64>,
    /// Since when it could not say how much is left.
    silent_since: Option<Duration>,
    ends: Option<BTreeMap<String, u64>>,
    /// The sentinel, once it is published.
    sentinel: Option<Published>,
    /// How many were ordered and published.
    sentinels: usize,
}

impl Track {
    /// Whether messages came behind the sentinel.
    fn is_overtaken(&self) -> bool {
        self.sentinel.as_ref().is_some_and(|sentinel| !sentinel.is_last)
    }

    /// Notes the sentinel, and whether it has come since the last reading: then the end has moved for it.
    fn publishes(&mut self, reading: &Reading) -> bool {
        let Some(Sentinel::Published(now)) = &reading.sentinel else { return false };
        let before = self.sentinel.replace(now.clone());
        self.sentinels += usize::from(before.as_ref().is_none_or(|before| before.id != now.id));
        before.is_none_or(|before| before.positions != now.positions)
    }
}

/// The state machine.
pub(crate) struct Proof {
    rules: Rules,
    sources: Vec<Watched>,
    tracks: Vec<Track>,
    redelivery: Duration,
    closed: Option<Duration>,
    row: Vec<Span>,
    is_sentinel_due: bool,
    /// When something less was left than ever before.
    progress: Duration,
}

impl Proof {
    /// No round has been read yet.
    pub(crate) fn new(rules: Rules, sources: Vec<Watched>) -> Self {
        let tracks = sources.iter().map(|_| Track::default()).collect();
        // Without anything to see of the intake, it is closed when its changes have been made.
        let closed = sources.iter().all(|source| !source.is_intake).then_some(Duration::ZERO);
        let (redelivery, row, progress) = (rules.redelivery, Vec::new(), Duration::ZERO);
        Self { rules, sources, tracks, redelivery, closed, row, is_sentinel_due: false, progress }
    }

    /// When the intake was closed.
    pub(crate) fn closed(&self) -> Option<Duration> {
        self.closed
    }

    /// The rounds in a row so far in which everything was empty and nothing moved.
    pub(crate) fn row(&self) -> &[Span] {
        &self.row
    }

    /// The sources that need another sentinel, by their number: everything is empty, and messages came behind theirs.
    pub(crate) fn sentinels_due(&self) -> Vec<usize> {
        let is_due = |(number, track): (usize, &Track)| track.is_overtaken().then_some(number);
        if self.is_sentinel_due { self.tracks.iter().enumerate().filter_map(is_due).collect() } else { Vec::new() }
    }

    /// Whether a round that begins now may be the last.
    pub(crate) fn may_end(&self, now: Duration) -> bool {
        let mut row = self.row.clone();
        let span = Span { from: now, to: now };
        row.push(span);
        is_proof(&row, self.rules.samples, self.redelivery) && is_over(self.closed, self.rules.grace, span)
    }

    /// How long the row must be longer than.
    pub(crate) fn redelivery(&self) -> Duration {
        self.redelivery
    }

    /// Adds a round, with one reading per source in their order.
    pub(crate) fn add(&mut self, span: Span, readings: &[Reading]) -> Verdict {
        if let Some((source, why)) =
            self.named(readings).find_map(|(source, reading)| Some((source, reading.hopeless.clone()?)))
        {
            return Verdict::Hopeless { source: source.name.clone(), why };
        }
        if let Some((source, why)) = self.named(readings).find_map(|(source, reading)| match &reading.sentinel {
            Some(Sentinel::Refused(why)) => Some((source, why)),
            _ => None,
        }) {
            return Verdict::NotPublished { source: source.name.clone(), why: why.clone() };
        }
        self.redelivery = readings.iter().filter_map(|reading| reading.redelivery).fold(self.redelivery, Duration::max);
        let (moved, is_ours) = self.track(span, readings);
        let is_empty = readings.iter().all(|reading| reading.left == Left::Empty);
        let is_overtaken = self.tracks.iter().any(Track::is_overtaken);
        // One that is written into a queue where somebody publishes would be overtaken, too.
        self.is_sentinel_due = is_empty && is_overtaken && moved.is_none() && !is_ours;
        if is_ours {
            // Whoever reads gets the time to come past it.
            self.progress = span.to;
        }
        if let Some(source) = self.tracks.iter().position(|track| track.is_overtaken() && track.sentinels >= SENTINELS)
            && self.is_sentinel_due
        {
            let publishers = readings[source].publishers.clone();
            return Verdict::Overtaken { source: self.sources[source].name.clone(), publishers };
        }
        if let (Some(moved), Some(_)) = (&moved, self.row.get(1)) {
            return self.moved(moved, readings);
        }
        // What was read side by side with the intake may have been read before it was closed.
        let was_closed = self.closed.is_some();
        if !was_closed && self.named(readings).all(|(source, reading)| !source.is_intake || reading.left == Left::Empty) {
            self.closed = Some(span.to);
            self.progress = span.to;
        }
        if moved.is_some() || is_ours || !is_empty || is_overtaken {
            self.row.clear();
        }
        if is_empty && was_closed && !is_overtaken {
            self.row.push(span);
            if self.row.len() > 1 {
                self.progress = span.to;
            }
        }
        if is_proof(&self.row, self.rules.samples, self.redelivery) && is_over(self.closed, self.rules.grace, span) {
            return Verdict::Proven;
        }
        if span.to.saturating_sub(self.progress) > self.rules.stall + self.redelivery {
            return self.stalled(moved.as_ref(), readings);
        }
        Verdict::Waiting(match () {
            () if self.closed.is_none() => WaitingFor::Intake,
            () if !is_empty => WaitingFor::Backlog,
            () if is_overtaken => WaitingFor::Sentinel,
            () if !is_proof(&self.row, self.rules.samples, self.redelivery) => WaitingFor::Samples,
            () => WaitingFor::Grace,
        })
    }

    /// When the next round is to begin, after one that began at `from`. In a row rounds follow each other by `interval`, and the last one
    /// comes as soon as the row is long enough; otherwise `pace` is enough.
    pub(crate) fn next(&self, from: Duration, interval: Duration, pace: Duration) -> Duration {
        let Some(first) = self.row.first() else { return from + pace };
        let is_proof = is_proof(&self.row, self.rules.samples, self.redelivery);
        // The row must be longer than the time of redelivery.
        let window =
            if self.redelivery.is_zero() { first.to } else { first.to + self.redelivery + Duration::from_millis(1) };
        let complete = window.max(self.closed.unwrap_or_default() + self.rules.grace);
        let (until, gap) = if is_proof { (complete, pace) } else { (window, interval) };
        let missing = self.rules.samples.saturating_sub(self.row.len()).max(1);
        let steps = until.saturating_sub(from).as_nanos().div_ceil(gap.as_nanos().max(1));
        let steps = u32::try_from(steps).unwrap_or(u32::MAX).max(u32::try_from(missing).unwrap_or(u32::MAX));
        let even = until.saturating_sub(from) / steps;
        let least = if until > from && missing == 1 { interval / 2 } else { interval };
        from + even.max(least)
    }

    fn named<'a>(&'a self, readings: &'a [Reading]) -> impl Iterator<Item = (&'a Watched, &'a Reading)> {
        self.sources.iter().zip(readings)
    }

    /// Notes what was read. Returns the first end position that has moved, and whether one has for a sentinel of ours.
    fn track(&mut self, span: Span, readings: &[Reading]) -> (Option<Move>, bool) {
        let (mut moved, mut is_any_ours) = (None, false);
        for (index, (track, reading)) in self.tracks.iter_mut().zip(readings).enumerate() {
            let left = match reading.left {
                Left::Empty => 0,
                Left::Some(left) => left,
                Left::Unknown(_) => {
                    track.silent_since.get_or_insert(span.from);
                    continue;
                }
            };
            let is_less = track.least.is_none_or(|least| left < least);
            if is_less {
                self.progress = span.to;
            }
            // While it was silent nobody could see progress: the clock goes on from where it stood.
            if let Some(since) = track.silent_since.take() {
                self.progress = (self.progress + span.to.saturating_sub(since)).min(span.to);
            }
            track.least = Some(track.least.map_or(left, |least| least.min(left)));
            // Nothing was proven yet while it was not there: a publisher who has moved the end, too, will move it again, or was in flight.
            let is_ours = track.publishes(reading);
            is_any_ours |= is_ours;
            if moved.is_none()
                && !is_ours
                && let Some(position) = track.ends.as_ref().and_then(|before| first_difference(before, &reading.ends))
            {
                moved = Some(Move { source: index, position });
            }
            track.ends = Some(reading.ends.clone());
        }
        (moved, is_any_ours)
    }

    fn moved(&self, moved: &Move, readings: &[Reading]) -> Verdict {
        Verdict::Moved {
            source: self.sources[moved.source].name.clone(),
            position: moved.position.clone(),
            publishers: readings[moved.source].publishers.clone(),
        }
    }

    /// Why it does not go on: of several reasons the one that others follow from.
    fn stalled(&self, moved: Option<&Move>, readings: &[Reading]) -> Verdict {
        let unknown = self.named(readings).find_map(|(source, reading)| match &reading.left {
            Left::Unknown(why) => Some(Verdict::Unreadable { source: source.name.clone(), why: why.clone() }),
            _ => None,
        });
        let left = |is_intake: bool| {
            self.named(readings).filter(move |(source, _)| source.is_intake == is_intake).find_map(|(source, reading)| {
                let Left::Some(left) = reading.left else { return None };
                let after = self.rules.stall + self.redelivery;
                let largest = reading.largest.clone();
                Some(Verdict::Stalled { source: source.name.clone(), left, largest, is_intake, after })
            })
        };
        unknown
            .or_else(|| left(true))
            .or_else(|| moved.map(|moved| self.moved(moved, readings)))
            .or_else(|| left(false))
            .unwrap_or(Verdict::Waiting(WaitingFor::Samples))
    }
}

/// Whether a row of rounds is a proof: so many, and longer than the time of redelivery, counted from the end of the first to the beginning
/// of the last.
pub(crate) fn is_proof(row: &[Span], samples: usize, redelivery: Duration) -> bool {
    let (Some(first), Some(last)) = (row.first(), row.last()) else { return false };
    row.len() >= samples && (redelivery.is_zero() || last.from.saturating_sub(first.to) > redelivery)
}

/// Whether the grace period was over when this round began.
pub(crate) fn is_over(closed: Option<Duration>, grace: Duration, span: Span) -> bool {
    closed.is_some_and(|closed| span.from.saturating_sub(closed) >= grace)
}

/// The first position that is not as it was.
pub(crate) fn first_difference(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Option<String> {
    let changed = now.iter().find(|(name, end)| before.get(*name) != Some(*end));
    let gone = || before.iter().find(|(name, _)| !now.contains_key(*name));
    changed.or_else(gone).map(|(name, _)| name.clone())
}
