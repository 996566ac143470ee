//! A numbered event: as a publisher writes it, and as a subscriber finds it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::configuration::{Api, Connections, Stream};

/// The body of an event. Nothing on the way changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbered {
    /// The run that has sent it.
    pub run: String,
    /// The stream.
    pub stream: String,
    /// From 0 on.
    pub number: u32,
    /// When it was sent, in microseconds since 1970.
    pub sent_micros: u64,
}

/// Now, in microseconds since 1970.
#[must_use]
pub fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Numbered {
    /// Its id, the same however often it is sent: a UUID, because Kyma takes no other.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(format!("{}/{}/{}", self.run, self.stream, self.number));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// How long ago it was sent. Both clocks must be the same.
    #[must_use]
    pub fn age(&self, now_micros: u64) -> Duration {
        Duration::from_micros(now_micros.saturating_sub(self.sent_micros))
    }

    /// The request that a publisher makes of it.
    pub fn written(&self, stream: &Stream) -> Result<(HeaderMap, Bytes), InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if stream.connections == Connections::New {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let (id, data) = (self.id(), json!(self));
        let body = match stream.api {
            Api::Legacy => {
                // For the event bus, which takes events of all Applications at one address.
                headers.insert("source-id", HeaderValue::from_str(&stream.source)?);
                json!({"event-type": stream.event_type, "event-type-version": stream.type_version, "event-id": id,
                "event-time": time(self.sent_micros), "data": data})
            }
            Api::CloudEvents => {
                headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
                let mut attributes =
                    vec![("ce-id", id), ("ce-source", stream.source.clone()), ("ce-type", stream.event_type.clone())];
                attributes.extend(stream.type_version.clone().map(|version| ("ce-eventtypeversion", version)));
                attributes.push(("ce-time", time(self.sent_micros)));
                for (name, value) in attributes {
                    headers.insert(name, HeaderValue::from_str(&value)?);
                }
                data
            }
        };
        Ok((headers, body.to_string().into()))
    }

    /// What a subscriber finds in a request: the event itself, or a structured one around it.
    #[must_use]
    pub fn found(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Structured {
            data: Numbered,
        }
        serde_json::from_slice(body).ok().or_else(|| Some(serde_json::from_slice::<Structured>(body).ok()?.data))
    }
}

fn time(micros: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(micros)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_again_in_whatever_form_it_arrives() {
        let stream: Stream =
            serde_json::from_value(json!({"name": "shop", "url": "http://x/", "api": "legacy", "source": "shop",
            "type": "order.created", "typeVersion": "v1", "rate": 1, "subscriptions": ["a"]}))
            .expect("valid");
        let event = Numbered { run: "r".to_owned(), stream: "shop".to_owned(), number: 7, sent_micros: 1_000_000 };
        let (_, body) = event.written(&stream).expect("plain text");
        assert_eq!(Numbered::found(&body), Some(event.clone()));
        let (headers, body) = event.written(&Stream { api: Api::CloudEvents, ..stream }).expect("plain text");
        assert_eq!(Numbered::found(&body), Some(event.clone()));
        assert_eq!(headers["ce-id"].to_str().ok(), Some(event.id().as_str()));
        assert_eq!((event.id().len(), Numbered { number: 8, ..event.clone() }.id() == event.id()), (36, false));
        assert_eq!(headers["ce-time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(Numbered::found(b"{\"order\": 1}"), None);
        assert_eq!(event.age(1_250_000), Duration::from_millis(250));
    }
}
