//! An error that knows its code and exit status.

use std::fmt;

use fairlead_migration::obstacle::{Obstacle, Stop};

use crate::code::{self, Code};
use crate::exit::ExitStatus;

/// Why a job ends without having done its work.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub status: ExitStatus,
    /// What `explain` says about it.
    pub code: &'static Code,
    message: String,
    aftermath: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure without a cause in another error.
    #[must_use]
    pub fn new(status: ExitStatus, code: &'static Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), aftermath: String::new(), source: None }
    }

    /// A failure caused by another error.
    pub fn caused(
        status: ExitStatus,
        code: &'static Code,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { source: Some(Box::new(source)), ..Self::new(status, code, message) }
    }

    /// Wrong input.
    #[must_use]
    pub fn input(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::caused(ExitStatus::Usage, &code::INPUT, "failed to read the input", source)
    }

    /// The same failure, with a word on what became of the changes.
    #[must_use]
    pub fn with_aftermath(self, aftermath: String) -> Self {
        Self { aftermath, ..self }
    }

    /// What became of the changes, in whole lines for people; empty when none had been made.
    #[must_use]
    pub fn aftermath(&self) -> &str {
        &self.aftermath
    }
}

impl From<Obstacle> for Failure {
    fn from(obstacle: Obstacle) -> Self {
        let (status, code) = match &obstacle {
            Obstacle::Drift { .. } => (ExitStatus::Drift, &code::DRIFT),
            Obstacle::Forbidden { .. } => (ExitStatus::Refused, &code::FORBIDDEN),
            Obstacle::Refused { .. } => (ExitStatus::Failed, &code::REFUSED_BY_API),
            Obstacle::Late { .. } => (ExitStatus::Failed, &code::LATE),
            Obstacle::Unreachable { .. } => (ExitStatus::Interrupted, &code::UNREACHABLE),
            Obstacle::Held { .. } => (ExitStatus::Held, &code::HELD),
            Obstacle::Damaged { .. } => (ExitStatus::Refused, &code::DAMAGED),
            Obstacle::Stopped(Stop::LeaseOver) => (ExitStatus::Interrupted, &code::LEASE_OVER),
            Obstacle::Stopped(Stop::Cancelled) => (ExitStatus::Failed, &code::CANCELLED),
            Obstacle::Stopped(Stop::Interrupted) => (ExitStatus::Interrupted, &code::INTERRUPTED),
            Obstacle::Stopped(Stop::DeadlinePassed) => (ExitStatus::Deadline, &code::DEADLINE),
        };
        let message = obstacle.to_string();
        let source = match obstacle {
            Obstacle::Forbidden { source, .. }
            | Obstacle::Refused { source, .. }
            | Obstacle::Late { source, .. }
            | Obstacle::Damaged { source, .. }
            | Obstacle::Unreachable { source, .. } => Some(source),
            Obstacle::Drift { .. } | Obstacle::Held { .. } | Obstacle::Stopped(_) => None,
        };
        Self { status, code, message, aftermath: String::new(), source }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
