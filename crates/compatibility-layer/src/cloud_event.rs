//! CloudEvents as they come over HTTP: binary, structured, or many at once.
//!
//! Specification: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::{Event, FIELDS, decoded, is_json};
use crate::fault::Fault;
use crate::time::is_time;

/// Reads all events of a request. Either all are good, or none is taken.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Fault> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        return Err(Fault::Payload(format!("the body has the content encoding {encoding}; send it without one")));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let events = match media.as_str() {
        "application/cloudevents-batch+json" => {
            let documents: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| unread(&error))?;
            documents.into_iter().map(|document| structured(document.get().as_bytes())).collect::<Result<_, _>>()?
        }
        "application/cloudevents+json" => vec![structured(body)?],
        _ if media.starts_with("application/cloudevents") => {
            return Err(Fault::Payload(format!("{media} is no format of events that is known here; JSON is")));
        }
        _ if headers.contains_key("ce-specversion") => vec![binary(headers, content_type, body)],
        _ => {
            let ways = "the header ce-specversion, or a content type application/cloudevents+json or application/cloudevents-batch+json";
            return Err(Fault::Payload(format!("the request holds no CloudEvent: it has none of {ways}")));
        }
    };
    for (index, event) in events.iter().enumerate() {
        check(event).map_err(|why| Fault::Payload(if events.len() == 1 { why } else { format!("event {index}: {why}") }))?;
    }
    if events.is_empty() { Err(Fault::Payload("the batch is empty".to_owned())) } else { Ok(events) }
}

fn unread(error: &serde_json::Error) -> Fault {
    Fault::Payload(error.to_string())
}

/// The attributes in the headers of a request.
fn in_headers(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("ce-")?;
        Some((name.to_owned(), decoded(&String::from_utf8_lossy(value.as_bytes()))))
    })
}

/// Those of them that an event of the event bus has beside its own: Kyma's publish service passes them on.
pub(crate) fn extensions(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    in_headers(headers).filter(|(name, _)| !FIELDS.contains(&name.as_str()) && is_name(name))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn binary(headers: &HeaderMap, content_type: &str, body: &Bytes) -> Event {
    let mut attributes: BTreeMap<String, String> = in_headers(headers).collect();
    let mut take = |name: &str| attributes.remove(name).unwrap_or_default();
    let [id, source, name, spec_version] = ["id", "source", "type", "specversion"].map(&mut take);
    // What else is no extension stands elsewhere: the data is the body.
    attributes.retain(|name, _| !FIELDS.contains(&name.as_str()));
    Event {
        id,
        source,
        name,
        spec_version,
        content_type: Some(content_type.to_owned()).filter(|text| !text.is_empty()),
        attributes,
        data: body.clone(),
    }
}

fn structured(document: &[u8]) -> Result<Event, Fault> {
    #[derive(Deserialize)]
    struct Data<'d> {
        #[serde(borrow)]
        data: Option<&'d RawValue>,
        data_base64: Option<String>,
    }
    let attributes: BTreeMap<String, Value> = serde_json::from_slice(document).map_err(|error| unread(&error))?;
    let Data { data, data_base64 } = serde_json::from_slice(document).map_err(|error| unread(&error))?;
    let text = |value: &Value| match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Null => Ok(None),
        _ => Err(()),
    };
    let field = |name: &str| match attributes.get(name).map(text) {
        None | Some(Ok(None)) => Ok(None),
        Some(Ok(found)) => Ok(found),
        Some(Err(())) => Err(Fault::Payload(format!("{name}: MUST be a string"))),
    };
    let content_type = field("datacontenttype")?;
    // Version 0.3 has a name for what is `data_base64` since then.
    let is_encoded = field("datacontentencoding")?.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    let (data, data_base64) = match data {
        Some(raw) if is_encoded => (None, Some(serde_json::from_str(raw.get()).map_err(|error| unread(&error))?)),
        data => (data, data_base64),
    };
    let data = match (data, data_base64) {
        (_, Some(encoded)) => {
            STANDARD.decode(encoded).map_err(|error| Fault::Payload(format!("data_base64: {error}")))?.into()
        }
        (None, None) => Bytes::new(),
        (Some(raw), None) => match serde_json::from_str::<String>(raw.get()) {
            // A text that is no JSON stands as it is.
            Ok(plain) if !is_json(content_type.as_deref()) => plain.into(),
            _ => Bytes::copy_from_slice(raw.get().as_bytes()),
        },
    };
    let required = |name: &str| field(name).map(Option::unwrap_or_default);
    let (id, source, name, spec_version) =
        (required("id")?, required("source")?, required("type")?, required("specversion")?);
    let mut further = BTreeMap::new();
    let stands_elsewhere = |name: &String| FIELDS.contains(&name.as_str()) || is_encoded && name == "datacontentencoding";
    for name in attributes.keys().filter(|name| !stands_elsewhere(name)) {
        further.extend(field(name)?.map(|value| (name.clone(), value)));
    }
    Ok(Event { id, source, name, spec_version, content_type, attributes: further, data })
}

