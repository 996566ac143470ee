//! A request from its path to its answer.

use std::cell::Cell;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::Instant;

use crate::answer::{self, Answer};
use crate::api::Api;
use crate::body;
use crate::event::Event;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::room::{Held, Room};
use crate::subscribed::Subscribed;
use crate::target::Targets;
use crate::trace::Trace;

/// Not `server`: a proxy beside the pod writes its own name there.
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are served.
    Open,
    /// Requests are served, each client is told to go, and `/readyz` says that the server is not ready.
    Leaving,
    /// No connection is taken, and requests in flight are finished.
    Closing,
}

/// The server without its connections.
pub(crate) struct Layer {
    targets: Targets,
    room: Room,
    metrics: Metrics,
    subscribed: Subscribed,
    body: body::Limits,
    /// Time in which the targets of a request's events must have accepted them all.
    request_timeout: Duration,
    phase: watch::Receiver<Phase>,
    warned: Cell<Option<Instant>>,
}

/// The events of a request, and the room that they have until it is answered.
struct Taken<'r> {
    events: Vec<Event>,
    _entered: SemaphorePermit<'r>,
    _held: Held<'r>,
}

/// Time between two warnings in the log, which people read.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

impl Layer {
    pub(crate) fn new(
        targets: Targets,
        room: Room,
        body: body::Limits,
        request_timeout: Duration,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let metrics = Metrics::new(targets.applications());
        let subscribed = Subscribed::new();
        Self { targets, room, metrics, subscribed, body, request_timeout, phase, warned: Cell::default() }
    }

    /// Answers a probe, or a reader of metrics; none where the path is another one.
    pub(crate) fn probe(&self, path: &str) -> Option<Answer> {
        let mut answer = match path {
            "/healthz" | "/v1/health" => answer::text(StatusCode::OK, "ok"),
            "/readyz" | "/v1/status/ready" => self.readiness(),
            "/metrics" => {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                answer::with(StatusCode::OK, Some(content_type), self.metrics.page().into_bytes())
            }
            _ => return None,
        };
        // Whoever asks through a Service sees where it leads.
        answer.headers_mut().insert(SERVED_BY, HeaderValue::from_static("compatibility-layer"));
        Some(answer)
    }

    /// Answers a request of whatever kind.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        if let Some(answer) = self.probe(head.uri.path()) {
            return answer;
        }
        // Copied: a path and a value keep the buffer of their connection, which is larger.
        let path = head.uri.path().to_owned();
        let source_id = head.headers.get("source-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if let [application, "v1", "events", "subscribed"] = path.as_slice() {
            return match head.method {
                Method::GET => self.subscribed.answer(application).await,
                _ => answer::not_here(StatusCode::METHOD_NOT_ALLOWED),
            };
        }
        match Api::at(&path, source_id.as_deref()) {
            None => answer::not_here(StatusCode::NOT_FOUND),
            Some(_) if head.method != Method::POST => answer::not_here(StatusCode::METHOD_NOT_ALLOWED),
            Some(api) => self.publish(api, head.headers, body).await,
        }
    }

    fn readiness(&self) -> Answer {
        if *self.phase.borrow() > Phase::Open {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, "the server ends")
        } else if self.targets.are_ready() {
            answer::text(StatusCode::OK, "ok")
        } else {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, "there is no connection to a target")
        }
    }

    /// Takes the events of a request, and answers when their targets have all of them.
    async fn publish(&self, api: Api<'_>, headers: HeaderMap, body: Incoming) -> Answer {
        let _counted = self.metrics.begin();
        let taken = match self.take(api, &headers, body).await {
            Ok(taken) => taken,
            Err(fault) => return self.refuse(api, api.application(), &fault, None),
        };
        let trace = Trace::of(&headers);
        drop(headers);
        let until = Instant::now() + self.request_timeout;
        for (number, event) in (1..).zip(&taken.events) {
            if let Err(fault) = self.send(api, event, &trace, until).await {
                let answer = self.refuse(api, &event.source, &fault, Some(event));
                let count = taken.events.len();
                return if count == 1 { answer } else { answer::refused_in_batch(&fault, number, count, &event.id) };
            }
        }
        for event in &taken.events {
            self.metrics.accept(&event.source);
        }
        answer::accepted(api.dialect(), taken.events.first().map_or("", |event| &event.id))
    }

    /// Reads the events of a request, as far as there is room for it.
    async fn take(&self, api: Api<'_>, headers: &HeaderMap, body: Incoming) -> Result<Taken<'_>, Fault> {
        let entered = self.room.enter()?;
        let (body, mut held) = body::read(body, self.body, &self.room).await?;
        let events = api.read(headers, &body)?;
        held.resize(events.iter().map(Event::size).sum())?;
        Ok(Taken { events, _entered: entered, _held: held })
    }

    async fn send(&self, api: Api<'_>, event: &Event, trace: &Trace, until: Instant) -> Result<(), Fault> {
        let started = Instant::now();
        let sent = self.targets.send(&self.room, api.origin(), event, trace, until).await;
        if !matches!(sent, Err(Fault::Crowded(_))) {
            self.metrics.answered(&event.source, started.elapsed(), sent.is_ok());
        }
        sent
    }

    fn refuse(&self, api: Api<'_>, application: &str, fault: &Fault, event: Option<&Event>) -> Answer {
        self.metrics.refuse(application, fault);
        let id = event.map(|event| event.id.as_str());
        if let Some(id) = id.filter(|_| self.may_warn()) {
            tracing::warn!(application, id, reason = fault.reason(), why = fault.message(None), "an event was not accepted");
        }
        answer::refused(api.dialect(), fault, id)
    }

    /// Once in a while: where a target is away, all events fare alike, and the metrics count them.
    fn may_warn(&self) -> bool {
        let is_time = self.warned.get().is_none_or(|warned| warned.elapsed() >= BETWEEN_WARNINGS);
        if is_time {
            self.warned.set(Some(Instant::now()));
        }
        is_time
    }
}
