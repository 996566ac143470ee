//! Keeps the tickets of a release in tables of the database that it migrates, for pipelines without a cluster.
//!
//! - [`store`]: the store that a job gets
//! - `history`: which runs there were, and from what each can be undone
//! - `journal`: keeps the ticket of the run that is under way
//! - `transfer`: tickets as documents, and back
//! - `lease`: one run at a time
//! - `register`: which sequences there have been, and how the last runs ended
//! - `record`: what a row of the table of tickets says
//! - `place`: the database, the tables in it, and who may write them now
//! - `link`: a connection that connects again
//! - `tables`: the tables, and the few words in which the two engines differ
//!
//! # Decision: no state of a session
//!
//! Situation: many databases are reached through a pooler that gives each transaction another connection, and prepared statements, advisory
//! locks and settings of a session are lost, or somebody else's, there. Decision: each write is one message with all that it depends on: it
//! locks the row of the lease, looks at holder and token, writes, and reads what is there then. Consequence: it may be sent again when its
//! answer was lost, and who has lost the lease writes nothing.

mod history;
mod journal;
mod lease;
mod link;
mod place;
mod record;
mod register;
pub mod store;
mod tables;
mod transfer;
