//! Sources: what each configuration means, and its readings. A source that does not answer in time knows nothing.
//!
//! - `kubernetes`: objects of the cluster; everything else is of `fairlead_backlog`

pub(crate) mod kubernetes;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead_backlog::SourceConfiguration;
use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::Sentinel;
use fairlead_backlog::source::{Credentials, OpenError, SecretKey, Source};
use fairlead_job::code::Code;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::redact;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::chain;
use fairlead_observe::kind::Kind;
use fairlead_observe::source as observe;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::proof::Watched;

use self::kubernetes::{KubernetesSource, Observed};

static SECRET: Kind = Kind::namespaced("", "Secret", &[]);

/// A source that takes longer knows nothing; the next round asks again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A source with its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct NamedSource {
    pub(crate) name: String,
    /// After how long the broker delivers again, where it does not say so itself.
    pub(crate) redelivery: Option<Duration>,
    pub(crate) kind: SourceKind,
}

/// What a source is.
#[derive(Clone, Debug)]
pub(crate) enum SourceKind {
    Kubernetes(Observed),
    Server(Box<SourceConfiguration>),
}

impl TryFrom<Map<String, Value>> for NamedSource {
    type Error = String;

    fn try_from(mut entry: Map<String, Value>) -> Result<Self, String> {
        let Some(Value::String(name)) = entry.remove("name") else {
            return Err("a source needs a name".to_owned());
        };
        let redelivery = match entry.remove("redelivery") {
            None => None,
            Some(Value::String(text)) => Some(
                humantime::parse_duration(&text).map_err(|error| format!("source {name}: redelivery {text:?}: {error}"))?,
            ),
            Some(other) => return Err(format!("source {name}: redelivery must be a duration like 30s, and is {other}")),
        };
        let mut kinds = entry.into_iter();
        let (Some((kind, content)), None) = (kinds.next(), kinds.next()) else {
            return Err(format!("source {name}: it must have one kind beside its name, like natsStreaming or kubernetes"));
        };
        let kind = SourceKind::read(&kind, content).map_err(|error| format!("source {name}: {error}"))?;
        Ok(Self { name, redelivery, kind })
    }
}

impl NamedSource {
    /// Where a sentinel goes, and who gets it; none without one.
    pub(crate) fn sentinel(&self) -> Option<String> {
        let SourceKind::Server(source) = &self.kind else { return None };
        match &**source {
            SourceConfiguration::JetStream(stream) => {
                let subjects = stream.sentinel.as_ref()?.subjects.join(", ");
                let readers = match stream.consumers.as_slice() {
                    [] => "every consumer of the stream gets it".to_owned(),
                    named => format!("{}, and every other consumer that takes these subjects, get it", named.join(", ")),
                };
                Some(format!("a sentinel goes into stream {} as {subjects}, and {readers}", stream.stream))
            }
            SourceConfiguration::Kafka(kafka) => {
                kafka.sentinel.as_ref()?;
                let topics = kafka.topics.join(", ");
                Some(format!("a sentinel goes into every partition of {topics}, and every group that reads it gets it"))
            }
            _ => None,
        }
    }
}

impl SourceKind {
    /// Reads the kind of this name.
    pub(crate) fn read(kind: &str, content: Value) -> Result<Self, String> {
        if kind == "kubernetes" {
            return Observed::read(content).map(Self::Kubernetes).map_err(|error| format!("kubernetes: {error}"));
        }
        let read =
            serde_json::from_value(json!({ kind: content })).map(|configuration| Self::Server(Box::new(configuration)));
        read.map_err(|error| match error.to_string() {
            // serde_json says so of the key.
            error if error.starts_with("unknown variant") => format!("{error}, `kubernetes`"),
            error => format!("{kind}: {error}"),
        })
    }
}

/// The cluster as sources see it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) discovery: &'a Discovery,
    /// Where Secrets are that name no namespace.
    pub(crate) namespace: &'a str,
}

/// A source that is opened when it is first read, and again after it could not be.
pub(crate) struct Reader<'a> {
    place: Place<'a>,
    kind: SourceKind,
    redelivery: Option<Duration>,
    pub(crate) watched: Watched,
    opened: Option<Box<dyn Source + 'a>>,
    /// Id of the sentinel, once it was ordered.
    sentinel: Option<String>,
}

impl<'a> Reader<'a> {
    /// Reads a source of the configuration.
    pub(crate) fn of(source: &NamedSource, place: Place<'a>) -> Self {
        let watched = Watched { name: source.name.clone(), is_intake: false };
        Self { place, kind: source.kind.clone(), redelivery: source.redelivery, watched, opened: None, sentinel: None }
    }

    /// Reads whether the intake is closed at this object.
    pub(crate) fn of_intake(observed: Observed, place: Place<'a>) -> Self {
        let watched = Watched { name: format!("intake {}", observed.target()), is_intake: true };
        Self { place, kind: SourceKind::Kubernetes(observed), redelivery: None, watched, opened: None, sentinel: None }
    }

