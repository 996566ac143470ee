//! NATS JetStream: the consumers of a stream, asked through the client's protocol.
//!
//! Only the leader of a consumer answers such a question, but a leader that is cut off answers, too, and then it does not know what the
//! others have got meanwhile. So an answer counts only if the leader has heard from a majority within `CONTACT`, for the
//! consumer and for its stream: followers wait longer than that before they choose another leader.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::connection::{Login, Tls, TlsFiles, text};
use crate::http::{Http, TIMEOUT};
use crate::reading::{Left, Reading};
use crate::sentinel::Sentinel;
use crate::source::{Credentials, OpenError, SecretKey, Source, not_configured};
use crate::sources::connections::connections;

mod asked;
mod consumer;
mod group;
mod history;
mod judgement;
pub mod sentinel;
mod stream;
mod subject;
mod unread;

use consumer::Consumer;
use history::History;
use sentinel::Ordered;
use stream::Stream;

/// Some consumers of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Servers of one cluster: `nats://nats.shop:4222`, or `tls://…`.
    pub servers: Vec<String>,
    /// How the servers are recognized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Domain of JetStream, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Name of the stream.
    pub stream: String,
    /// Consumers by name; every one of the stream when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub consumers: Vec<String>,
    /// Subjects with messages that nobody reads, and nobody needs; `*` and `>` as in NATS.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accept_unread: Vec<String>,
    /// Monitoring endpoints (`http://nats.shop:8222`), which name who publishes when nobody should.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub monitoring: Vec<String>,
    /// A message that is published when the intake is closed: nothing is left only when every consumer has acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<sentinel::Configuration>,
}

/// Who we are, for NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authentication {
    /// A user and a password.
    Password(Login),
    /// A token.
    Token(SecretKey),
    /// Seed of an `NKey`.
    Nkey(SecretKey),
    /// A file of credentials, with a JWT and its seed.
    Credentials(SecretKey),
}

/// A connection to a cluster.
pub struct JetStream {
    client: Client,
    address: String,
    configuration: Configuration,
    monitoring: Vec<Http>,
    history: History,
    /// Once it was ordered.
    sentinel: Option<Ordered>,
    /// What the server did not allow us, as it said it last.
    denied: watch::Sender<String>,
    /// Whether the last question has led to no answer that says how much is left.
    is_in_doubt: bool,
    /// How many messages were sent.
    sent: Cell<u32>,
}

/// How long a server may take to connect, at least. One that is silent leaves time for the others.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// How often is looked whether the client has another connection.
const PAUSE: Duration = Duration::from_millis(20);

/// Connects and reads once.
pub async fn open(configuration: &Configuration, credentials: &dyn Credentials) -> Result<JetStream, OpenError> {
    if configuration.servers.is_empty() {
        return Err(OpenError::Invalid("servers is empty; name one like nats://nats.shop:4222".to_owned()));
    }
    let address = configuration.servers.join(", ");
    if address.contains('@') {
        return Err(OpenError::Invalid("servers hold credentials; name a Secret under authentication".to_owned()));
    }
    let denied = watch::Sender::new(String::new());
    let client = connect(configuration, &address, credentials, denied.clone()).await?;
    let mut monitoring = Vec::new();
    for url in &configuration.monitoring {
        let server = Http::new(url, configuration.tls.as_ref(), None, credentials).await?;
        // Nobody would notice later that it names nobody.
        server.json::<Value>("/varz").await?;
        monitoring.push(server);
    }
    let history = History::default();
    let (configuration, sent) = (configuration.clone(), Cell::new(0));
    let (sentinel, is_in_doubt) = (None, false);
    let mut source = JetStream { client, address, configuration, monitoring, history, sentinel, denied, is_in_doubt, sent };
    source.ask().await.map(|_| source)
}

