//! Requests with a deadline and a bounded answer. Redirects are not followed: credentials would go along.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, SERVER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::connection::{Authentication, Tls, TlsFiles, text};
use crate::source::{Credentials, OpenError, not_configured};

/// How long a server may take to connect, or to answer: a hook has five minutes for everything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer: the monitoring page of 10,000 durables has 4 MiB.
const LONGEST: usize = 16 << 20;

/// Whether a connection is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// While the server keeps it open.
    Kept,
    /// Each request has its own.
    New,
}

/// A server, and who we are there.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tls: Arc<ClientConfig>,
    url: String,
    authorization: Option<HeaderValue>,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// What the server calls itself.
    pub(crate) fn server(&self) -> Option<String> {
        self.headers.get(SERVER).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

impl Http {
    /// Prepares to ask below this address; nothing is sent.
    pub(crate) async fn new(
        url: &str,
        tls: Option<&Tls>,
        authentication: Option<&Authentication>,
        credentials: &dyn Credentials,
    ) -> Result<Self, OpenError> {
        Self::at(url.trim_end_matches('/'), Connections::Kept, tls, authentication, credentials).await
    }

    /// Prepares to ask at exactly this address; nothing is sent.
    pub(crate) async fn at(
        url: &str,
        connections: Connections,
        tls: Option<&Tls>,
        authentication: Option<&Authentication>,
        credentials: &dyn Credentials,
    ) -> Result<Self, OpenError> {
        check(url).map_err(OpenError::Invalid)?;
        let config = TlsFiles::read(tls, credentials).await?.client_config()?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let authorization = match authentication {
            None => None,
            Some(authentication) => Some(header(authentication, credentials).await?),
        };
        let mut client = Client::builder(TokioExecutor::new());
        if connections == Connections::New {
            client.pool_max_idle_per_host(0);
        }
        Ok(Self { client: client.build(connector), tls: Arc::new(config), url: url.to_owned(), authorization })
    }

    /// Where the server is; without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.url
    }

    /// Connects, over TLS where the address says https, and sends nothing. Whether somebody listens there now; a name that does not resolve,
    /// and TLS that fails, are errors.
    pub(crate) async fn connect(&self, timeout: Duration) -> Result<bool, OpenError> {
        let unreachable = |error: &dyn std::error::Error| OpenError::unreachable(&self.url, error);
        let uri = self.url.parse::<Uri>().map_err(|error| unreachable(&error))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let connecting = async {
            let addresses: Vec<_> = lookup_host((host.as_str(), port)).await?.collect();
            let Ok(stream) = TcpStream::connect(addresses.as_slice()).await else { return Ok(false) };
            if is_tls {
                let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
                TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
            }
            Ok::<_, std::io::Error>(true)
        };
        match tokio::time::timeout(timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| unreachable(&error)),
            Err(_) => Ok(false),
        }
    }

    /// Asks for `path`, which begins with a slash or is empty. A refusal of the credentials is an error.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, OpenError> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let answer = self.send(&Method::GET, path, &accept, Bytes::new(), TIMEOUT).await?;
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status) {
            let reason = format!("HTTP {}", answer.status);
            let reason = not_configured(reason, self.authorization.is_some(), "authentication");
            return Err(OpenError::Denied { address: self.url.clone(), reason });
        }
        Ok(answer)
    }

    /// Sends a request, and waits at most so long for the whole answer.
    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, OpenError> {
        let url = format!("{}{path}", self.url);
        let request = Request::builder().method(method).uri(&url).body(Full::new(body));
        let mut request = request.map_err(|error| OpenError::Invalid(format!("{url} is no URL: {error}")))?;
        request.headers_mut().extend(headers.clone());
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let unreachable =
            |error: Box<dyn std::error::Error + Send + Sync>| OpenError::unreachable(&self.url, error.as_ref());
        let answer = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            // All of it in one piece, without a copy.
            let mut all = BytesMut::with_capacity(length(&head.headers));
            let mut body = Limited::new(body, LONGEST);
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    all.extend_from_slice(&data);
                }
            }
            Ok(Answer { status: head.status, headers: head.headers, body: all.freeze() })
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no answer within {:.0} s", timeout.as_secs_f64()).into())),
        }
    }

    /// Asks for a document; any other status than 200 is an error.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, OpenError> {
        let answer = self.get(path).await?;
        let invalid = |what: String| OpenError::Invalid(format!("{}{path} {what}", self.url));
        if answer.status != StatusCode::OK {
            return Err(invalid(format!("answers HTTP {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| invalid(format!("answers something else than expected: {error}")))
    }
}

/// How long an answer says it is, as far as that may be.
fn length(headers: &HeaderMap) -> usize {
    let written = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = written.and_then(|written| written.parse::<usize>().ok());
    length.unwrap_or_default().min(LONGEST)
}

/// Whether it is a URL of HTTP without credentials, which would be told in every message; or why not.
pub(crate) fn check(url: &str) -> Result<(), String> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("url holds credentials; name a Secret under authentication".to_owned());
    }
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
        return Err(format!("url {url:?} is no URL of http or https; it begins with http:// or https://"));
    }
    Ok(())
}

async fn header(authentication: &Authentication, credentials: &dyn Credentials) -> Result<HeaderValue, OpenError> {
    let (key, value) = match authentication {
        Authentication::Basic(login) => {
            let password = text(&login.password, credentials).await?;
            let pair = STANDARD.encode(format!("{}:{password}", login.username));
            (&login.password, format!("Basic {pair}"))
        }
        Authentication::Bearer(key) => (key, format!("Bearer {}", text(key, credentials).await?)),
    };
    let mut header = HeaderValue::from_str(&value).map_err(|_| OpenError::Credentials {
        namespace: key.namespace.clone().unwrap_or_default(),
        name: key.name.clone(),
        key: key.key.clone(),
        reason: "its value cannot be sent as a header".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}
