//! NATS JetStream: an event is sent when the stream has acknowledged it.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, Request, RequestError};
use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use serde::Deserialize;

use crate::event::{Event, encoded};
use crate::fault::Fault;
use crate::trace::Trace;

/// The server has no room: <https://github.com/nats-io/nats-server/blob/main/server/errors.json>.
const FULL: [u16; 4] = [10023, 10028, 10047, 10077];

/// The stream takes only shorter messages.
const TOO_LONG: u16 = 10054;

/// A server that says nothing for two of these is left for another one. The client's default is a minute.
const PING: Duration = Duration::from_secs(5);

/// A connection to a cluster of NATS. It comes back by itself.
pub(crate) struct Connection {
    client: Client,
    servers: String,
}

/// A stream's answer to a message: the stream has it, possibly since before, or an error.
#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<ApiError>,
    stream: Option<String>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u16,
    #[serde(default)]
    description: String,
}

impl Connection {
    /// Begins to connect.
    pub(crate) async fn new(servers: &[String]) -> Result<Self, Failure> {
        // The caller has a deadline of its own, and knows what a missed one means.
        let options = ConnectOptions::new().name("compatibility-layer").retry_on_initial_connect().request_timeout(None);
        let options = options.ping_interval(PING);
        let client = options.connect(servers).await.map_err(|error| {
            Failure::caused(
                &shared::INVALID_CONFIGURATION,
                format!("failed to use the servers {}", servers.join(", ")),
                error,
            )
        })?;
        Ok(Self { client, servers: servers.join(", ") })
    }

    /// Addresses of the cluster.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    pub(crate) fn is_open(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Publishes an event in the structured mode, as Kyma's controller reads it, and waits for the acknowledgement.
    pub(crate) async fn publish(&self, subject: String, event: &Event, trace: &Trace) -> Result<(), Fault> {
        if !self.is_open() {
            // The client would keep it, and nobody know whether it goes out.
            return Err(Fault::Away(format!("there is no connection to {}", self.servers)));
        }
        let mut headers = HeaderMap::new();
        // Within its window the stream keeps one message of an id.
        headers.insert("Nats-Msg-Id", encoded(&event.id));
        headers.insert("ce-id", encoded(&event.id));
        headers.insert("ce-source", encoded(&event.source));
        headers.insert("ce-specversion", encoded(&event.spec_version));
        headers.insert("ce-type", encoded(&event.name));
        if let Some(content_type) = &event.content_type {
            headers.insert("Content-Type", encoded(content_type));
        }
        for (name, value) in trace.headers() {
            headers.insert(name.as_str(), encoded(&String::from_utf8_lossy(value.as_bytes())));
        }
        let request = Request::new().headers(headers).payload(event.document().into()).timeout(None);
        let answer = self.client.send_request(subject.clone(), request).await.map_err(|error| unsent(&subject, &error))?;
        judge(&subject, &answer.payload)
    }
}

/// The fault behind a missing acknowledgement.
fn unsent(subject: &str, error: &RequestError) -> Fault {
    match error.kind() {
        RequestErrorKind::NoResponders => Fault::NoChannel(format!("no stream has the subject {subject}")),
        RequestErrorKind::InvalidSubject => Fault::Payload(format!("{subject} is no subject of NATS")),
        RequestErrorKind::MaxPayloadExceeded => Fault::Refused(http::StatusCode::PAYLOAD_TOO_LARGE),
        RequestErrorKind::TimedOut | RequestErrorKind::Other => Fault::Unanswered(format!("{subject}: {error}")),
    }
}

/// Success or fault, by an acknowledgement.
fn judge(subject: &str, payload: &[u8]) -> Result<(), Fault> {
    match serde_json::from_slice(payload) {
        Ok(Acknowledgement { error: Some(ApiError { err_code, description }), .. }) => {
            let said = format!("{subject}: {description}");
            Err(match err_code {
                TOO_LONG => Fault::Refused(http::StatusCode::PAYLOAD_TOO_LARGE),
                _ if FULL.contains(&err_code) || description.contains("no space left") => Fault::Full(said),
                _ => Fault::Failed(said),
            })
        }
        Ok(Acknowledgement { error: None, stream: Some(_) }) => Ok(()),
        // A subscriber that is no stream may answer anything.
        Ok(Acknowledgement { error: None, stream: None }) | Err(_) => {
            Err(Fault::NoChannel(format!("no stream has the subject {subject}, and somebody else answers there")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_acknowledgement_of_a_stream_is_one() {
        let judged = |text: &str| judge("kyma.a", text.as_bytes()).map_err(|fault| fault.status().as_u16());
        for (text, expected) in [
            (r#"{"stream":"sap","seq":1}"#, Ok(())),
            (r#"{"stream":"sap","seq":1,"duplicate":true}"#, Ok(())),
            (
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"sap","seq":0}"#,
                Err(507),
            ),
            (r#"{"error":{"code":503,"err_code":10076,"description":"JetStream not enabled"}}"#, Err(502)),
            (r#"{"ok":true}"#, Err(503)),
            ("hello", Err(503)),
            ("", Err(503)),
        ] {
            assert_eq!(judged(text), expected, "{text}");
        }
    }
}
