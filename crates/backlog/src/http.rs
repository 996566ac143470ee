//! Requests with a deadline and a bounded answer. Redirects are not followed: credentials would go along.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, SERVER};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use crate::connection::{Authentication, Tls, TlsFiles, text};
use crate::source::{Credentials, OpenError};

/// How long a server may take to connect, or to answer: a hook has five minutes for everything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer: the monitoring page of 10,000 durables has 4 MiB.
const LONGEST: usize = 16 << 20;

/// A server, and who we are there.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// Without a slash at its end.
    url: String,
    authorization: Option<HeaderValue>,
}

/// An answer that is not a refusal.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// What the server calls itself.
    pub(crate) server: Option<String>,
    pub(crate) body: Bytes,
}

impl Http {
    /// Prepares; nothing is sent.
    pub(crate) async fn new(
        url: &str,
        tls: Option<&Tls>,
        authentication: Option<&Authentication>,
        credentials: &dyn Credentials,
    ) -> Result<Self, OpenError> {
        let url = checked(url)?;
        let config = TlsFiles::read(tls, credentials).await?.client_config()?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let authorization = match authentication {
            None => None,
            Some(authentication) => Some(header(authentication, credentials).await?),
        };
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), url, authorization })
    }

    /// Where the server is; without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.url
    }

    /// Asks for `path`, which begins with a slash or is empty.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, OpenError> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::get(&url).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|error| OpenError::Invalid(format!("{url} is no URL: {error}")))?;
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
            let body = all.freeze();
            let server = head.headers.get(SERVER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            Ok(Answer { status: head.status, server, body })
        };
        let answer = match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(unreachable)?,
            Err(_) => return Err(unreachable(format!("no answer within {} s", TIMEOUT.as_secs()).into())),
        };
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status) {
            return Err(OpenError::Denied { address: self.url.clone(), reason: format!("HTTP {}", answer.status) });
        }
        Ok(answer)
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

/// A URL of HTTP without credentials, which would be told in every message.
fn checked(url: &str) -> Result<String, OpenError> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(OpenError::Invalid("url holds credentials; name a Secret under authentication".to_owned()));
    }
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
        return Err(OpenError::Invalid(format!(
            "url {url:?} is no URL of http or https; it begins with http:// or https://"
        )));
    }
    Ok(url.trim_end_matches('/').to_owned())
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