async fn connect(
    configuration: &Configuration,
    address: &str,
    credentials: &dyn Credentials,
    denied: watch::Sender<String>,
) -> Result<Client, OpenError> {
    let note = move |event| {
        // It is no answer to the request that it belongs to.
        if let Event::ServerError(ServerError::Other(text)) = event {
            denied.send_replace(text);
        }
        std::future::ready(())
    };
    let servers = u32::try_from(configuration.servers.len()).unwrap_or(u32::MAX).max(1);
    let mut options = ConnectOptions::new()
        .name("fairlead")
        .event_callback(note)
        .connection_timeout((TIMEOUT / servers).max(LEAST_PATIENCE))
        .request_timeout(Some(TIMEOUT));
    options = options.tls_client_config(TlsFiles::read(configuration.tls.as_ref(), credentials).await?.client_config()?);
    options = match &configuration.authentication {
        None => options,
        Some(Authentication::Password(login)) => {
            options.user_and_password(login.username.clone(), text(&login.password, credentials).await?)
        }
        Some(Authentication::Token(key)) => options.token(text(key, credentials).await?),
        Some(Authentication::Nkey(key)) => options.nkey(text(key, credentials).await?),
        Some(Authentication::Credentials(key)) => {
            let file = text(key, credentials).await?;
            options
                .credentials(&file)
                .map_err(|_| OpenError::Invalid("authentication.credentials holds no JWT and seed".to_owned()))?
        }
    };
    let connecting = options.require_tls(configuration.tls.is_some()).connect(configuration.servers.as_slice());
    let address = address.to_owned();
    match timeout(TIMEOUT, connecting).await {
        Err(_) => Err(silent(address)),
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                let reason = not_configured(error.to_string(), configuration.authentication.is_some(), "authentication");
                OpenError::Denied { address, reason }
            }
            ConnectErrorKind::TimedOut => silent(address),
            _ => OpenError::unreachable(address, &error),
        }),
    }
}

/// A server of NATS is the first one to speak.
fn silent(address: String) -> OpenError {
    let what = "no answer in time; is this the port of NATS for clients?";
    OpenError::Unreachable { address, source: what.into() }
}

#[async_trait(?Send)]
impl Source for JetStream {
    async fn read(&mut self) -> Reading {
        // Also a question that nobody waits for any more has led to nothing.
        if std::mem::replace(&mut self.is_in_doubt, true) {
            self.leave().await;
        }
        let reading = self.ask().await.unwrap_or_else(Reading::from);
        self.is_in_doubt = matches!(reading.left, Left::Unknown(_));
        reading
    }

    fn order_sentinel(&mut self, id: &str) {
        if self.sentinel.as_ref().is_none_or(|ordered| ordered.id != id) {
            self.sentinel = Some(Ordered::new(id));
        }
    }
}

/// An error of JetStream's API.
#[derive(Deserialize)]
struct ApiError {
    code: u16,
    description: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Page {
    total: usize,
    consumers: Option<Vec<Consumer>>,
    /// Consumers whose leader did not answer in time.
    missing: Option<Vec<String>>,
}

impl JetStream {
    /// Connects to another server, if there is one: this one may be silent, which the client notices only after minutes, or cut off from
    /// the others.
    async fn leave(&self) {
        let statistics = self.client.statistics();
        let count = || statistics.connects.load(Ordering::Relaxed);
        let before = count();
        // Otherwise the client is on its way already, and would leave the next server at once.
        let is_connected = self.client.connection_state() == State::Connected;
        if !is_connected || self.client.force_reconnect().await.is_err() {
            return;
        }
        // What is asked earlier may still go to the old one.
        let connected = async {
            while count() == before {
                sleep(PAUSE).await;
            }
        };
        // Where it does not connect in time the next question says so.
        let _ = timeout(TIMEOUT, connected).await;
    }

    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let (name, before) = (self.configuration.stream.clone(), self.sent.get());
        let (mut stream, mut consumers) = self.look().await?;
        if judgement::doubt(&stream, &consumers).is_none() {
            self.check_sentinel(&stream, &consumers)?;
            if self.publish_sentinel(&stream, &consumers).await? {
                (stream, consumers) = self.look().await?;
            }
        }
        // Who may not know the truth shows neither that nothing is left, nor that something was lost.
        if let Some(doubt) = judgement::doubt(&stream, &consumers) {
            let requests = self.sent.get().wrapping_sub(before);
            return Ok(Reading { requests, ..Reading::unknown(doubt) });
        }
        let unread = self.unread(&stream, &consumers).await?;
        let has_moved = self.history.look(&stream, &consumers);
        let (sentinel, named) = (self.sentinel.as_ref(), &self.configuration.consumers);
        let verdict = judgement::judge(&stream, &consumers, &self.history, &unread, named, sentinel);
        let verdict = verdict.map_err(OpenError::Invalid)?;
        let end = stream.state.last_seq + 1;
        let mut publishers = Vec::new();
        // Names are needed only of those who should have stopped.
        for server in self.monitoring.iter().filter(|_| has_moved) {
            publishers.extend(connections(server).await);
        }
        let seen = judgement::evidence(&stream, &consumers, &unread);
        let behind = self.sentinel.as_ref().map_or(0, |sentinel| sentinel.behind(&consumers));
        let left = match (verdict.unknown, verdict.left.max(behind)) {
            (Some(why), _) => Left::Unknown(why),
            (None, 0) => Left::Empty,
            (None, left) => Left::Some(left),
        };
        let subjects = self.configuration.sentinel.as_ref().map(|sentinel| &sentinel.subjects);
        let ordered = self.sentinel.as_ref().zip(subjects);
        let sentinel =
            ordered.and_then(|(ordered, subjects)| ordered.published(subjects, &consumers, stream.state.last_seq));
        self.history.keep(stream, &consumers);
        Ok(Reading {
            largest: Reading::largest(verdict.each),
            hopeless: verdict.hopeless,
            ends: BTreeMap::from([(name, end)]),
            redelivery: Some(verdict.ack_wait).filter(|wait| *wait > 0).map(Duration::from_nanos),
            publishers,
            sentinel: sentinel.map(Sentinel::Published),
            server: Some(format!("nats-server {}", self.client.server_info().version)),
            seen,
            requests: self.sent.get().wrapping_sub(before),
            ..Reading::new(left)
        })
    }

