//! The only crate that sends a request to the cluster. What it is told to do comes from `migration`; it decides nothing but
//! how to ask again.
//!
//! - [`access`]: which cluster is asked, as whom, and over which proxy
//! - `admission`: who has a say when something is written
//! - [`cluster`]: the connection, and paged lists
//! - `credential`: why there is none
//! - [`discovery`]: which kinds the cluster serves
//! - [`jobs`]: the Job that a process is a pod of, and those that come before; [`stuck`]: those whose pods do not run
//! - [`objects`]: makes changes to objects: the world of `migration`'s executor
//! - [`lease`]: one run at a time
//! - [`ledger`]: keeps tickets in Secrets: the journal of `migration`'s executor
//! - [`resource`]: a kind as the cluster serves it; `operation`: what is done to it
//! - [`permission`]: may I do all of this?
//! - [`poll`]: the one loop for everything that is waited for
//! - `pods`: starts a pod to see whether its image runs
//! - `pace`: how many requests are in flight at once
//! - `request`: one request with its deadline and its retries
//! - [`selector`]: which objects a label selector means
//! - [`writer`]: who has written a field
//!
//! # Decision: we own the retries
//!
//! Situation: kube 5 repeats requests that end in 429, 503 or 504 by itself, any verb, up to 15 times with pauses of up to
//! 1,000 s, and has no deadline for an answer. A hook has five minutes. Decision: kube's retries are off, every request has a
//! deadline, and `request` repeats within a bound. Consequence: every write must bear being sent twice; see [`objects`].

mod absent;
pub mod access;
mod admission;
pub mod cluster;
mod credential;
pub mod discovery;
pub mod helm;
pub mod jobs;
pub mod lease;
pub mod ledger;
pub mod objects;
mod operation;
mod pace;
pub mod permission;
mod pods;
pub mod poll;
mod request;
pub mod resource;
pub mod selector;
pub mod stuck;
pub mod writer;
