//! `schema-migrator` against real databases, and a real API server that keeps its tickets.
//!
//! - `scene`: a database with a table of transfers, and the job
//! - `there_and_back`: every operation, forward and back
//! - `pipeline`: without a cluster
//! - `refused`: what does not fit, and what is said about it
//! - `replicas`: replicas that lie behind while rows are filled
//! - `rows`: rows that change while they are filled, and rows that cannot be
//! - `backup`: what was dropped for good is restored
//! - `engines`: servers that are too old, and how a server and a client recognize each other
//! - `found`: what people have run into
//! - `killed`: the job is killed at every line of its log
//! - `objections`: what the server itself says against an operation
//! - `pace`: how fast rows are filled
//! - `seed`: the migration that Mojaloop wanted, with clients that write meanwhile
//! - `stopped`: the run is to end while a statement is under way

#![expect(clippy::print_stdout, reason = "`make soak` shows figures")]

mod backup;
mod engines;
mod found;
mod killed;
mod objections;
mod pace;
mod pipeline;
mod refused;
mod replicas;
mod rows;
mod scene;
mod seed;
mod stopped;
mod there_and_back;
