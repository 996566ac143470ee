//! What every process shares, and nothing that only one job needs. It sends no request.
//!
//! - [`args`]: groups of arguments that are flattened into each job's own
//! - [`code`]: what a code is; [`mod@codes`]: all of them, with a cause and a next step, behind `explain`
//! - [`configuration`]: the one file for all jobs
//! - [`exit`]: what exit statuses mean
//! - [`failure`]: an error that knows its code and exit status
//! - [`log`]: tracing to stderr
//! - [`manifests`]: objects from files
//! - [`outcome`]: how a run ended
//! - [`redact`]: what reports must not show
//! - [`report`]: what goes to stdout and to the termination log
//! - [`version`]: which one a program is
//! - [`watch`]: signals, the deadline and progress, seen from the executor
//!
//! # Decision: this crate uses `migration`
//!
//! Situation: exit statuses, codes and reports are about plans and outcomes. Decision: they know those types; a job would
//! otherwise carry the same translation five times.

pub mod args;
pub mod code;
pub mod codes;
pub mod configuration;
pub mod exit;
pub mod failure;
pub mod log;
pub mod manifests;
pub mod outcome;
pub mod redact;
pub mod report;
pub mod version;
pub mod watch;
