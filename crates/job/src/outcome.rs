//! How a run ended, for people and for machines.

use fairlead_migration::change::{Change, Target};
use fairlead_migration::executor::Outcome;
use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::OnDrift;
use fairlead_migration::stage::StageKind;

use crate::codes::shared;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::redact;

/// The end of one run. It can be shown anywhere: credentials are taken out when it is made.
#[derive(Debug)]
pub struct Ended {
    /// `Committed`, `Unchanged`, `RolledBack`, `Dirty` or `Interrupted`.
    pub outcome: &'static str,
    /// Namespace and name of the ticket; none when nothing was to be done.
    pub ticket: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Objects that were not taken back as they were, and why.
    pub left: Vec<(Target, String)>,
    /// Why it was not done.
    pub failure: Option<Failure>,
    /// What to run next, where that is known better than the code of the failure knows it.
    pub next: Option<String>,
}

impl Ended {
    /// A run that had nothing to do.
    #[must_use]
    pub fn unchanged(plan: &Plan) -> Self {
        let summary = format!("Nothing to do{}.", remarks(plan));
        Self { outcome: "Unchanged", ticket: None, summary, left: Vec::new(), failure: None, next: None }
    }

    /// A rollback that found nothing to take back, or nothing yet.
    #[must_use]
    pub fn nothing_to_undo(summary: String) -> Self {
        Self { outcome: "Unchanged", ticket: None, summary, left: Vec::new(), failure: None, next: None }
    }

    /// A run that ended before its first change. What the failure says of the way on is kept.
    #[must_use]
    pub fn refused(failure: Failure) -> Self {
        let summary = "Nothing was changed.".to_owned();
        let next = Some(failure.aftermath().trim_end().to_owned()).filter(|next| !next.is_empty());
        Self { outcome: "Refused", ticket: None, summary, left: Vec::new(), failure: Some(failure), next }
    }

    /// The end of a run whose ticket is `ticket`.
    #[must_use]
    pub fn of(outcome: Outcome, plan: &Plan, ticket: &str) -> Self {
        let ended = |outcome, summary: String, failure| Self {
            outcome,
            ticket: Some(ticket.to_owned()),
            summary: format!("{summary} Ticket {ticket}."),
            left: Vec::new(),
            failure,
            next: None,
        };
        let told = match outcome {
            Outcome::Committed => {
                let summary = if plan.is_empty() {
                    format!("Done: verified, and nothing had to be changed{}.", remarks(plan))
                } else {
                    format!("Done: {}, verified{}.", changes(plan.len()), remarks(plan))
                };
                ended("Committed", summary, None)
            }
            Outcome::Background(left) => {
                let summary = format!("Made: {}; the run goes on in the background: {left}.", changes(plan.len()));
                ended("Background", summary, None)
            }
            Outcome::Restored(cause) => {
                ended("RolledBack", "Failed, and everything is as before.".to_owned(), Some(cause.into()))
            }
            Outcome::Interrupted(cause @ Obstacle::Stopped(Stop::Cancelled)) => {
                let summary = "Ended before it was done; the rollback goes on from here.";
                ended("Interrupted", summary.to_owned(), Some(cause.into()))
            }
            Outcome::Interrupted(cause @ Obstacle::Late { .. }) => {
                let failure = Failure::new(&shared::NOT_DRAINED_YET, chain(&cause));
                ended("Interrupted", "Ended before everything was taken back.".to_owned(), Some(failure))
            }
            // Nothing is taken back of what takes back: the next one goes on.
            Outcome::Interrupted(Obstacle::Stopped(Stop::DeadlinePassed)) => {
                let failure = Failure::new(&shared::INTERRUPTED, "--run-timeout has passed");
                ended("Interrupted", interrupted(plan), Some(failure))
            }
            Outcome::Interrupted(cause @ Obstacle::Damaged { .. }) => {
                let summary = "Ended before it was done, and its record is gone: what was taken back by then stays so.";
                ended("Interrupted", summary.to_owned(), Some(cause.into()))
            }
            Outcome::Interrupted(cause) => ended("Interrupted", interrupted(plan), Some(cause.into())),
            Outcome::Undone { count: 0, rest: 0, drifted, .. } if drifted.is_empty() => {
                ended("RolledBack", "Done: nothing was left to take back.".to_owned(), None)
            }
            Outcome::Undone { count: 0, rest: rest @ 1.., drifted, .. } => {
                let theirs = match drifted.len() {
                    0 => String::new(),
                    theirs => format!(" Somebody else has changed {theirs} of them since."),
                };
                let summary = format!(
                    "Looked at: {}, to be taken back when Helm has applied the old manifests.{theirs}",
                    changes(rest)
                );
                Self { left: drifted, ..ended("RollingBack", summary, None) }
            }
            Outcome::Undone { count, rest, drifted, on_drift } => {
                let theirs = drifted.len();
                let summary = match on_drift {
                    _ if theirs == 0 => format!("Done: {} taken back.", changes(count)),
                    OnDrift::Keep | OnDrift::Stop => {
                        format!(
                            "Done: {} taken back, {theirs} left as others have changed them.",
                            changes(count.saturating_sub(theirs))
                        )
                    }
                    OnDrift::Merge => format!(
                        "Done: {} taken back, of {theirs} of them only what others have not changed; created ones of these stay.",
                        changes(count)
                    ),
                    OnDrift::Overwrite => {
                        format!("Done: {} taken back, {theirs} of them over what others had written.", changes(count))
                    }
                };
                let (outcome, summary) = match rest {
                    0 => ("RolledBack", summary),
                    _ => ("RollingBack", format!("{summary} {rest} more when Helm has applied the old manifests.")),
                };
                Self { left: drifted, ..ended(outcome, summary, None) }
            }
            Outcome::Drifted(drifted) => {
                let what = objects(drifted.len());
                let summary = format!("Nothing was taken back: somebody else has changed {what} since.");
                let failure = Failure::new(&shared::CHANGED_SINCE, "what would be taken back is not as it was left");
                Self { left: drifted, ..ended("Drifted", summary, Some(failure)) }
            }
            Outcome::Dirty { cause, left } => {
                let left: Vec<_> = left.into_iter().map(|(target, obstacle)| (target, chain(&obstacle))).collect();
                let are = if left.len() == 1 { "is" } else { "are" };
                let summary = format!("Failed, and {} {are} NOT as before.", objects(left.len()));
                let failure = Failure::new(&shared::DIRTY, chain(&cause));
                Self { left, ..ended("Dirty", summary, Some(failure)) }
            }
        };
        let left = told.left.into_iter().map(|(target, what)| (target, redact::text(&what))).collect();
        Self { summary: redact::text(&told.summary), left, ..told }
    }

