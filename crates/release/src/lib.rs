//! What every job can do with the runs of a release, whatever step made them: a ticket says itself how it is undone.
//!
//! - [`args`]: their arguments
//! - [`exclusive`]: one run at a time
//! - [`status`]: which runs there were, and how to go back
//! - [`rollback`]: goes back
//!
//! # Decision: a crate of its own
//!
//! Situation: every job has these commands, they need the ledger in the cluster as well as reports and exit statuses, and
//! `job` knows no cluster. Decision: this crate, which a job uses beside `job` and `kube-client`. Consequence: a job has two
//! lines for each command and nothing that could differ.

pub mod args;
pub mod exclusive;
pub mod rollback;
pub mod status;
