//! How much is left in a queue, a topic or a table, and how far the answer can be trusted. Knows no Kubernetes and no verdict: it reads
//! once, and says what it saw.
//!
//! - [`source`]: what every source can do, and why one cannot be asked
//! - [`reading`]: one answer
//! - [`sentinel`]: a message of ours behind everything that was published before it
//! - [`configuration`]: which source, as a user writes it
//! - [`connection`]: TLS and credentials, the same for every source
//! - [`event`]: an event that shows where a new connection leads
//! - [`sources`]: one file for each kind of server
//! - [`when_absent`]: what becomes of a name that the server does not know
//! - `duration`: durations with their unit
//! - `http`: requests with a deadline and a bounded answer
//! - `near`: the name that somebody may have meant
//! - `positions`: what was read of many, plain or packed
//! - `unique`: JSON without a key that is there twice
//! - `wrong_port`: what a library says of a port where something else listens
//!
//! # Decision: unknown is never zero
//!
//! Situation: each of these servers has answers that look like zero and are not: a follower, a missing row, an empty series. Decision:
//! a source reports [`Left::Empty`](reading::Left::Empty) only if the server proves it; everything else is
//! [`Left::Unknown`](reading::Left::Unknown) with the reason. What is absent counts as empty only where the configuration says so.

pub mod configuration;
pub mod connection;
pub mod duration;
pub mod event;
mod http;
mod near;
mod positions;
pub mod reading;
pub mod sentinel;
pub mod source;
pub mod sources;
mod unique;
pub mod when_absent;
mod wrong_port;

pub use configuration::{SourceConfiguration, open};
