//! Answers in the words of the service that a publisher means to ask.
//!
//! Sources: Kyma 1.11 `components/event-service/internal/events/shared/utils.go`, `…/externalapi/errorhandler.go`, and
//! `components/event-bus/api/publish/error.go`; Kyma 2.12 `components/event-publisher-proxy/pkg/handler/handler.go`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::fault::{Defect, Fault};

/// An answer of this server.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The event service of an Application: fields without a value are left out.
    Application,
    /// The event bus: every field is there.
    Bus,
    /// The publisher of `CloudEvents`: plain text.
    CloudEvents,
}

/// Answers for an event that the target has accepted.
pub(crate) fn accepted(dialect: Dialect, id: &str) -> Answer {
    match dialect {
        Dialect::Application => json(StatusCode::OK, &json!({"event-id": id, "status": "", "reason": ""})),
        Dialect::Bus => {
            let reason = "Message successfully published to the channel";
            json(StatusCode::OK, &json!({"event-id": id, "status": "published", "reason": reason}))
        }
        Dialect::CloudEvents => with(StatusCode::NO_CONTENT, None, Vec::new()),
    }
}

/// Answers for an event that is not accepted.
pub(crate) fn refused(dialect: Dialect, fault: &Fault, id: Option<&str>) -> Answer {
    let status = fault.status();
    let mut answer = match dialect {
        Dialect::Application => json(status, &document(&Words::of_application(fault, id), status, false)),
        Dialect::Bus => json(status, &document(&Words::of_bus(fault, id), status, true)),
        Dialect::CloudEvents => text(status, &fault.message(id)),
    };
    with_retry_after(&mut answer, fault);
    answer
}

/// Answers a batch whose event with this number, from 1 on, is not accepted. Those before it were.
pub(crate) fn refused_in_batch(fault: &Fault, number: usize, count: usize, id: &str) -> Answer {
    let (what, before) = (fault.message(None), number - 1);
    let said =
        format!("event {number} of {count}, {id}: {what}; {before} before it were delivered: send the whole batch again");
    let mut answer = text(fault.status(), &said);
    with_retry_after(&mut answer, fault);
    answer
}

