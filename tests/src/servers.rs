//! Message brokers, databases and the like: real ones, each in a process of its own with free ports and a temporary folder, which ends
//! with the test. `make servers` fetches and builds them.

pub mod certificates;
pub mod database;
pub mod document;
pub mod kafka;
pub mod mysql;
pub mod nats;
pub mod nats_cluster;
pub mod nats_streaming;
pub mod pgbouncer;
pub mod process;
pub mod prometheus;
pub mod rabbitmq;
pub mod talker;

use std::path::PathBuf;
use std::process::Command;

use crate::program::root;

/// A file or folder that `make servers` has made.
#[must_use]
pub fn file(name: &str) -> PathBuf {
    root().join("target/tools/servers").join(name)
}

/// A server, or a client of one, that `make servers` has built.
#[must_use]
pub fn server(name: &str) -> Command {
    Command::new(file(name))
}
