//! A run as the ledger has recorded it, and what can be said of it.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::progress::{FirstPart, Phase, Progress};
use crate::ticket::{Installation, Ticket};

/// A recorded run, without what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRun {
    /// Name of its ticket.
    pub name: String,
    /// Its number in the ledger.
    pub sequence: u64,
    /// The step.
    pub step: String,
    /// Helm's revision; only when Helm ran the job.
    pub helm_revision: Option<u32>,
    /// What that revision belongs to, where it is known.
    pub installation: Option<Installation>,
    /// When it began; RFC 3339.
    pub created: String,
    /// How many changes its plan has; none for a gate that only looked.
    pub changes: usize,
    /// Whether its plan has holds or switches.
    pub holds: bool,
    /// How far it has come.
    pub progress: Progress,
}

impl RecordedRun {
    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.progress.phase
    }

    /// Whether it has changed something that has not been taken back. A gate that only looked never is.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.changes > 0 && matches!(self.phase(), Phase::Committed | Phase::Background)
    }

    /// Whether a rollback may have something to do with it, if only to say that what a gate saw does not count any more.
    #[must_use]
    pub fn may_be_undone(&self) -> bool {
        !matches!(self.phase(), Phase::Planned | Phase::RolledBack)
    }

    /// Whether it has changed nothing yet: it is to be abandoned, because its snapshot may not be complete.
    #[must_use]
    pub fn may_be_abandoned(&self) -> bool {
        self.phase() == Phase::Planned
    }

    /// Whether `rollback --last` may mean it: a gate that is done changed nothing, and holds that have all ended leave nothing.
    #[must_use]
    pub fn may_be_last(&self) -> bool {
        self.may_be_undone() && (self.changes > 0 && !self.has_ended() || self.phase().is_unfinished())
    }

    /// Whether everything that it changed was a hold or a switch that has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.changes > 0 && self.progress.ended.len() >= self.changes
    }

    /// Whether a process of its step has ended before the run was done.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.phase().is_unfinished()
    }

    /// Whether its changes have begun, and have come to no end: a process is at it, or has died.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_unfinished() && !matches!(self.phase(), Phase::Planned | Phase::Background)
    }

    /// Whether nothing can be taken back from it any more, or never could: it was taken back, or is a gate that only looked.
    #[must_use]
    pub fn is_superfluous(&self) -> bool {
        self.phase() == Phase::RolledBack || (self.phase() == Phase::Committed && self.changes == 0)
    }

    /// Whether a rollback in two parts has begun with it, and has not come to its end.
    #[must_use]
    pub fn is_half(&self) -> bool {
        self.phase() == Phase::RollingBack && self.progress.first_part != FirstPart::NotBegun
    }

    /// Whether it was taken back, or is being, because somebody asked for it; and had begun to change something.
    #[must_use]
    pub fn was_asked_back(&self) -> bool {
        let is_back = matches!(self.phase(), Phase::RolledBack | Phase::RollingBack | Phase::Dirty);
        is_back && self.progress.begun > 0 && self.progress.asked().is_some()
    }

    /// Whether it was in force at a revision of Helm's and is not now.
    #[must_use]
    pub fn is_lost(&self, revision: u32) -> bool {
        // By hand, while the revision was the newest one: that was its last word. Where Helm keeps its records elsewhere nobody knows.
        let is_since = self.progress.asked().and_then(|asked| asked.revision).is_some_and(|since| since > revision);
        self.helm_revision.is_some_and(|its| its <= revision) && self.was_asked_back() && is_since
    }

    /// Whether the rollback that began when `newest` was the newest run has undone it, or a part of it, in this or an earlier attempt.
    #[must_use]
    pub fn is_of_rollback(&self, newest: Option<u64>) -> bool {
        let after = self.progress.asked().and_then(|asked| asked.after);
        self.progress.begun > 0 && after.is_some() && after == newest
    }
}

/// The ticket of an earlier run with all that it holds; every digest has been checked.
#[derive(Debug)]
pub struct Reopened {
    /// What the objects carry that it created: the address of the ticket.
    pub mark: String,
    /// The ticket.
    pub ticket: Ticket,
    /// What it was to do.
    pub plan: Plan,
    /// How far it has come.
    pub progress: Progress,
}

/// How one run ended: a line for people, also of runs that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// When; RFC 3339.
    pub time: String,
    /// The step.
    pub step: String,
    /// What was asked for: `apply`, `rollback`.
    pub command: String,
    /// `Committed`, `Unchanged`, `RolledBack`, …
    pub outcome: String,
    /// What the process exited with.
    pub exit: u8,
    /// The code of what was the matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Helm's revision; only when Helm ran the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_revision: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Asked, WhyBack};

    #[test]
    fn what_an_older_rollback_has_taken_back_is_not_of_this_one() {
        let run = |sequence, after| RecordedRun {
            name: String::new(),
            sequence,
            step: String::new(),
            helm_revision: None,
            installation: None,
            created: String::new(),
            changes: 1,
            holds: false,
            progress: Progress {
                phase: Phase::RolledBack,
                begun: 1,
                why_back: Some(WhyBack::Asked(Asked { after, ..Asked::default() })),
                ..Progress::planned()
            },
        };
        let is_of_this = |run: &RecordedRun| run.is_of_rollback(Some(4));
        assert!(is_of_this(&run(4, Some(4))) && is_of_this(&run(1, Some(4))));
        assert!(!is_of_this(&run(2, Some(2))) && !is_of_this(&run(2, None)) && !run(2, None).is_of_rollback(None));
        // The snapshot of one that was abandoned may not even be whole.
        let mut abandoned = run(4, Some(4));
        abandoned.progress.begun = 0;
        assert!(!is_of_this(&abandoned));
    }
}
