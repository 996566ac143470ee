//! The record of one run, from which it can be undone.

use serde::{Deserialize, Serialize};

use crate::executor::OnDrift;
use crate::obstacle::Obstacle;
use crate::snapshot::{Manifest, Snapshot};

/// The format of tickets written now. A reader refuses a ticket whose `min_reader` is larger than this.
pub const FORMAT: u32 = 1;

/// [`Ticket::executor`] of runs that change objects of a cluster.
pub const KUBERNETES: &str = "kubernetes";

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The snapshot is being stored; nothing has been written elsewhere.
    Planned,
    /// Changes are being made.
    Applying,
    /// The world is being looked at.
    Verifying,
    /// Done.
    Committed,
    /// Changes are being taken back.
    RollingBack,
    /// Everything is as before.
    RolledBack,
    /// Not everything is as before; a human must look.
    Dirty,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 7] =
        [Self::Planned, Self::Applying, Self::Verifying, Self::Committed, Self::RollingBack, Self::RolledBack, Self::Dirty];

    /// The phase that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether a process was at it, and ended before it was done.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Planned | Self::Applying | Self::Verifying | Self::RollingBack)
    }

    /// As it is written in the ticket and in its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Applying => "Applying",
            Self::Verifying => "Verifying",
            Self::Committed => "Committed",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Dirty => "Dirty",
        }
    }
}

/// One run. Self-describing: whoever reads it needs no configuration and no knowledge of the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The oldest format whose reader understands this ticket.
    pub min_reader: u32,
    /// Name and version of the binary, `trigger-replicator 0.1.0`.
    pub tool: String,
    /// The step, named like its binary.
    pub step: String,
    /// What carries the changes out: [`KUBERNETES`].
    pub executor: String,
    /// The release.
    pub release: String,
    /// Helm's revision; only when Helm runs the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_revision: Option<u32>,
    /// [`crate::plan::Plan::digest`].
    pub plan_digest: String,
    /// How many changes the plan has.
    pub changes: usize,
    /// Digests of the chunks that hold the plan with its images.
    pub snapshot: Manifest,
}

/// Where a run is, as it is written down while it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// Changes before this position may have been made; those from it on have not been begun.
    pub begun: usize,
    /// Positions before that of changes that met what somebody else had written, and made none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untouched: Vec<usize>,
    /// Why everything is taken back; none when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it was asked for: what becomes of objects that somebody else has changed since.
    #[serde(default)]
    pub on_drift: OnDrift,
    /// Where the first part of a rollback in two parts is: the stages that are undone before Helm applies the old manifests.
    #[serde(default)]
    pub first_part: FirstPart,
    /// When it was asked for: the newest revision of the Helm release at that time, if that was to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_in: Option<u32>,
    /// When it was asked for: the newest run of the release at that time, by its number. What has the same was taken back together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_after: Option<u64>,
    /// To which revision, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_to: Option<u32>,
}

impl Progress {
    /// Of a run that has not made any change.
    #[must_use]
    pub fn planned() -> Self {
        Self {
            phase: Phase::Planned,
            begun: 0,
            untouched: Vec::new(),
            cause: None,
            on_drift: OnDrift::Stop,
            first_part: FirstPart::NotBegun,
            undone_in: None,
            undone_after: None,
            undone_to: None,
        }
    }

    /// Whether the first part has been taken back, and the rest waits for Helm.
    #[must_use]
    pub fn is_undone_before_helm(&self) -> bool {
        self.first_part == FirstPart::Undone
    }
}

/// The first of two parts in which a run is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirstPart {
    /// Nobody has begun it, or everything is taken back at once.
    #[default]
    NotBegun,
    /// Some of it may have been taken back.
    Begun,
    /// All of it has been taken back.
    Undone,
}

/// Keeps the ticket of the run that is under way.
pub trait Journal {
    /// Stores ticket and snapshot, in phase [`Phase::Planned`], and returns the mark that created objects carry: the address
    /// of the ticket. Nothing else may be written before this has succeeded.
    fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> impl Future<Output = Result<String, Obstacle>>;

    /// Records where the run is; ahead of what it does next.
    fn record(&mut self, progress: &Progress) -> impl Future<Output = Result<(), Obstacle>>;
}
