//! What exit statuses mean, the same in all jobs. The chart tells Kubernetes which of them to retry.

use std::process::{ExitCode, Termination};

/// For `--help`.
pub const HELP: &str = "\
Exit status:
    0  done, or nothing to do
    1  failed, everything as before; or asked to end by a rollback; or, of a rollback, not ready yet
    2  wrong arguments, configuration or input
    3  failed, and NOT everything is as before: the report lists each object
    4  a precondition is not met; nothing changed
    5  another run is at work on the release; try again
    6  somebody else has changed the same objects; nothing changed
   10  plan --exit-code: there is something to do
   75  interrupted, the API was not reached, or rollback waits for something; run it again, it goes on
  124  the --run-timeout of apply has passed, everything as before";

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or nothing to do.
    Done,
    /// Failed, everything as before.
    Failed,
    /// Wrong arguments, configuration or input.
    Usage,
    /// Failed and not as before: a human must look.
    Dirty,
    /// A precondition is not met; nothing changed.
    Refused,
    /// Another run is at work; try again.
    Held,
    /// Somebody else wrote what we would write; nothing changed.
    Drift,
    /// `plan --exit-code`: there is something to do.
    Changes,
    /// Interrupted, or the API could not be reached; resumable.
    Interrupted,
    /// The deadline passed, everything as before.
    Deadline,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Dirty => 3,
            Self::Refused => 4,
            Self::Held => 5,
            Self::Drift => 6,
            Self::Changes => 10,
            // EX_TEMPFAIL of sysexits.h.
            Self::Interrupted => 75,
            // As timeout(1).
            Self::Deadline => 124,
        }
    }
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