/// Checks the rules of the specification for every event.
fn check(event: &Event) -> Result<(), String> {
    if !["1.0", "0.3"].contains(&event.spec_version.as_str()) {
        return Err(format!("specversion: {:?} is not known; 1.0 and 0.3 are", event.spec_version));
    }
    for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.name)] {
        if value.is_empty() {
            return Err(format!("{name}: MUST be a non-empty string"));
        }
    }
    for (name, value) in &event.attributes {
        if !is_name(name) {
            return Err(format!("{name}: a name MUST consist of a-z and 0-9"));
        }
        if name == "time" && !is_time(value) {
            return Err("time: MUST adhere to the format specified in RFC 3339".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)], body: &str) -> Result<Vec<Event>, Fault> {
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")));
        read(&headers.collect(), &Bytes::copy_from_slice(body.as_bytes()))
    }

    const STRUCTURED: &[(&str, &str)] = &[("content-type", "application/cloudevents+json; charset=utf-8")];
    const BATCH: &[(&str, &str)] = &[("content-type", "application/cloudevents-batch+json")];

    #[test]
    fn all_three_modes_are_read() {
        let binary = request(
            &[
                ("ce-specversion", "1.0"),
                ("ce-id", "1"),
                ("ce-source", "shop"),
                ("ce-type", "order.created"),
                ("ce-subject", "Gr%C3%BC%C3%9Fe"),
                ("content-type", "application/json"),
                ("x-b3-sampled", "1"),
            ],
            "{\"n\": 1.10}",
        );
        let document = r#"{"specversion":"1.0","id":"1","source":"shop","type":"order.created","subject":"Grüße","datacontenttype":"application/json","data":{"n": 1.10}}"#;
        let structured = request(STRUCTURED, document);
        assert_eq!(binary, structured);
        let both = request(BATCH, &format!("[{document},\n{document}]")).expect("two events");
        assert_eq!(both, [binary.clone().expect("an event"), binary.expect("an event")].concat());
        let event = &both[0];
        assert_eq!((&event.data[..], event.attributes["subject"].as_str()), (&b"{\"n\": 1.10}"[..], "Grüße"));
    }

    #[test]
    fn data_are_what_they_say() {
        for (more, expected) in [
            (r#""data_base64":"/wA=""#, &b"\xff\x00"[..]),
            (r#""data":"plain","datacontenttype":"text/plain""#, b"plain"),
            (r#""data":"json""#, b"\"json\""),
            (r#""data":null"#, b""),
            (r#""flag":true,"count":3"#, b""),
            // As 0.3 says it.
            (r#""data":"eyJhIjoxfQ==","datacontenttype":"application/json","datacontentencoding":"base64""#, b"{\"a\":1}"),
        ] {
            let document = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{more}}}"#);
            let events = request(STRUCTURED, &document).expect("an event");
            assert_eq!(&events[0].data[..], expected, "{more}");
            assert!(!events[0].attributes.contains_key("datacontentencoding"), "{more}");
        }
    }

    #[test]
    fn a_body_that_is_compressed_is_refused() {
        let headers = [&STRUCTURED[0], &("content-encoding", "gzip")].map(|it| *it);
        let said = "the body has the content encoding gzip; send it without one";
        assert_eq!(request(&headers, "{}"), Err(Fault::Payload(said.to_owned())));
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        let good = r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#;
        for (headers, body, expected) in [
            (&[("content-type", "application/json")][..], good, "the request holds no CloudEvent"),
            (&[], good, "the request holds no CloudEvent"),
            (&[("content-type", "application/cloudevents+avro")], good, "application/cloudevents+avro is no format"),
            (&[("ce-specversion", "2.0")], "", "specversion: \"2.0\" is not known"),
            (&[("ce-specversion", "1.0"), ("ce-source", "s"), ("ce-type", "t")], "", "id: MUST be a non-empty string"),
            (
                &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t"), ("ce-my-name", "x")],
                "",
                "my-name: a name MUST",
            ),
            (
                &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t"), ("ce-time", "x")],
                "",
                "time: MUST adhere",
            ),
            (STRUCTURED, "{", "EOF while parsing"),
            (STRUCTURED, r#"{"specversion":"1.0","id":["1"],"source":"s","type":"t"}"#, "id: MUST be a string"),
            (STRUCTURED, r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#, "data_base64: "),
            (STRUCTURED, "[]", "invalid type"),
            (BATCH, "[]", "the batch is empty"),
            (BATCH, good, "invalid type"),
            (BATCH, &format!("[{good},{{\"specversion\":\"1.0\"}}]"), "event 1: id: MUST"),
        ] {
            let Err(Fault::Payload(why)) = request(headers, body) else { panic!("{body} is taken") };
            assert!(why.contains(expected), "{why}");
        }
    }
}
