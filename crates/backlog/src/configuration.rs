//! Which source, as a user writes it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::near::nearest;
use crate::source::{Credentials, OpenError, Source};
use crate::sources::{http_json, jet_stream, kafka, nats_streaming, prometheus, sql};

/// A source; the key is its kind: `natsStreaming: {url: …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "BTreeMap<String, Value>")]
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

impl TryFrom<BTreeMap<String, Value>> for SourceConfiguration {
    type Error = String;

    fn try_from(entry: BTreeMap<String, Value>) -> Result<Self, String> {
        let mut entry = entry.into_iter();
        let (Some((kind, content)), None) = (entry.next(), entry.next()) else {
            return Err("a source has one kind, like natsStreaming or http".to_owned());
        };
        match kind.as_str() {
            "natsStreaming" => read(&content).map(Self::NatsStreaming),
            "jetStream" => read(&content).map(Self::JetStream),
            "kafka" => read(&content).map(Self::Kafka),
            "http" => read(&content).map(Self::Http),
            "prometheus" => read(&content).map(Self::Prometheus),
            "postgresql" => read(&content).map(Self::Postgresql),
            "mysql" => read(&content).map(Self::Mysql),
            other => Err(format!(
                "unknown variant `{other}`, expected one of `natsStreaming`, `jetStream`, `kafka`, `http`, `prometheus`, `postgresql`, `mysql`"
            )),
        }
    }
}

/// Reads a part of the configuration; an error names the field, and holds no value that may be a password.
pub(crate) fn read<T: DeserializeOwned>(content: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(content).map_err(|error| {
        let (path, what) = (error.path().to_string(), error.inner().to_string());
        if !is_secret(&path) {
            return if path == "." { what } else { format!("{path}: {what}") };
        }
        let known =
            if what.starts_with("unknown field") { path.rsplit_once('.').map_or("", |(known, _)| known) } else { &path };
        let unknown = unknown(&what).filter(|(name, expected)| is_field(content, known, name, expected));
        match unknown {
            Some((name, expected)) => format!("{known}: unknown field `{name}`, expected {expected}"),
            None => format!("{known}: {}", without_value(known, &what)),
        }
    })
}

/// The name that nobody knows, and those that are expected there.
fn unknown(what: &str) -> Option<(&str, &str)> {
    let rest = what.strip_prefix("unknown field `").or_else(|| what.strip_prefix("unknown variant `"))?;
    rest.split_once("`, expected ")
}

/// Whether a name that nobody knows is that of a field. It may be a password instead: `password: {hunter2: }`. It is none where something
/// stands below it, or beside it a field that is known there, or where it is nearly the name of one.
fn is_field(content: &Value, path: &str, name: &str, expected: &str) -> bool {
    let block = path.split('.').filter(|part| !part.is_empty()).try_fold(content, |value, part| value.get(part));
    let Some(block) = block.and_then(Value::as_object) else { return false };
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    block.get(name).is_some_and(Value::is_object)
        || block.keys().any(|other| names.contains(&other.as_str()))
        || nearest(name, names.iter().copied()).is_some()
}

/// Whether somebody may have written a password where the name of a Secret belongs.
fn is_secret(path: &str) -> bool {
    let fields = ["authentication", "sasl", "tls", "password"];
    path.split('.').any(|field| fields.contains(&field))
}

