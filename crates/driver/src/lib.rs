//! What makes a binary of a step: plan, apply, what must have come before, and what several jobs look at.
//!
//! - [`args`]: arguments of the commands that only a job has
//! - [`step`]: what a job brings with it
//! - [`apply`]: finishes what an earlier run has left, then plan, snapshot, changes, verification
//! - `finish`: what an earlier run has left; [`background`]: what one has left to go on by itself
//! - `step_run`: what these work on
//! - `approved`: a plan that somebody has approved, and whether it is still the right one
//! - [`show`]: shows a plan
//! - `strict`: nothing is done where something is refused
//! - [`earlier_steps`]: those that must have come before; `after_jobs`: Jobs that must have
//!
//! # Decision: this crate uses `release`
//!
//! Situation: a run of a step has to know whether the release still wants it, and what Helm may be told to go back to. Decision: the
//! runs of a release are below, and what makes one is here. Consequence: the plugin for people links nothing that applies a step.

mod after_jobs;
pub mod apply;
mod approved;
pub mod args;
pub mod background;
pub mod earlier_steps;
mod finish;
pub mod show;
pub mod step;
mod step_run;
mod strict;
