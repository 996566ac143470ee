//! Looks once whether the targets are there, without sending an event.

use std::time::Duration;

use async_nats::ConnectOptions;
use http::Uri;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::configuration::{APPLICATION, EventMesh, Http, JetStream, Layer, Target};

/// How long a target may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of a target.
pub(crate) struct Found {
    /// The field of the configuration.
    pub(crate) field: String,
    /// Whether it is there; or why not.
    pub(crate) result: Result<String, String>,
}

/// Looks at every target. Addresses that depend on an Application are looked at for each of `applications`.
pub(crate) async fn check(layer: &Layer, applications: &[String]) -> Vec<Found> {
    let mut all = Vec::new();
    for (field, target) in layer.targets() {
        match target {
            Target::Http(Http { url }) if url.contains(APPLICATION) && applications.is_empty() => {
                let result = Ok(format!("{url} was not looked at; name Applications with --application"));
                all.push(Found { field, result });
            }
            Target::Http(Http { url }) if url.contains(APPLICATION) => {
                for application in applications {
                    let result = reach(&url.replace(APPLICATION, application)).await;
                    all.push(Found { field: field.clone(), result });
                }
            }
            Target::Http(Http { url }) | Target::EventMesh(EventMesh { url, .. }) => {
                all.push(Found { field, result: reach(url).await });
            }
            Target::JetStream(target) => {
                let looked = timeout(PATIENCE, stream(target)).await;
                let result = looked.unwrap_or_else(|_| Err(format!("{} gives no answer", target.servers.join(", "))));
                all.push(Found { field, result });
            }
        }
    }
    all
}

/// Whether something listens there. What it makes of an event is not known.
async fn reach(url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    match timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(format!("{url} takes connections")),
        Ok(Err(error)) => Err(format!("{url} takes no connection: {error}")),
        Err(_) => Err(format!("{url} takes no connection within {}", humantime::format_duration(PATIENCE))),
    }
}

/// Which stream has the subjects.
async fn stream(target: &JetStream) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Names {
        streams: Option<Vec<String>>,
    }
    let (servers, subject) = (target.servers.join(", "), format!("{}.>", target.subject_prefix));
    let client = ConnectOptions::new().name("compatibility-layer").connect(target.servers.as_slice()).await;
    let client = client.map_err(|error| format!("{servers} takes no connection: {error}"))?;
    let question = serde_json::json!({"subject": subject}).to_string();
    let answer = client.request("$JS.API.STREAM.NAMES", question.into()).await;
    let answer = answer.map_err(|error| format!("{servers} has no JetStream: {error}"))?;
    let names: Names = serde_json::from_slice(&answer.payload).map_err(|error| format!("{servers}: {error}"))?;
    match names.streams.unwrap_or_default().as_slice() {
        [] => Err(format!("{servers} has no stream with the subjects {subject}")),
        names => Ok(format!("{servers} stores {subject} in {}", names.join(", "))),
    }
}