    /// Whether it may be able to say only after the intake was closed how much is left: an object that a controller writes, a replica of a
    /// busy stream, a table that others write to.
    pub(crate) fn may_know_later(&self) -> bool {
        match &self.kind {
            SourceKind::Kubernetes(_) => !self.watched.is_intake,
            SourceKind::Server(source) => matches!(
                **source,
                SourceConfiguration::JetStream(_) | SourceConfiguration::Postgresql(_) | SourceConfiguration::Mysql(_)
            ),
        }
    }

    /// Opens it, which finds what is wrong with the configuration.
    pub(crate) async fn open(&mut self) -> Result<(), OpenError> {
        if self.opened.is_none() {
            self.opened = Some(match &self.kind {
                SourceKind::Kubernetes(observed) => Box::new(KubernetesSource::open(self.place, observed.clone()).await?),
                SourceKind::Server(configuration) => fairlead_backlog::open(configuration, &self.place).await?,
            });
            if let (Some(source), Some(id)) = (&mut self.opened, &self.sentinel) {
                source.order_sentinel(id);
            }
        }
        Ok(())
    }

    /// The intake is closed: the next reading publishes a sentinel with this id, where the configuration asks for one. Only the last one that
    /// was ordered counts.
    pub(crate) fn order_sentinel(&mut self, id: &str) {
        self.sentinel = Some(id.to_owned());
        if let Some(source) = &mut self.opened {
            source.order_sentinel(id);
        }
    }

    /// The next reading asks for everything again.
    pub(crate) fn renew(&mut self) {
        if let Some(source) = &mut self.opened {
            source.renew();
        }
    }

    /// Reads once.
    pub(crate) async fn read(&mut self) -> Reading {
        let read = async {
            if let Err(error) = self.open().await {
                return Reading::from(error);
            }
            match &mut self.opened {
                Some(source) => source.read().await,
                None => Reading::unknown("it is not open"),
            }
        };
        let reading = tokio::time::timeout(TIMEOUT, read).await;
        let mut reading = reading.unwrap_or_else(|_| Reading::unknown(format!("it did not answer within {TIMEOUT:?}")));
        reading.redelivery = reading.redelivery.max(self.redelivery);
        redacted(reading)
    }
}

/// Without credentials: what is read goes into logs, reports and the certificate.
fn redacted(mut reading: Reading) -> Reading {
    if let Left::Unknown(why) = &mut reading.left {
        *why = redact::text(why);
    }
    reading.hopeless = reading.hopeless.as_deref().map(redact::text);
    for words in [&mut reading.publishers, &mut reading.largest, &mut reading.warnings] {
        for words in words {
            *words = redact::text(words);
        }
    }
    if let Some(Sentinel::Refused(why)) = &mut reading.sentinel {
        *why = redact::text(why);
    }
    redact_texts(&mut reading.seen);
    reading
}

/// What was seen is kept under names of consumers and partitions, not of fields: `reset-tokens: 41` is no credential.
fn redact_texts(seen: &mut Value) {
    match seen {
        Value::String(written) => *written = redact::text(written),
        Value::Array(items) => items.iter_mut().for_each(redact_texts),
        Value::Object(entries) => entries.values_mut().for_each(redact_texts),
        _ => {}
    }
}

/// A source as the target of a finding.
pub(crate) fn target(name: &str) -> Target {
    let [api_version, kind, name] = ["fairlead.dev/v1", "Source", name].map(str::to_owned);
    Target { api_version, kind, namespace: None, name }
}

/// What is wrong with a source that cannot be opened.
pub(crate) fn refusal(name: &str, error: &OpenError) -> Finding {
    code(error).finding(target(name), redact::text(&chain(error)))
}

/// The code of what is wrong with a source that cannot be opened.
pub(crate) fn code(error: &OpenError) -> &'static Code {
    match error {
        OpenError::Unreachable { .. } => &codes::UNREACHABLE,
        OpenError::Denied { .. } => &codes::DENIED,
        OpenError::Invalid(_) => &codes::USELESS,
        OpenError::NoSentinel(_) => &codes::NO_SENTINEL,
        OpenError::Credentials { .. } => &codes::NO_CREDENTIALS,
    }
}

#[async_trait::async_trait(?Send)]
impl Credentials for Place<'_> {
    async fn read(&self, key: &SecretKey) -> Result<Vec<u8>, OpenError> {
        let namespace = key.namespace.as_deref().unwrap_or(self.namespace);
        let missing = |reason: String| OpenError::Credentials {
            namespace: namespace.to_owned(),
            name: key.name.clone(),
            key: key.key.clone(),
            reason,
        };
        let cluster = observe::Source::Cluster(self.cluster, self.discovery);
        let secret = cluster.get(&SECRET, namespace, &key.name).await.map_err(|obstacle| missing(chain(&obstacle)))?;
        let secret = secret.ok_or_else(|| missing("there is no such Secret".to_owned()))?;
        let value = secret["data"][&key.key].as_str().ok_or_else(|| missing("it is not in its data".to_owned()))?;
        STANDARD.decode(value).map_err(|error| missing(error.to_string()))
    }
}
