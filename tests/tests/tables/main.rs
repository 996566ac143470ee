//! `schema-migrator` against real databases, and a real API server that keeps its tickets.
//!
//! - `scene`: a database with a table of transfers, and the job
//! - `there_and_back`: every operation, forward and back
//! - `seed`: the migration that Mojaloop wanted, with `clients` that write meanwhile

mod clients;
mod scene;
mod seed;
mod there_and_back;
