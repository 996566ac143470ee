//! The three steps of the job. Each has tickets of its own: what is expanded before an upgrade is contracted after it, and made final much later.

use clap::ValueEnum;
use fairlead_migration::stage::{StageKind, UndoAt};

use crate::migration::Kind;

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Migrations of kind expand: before the new release runs.
    #[default]
    Expand,
    /// Migrations of kind contract: after the last pod of the old release is gone.
    Contract,
    /// What contracts have put aside is dropped. Nothing brings it back but a backup.
    Finalize,
}

impl Phase {
    /// The step, as tickets name it.
    #[must_use]
    pub fn step(self) -> &'static str {
        match self {
            Self::Expand => EXPAND,
            Self::Contract => CONTRACT,
            Self::Finalize => FINALIZE,
        }
    }

    /// As it is written in a command.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
            Self::Finalize => "finalize",
        }
    }

    pub(crate) fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Expand => kind == Kind::Expand,
            Self::Contract | Self::Finalize => kind == Kind::Contract,
        }
    }

    pub(crate) fn stage_kind(self) -> StageKind {
        match self {
            Self::Expand => StageKind::Expand,
            Self::Contract | Self::Finalize => StageKind::Contract,
        }
    }

    /// What the new release needs goes after it, what the old one needs comes back before it.
    pub(crate) fn undo_at(self) -> UndoAt {
        match self {
            Self::Expand => UndoAt::PostRollback,
            Self::Contract | Self::Finalize => UndoAt::PreRollback,
        }
    }
}

pub(crate) const EXPAND: &str = "tables";
pub(crate) const CONTRACT: &str = "tables-contract";
pub(crate) const FINALIZE: &str = "tables-finalize";