    /// The stream first: then every consumer has seen at least so much.
    async fn look(&self) -> Result<(Stream, Vec<Consumer>), OpenError> {
        let stream = self.request(&format!("STREAM.INFO.{}", self.configuration.stream), "").await?;
        Ok((stream, self.consumers().await?))
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, OpenError> {
        let Configuration { stream, consumers: names, .. } = &self.configuration;
        let mut all = Vec::new();
        for name in names {
            all.push(self.request(&format!("CONSUMER.INFO.{stream}.{name}"), "").await?);
        }
        while names.is_empty() {
            let offset = json!({"offset": all.len()}).to_string();
            let page: Page = self.request(&format!("CONSUMER.LIST.{stream}"), &offset).await?;
            if let Some(name) = page.missing.unwrap_or_default().first() {
                return Err(self.unreachable(format!("the leader of consumer {name} does not answer")));
            }
            let consumers = page.consumers.unwrap_or_default();
            let is_last = consumers.is_empty();
            all.extend(consumers);
            if all.len() >= page.total {
                break;
            }
            if is_last {
                return Err(self.unreachable(format!("{} of {} consumers are listed", all.len(), page.total)));
            }
        }
        Ok(all)
    }

    async fn request<T: DeserializeOwned>(&self, what: &str, body: &str) -> Result<T, OpenError> {
        self.sent.set(self.sent.get().wrapping_add(1));
        let prefix = self.configuration.domain.as_ref().map_or("$JS.API".to_owned(), |domain| format!("$JS.{domain}.API"));
        let subject = format!("{prefix}.{what}");
        let answer = tokio::select! {
            answer = self.client.request(subject.clone(), body.to_owned().into()) => answer,
            // Nobody answers then.
            right = self.denied(|text| asked::missing_right(&subject, text)) => {
                let reason = format!("the user may not ask for {}: {right}", asked::in_words(what));
                return Err(OpenError::Denied { address: self.address.clone(), reason });
            }
        };
        let message = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => OpenError::Invalid(format!("{} has no JetStream for us", self.address)),
            RequestErrorKind::TimedOut => {
                self.unreachable(format!("{}: no answer in time; there may be no leader", asked::in_words(what)))
            }
            _ => self.unreachable(error.to_string()),
        })?;
        let invalid = |error: serde_json::Error| {
            OpenError::Invalid(format!("{} is not told as expected: {error}", asked::in_words(what)))
        };
        let refusal: Refusal = serde_json::from_slice(&message.payload).map_err(invalid)?;
        let Some(error) = refusal.error else { return serde_json::from_slice(&message.payload).map_err(invalid) };
        let text = asked::refused(what, &error.description);
        Err(if error.code >= 500 { self.unreachable(text) } else { OpenError::Invalid(text) })
    }

    /// Waits until the server says what `is_ours` makes something of: such a message is no answer to a request.
    pub(super) async fn denied<T>(&self, is_ours: impl Fn(&str) -> Option<T>) -> T {
        let mut said = self.denied.subscribe();
        while said.changed().await.is_ok() {
            let found = is_ours(&said.borrow_and_update());
            if let Some(found) = found {
                return found;
            }
        }
        std::future::pending().await
    }

    fn unreachable(&self, why: String) -> OpenError {
        OpenError::Unreachable { address: self.address.clone(), source: why.into() }
    }
}
