//! The step engine. It knows what a migration is, and nothing of Kubernetes, of SQL or of the clock.
//!
//! - [`change`]: one change is a pair of images, `before` and `after`; swapping them undoes it
//! - [`fields`]: what a change writes, and whether an object has it
//! - [`plan`]: the changes of a step in stages, with everything left alone and why; its digest
//! - [`packed`]: a long sequence that takes little memory
//! - [`snapshot`]: the plan as it is stored before the first write
//! - [`ticket`]: the record of one run, and the [`ticket::Journal`] that keeps it
//! - [`obstacle`]: why a run cannot go on
//! - [`executor`]: applies a plan, and restores what it changed when that fails
//!
//! # Decision: one list, two directions
//!
//! Situation: a step that fails must leave everything as it was. Decision: undo is the same list of changes, reversed and
//! with images swapped, carried out by the same [`executor::World`]. Consequence: no job has undo code, and whatever can be
//! applied can be restored by whoever holds the list.

pub mod change;
pub mod executor;
pub mod fields;
pub mod obstacle;
pub mod packed;
pub mod plan;
pub mod snapshot;
pub mod ticket;
