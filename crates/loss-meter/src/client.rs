//! A client of HTTP that sends each request once.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::configuration::Connections;

/// How long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A client with connections that are kept, or a new one for each request.
pub(crate) fn client(connections: Connections) -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let mut builder = Client::builder(TokioExecutor::new());
    if connections == Connections::New {
        builder.pool_max_idle_per_host(0);
    }
    // What was sent once may have arrived: a second try is the publisher's decision.
    builder.retry_canceled_requests(false);
    builder.build(connector)
}

/// What the system said.
pub(crate) fn innermost(error: &hyper_util::client::legacy::Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}
