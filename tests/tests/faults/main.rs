//! A run that dies at any write, or gets any wrong answer to it, ends fully new or exactly old.
//!
//! - `scenario`: a small one whose writes are of every kind there is
//! - `kills`: killed at each write, at three moments, then run again, or taken back, or both
//! - `answers`: every wrong answer at every kind of write
//! - `purge`: legacy-purger, killed at each write
//! - `drain`: drain-waiter, killed at each write, with every kind of intake
//! - `definitions`: kinds that are deleted with their objects, and come back with them
//! - `gates`: gates, switches, sweeps and a second executor, killed at each write
//! - `stores`: a store that is not the cluster's ledger, and that a release lives in one of the two
//! - `lost_ledger`: Secrets of the ledger that are all gone, and runs after that
//! - `others`: other writers, webhooks and namespaces that go while a run is at work

mod answers;
mod definitions;
mod drain;
mod gates;
mod kills;
mod lost_ledger;
mod others;
mod purge;
mod scenario;
mod stores;
