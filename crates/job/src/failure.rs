//! An error that knows its code and exit status.

use std::fmt;

use fairlead_migration::obstacle::{Obstacle, Stop};

use crate::code::Code;
use crate::codes::{self, shared};
use crate::exit::ExitStatus;
use crate::manifests;
use crate::redact::{self, Cause};

/// Why a job ends without having done its work. It can be shown anywhere: credentials are taken out when it is made.
#[derive(Debug)]
pub struct Failure {
    /// What `explain` says about it, and what the process exits with.
    pub code: &'static Code,
    message: String,
    aftermath: String,
    source: Option<Cause>,
}

impl Failure {
    /// A failure without a cause in another error.
    #[must_use]
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self { code, message: redact::text(&message.into()), aftermath: String::new(), source: None }
    }

    /// A failure caused by another error.
    pub fn caused(
        code: &'static Code,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { source: Some(Cause::of(&source)), ..Self::new(code, message) }
    }

    /// Wrong input.
    #[must_use]
    pub fn input(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let any: &(dyn std::error::Error + 'static) = &source;
        let is_absent = matches!(any.downcast_ref(), Some(manifests::Error::Absent { .. }));
        let code = if is_absent { &shared::ABSENT } else { &shared::INPUT };
        Self::caused(code, "failed to read the input", source)
    }

    /// What the process exits with.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.code.exit
    }

    /// The same failure, with a word on what became of the changes.
    #[must_use]
    pub fn with_aftermath(self, aftermath: impl Into<String>) -> Self {
        Self { aftermath: redact::text(&aftermath.into()), ..self }
    }

    /// The same failure, with one fact more behind its message.
    #[must_use]
    pub fn adding(self, fact: &str) -> Self {
        let message = redact::text(&format!("{}; {fact}", self.message));
        Self { message, ..self }
    }

    /// What became of the changes, in whole lines for people; empty when none had been made.
    #[must_use]
    pub fn aftermath(&self) -> &str {
        &self.aftermath
    }
}

impl From<Obstacle> for Failure {
    fn from(obstacle: Obstacle) -> Self {
        let code = match &obstacle {
            Obstacle::Drift { .. } => &shared::DRIFT,
            Obstacle::Forbidden { .. } => &shared::FORBIDDEN,
            Obstacle::Refused { .. } | Obstacle::NotYet { .. } => &shared::REFUSED_BY_API,
            Obstacle::Late { .. } => &shared::LATE,
            Obstacle::Unreachable { .. } => &shared::UNREACHABLE,
            Obstacle::Held { .. } => &shared::HELD,
            Obstacle::Damaged { .. } => &shared::DAMAGED,
            Obstacle::Verdict { code, .. } | Obstacle::OutOfTime { code, .. } => {
                codes::find(code).unwrap_or(&shared::REFUSED_BY_API)
            }
            Obstacle::OtherExecutor { .. } => &shared::OTHER_EXECUTOR,
            Obstacle::Elsewhere { .. } => &shared::ELSEWHERE,
            Obstacle::Stopped(Stop::LeaseOver) => &shared::LEASE_OVER,
            Obstacle::Stopped(Stop::Cancelled) => &shared::CANCELLED,
            Obstacle::Stopped(Stop::Interrupted) => &shared::INTERRUPTED,
            Obstacle::Stopped(Stop::DeadlinePassed) => &shared::DEADLINE,
        };
        let source = match &obstacle {
            Obstacle::Forbidden { source, .. }
            | Obstacle::Refused { source, .. }
            | Obstacle::Late { source, .. }
            | Obstacle::Damaged { source, .. }
            | Obstacle::Unreachable { source, .. } => Some(Cause::of(&**source)),
            Obstacle::Drift { .. }
            | Obstacle::NotYet { .. }
            | Obstacle::Held { .. }
            | Obstacle::Verdict { .. }
            | Obstacle::OutOfTime { .. }
            | Obstacle::OtherExecutor { .. }
            | Obstacle::Elsewhere { .. }
            | Obstacle::Stopped(_) => None,
        };
        Self { source, ..Self::new(code, obstacle.to_string()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
