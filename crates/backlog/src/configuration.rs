//! Which source, as a user writes it.

use serde::{Deserialize, Serialize};

use crate::source::{Credentials, OpenError, Source};
use crate::sources::{http_json, jet_stream, kafka, nats_streaming, prometheus, sql};

/// A source; the key is its kind: `natsStreaming: {url: …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceConfiguration {
    /// Durable subscriptions of NATS Streaming.
    NatsStreaming(nats_streaming::Configuration),
    /// Consumers of a stream of NATS JetStream.
    JetStream(jet_stream::Configuration),
    /// A consumer group of Kafka.
    Kafka(kafka::Configuration),
    /// Numbers in a JSON document that a server answers.
    Http(http_json::Configuration),
    /// Time series of Prometheus.
    Prometheus(prometheus::Configuration),
    /// A query on PostgreSQL.
    Postgresql(sql::Configuration),
    /// A query on MySQL or MariaDB.
    Mysql(sql::Configuration),
}

/// What becomes of a name that the server does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenAbsent {
    /// An error at the start, and unknown later.
    #[default]
    Unknown,
    /// Nothing is left in it.
    Empty,
}

/// Connects, and reads once to see that the configuration names what is there.
pub async fn open(configuration: &SourceConfiguration, credentials: &dyn Credentials) -> Result<Box<dyn Source>, OpenError> {
    Ok(match configuration {
        SourceConfiguration::NatsStreaming(of) => Box::new(nats_streaming::open(of, credentials).await?),
        SourceConfiguration::JetStream(of) => Box::new(jet_stream::open(of, credentials).await?),
        SourceConfiguration::Kafka(of) => Box::new(kafka::open(of, credentials).await?),
        SourceConfiguration::Http(of) => Box::new(http_json::open(of, credentials).await?),
        SourceConfiguration::Prometheus(of) => Box::new(prometheus::open(of, credentials).await?),
        SourceConfiguration::Postgresql(of) => Box::new(sql::open(sql::Engine::PostgreSql, of, credentials).await?),
        SourceConfiguration::Mysql(of) => Box::new(sql::open(sql::Engine::MySql, of, credentials).await?),
    })
}
