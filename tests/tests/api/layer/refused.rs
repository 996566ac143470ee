//! What is refused, and in which words; and what is answered when a target does not accept.

use fairlead_tests::servers::process::{closed_port, get};
use serde_json::json;

use super::sink::{Manner, Sink};
use super::{EVENT, Layer};

/// The longest body.
const MOST: usize = 64 * 1024;

/// A legacy event of exactly so many bytes.
fn event_of(length: usize) -> Vec<u8> {
    let event = |filling: usize| {
        let filling = "x".repeat(filling);
        format!(
            r#"{{"event-type":"a","event-type-version":"v1","event-time":"2020-09-28T14:47:16Z","source-id":"shop","data":"{filling}"}}"#
        )
    };
    event(length - event(0).len()).into_bytes()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut all: Vec<u8> = body.chunks(10_000).flat_map(chunk).collect();
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

#[test]
fn a_body_of_64_kib_is_taken_and_a_longer_one_is_not() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &[]);
    let cloud_event = ["ce-specversion: 1.0", "ce-id: 1", "ce-source: shop", "ce-type: a"];
    let chunks = [&cloud_event[..], &["Transfer-Encoding: chunked"]].concat();
    for (path, accepted) in [("/shop/v1/events", 200), ("/v1/events", 200), ("/publish", 204)] {
        for (length, status) in [(MOST, accepted), (MOST + 1, 413), (2 * MOST, 413)] {
            let answer = layer.post(path, &cloud_event, &event_of(length)).expect(status);
            assert!(status != 413 || path == "/publish" || answer.json()["type"] == "request_body_too_large", "{answer:?}");
            layer.post(path, &chunks, &chunked(&event_of(length))).expect(status);
        }
    }
    assert_eq!(sink.received().len(), 6);
    let lengths: Vec<usize> = sink.received().iter().map(|received| received.body.len()).collect();
    assert!(lengths.contains(&MOST), "{lengths:?}");
}

#[test]
fn what_cannot_be_an_event_goes_nowhere() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &[]);
    for (path, headers, body, expected) in [
        (
            "/shop/v1/events",
            &[][..],
            "",
            json!({"status": 400, "type": "bad_payload_syntax", "message": "Bad payload syntax", "moreInfo": "Bad payload syntax"}),
        ),
        (
            "/shop/v1/events",
            &[],
            "no",
            json!({"status": 400, "type": "bad_payload_syntax", "message": "Bad payload syntax", "moreInfo": "the body is no JSON object"}),
        ),
        (
            "/shop/v1/events",
            &[],
            "{}",
            json!({"status": 400, "type": "validation_violation", "message": "Missing field",
                "details": [{"field": "event-type", "type": "missing_field", "message": "Missing field"}]}),
        ),
        (
            "/v1/events",
            &["Source-Id: sh_op"],
            EVENT,
            json!({"status": 400, "type": "validation_violation", "message": "We need all your entries to be correct to keep you moving.", "moreInfo": "",
                "details": [{"field": "Source-Id", "type": "invalid_header", "moreInfo": "",
                    "message": "We need all your entries to be correct to keep you moving."}]}),
        ),
        ("/shop/v3/events", &[], EVENT, json!({"code": 404, "error": "Requested resource could not be found."})),
        ("/shop/v1/events/subscribed", &[], EVENT, json!({"code": 405, "error": "Method not allowed."})),
    ] {
        let answer = layer.post(path, headers, body.as_bytes());
        let status = expected.get("status").or(expected.get("code")).expect("a status");
        assert_eq!((json!(answer.status), &answer.json()), (status.clone(), &expected), "{path}");
    }
    let said = layer.post("/publish", &["content-type: application/json"], EVENT.as_bytes()).expect(400).body;
    assert!(said.starts_with("the request holds no CloudEvent"), "{said}");
    let batch = br#"[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"specversion":"1.0"}]"#;
    layer.post("/publish", &["content-type: application/cloudevents-batch+json"], batch).expect(400);
    assert_eq!(get(layer.port, "/shop/v1/events").map(|(status, _)| status), Some(405));
    assert_eq!(sink.received().len(), 0, "also the good one of a batch");
    layer.expect_count("fairlead_layer_events_refused_total{application=\"\",reason=\"bad_payload_syntax\"} 4");
    layer.expect_count("fairlead_layer_events_refused_total{application=\"\",reason=\"validation_violation\"} 2");
}

#[test]
fn success_is_never_answered_for_an_event_that_its_target_has_not() {
    let sink = Sink::start(Manner::Status(500));
    let layer = Layer::to(&sink.url(), &["--target-timeout", "1s"]);
    let (perhaps, nothing) = ("the event may have been delivered", "nothing was delivered");
    for (manner, status, reason, said) in [
        (Manner::Status(500), 502, "target_failed", perhaps),
        (Manner::Status(302), 502, "target_failed", perhaps),
        (Manner::Status(404), 503, "channel_missing", nothing),
        (Manner::Status(503), 503, "target_unavailable", "whether it has the event is unknown"),
        (Manner::Status(429), 429, "throttled_by_target", nothing),
        (Manner::Status(400), 400, "refused_by_target", "the target does not take the event"),
        (Manner::Status(507), 507, "target_full", nothing),
        (Manner::Hold, 504, "target_unanswered", perhaps),
        (Manner::Close, 504, "target_unanswered", perhaps),
    ] {
        sink.set(manner);
        let before = sink.received().len();
        let answer = layer.publish("shop").expect(status);
        let (document, received) = (answer.json(), sink.received());
        assert_eq!(document["type"], reason, "{answer:?}");
        assert_eq!(received.len(), before + 1, "{manner:?}: an event is sent once, and its publisher sends it again");
        assert_eq!(answer.has("retry-after: "), [503, 429].contains(&status), "{manner:?}: {answer:?}");
        let message = document["message"].as_str().expect("a message");
        assert!(message.contains(said), "{manner:?}: {message}");
        let id = format!("send it again with the id {}", received[before].header("ce-id"));
        assert_eq!(message.contains(&id), status != 400, "{message}");
    }
    sink.set(Manner::Status(202));
    layer.publish("shop").expect(200);
    layer.expect_count("fairlead_layer_events_accepted_total{application=\"shop\"} 1");
}

#[test]
fn a_target_that_is_not_there_is_waited_for_by_the_publisher() {
    let layer = Layer::to(&format!("http://{{application}}:{}", closed_port()), &[]);
    // Refused; a name that does not exist; one that cannot be a Service's.
    for (application, reason) in
        [("localhost", "target_away"), ("no-such-application", "target_away"), ("evil.example", "channel_missing")]
    {
        let answer = layer.publish(application).expect(503);
        assert_eq!((answer.json()["type"].as_str(), answer.has("retry-after: 5")), (Some(reason), true), "{answer:?}");
    }
    let layer = Layer::start("{applications: {shop: {target: {http: {url: 'http://localhost:1'}}}}}", &[]);
    let answer = layer.publish("other").expect(503);
    assert!(answer.body.contains("no target is configured for other"), "{answer:?}");
}
