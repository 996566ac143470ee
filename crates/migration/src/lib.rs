//! The step engine. It knows what a migration is, and nothing of Kubernetes, of SQL or of the clock.
//!
//! - [`change`]: one change is a pair of images, `before` and `after`; swapping them undoes it
//! - [`fields`]: what a change writes, and whether an object has it
//! - [`stage`]: changes that may run side by side, with all that doing and undoing them needs
//! - [`finding`]: what a plan has to say about objects that it leaves alone
//! - [`plan`]: the changes of a step in stages; its digest
//! - [`packed`]: a long sequence that takes little memory
//! - [`snapshot`]: the plan as it is stored before the first write
//! - [`evidence`]: what a gate has seen, as it is stored beside its ticket
//! - [`ticket`]: the record of one run; [`progress`]: how far it has come; [`run`]: both, as they were recorded
//! - [`store`]: where runs are recorded, and the lock of a release; [`transfer`]: its tickets as documents, and back
//! - [`obstacle`]: why a run cannot go on
//! - [`boot_clock`]: time that goes on while a machine sleeps, for locks that run out
//! - [`executor`]: applies a plan, and restores what it changed when that fails
//!
//! # Decision: one list, two directions
//!
//! Situation: a step that fails must leave everything as it was. Decision: undo is the same list of changes, reversed and
//! with images swapped, carried out by the same [`executor::World`]. Consequence: no job has undo code, and whatever can be
//! applied can be restored by whoever holds the list.

pub mod boot_clock;
pub mod change;
mod digest;
pub mod evidence;
pub mod executor;
pub mod fields;
pub mod finding;
pub mod obstacle;
pub mod packed;
pub mod plan;
pub mod progress;
pub mod run;
pub mod snapshot;
pub mod stage;
pub mod store;
pub mod ticket;
pub mod transfer;
