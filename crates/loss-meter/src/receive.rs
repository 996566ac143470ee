//! Subscribers that count. An event that is not answered with 2xx does not count: the broker has to bring it again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fairlead_job::codes::loss_meter as codes;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::args::ReceiveArgs;
use crate::event::{Numbered, micros_now};
use crate::received::{Counter, Received};

/// The largest request, in bytes.
const LARGEST: usize = 1 << 20;

/// How long a connection may rest: longer than Go's clients keep one (90 s), so that they end it and not we.
const IDLE: Duration = Duration::from_secs(100);

/// Headers by which brokers say that they deliver an event again.
const REDELIVERED: [&str; 2] = ["ce-redelivered", "nats-redelivered"];

/// How a subscription answers; 200 at once, if nobody says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    after_millis: u64,
}

/// All subscriptions of this process.
struct Subscriptions {
    /// Of this process.
    instance: String,
    /// By subscription, run and stream.
    counters: BTreeMap<(String, String, String), Counter>,
    answers: BTreeMap<String, Answer>,
    /// Requests that hold no numbered event.
    others: u64,
}

impl Subscriptions {
    fn new() -> Self {
        let instance = Uuid::new_v4().to_string();
        Self { instance, counters: BTreeMap::new(), answers: BTreeMap::new(), others: 0 }
    }
}

type Shared = Arc<Mutex<Subscriptions>>;

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(args: &ReceiveArgs) -> anyhow::Result<ExitStatus> {
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::caused(&codes::NOT_LISTENING, format!("cannot listen at {}", args.listen), error))?;
    let [mut terminate, mut interrupt] = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (shared, connections) = (Arc::new(Mutex::new(Subscriptions::new())), GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection is not accepted");
                // Too many open files: it is better a moment later.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection has ended");
            }
        });
    }
    drop(listener);
    // Whoever still waits for a slow answer gets it.
    let _ = tokio::time::timeout(Duration::from_secs(20), pin!(connections.shutdown())).await;
    Ok(ExitStatus::Done)
}

async fn answer(request: Request<Incoming>, shared: Shared) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let name = head.uri.path().trim_matches('/').to_owned();
    let Ok(body) = Limited::new(body, LARGEST).collect().await else {
        return Ok(reply(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or has not come\n"));
    };
    let body = body.to_bytes();
    Ok(match head.method {
        Method::GET if name == "healthz" => reply(StatusCode::OK, "ok\n"),
        Method::GET => report(&shared, head.uri.query().and_then(|query| query.strip_prefix("run="))),
        Method::POST if !name.is_empty() => take(&shared, &name, &head.headers, &body).await,
        Method::PUT if !name.is_empty() => match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) if answer.status.is_none_or(|status| StatusCode::from_u16(status).is_ok()) => {
                lock(&shared).answers.insert(name, answer);
                reply(StatusCode::OK, "")
            }
            Ok(_) => reply(StatusCode::BAD_REQUEST, "there is no such status\n"),
            Err(error) => reply(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        Method::POST | Method::PUT => reply(StatusCode::NOT_FOUND, "the path is the name of a subscription\n"),
        _ => reply(StatusCode::METHOD_NOT_ALLOWED, "GET, POST or PUT\n"),
    })
}

async fn take(shared: &Shared, name: &str, headers: &HeaderMap, body: &[u8]) -> Response<Full<Bytes>> {
    let Answer { status, after_millis } = lock(shared).answers.get(name).copied().unwrap_or_default();
    if after_millis > 0 {
        tokio::time::sleep(Duration::from_millis(after_millis)).await;
    }
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    if status.is_success() {
        count(&mut lock(shared), name, headers, body);
    }
    reply(status, "")
}

fn count(subscriptions: &mut Subscriptions, name: &str, headers: &HeaderMap, body: &[u8]) {
    let Some(event) = Numbered::found(body) else {
        subscriptions.others += 1;
        return;
    };
    let says_so = |header: &str| headers.get(header).is_some_and(|value| value != "false" && value != "0");
    let key = (name.to_owned(), event.run.clone(), event.stream.clone());
    let counter = subscriptions.counters.entry(key).or_insert_with(|| Counter::new(&event));
    counter.add(&event, REDELIVERED.into_iter().any(says_so), micros_now());
}

/// What has arrived; of one run, where one is named.
fn report(shared: &Shared, run: Option<&str>) -> Response<Full<Bytes>> {
    let subscriptions = lock(shared);
    let (instance, others) = (subscriptions.instance.clone(), subscriptions.others);
    let mut received = Received { instance, others, ..Received::default() };
    for ((name, of, _), counter) in &subscriptions.counters {
        if run.is_none_or(|run| run == of) {
            received.subscriptions.entry(name.clone()).or_default().push(counter.arrived());
        }
    }
    let mut document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Received", "instance": received.instance,
        "others": received.others});
    document["subscriptions"] = json!(received.subscriptions);
    let mut response = reply(StatusCode::OK, format!("{document}\n"));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn reply(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Subscriptions> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