/// What is wrong, without the value that is there.
fn without_value(path: &str, what: &str) -> String {
    if what.contains("map with a single key") {
        let keys = if path.starts_with("sasl") {
            "plain, scramSha256 or scramSha512"
        } else {
            "password, token, nkey or credentials (NATS), basic or bearer (HTTP)"
        };
        return format!("it has one key: {keys}");
    }
    match (what.split_once("expected "), what.starts_with("missing field")) {
        (Some((_, expected)), false) => format!("something else is there than {expected}"),
        (_, true) => what.to_owned(),
        _ => "it cannot be read".to_owned(),
    }
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
    use serde_json::json;

    use super::*;

    /// An entry of `drain.sources`, and a source in it.
    fn source(mut entry: BTreeMap<String, Value>) -> Result<SourceConfiguration, serde_json::Error> {
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
                source(entry.clone()).unwrap_or_else(|error| panic!("{entry:?}: {error}"));
                examples += 1;
            }
        }
        assert_eq!(examples, 12);
    }

    #[test]
    fn an_error_names_the_field_and_never_a_password() {
        let key = || json!({"name": "db", "key": "password"});
        for (entry, expected) in [
            (
                json!({"postgresql": {"host": "h", "password": "hunter2"}}),
                "password: something else is there than a key of a Secret: {name: …, key: …}",
            ),
            (
                json!({"postgresql": {"host": "h", "password": {"hunter2": 1}}}),
                "password: something else is there than one of `namespace`, `name`, `key`",
            ),
            (json!({"mysql": {"host": "h", "port": "3306"}}), "port: invalid type: string \"3306\", expected u16"),
            (
                json!({"prometheus": {"url": "http://h", "query": "q", "maxAge": 30}}),
                "maxAge: 30 is no duration like 30s or 2m",
            ),
            (
                json!({"http": {"url": "http://h", "authentication": {"basci": key()}}}),
                "authentication: unknown field `basci`, expected `basic` or `bearer`",
            ),
            (
                json!({"http": {"url": "http://h", "authentication": {"hunter2": null}}}),
                "authentication: something else is there than `basic` or `bearer`",
            ),
            (
                json!({"postgresql": {"host": "h", "password": {"name": "db", "kee": "password"}}}),
                "password: unknown field `kee`, expected one of `namespace`, `name`, `key`",
            ),
            (
                json!({"postgresql": {"host": "h", "password": {"nmae": "hunter2"}}}),
                "password: unknown field `nmae`, expected one of `namespace`, `name`, `key`",
            ),
            (
                json!({"postgresql": {"host": "h", "tls": {"caFile": {"name": "db", "key": "ca.crt"}}}}),
                "tls: unknown field `caFile`, expected one of `ca`, `certificate`, `key`",
            ),
            (
                json!({"kafka": {"brokers": [], "sasl": {"plain": {"user": "a", "password": key()}}}}),
                "sasl.plain: unknown field `user`, expected `username` or `password`",
            ),
            (
                json!({"http": {"url": "http://h", "authentication": {"bearer": "hunter2"}}}),
                "authentication.bearer: something else is there than a key of a Secret: {name: …, key: …}",
            ),
            (
                json!({"http": {"url": "http://h", "authentication": {"basic": "hunter2"}}}),
                "authentication.basic: something else is there than {username: …, password: {name: …, key: …}}",
            ),
            (
                json!({"jetStream": {"servers": [], "authentication": {"username": "a", "password": key()}}}),
                "authentication: it has one key: password, token, nkey or credentials (NATS), basic or bearer (HTTP)",
            ),
            (
                json!({"jetStream": {"servers": [], "authentication": "hunter2"}}),
                "authentication: something else is there than one of `password`, `token`, `nkey`, `credentials`",
            ),
            (json!({"jetStream": {"servers": [], "authentication": 4711}}), "authentication: "),
            (
                json!({"kafka": {"brokers": [], "sasl": {"plain": {"username": "a", "password": "hunter2"}}}}),
                "sasl.plain.password: something else is there than a key of a Secret",
            ),
            (
                json!({"kafka": {"brokers": [], "tls": {"ca": "hunter2"}}}),
                "tls.ca: something else is there than a key of a Secret",
            ),
            (json!({"rabbit": {}}), "unknown variant `rabbit`, expected one of `natsStreaming`"),
        ] {
            let error = serde_json::from_value::<SourceConfiguration>(entry.clone()).expect_err("it is wrong").to_string();
            assert!(error.starts_with(expected), "{entry}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn a_field_that_nobody_knows_is_an_error() {
        let entry = json!({"name": "lag", "prometheus": {"url": "http://host", "query": "lag", "maxage": "1m"}});
        let error = source(serde_json::from_value(entry).expect("an entry")).expect_err("a field in lower case");
        assert!(error.to_string().contains("unknown field `maxage`"), "{error}");
    }
}
