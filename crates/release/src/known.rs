//! What is known of a release when the next command is looked for, and what one is.

use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_migration::run::RecordedRun;

use crate::args::{Goal, WITHOUT_MISSING};
use crate::helm::{HelmRecords, HelmState};
use crate::missing::{in_the_way, numbers};
use crate::place::Place;

/// A command, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) command: String,
    pub(crate) what: String,
}

/// How the hooks of the way back have fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hooks {
    /// Nothing speaks against them.
    #[default]
    Good,
    /// They have met what others have changed since, and a person has to decide.
    Drifted,
    /// They can never succeed as they are stored: their image cannot be pulled, a permission is gone, a ticket is damaged.
    InVain,
}

/// What is known when the next commands are looked for.
pub(crate) struct Known<'a> {
    /// The oldest first.
    pub(crate) runs: &'a [RecordedRun],
    /// Sequences of tickets that somebody has deleted.
    pub(crate) missing: &'a [u64],
    /// What is wrong with tickets that are there.
    pub(crate) damages: &'a [Obstacle],
    pub(crate) helm: &'a HelmRecords,
    pub(crate) state: HelmState,
    /// Whether the revision that is the way back brings our hooks; none when that is not known.
    pub(crate) is_armed: Option<bool>,
    /// How the hooks of that revision have fared.
    pub(crate) hooks: Hooks,
    /// Why somebody may be at work for an operation of Helm's that has not come to its end, and what to wait for.
    pub(crate) under_way: Option<&'a str>,
    /// What the newest run that a job could finish was told, or the one that goes on in the background.
    pub(crate) told: &'a [String],
    pub(crate) place: Place<'a>,
}

impl Known<'_> {
    /// Whether a run cannot be taken back because its ticket or a part of its snapshot is not as it was. Evidence is not needed for that.
    pub(crate) fn is_unusable(&self, run: &RecordedRun) -> bool {
        self.damages_of(run).next().is_some()
    }

    /// Whether a run that Helm's way back would take back cannot be.
    pub(crate) fn is_in_vain(&self, revision: u32) -> bool {
        let is_taken_back = |run: &RecordedRun| run.may_be_undone() && run.helm_revision.is_some_and(|its| its > revision);
        self.runs.iter().any(|run| is_taken_back(run) && self.is_unusable(run))
    }

    /// Whether nobody can ever use it, as far as it is known. A ticket of another version is good for that version, and labels and annotations
    /// can be put right.
    pub(crate) fn is_lost(&self, run: &RecordedRun) -> bool {
        let is_lost = self.is_unusable(run) && self.damages_of(run).all(|damage| damage == Damage::Lost);
        self.place.store_flags.is_none() && is_lost
    }

    /// What is wrong with the ticket of a run, and with the chunks of its snapshot: `….1` and `….1-0`, but neither `….10` nor the evidence
    /// in `….1-e0`.
    fn damages_of(&self, run: &RecordedRun) -> impl Iterator<Item = Damage> {
        self.damages.iter().filter_map(|obstacle| {
            let Obstacle::Damaged { name, damage, .. } = obstacle else { return None };
            let (_, rest) = name.split_once(&run.name)?;
            let is_its = !rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.starts_with("-e");
            is_its.then_some(*damage)
        })
    }

    /// What a rollback has to be told to go so far, and what that means.
    pub(crate) fn flags(&self, goal: &Goal) -> (String, String) {
        let missing = in_the_way(self.missing, self.runs, goal, self.helm);
        let drifted = if self.hooks == Hooks::Drifted { KEEP } else { "" };
        let without = if missing.is_empty() { "" } else { WITHOUT_MISSING };
        let mut what = String::new();
        if !missing.is_empty() {
            what.extend(["; what ", &runs_of(&missing), " changed stays, its ticket is missing"]);
        }
        if self.hooks == Hooks::Drifted {
            what.extend(["; what others have changed since stays, too (or `overwrite`, `merge`)"]);
        }
        (format!("{drifted}{without}"), what)
    }
}

/// As it is written in a command.
pub(crate) const KEEP: &str = " --on-drift keep";

pub(crate) fn runs_of(sequences: &[u64]) -> String {
    format!("run{} {}", if sequences.len() == 1 { "" } else { "s" }, numbers(sequences))
}