fn with_retry_after(answer: &mut Answer, fault: &Fault) {
    if let Some(seconds) = fault.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Answers a request for an unknown path, or with a wrong method.
pub(crate) fn not_here(status: StatusCode) -> Answer {
    let error =
        if status == StatusCode::NOT_FOUND { "Requested resource could not be found." } else { "Method not allowed." };
    let body = json!({"code": status.as_u16(), "error": error});
    with(status, Some("application/json;charset=UTF-8"), line(&body))
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, document: &Value) -> Answer {
    with(status, Some("application/json"), line(document))
}

/// A text for people.
pub(crate) fn text(status: StatusCode, text: &str) -> Answer {
    with(status, Some("text/plain; charset=utf-8"), format!("{text}\n").into_bytes())
}

/// Anything.
pub(crate) fn with(status: StatusCode, content_type: Option<&'static str>, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    if let Some(content_type) = content_type {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    answer
}

/// Go's encoder ends a document with a new line.
fn line(document: &Value) -> Vec<u8> {
    format!("{document}\n").into_bytes()
}

/// The words of an error.
struct Words {
    error_type: &'static str,
    message: String,
    more_info: String,
    details: Vec<Detail>,
}

/// The words about a field.
struct Detail {
    field: String,
    error_type: &'static str,
    message: String,
    more_info: String,
}

impl Words {
    fn of_application(fault: &Fault, id: Option<&str>) -> Self {
        let (message, more_info, details) = match fault {
            Fault::Field(field, defect) => {
                let (error_type, message) = match defect {
                    Defect::Missing | Defect::MissingEverywhere => ("missing_field", "Missing field"),
                    _ => ("invalid_field", "Invalid field"),
                };
                let (field, message, more_info) = ((*field).to_owned(), message.to_owned(), String::new());
                (message.clone(), String::new(), vec![Detail { field, error_type, message, more_info }])
            }
            Fault::Payload(why) => ("Bad payload syntax".to_owned(), why.clone(), Vec::new()),
            Fault::TooLarge(_) => {
                ("Request body too large".to_owned(), "http: request body too large".to_owned(), Vec::new())
            }
            _ => (fault.message(id), String::new(), Vec::new()),
        };
        Self { error_type: fault.reason(), message, more_info, details }
    }

    fn of_bus(fault: &Fault, id: Option<&str>) -> Self {
        const MISSING: &str = "We need all required fields complete to keep you moving.";
        const INVALID: &str = "We need all your entries to be correct to keep you moving.";
        const UNEXPECTED: &str = "Some unexpected internal error occurred, please contact support.";
        let (message, details) = match fault {
            Fault::Field(field, defect) => {
                let no_source = "Either provide 'Source-Id' header or specify 'source-id' in the json payload";
                let (field, error_type, message, more_info) = match defect {
                    Defect::Missing if *field == "source" => {
                        (*field, "missing_field", "missing 'source' field in the json payload", String::new())
                    }
                    Defect::Missing => (*field, "missing_field", MISSING, String::new()),
                    Defect::MissingEverywhere => {
                        ("source-id/Source-Id", "missing_field/missing_header", no_source, String::new())
                    }
                    Defect::Invalid => (*field, "invalid_field", INVALID, String::new()),
                    Defect::InvalidHeader => ("Source-Id", "invalid_header", INVALID, String::new()),
                    Defect::TooLong(most) => {
                        (*field, "invalid_field_length", INVALID, format!("Field length must be at max: {most}"))
                    }
                };
                let detail = Detail { field: field.to_owned(), error_type, message: message.to_owned(), more_info };
                (message.to_owned(), vec![detail])
            }
            Fault::Payload(_) => (UNEXPECTED.to_owned(), Vec::new()),
            Fault::TooLarge(_) => ("Request body too large".to_owned(), Vec::new()),
            _ => (fault.message(id), Vec::new()),
        };
        // Kyma keeps to itself what is wrong with a payload.
        let more_info = if let Fault::Payload(why) = fault { why.clone() } else { String::new() };
        Self { error_type: fault.reason(), message, more_info, details }
    }
}

fn document(words: &Words, status: StatusCode, is_complete: bool) -> Value {
    let object = |fields: Vec<(&str, Value)>| {
        let is_left_out = |value: &Value| !is_complete && (value == "" || *value == json!([]) || value.is_null());
        let fields = fields.into_iter().filter(|(_, value)| !is_left_out(value));
        Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    };
    let detail = |Detail { field, error_type, message, more_info }: &Detail| {
        object(vec![
            ("field", json!(field)),
            ("type", json!(error_type)),
            ("message", json!(message)),
            ("moreInfo", json!(more_info)),
        ])
    };
    let Words { error_type, message, more_info, details } = words;
    let details = if details.is_empty() { Value::Null } else { details.iter().map(detail).collect() };
    object(vec![
        ("status", json!(status.as_u16())),
        ("type", json!(error_type)),
        ("message", json!(message)),
        ("moreInfo", json!(more_info)),
        ("details", details),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, headers that matter, and body.
    fn shown(answer: Answer) -> String {
        use http_body_util::BodyExt as _;
        let (head, body) = answer.into_parts();
        let body = tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(body.collect());
        let body = String::from_utf8(body.expect("it is there").to_bytes().to_vec()).expect("text");
        let header = |name| head.headers.get(name).map_or("", |value| value.to_str().expect("text"));
        format!("{} [{}] [{}]\n{body}", head.status.as_u16(), header(CONTENT_TYPE.as_str()), header(RETRY_AFTER.as_str()))
    }

    #[test]
    fn each_service_answers_in_its_own_words() {
        let faults = [
            Fault::Field("event-type", Defect::Missing),
            Fault::Field("event-time", Defect::Invalid),
            Fault::Field("event-type", Defect::TooLong(253)),
            Fault::Field("source-id", Defect::MissingEverywhere),
            Fault::Field("source-id", Defect::InvalidHeader),
            Fault::Payload("expected value at line 1 column 1".to_owned()),
            Fault::TooLarge(65536),
            Fault::Busy,
            Fault::NoChannel("http://shop.kyma-integration answers 404 Not Found".to_owned()),
            Fault::Unanswered("no answer within 30s".to_owned()),
        ];
        let mut all = String::new();
        for dialect in [Dialect::Application, Dialect::Bus, Dialect::CloudEvents] {
            all.extend([format!("=== {dialect:?}\n"), shown(accepted(dialect, "4ea567cf"))]);
            for fault in &faults {
                all.push_str(&shown(refused(dialect, fault, Some("4ea567cf"))));
            }
        }
        for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
            all.push_str(&shown(not_here(status)));
        }
        insta::assert_snapshot!(all);
    }
}
