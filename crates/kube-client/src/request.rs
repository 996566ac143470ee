//! One request with its deadline and its retries, and what follows from the answer.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use fairlead_migration::obstacle::{LONGEST, Obstacle, Stop, cut};
use fairlead_migration::store::Lock;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::credential;
use crate::operation::{Operation, rule};
use crate::pace::Pace;

/// The first pause; an overloaded server says itself how long (Retry-After).
const MIN_DELAY: Duration = Duration::from_millis(100);

/// The longest pause, also when the server asks for more: the operator waits.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// A request is given up after this many of its own timeouts: an apiserver that restarts is back by then.
const PATIENCE: u32 = 4;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}", .0.message)]
    Status(Box<Status>),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection to {server}: {cause}")]
    Connection { server: String, cause: String },
    #[error("no credential for {server}: {why}")]
    Credential { server: String, why: String },
    #[error("the lease is over, so another run may be writing")]
    LeaseOver,
    #[error("this is no request")]
    Request(#[source] http::Error),
    #[error("this is no request")]
    Build(#[source] kube::core::request::Error),
    #[error("the answer is not JSON")]
    Body(#[source] serde_json::Error),
}

impl Error {
    pub(crate) fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the server has too much to do.
    fn is_overload(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status.code, 429 | 503 | 504),
            Self::Timeout(_) => true,
            Self::Connection { .. }
            | Self::Credential { .. }
            | Self::LeaseOver
            | Self::Request(_)
            | Self::Build(_)
            | Self::Body(_) => false,
        }
    }

    /// Whether the same request may succeed in a moment.
    fn is_transient(&self) -> bool {
        match self {
            // 500: a webhook whose pod is just starting answers so.
            Self::Status(status) => matches!(status.code, 429 | 500 | 502 | 503 | 504),
            // Where a token comes from may be as far away as the server.
            Self::Timeout(_) | Self::Credential { .. } => true,
            // Another try meets the same certificate.
            Self::Connection { cause, .. } => !cause.contains("invalid peer certificate"),
            Self::LeaseOver | Self::Request(_) | Self::Build(_) | Self::Body(_) => false,
        }
    }
}

