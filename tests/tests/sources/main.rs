//! What the sources of a drain say about real servers, and above all what they do not say: unknown is never zero.

#![expect(clippy::panic, reason = "a helper of a test panics with what it knows")]

mod broken;
mod http_json;
mod jet_stream;
mod jet_stream_broken;
mod jet_stream_lost;
mod kafka;
mod kafka_several;
mod nats_streaming;
mod prometheus;
mod rabbitmq;
mod scene;
mod sentinel;
mod sentinel_kafka;
mod sql;
mod sql_hidden;
mod waiting;
mod wrong_port;
