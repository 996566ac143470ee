//! A request from its path to its answer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::answer::{self, Answer, Dialect};
use crate::cloud_event;
use crate::event::Event;
use crate::fault::Fault;
use crate::legacy::{self, Service, Version};
use crate::metrics::Metrics;
use crate::naming::Origin;
use crate::subscribed::Subscribed;
use crate::target::Targets;
use crate::trace::Trace;

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

/// Limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a body.
    pub(crate) body: usize,
    /// Time in which it must have come.
    pub(crate) body_timeout: Duration,
    /// Requests at once.
    pub(crate) in_flight: usize,
}

/// The server without its connections.
pub(crate) struct Layer {
    targets: Targets,
    metrics: Metrics,
    subscribed: Subscribed,
    limits: Limits,
    permits: Semaphore,
    phase: watch::Receiver<Phase>,
    warned: Cell<Option<Instant>>,
}

/// The API that a publisher asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api<'r> {
    Legacy(Service<'r>, Version),
    CloudEvents,
}

/// A body that is too long is read up to so many times its limit, so that its publisher reads the answer instead of a reset.
const SURPLUS: usize = 4;

/// Time between two warnings in the log, which people read.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

impl Layer {
    pub(crate) fn new(targets: Targets, subscribed: Subscribed, limits: Limits, phase: watch::Receiver<Phase>) -> Self {
        let metrics = Metrics::new(targets.applications());
        Self {
            targets,
            metrics,
            subscribed,
            limits,
            permits: Semaphore::new(limits.in_flight),
            phase,
            warned: Cell::default(),
        }
    }

    /// Answers a probe, or a reader of metrics; none where the path is another one.
    pub(crate) fn probe(&self, path: &str) -> Option<Answer> {
        match path {
            "/healthz" | "/v1/health" => Some(answer::text(StatusCode::OK, "ok")),
            "/readyz" | "/v1/status/ready" => Some(self.readiness()),
            "/metrics" => {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                Some(answer::with(StatusCode::OK, Some(content_type), self.metrics.page().into_bytes()))
            }
            _ => None,
        }
    }

    /// Answers a request of whatever kind.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        if let Some(answer) = self.probe(head.uri.path()) {
            return answer;
        }
        let path: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
        let source_id = head.headers.get("source-id").and_then(|value| value.to_str().ok());
        let api = match path.as_slice() {
            [application, "v1", "events", "subscribed"] if head.method == Method::GET => {
                return self.subscribed.answer(application).await;
            }
            [_, "v1", "events", "subscribed"] => return answer::not_here(StatusCode::METHOD_NOT_ALLOWED),
            ["publish"] => Api::CloudEvents,
            ["v1", "events"] => Api::Legacy(Service::Bus(source_id), Version::V1),
            ["v2", "events"] => Api::Legacy(Service::Bus(None), Version::V2),
            [application, "v1", "events"] if is_name(application) => {
                Api::Legacy(Service::Application(application), Version::V1)
            }
            [application, "v2", "events"] if is_name(application) => {
                Api::Legacy(Service::Application(application), Version::V2)
            }
            _ => return answer::not_here(StatusCode::NOT_FOUND),
        };
        if head.method != Method::POST {
            return answer::not_here(StatusCode::METHOD_NOT_ALLOWED);
        }
        self.publish(api, &head.headers, body).await
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

    /// Takes the events of a request, and answers when their target has all of them.
    async fn publish(&self, api: Api<'_>, headers: &HeaderMap, body: Incoming) -> Answer {
        let _counted = self.metrics.begin();
        let Ok(_permit) = self.permits.try_acquire() else {
            return self.refuse(api, api.application(), &Fault::Busy, None);
        };
        let events = match self.read(body).await.and_then(|body| api.read(headers, &body)) {
            Ok(events) => events,
            Err(fault) => return self.refuse(api, api.application(), &fault, None),
        };
        let trace = Trace::of(headers);
        for (number, event) in (1..).zip(&events) {
            let started = Instant::now();
            let sent = self.targets.send(api.origin(), event, &trace).await;
            self.metrics.answered(&event.source, started.elapsed(), sent.is_ok());
            if let Err(fault) = sent {
                let answer = self.refuse(api, &event.source, &fault, Some(event));
                let count = events.len();
                return if count == 1 { answer } else { answer::refused_in_batch(&fault, number, count, &event.id) };
            }
        }
        for event in &events {
            self.metrics.accept(&event.source);
        }
        answer::accepted(api.dialect(), events.first().map_or("", |event| &event.id))
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

    /// Reads a body, within the limits.
    async fn read(&self, mut body: Incoming) -> Result<Bytes, Fault> {
        let most = self.limits.body;
        let reading = async {
            let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most);
            let mut all = BytesMut::with_capacity(expected.min(most));
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Fault::Payload(format!("the body cannot be read: {error}")))?;
                let Ok(data) = frame.into_data() else { continue };
                length += data.len();
                if length <= most {
                    all.extend_from_slice(&data);
                } else if length > most * SURPLUS {
                    break;
                }
            }
            if length > most { Err(Fault::TooLarge(most)) } else { Ok(all.freeze()) }
        };
        timeout(self.limits.body_timeout, reading).await.unwrap_or(Err(Fault::Slow))
    }
}

/// Whether an Application can have this name: then it becomes the source of its events, as it stands in the path.
fn is_name(application: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !application.is_empty() && application.bytes().all(is_plain)
}

impl<'r> Api<'r> {
    fn read(self, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Fault> {
        match self {
            Self::Legacy(service, version) => {
                let mut event = legacy::read(service, version, body)?;
                if let Service::Bus(_) = service {
                    for (name, value) in cloud_event::extensions(headers) {
                        event.attributes.entry(name).or_insert(value);
                    }
                }
                Ok(vec![event])
            }
            Self::CloudEvents => cloud_event::read(headers, body),
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::Legacy(..) => Origin::Legacy,
            Self::CloudEvents => Origin::CloudEvent,
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::Legacy(Service::Application(_), _) => Dialect::Application,
            Self::Legacy(Service::Bus(_), _) => Dialect::Bus,
            Self::CloudEvents => Dialect::CloudEvents,
        }
    }

    /// The Application that the path or a header names.
    fn application(self) -> &'r str {
        match self {
            Self::Legacy(Service::Application(application) | Service::Bus(Some(application)), _) => application,
            _ => "",
        }
    }
}
