//! The stages of a drain. The new side takes over before anything of the old one stops.

use fairlead_migration::stage::{Stage, StageKind, UndoAt};

/// Services are redirected.
pub(crate) const SWITCHES: usize = 0;
/// Workloads stop.
pub(crate) const HOLDS: usize = 1;

/// All of them.
pub(crate) fn stages(concurrency: usize) -> Vec<Stage> {
    vec![
        Stage::new("Services that lead to the new side", StageKind::Switch, UndoAt::PostRollback, concurrency),
        Stage::new("Intake that is closed", StageKind::Hold, UndoAt::PreRollback, concurrency),
    ]
}
