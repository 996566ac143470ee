//! Why a run cannot go on, sorted by what follows from it.

use std::borrow::Cow;
use std::fmt;

use crate::change::Target;

/// What becomes of a record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is gone, or not what was written: only a copy brings it back.
    Lost,
    /// Its labels or annotations are not as they were: they can be put right.
    Marks,
    /// Another version wrote it, and can read it.
    OtherVersion,
}

/// Why a change cannot be made, or a phase not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// Somebody else wrote what we would write.
    #[error("{target}: {what}")]
    Drift {
        /// The object.
        target: Target,
        /// What is different from what was observed.
        what: String,
    },
    /// A permission is missing.
    #[error("failed to {operation}: {rule}")]
    Forbidden {
        /// `create Trigger a/b`.
        operation: String,
        /// What would have to be allowed, to whom.
        rule: String,
        /// What the world said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The world said no.
    #[error("failed to {operation}")]
    Refused {
        /// `create Trigger a/b`.
        operation: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something else has to come first that the same run brings.
    #[error("failed to {operation}: {what} is not back yet")]
    NotYet {
        /// `create Trigger a/b`.
        operation: String,
        /// `its owner Widget a/b`.
        what: String,
    },
    /// The world took too long.
    #[error("waited in vain to {operation}")]
    Late {
        /// `see Trigger a/b become ready within 60s`.
        operation: String,
        /// What keeps it from being so.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The world does not answer, or does not know us any more: nothing can be restored now, the run is resumed later.
    #[error("failed to {operation}")]
    Unreachable {
        /// `create Trigger a/b`.
        operation: String,
        /// The last error, after all retries.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another run is at work.
    #[error("{holder} holds {name}")]
    Held {
        /// The lease: `Lease a/fairlead-shop`.
        name: String,
        /// Who holds it.
        holder: String,
    },
    /// The record of a run cannot be read as it was written.
    #[error("{name} is damaged")]
    Damaged {
        /// `Secret a/fairlead.v1.shop.1`.
        name: String,
        /// Whether it can be used again.
        damage: Damage,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The job itself says no, with a code of its own that decides the exit status.
    #[error("{message}")]
    Verdict {
        /// `LP101`; `explain` has a text for it.
        code: Cow<'static, str>,
        /// What is the matter with which object.
        message: String,
    },
    /// The run needs an executor that this binary does not have. Nothing is wrong with its ticket.
    #[error("{name} is of executor {executor}, which this binary does not have; {who} has it")]
    OtherExecutor {
        /// `Secret a/fairlead.v1.shop.1`.
        name: String,
        /// [`crate::ticket::Ticket::executor`].
        executor: String,
        /// The image or the binary that has it.
        who: String,
    },
    /// The runs of the release are recorded in another store.
    #[error("release {release} keeps its runs in {store}; {way_on}")]
    Elsewhere {
        /// The release.
        release: String,
        /// What people call that store.
        store: String,
        /// Who can read them, and what to do where there are none any more.
        way_on: String,
    },
    /// The time of the run is over, and it waited for something.
    #[error("{message}")]
    OutOfTime {
        /// As of a verdict.
        code: Cow<'static, str>,
        /// For what it waited.
        message: String,
    },
    /// The run was told to end.
    #[error("{0}")]
    Stopped(Stop),
}

impl Obstacle {
    /// Whether it says nothing of what was looked at: nobody could look.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Unreachable { .. } | Self::Forbidden { .. })
    }
}

/// Why a run is told to end before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM or SIGINT: leave everything as it is, another process goes on.
    Interrupted,
    /// `--run-timeout` is over: restore.
    DeadlinePassed,
    /// A rollback has asked the run to end: it takes back what was done.
    Cancelled,
    /// The lease has run out: another run may be at work, so nothing may be written any more.
    LeaseOver,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::DeadlinePassed => "the deadline of the run has passed",
            Self::Cancelled => "a rollback has asked this run to end; it takes back what was done",
            Self::LeaseOver => "the lease has run out, and another run may have taken over",
        })
    }
}

/// An error with its causes, in one line. Libraries repeat in an error what its cause says: each is said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source()).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Bytes of a text that is kept, in an annotation say, or shown: some answers of an API server hold a whole object.
pub const LONGEST: usize = 4096;

/// A text of at most so many bytes. Something is left out in its middle: the reason stands at the end as often as at the beginning.
#[must_use]
pub fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return text.into();
    }
    let rest = longest.saturating_sub('…'.len_utf8());
    let end = text.floor_char_boundary(rest - rest / 4);
    let begin = text.ceil_char_boundary(text.len() - rest / 4);
    format!("{}…{}", &text[..end], &text[begin..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("invalid: aaaaaaaaaaaaaaaa: immutable", 23), "invalid: aaaaaa…table");
        for longest in 4..40 {
            let text = cut("žluťoučký kůň úpěl ďábelské ódy, příliš žluťoučký", longest).into_owned();
            assert!(text.len() <= longest && text.contains('…'), "{longest}: {text}");
        }
        assert_eq!(cut("too long", 3), "…");
    }
}
