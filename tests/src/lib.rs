//! The harness: starts real servers, runs the built binaries as processes, and looks at the result with kubectl. It uses no
//! code of the product, so that a mistake there is not repeated here.
//!
//! - [`program`]: runs a program to its end
//! - [`api`]: requests without kubectl
//! - [`access`]: the permissions that the chart gives a job
//! - [`clients`]: clients that work on a database while it is migrated; [`transfers`]: the tables that they work on
//! - [`cluster`]: clusters of `tests/cluster` that end with the test
//! - [`link`]: a way to a server that can be cut
//! - [`printed`]: the commands that a program or a page shows
//! - [`proxy`]: faults between a job and the API server
//! - [`request`]: what a client has sent, for tests that play a server
//! - [`webhook`]: an admission webhook that refuses, changes, or does not answer
//! - [`servers`]: message brokers, databases and the like, each in a process of its own
//! - [`state`]: all objects of some kinds, in a form that can be compared
//! - [`watched`]: a job that is watched while it is at work
//! - `structure`: arrows between the files of a crate go one way
//! - `timing`: how long each test takes
//!
//! A harness that cannot go on panics with what it knows: there is nobody above it to handle an error.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "every function of the harness panics when the world is not as it must be"
)]
#![expect(clippy::must_use_candidate, reason = "a command is often run for what it does")]

pub mod access;
pub mod api;
pub mod clients;
pub mod cluster;
pub mod link;
pub mod printed;
pub mod program;
pub mod proxy;
pub mod request;
pub mod servers;
pub mod state;
#[cfg(test)]
mod structure;
mod timing;
pub mod transfers;
pub mod watched;
pub mod webhook;