impl Cluster {
    /// Sends a request until there is an answer that another try would not change.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Value, Error> {
        read(&self.send_until(request, None).await?)
    }

    /// The same without reading what is in the answer.
    pub(crate) async fn send_for_bytes(&self, request: Request<Vec<u8>>) -> Result<Bytes, Error> {
        self.send_until(request, None).await
    }

    /// The same for one of many writes, which the lock must outlast: as many at once as the server bears.
    pub(crate) async fn write(&self, request: Request<Vec<u8>>, lock: &dyn Lock) -> Result<Value, Error> {
        read(&self.write_for_bytes(request, lock).await?)
    }

    /// The same without reading what is in the answer.
    pub(crate) async fn write_for_bytes(&self, request: Request<Vec<u8>>, lock: &dyn Lock) -> Result<Bytes, Error> {
        self.send_until(request, Some((&self.pace, lock))).await
    }

    async fn send_until(&self, request: Request<Vec<u8>>, write: Option<(&Pace, &dyn Lock)>) -> Result<Bytes, Error> {
        let given_up = Instant::now() + self.request_timeout * PATIENCE;
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .without_max_times()
            .with_jitter()
            .build();
        loop {
            let answer = match write {
                None => self.send_once(request.clone()).await,
                Some((pace, lock)) => {
                    let turn = pace.turn().await;
                    // Asked when it is our turn: waiting for it may have taken longer than the lease.
                    if !lock.lasts(self.request_timeout) {
                        return Err(Error::LeaseOver);
                    }
                    let answer = self.send_once(request.clone()).await;
                    match &answer {
                        Ok(_) => turn.answered(),
                        Err((error, _)) if error.is_overload() => turn.overloaded(),
                        // A refusal takes another time than a write.
                        Err(_) => {}
                    }
                    answer
                }
            };
            let (error, asked) = match answer {
                Ok(body) => return Ok(body),
                Err(answer) => answer,
            };
            let pause = pauses.next().unwrap_or(MAX_DELAY).max(asked.unwrap_or_default()).min(MAX_DELAY);
            if !error.is_transient() || Instant::now() + pause >= given_up {
                return Err(error);
            }
            let given_up_in = Duration::from_secs(given_up.saturating_duration_since(Instant::now()).as_secs());
            tracing::warn!(method = %request.method(), path = request.uri().path(), %error, ?pause, ?given_up_in, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// The error comes with the pause that the server asks for.
    async fn send_once(&self, request: Request<Vec<u8>>) -> Result<Bytes, (Error, Option<Duration>)> {
        let exchange = async {
            let response = self.client.send(request.map(Body::from)).await.map_err(|error| self.broken(&error))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| self.broken(&error))?.to_bytes();
            Ok((head, body))
        };
        let (head, body) = match tokio::time::timeout(self.request_timeout, exchange).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err((error, None)),
            Err(_) => return Err((Error::Timeout(self.request_timeout), None)),
        };
        if head.status.is_success() {
            return Ok(body);
        }
        let asked = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err((Error::Status(Box::new(status(head.status, &body))), asked.map(Duration::from_secs)))
    }

    /// What lies at the bottom of an error of hyper, whose layers all say the same.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        if let Some(why) = credential::beneath(error) {
            let why = credential::said_of(why, self.plugin.as_ref());
            return Error::Credential { server: self.server.clone(), why };
        }
        let root = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
        Error::Connection { server: self.server.clone(), cause: root.to_string() }
    }

    /// The same for a write; when admission has refused it, with everybody who has a say there.
    pub(crate) async fn refused(&self, operation: Operation<'_>, error: Error) -> Obstacle {
        let (verb, resource) = (operation.verb, operation.resource);
        match self.obstacle(operation, error).await {
            Obstacle::Refused { operation, source } => {
                let source = match self.admission(verb, resource).await {
                    Some(who) => format!("{source}; {who}").into(),
                    None => source,
                };
                Obstacle::Refused { operation, source }
            }
            other => other,
        }
    }

    /// Sorts an error by what follows from it.
    pub(crate) async fn obstacle(&self, operation: Operation<'_>, error: Error) -> Obstacle {
        // A webhook that denies answers 403, too: only the authorizer knows whether it was the authorizer.
        if error.status().is_some_and(|status| status.code == 403) && !self.review(operation).await.unwrap_or(false) {
            return Obstacle::Forbidden { operation: operation.to_string(), rule: rule(operation), source: Box::new(error) };
        }
        obstacle(operation.to_string(), error)
    }
}

/// The same for what needs no permission.
pub(crate) fn obstacle(operation: String, error: Error) -> Obstacle {
    if matches!(error, Error::LeaseOver) {
        return Obstacle::Stopped(Stop::LeaseOver);
    }
    let code = error.status().map(|status| status.code);
    let source = Box::new(error);
    match code {
        // 401: the token is not valid any more; to us that is as if the process had been killed.
        None | Some(401 | 429 | 502..=504) => Obstacle::Unreachable { operation, source },
        Some(_) => Obstacle::Refused { operation, source },
    }
}

/// What is in an answer.
pub(crate) fn read(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(Error::Body)
}

/// Errors are Status objects, except from proxies and from the server's own overload protection. What the server does not accept it may
/// repeat as a whole: nobody reads that.
fn status(code: StatusCode, body: &[u8]) -> Status {
    let short = |text: &str| cut(text, LONGEST).into_owned();
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if status.code == code.as_u16() => Status { message: short(&status.message), ..status },
        _ => {
            let text = String::from_utf8_lossy(body);
            let message = format!("{code}: {}", short(text.trim()));
            // The server answers so where it does not serve the group at all, any more or yet.
            let reason =
                if code == StatusCode::NOT_FOUND { "NotFound" } else { code.canonical_reason().unwrap_or_default() };
            Status::failure(&message, reason).with_code(code.as_u16())
        }
    }
}
