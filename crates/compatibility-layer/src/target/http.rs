//! A target that takes CloudEvents over HTTP, in the binary mode.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::configuration::APPLICATION;
use crate::event::Event;
use crate::fault::Fault;
use crate::trace::Trace;

/// A target in the same cluster takes a connection in less; one that is away must not keep a publisher waiting.
const CONNECT: Duration = Duration::from_secs(3);

/// Less than Go's servers wait for a next request (two minutes with Knative).
const IDLE: Duration = Duration::from_secs(30);

/// Bytes that are read of an answer. They mean nothing here, but a connection is free only after the last one.
const LONGEST: usize = 64 * 1024;

/// Posts events below one address.
pub(crate) struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Poster {
    pub(crate) fn new(url: &str, connections: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(connections);
        client.http1_max_buf_size(16 * 1024);
        Self { client: client.build(connector), url: url.to_owned() }
    }

    /// Where an event of this source goes.
    pub(crate) fn address(&self, source: &str) -> String {
        self.url.replace(APPLICATION, source)
    }

    /// Posts an event, and says what the answer means.
    pub(crate) async fn post(
        &self,
        event: &Event,
        trace: &Trace,
        more: &[(&'static str, &'static str)],
    ) -> Result<(), Fault> {
        let uri = uri(&self.url, &event.source)?;
        let mut request = Request::new(Full::new(event.data.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        *headers = event.headers();
        headers.extend(trace.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.extend(more.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
        let answer = self.client.request(request).await.map_err(|error| unsent(&uri, &error))?;
        let (head, body) = answer.into_parts();
        // An answer without end costs a connection, and nothing else: the status has come.
        let _ = Limited::new(body, LONGEST).collect().await;
        judge(&uri, head.status, &head.headers)
    }
}

/// Where an event of this source goes, if its source may choose that.
fn uri(url: &str, source: &str) -> Result<Uri, Fault> {
    if !url.contains(APPLICATION) {
        return url.parse().map_err(|error| Fault::NoChannel(format!("{url}: {error}")));
    }
    // The publisher chooses the source, which must name a Service and not lead to another host.
    if !is_label(source) {
        return Err(Fault::NoChannel(format!("the source {source:?} is no name of an Application")));
    }
    let url = url.replace(APPLICATION, source);
    url.parse().map_err(|error| Fault::NoChannel(format!("{url}: {error}")))
}

/// Whether it can be the name of a Service.
fn is_label(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// The fault behind a missing answer.
fn unsent(uri: &Uri, error: &Error) -> Fault {
    let mut why = format!("{uri}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(why, ": {error}");
        cause = error.source();
    }
    if error.is_connect() { Fault::Away(why) } else { Fault::Unanswered(why) }
}

/// Success or fault, by an answer.
fn judge(uri: &Uri, status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
    let said = || format!("{uri} answers {status}");
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => Err(Fault::NoChannel(said())),
        // A proxy in between, like Envoy, answers so also when the target has got the event and its answer was lost.
        StatusCode::SERVICE_UNAVAILABLE => Err(Fault::Unavailable(said())),
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Err(Fault::Throttled(seconds))
        }
        StatusCode::INSUFFICIENT_STORAGE => Err(Fault::Full(said())),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Err(Fault::Unanswered(said())),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Err(Fault::Refused(status)),
        _ => Err(Fault::Failed(said())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_leads_to_its_application_and_nowhere_else() {
        let url = "http://{application}.kyma-integration:8080/events";
        assert_eq!(uri(url, "my-shop").expect("an address"), "http://my-shop.kyma-integration:8080/events");
        for source in
            ["", "-a", "a-", "Shop", "a.b", "evil.example/", "a@b", "a#", "a?b", "/default/sap.kyma", &"a".repeat(64)]
        {
            assert!(matches!(uri(url, source), Err(Fault::NoChannel(_))), "{source}");
        }
        assert_eq!(uri("http://broker/a/b", "/default/sap.kyma").expect("an address"), "http://broker/a/b");
    }

    #[test]
    fn only_success_is_success() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let uri = Uri::from_static("http://a/");
        let judged = |status| {
            judge(&uri, StatusCode::from_u16(status).expect("a status"), &headers)
                .map_err(|fault| (fault.status().as_u16(), fault.retry_after()))
        };
        for (status, expected) in [
            (200, Ok(())),
            (202, Ok(())),
            (204, Ok(())),
            (301, Err((502, None))),
            (400, Err((400, None))),
            (401, Err((502, None))),
            (404, Err((503, Some(5)))),
            (413, Err((413, None))),
            (429, Err((429, Some(7)))),
            (500, Err((502, None))),
            (503, Err((503, Some(5)))),
            (504, Err((504, None))),
            (507, Err((507, None))),
        ] {
            assert_eq!(judged(status), expected, "{status}");
        }
    }
}
