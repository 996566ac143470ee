//! One dedicated connection to PostgreSQL or MariaDB: how it is opened, what its errors mean, and the lock of its session.
//!
//! - [`address`]: where a database is, and who we are there; as it is written in a configuration and in a ticket
//! - [`engine`]: PostgreSQL and MariaDB, and the versions that are refused
//! - `greeting`: the version of a server that is too old to talk to
//! - [`session`]: the connection; statements and answers are text
//! - [`error`]: what a server's error means for a run
//! - [`text`]: names and literals, as each engine writes them
//! - [`mutex`]: one session at a time, by the server's own advisory lock
//!
//! # Decision: answers are text
//!
//! Situation: the statements of a migration are data in a ticket, and what they answer is compared with text in a ticket. Decision: every
//! statement is sent in the text protocol, and every answer is read as text. Consequence: one code for both engines, and no type of a column
//! that this crate would have to know.

pub mod address;
pub mod engine;
pub mod error;
mod greeting;
pub mod mutex;
pub mod session;
pub mod text;