    /// The same, naming objects that are back and lack something.
    #[must_use]
    pub fn lacking(mut self, lacking: Vec<(Target, String)>) -> Self {
        let is_new = |(target, _): &(Target, String)| !self.left.iter().any(|(left, _)| left == target);
        let new: Vec<_> = lacking.into_iter().filter(is_new).collect();
        self.left.extend(new.into_iter().map(|(target, what)| (target, redact::text(&what))));
        self
    }

    /// What the process exits with.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.failure.as_ref().map_or(ExitStatus::Done, Failure::status)
    }

    /// For people, in whole lines: the verdict first, because a termination log is cut at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let left = self.left.iter().map(|(target, what)| format!("! {target}: {what}"));
        let next = self.next.iter().map(|next| format!("Next: {next}"));
        [self.summary.clone()].into_iter().chain(left).chain(next).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// The failure as the error of the whole job, with what became of the changes.
    pub fn result(self) -> Result<ExitStatus, Failure> {
        let text = self.text();
        match self.failure {
            None => Ok(ExitStatus::Done),
            Some(failure) => Err(failure.with_aftermath(text)),
        }
    }
}

fn changes(count: usize) -> String {
    format!("{count} change{}", if count == 1 { "" } else { "s" })
}

fn objects(count: usize) -> String {
    format!("{count} object{}", if count == 1 { "" } else { "s" })
}

/// Whoever interrupts a run has to know what does not work until it goes on.
fn interrupted(plan: &Plan) -> String {
    const SHOWN: usize = 3;
    let summary = "Ended before it was done; run it again, it goes on from here.";
    let is_held = |change: &Change| plan.stages()[change.stage].kind == StageKind::Hold;
    let held: Vec<String> = plan.changes().filter(is_held).map(|change| change.target.to_string()).collect();
    let more = held.len().saturating_sub(SHOWN);
    match held.get(..SHOWN.min(held.len())).map(|shown| shown.join(", ")) {
        Some(shown) if more > 0 => format!("{summary} Until then these may be held: {shown}, and {more} more."),
        Some(shown) if !shown.is_empty() => format!("{summary} Until then this may be held: {shown}."),
        _ => summary.to_owned(),
    }
}

/// What the plan leaves to a person; said once more at the end, because that is what is read.
fn remarks(plan: &Plan) -> String {
    match (plan.refusals().len(), plan.warnings().len()) {
        (0, 0) => String::new(),
        (refused, warnings) => format!("; {refused} refused, {warnings} warned of, see above"),
    }
}
