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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// An entry of `drain.sources`, and a source in it.
    fn read(mut entry: BTreeMap<String, Value>) -> Result<SourceConfiguration, serde_json::Error> {
        entry.remove("name").expect("a name");
        serde_json::from_value(serde_json::to_value(entry)?)
    }

    #[test]
    fn every_example_is_a_source() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sources.md"))
            .expect("the page is there");
        let mut examples = 0;
        for block in page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            let document: Value = serde_saphyr::from_str(text).expect("YAML");
            let entries = document.pointer("/drain/sources").unwrap_or(&document).clone();
            for entry in serde_json::from_value::<Vec<BTreeMap<String, Value>>>(entries).expect("a list of sources") {
                read(entry.clone()).unwrap_or_else(|error| panic!("{entry:?}: {error}"));
                examples += 1;
            }
        }
        assert_eq!(examples, 10);
    }

    #[test]
    fn a_field_that_nobody_knows_is_an_error() {
        let entry = json!({"name": "lag", "prometheus": {"url": "http://host", "query": "lag", "maxage": "1m"}});
        let error = read(serde_json::from_value(entry).expect("an entry")).expect_err("a field in lower case");
        assert!(error.to_string().contains("unknown field `maxage`"), "{error}");
    }
}
