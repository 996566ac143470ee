//! A CloudEvent between the two sides: read from any mode, written in the one that a target takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) source: String,
    /// The attribute `type`.
    pub(crate) name: String,
    /// `1.0` or `0.3`.
    pub(crate) spec_version: String,
    /// Of the data.
    pub(crate) content_type: Option<String>,
    /// All further attributes: optional ones and extensions. Each is a text: so they are in the binary mode.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) data: Bytes,
}

/// The attributes that are fields here, or stand in no header of the binary mode.
pub(crate) const FIELDS: [&str; 7] = ["id", "source", "type", "specversion", "datacontenttype", "data", "data_base64"];

/// Bytes that an event takes beside its texts and data: itself, and the request that carries it on.
const OWN: usize = 1024;

/// Bytes that an attribute takes beside its texts: here, and as a header.
const ATTRIBUTE: usize = 256;

impl Event {
    /// About how many bytes it takes while it is sent.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.len() + ATTRIBUTE);
        let texts = [&self.id, &self.source, &self.name, &self.spec_version].map(String::len);
        OWN + attributes.sum::<usize>() + texts.iter().sum::<usize>() + self.data.len()
    }

    /// The same without an attribute.
    pub(crate) fn without(&self, attribute: &str) -> Self {
        let mut event = self.clone();
        event.attributes.remove(attribute);
        event
    }

    /// Headers of the binary mode.
    pub(crate) fn headers(&self) -> HeaderMap {
        let own = [("id", &self.id), ("source", &self.source), ("type", &self.name), ("specversion", &self.spec_version)];
        let further = self.attributes.iter().map(|(name, value)| (name.as_str(), value));
        let mut headers = HeaderMap::with_capacity(own.len() + self.attributes.len() + 8);
        for (name, value) in own.into_iter().chain(further) {
            let name = HeaderName::try_from(format!("ce-{name}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&encoded(value))) {
                headers.insert(name, value);
            }
        }
        if let Some(value) = self.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(CONTENT_TYPE, value);
        }
        headers
    }

    /// The document of the structured mode.
    pub(crate) fn document(&self) -> Vec<u8> {
        let mut document = Map::new();
        let own = [("specversion", &self.spec_version), ("id", &self.id), ("source", &self.source), ("type", &self.name)];
        document.extend(own.map(|(name, value)| (name.to_owned(), json!(value))));
        document.extend(self.content_type.iter().map(|value| ("datacontenttype".to_owned(), json!(value))));
        document.extend(self.attributes.iter().map(|(name, value)| (name.clone(), json!(value))));
        let mut text = Value::Object(document).to_string().into_bytes();
        if !self.data.is_empty() {
            // Numbers keep all their digits when nobody reads them.
            let is_json = is_json(self.content_type.as_deref()) && serde_json::from_slice::<&RawValue>(&self.data).is_ok();
            let (key, value) = match std::str::from_utf8(&self.data) {
                Ok(raw) if is_json => ("data", raw.to_owned()),
                Ok(plain) => ("data", Value::from(plain).to_string()),
                Err(_) => ("data_base64", Value::from(STANDARD.encode(&self.data)).to_string()),
            };
            text.pop();
            text.extend_from_slice(format!(",\"{key}\":{value}}}").as_bytes());
        }
        text
    }
}

/// Whether data of this content type are JSON. Without one they are.
pub(crate) fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
}

/// A value as it stands in a header: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values>.
pub(crate) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    // Writing to a String cannot fail.
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' | ..=b' ' | 0x7f.. => drop(write!(text, "%{byte:02X}")),
            _ => text.push(byte.into()),
        }
    }
    text
}

/// A value as it was before it stood in a header.
pub(crate) fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, others)) = rest.split_first() {
        let digits = others.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => (bytes.push(escaped), rest = &others[2..]).1,
            None => (bytes.push(*byte), rest = others).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content_type: Option<&str>, data: &[u8]) -> Event {
        Event {
            id: "1".to_owned(),
            source: "shop".to_owned(),
            name: "order.created".to_owned(),
            spec_version: "1.0".to_owned(),
            content_type: content_type.map(str::to_owned),
            attributes: [("subject".to_owned(), "Grüße %41 \"a\"".to_owned())].into(),
            data: Bytes::copy_from_slice(data),
        }
    }

    #[test]
    fn data_are_written_as_their_type_says() {
        for (content_type, data, expected) in [
            (
                Some("application/json"),
                &br#"{"n": 12345678901234567890.10}"#[..],
                r#""data":{"n": 12345678901234567890.10}}"#,
            ),
            (None, b"[1]", r#""data":[1]}"#),
            (Some("application/vnd.a+json; charset=utf-8"), b"{}", r#""data":{}}"#),
            (Some("application/json"), b"no json", r#""data":"no json"}"#),
            (Some("text/plain"), b"{}", r#""data":"{}"}"#),
            (Some("application/octet-stream"), b"\xff\x00", r#""data_base64":"/wA="}"#),
        ] {
            let document = event(content_type, data).document();
            let text = String::from_utf8(document).expect("text");
            assert!(text.ends_with(expected), "{text}");
            let read: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!((&read["type"], &read["specversion"]), (&json!("order.created"), &json!("1.0")));
        }
        assert!(serde_json::from_slice::<Value>(&event(None, b"").document()).expect("JSON").get("data").is_none());
    }

    #[test]
    fn a_value_in_a_header_is_what_it_was() {
        let headers = event(Some("text/plain"), b"").headers();
        assert_eq!(headers["ce-subject"], "Gr%C3%BC%C3%9Fe%20%2541%20%22a%22");
        assert_eq!(decoded("Gr%C3%BC%C3%9Fe%20%2541%20%22a%22"), "Grüße %41 \"a\"");
        assert_eq!((decoded("100%"), decoded("%zz")), ("100%".to_owned(), "%zz".to_owned()));
        assert_eq!(
            (&headers["ce-type"], &headers["content-type"]),
            (&"order.created".parse().expect("a value"), &"text/plain".parse().expect("a value"))
        );
    }
}
