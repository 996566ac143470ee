//! One file for each kind of server: its configuration, how it is opened, and how it is read.

mod connections;
pub mod http_json;
pub mod jet_stream;
pub mod kafka;
pub mod nats_streaming;
pub mod prometheus;
pub mod sql;
