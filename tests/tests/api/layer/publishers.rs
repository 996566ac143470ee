//! What each API takes, and what a target over HTTP gets.

use serde_json::{Value, json};

use super::sink::{Manner, Sink};
use super::{EVENT, Layer};

const ID: &str = "4ea567cf-812b-49d9-a4b2-cb5ddf464094";

#[test]
fn an_event_of_the_legacy_api_reaches_its_target_as_a_cloud_event() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &[]);
    let headers = [
        "Content-Type: application/json",
        "X-B3-Sampled: 1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    let answer = layer.post("/commercemock/v1/events", &headers, EVENT.as_bytes()).expect(200).json();
    let received = &sink.received()[0];
    for (name, expected) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "order.created"),
        ("ce-source", "commercemock"),
        ("ce-eventtypeversion", "v1"),
        ("ce-sourceid", "commercemock"),
        ("ce-time", "2020-09-28T14:47:16.491Z"),
        ("ce-id", answer["event-id"].as_str().expect("an id")),
        ("content-type", "application/json"),
        ("x-b3-sampled", "1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(received.header(name), expected, "{name}");
    }
    assert_eq!(received.body, r#"{"orderCode": "987"}"#);
    assert_eq!(answer, json!({"event-id": received.header("ce-id"), "status": "", "reason": ""}));
    layer.expect_count("fairlead_layer_events_accepted_total{application=\"commercemock\"} 1");
    layer.expect_count("fairlead_layer_events_forwarded_total{application=\"commercemock\"} 1");
    layer.expect_count("fairlead_layer_target_seconds_count{application=\"commercemock\"} 1");
    layer.expect_count("fairlead_layer_in_flight 0");
}

#[test]
fn each_service_that_publishers_knew_takes_its_events() {
    let sink = Sink::start(Manner::Status(200));
    let layer = Layer::to(&sink.url(), &[]);
    let v1 = json!({"event-type": "order.created", "event-type-version": "v1", "event-time": "2020-09-28T14:47:16Z", "event-id": ID, "data": {}});
    let v2 = json!({"type": "order.created", "eventtypeversion": "v1", "time": "2020-09-28T14:47:16Z", "id": ID, "specversion": "0.3", "data": {}});
    let with = |body: &Value, field: &str| {
        let mut body = body.clone();
        body[field] = json!("shop");
        body.to_string()
    };
    let published =
        json!({"event-id": ID, "status": "published", "reason": "Message successfully published to the channel"});
    let plain = json!({"event-id": ID, "status": "", "reason": ""});
    for (path, header, body, expected) in [
        ("/shop/v1/events", "X: y", v1.to_string(), &plain),
        ("/shop/v2/events", "X: y", v2.to_string(), &plain),
        ("/v1/events", "X: y", with(&v1, "source-id"), &published),
        ("/v1/events", "Source-Id: shop", v1.to_string(), &published),
        ("/v2/events", "X: y", with(&v2, "source"), &published),
    ] {
        let before = sink.received().len();
        let header = [header, "ce-tenant: a", "ce-type: other", "ce-eventtypeversion: v9"];
        assert_eq!(&layer.post(path, &header, body.as_bytes()).expect(200).json(), expected, "{path}");
        let received = sink.received();
        assert_eq!(received.len(), before + 1, "{path}: an event is published once");
        let names = ["ce-id", "ce-source", "ce-type", "ce-eventtypeversion", "ce-specversion"]
            .map(|name| received[before].header(name));
        assert_eq!(names, [ID, "shop", "order.created", "v1", "1.0"], "{path}");
        let is_bus = *expected == published;
        assert_eq!(received[before].header("ce-tenant"), if is_bus { "a" } else { "" }, "{path}");
    }
}

#[test]
fn cloud_events_are_passed_on_as_they_are() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &[]);
    let binary = [
        "ce-specversion: 1.0",
        "ce-type: order.created.v1",
        "ce-source: commercemock",
        "ce-eventtypeversion: v1",
        "ce-id: A234-1234-1234",
        "content-type: application/json",
    ];
    layer.post("/publish", &binary, b"{\"foo\":\"binary-mode\"}").expect(204);
    let document = |id: &str| {
        json!({"specversion": "1.0", "type": "order.created.v1", "source": "commercemock", "eventtypeversion": "v1", "id": id,
            "datacontenttype": "application/json", "data": {"foo": "structured"}})
    };
    layer
        .post("/publish", &["content-type: application/cloudevents+json"], document("2").to_string().as_bytes())
        .expect(204);
    let batch = json!([document("3"), document("4")]).to_string();
    layer.post("/publish", &["content-type: application/cloudevents-batch+json"], batch.as_bytes()).expect(204);
    let received = sink.received();
    let ids: Vec<&str> = received.iter().map(|received| received.header("ce-id")).collect();
    assert_eq!(ids, ["A234-1234-1234", "2", "3", "4"]);
    for received in &received {
        assert_eq!((received.header("ce-type"), received.header("ce-source")), ("order.created.v1", "commercemock"));
        assert_eq!((received.header("content-type"), received.header("ce-sourceid")), ("application/json", ""));
    }
    assert_eq!(
        (received[0].body.as_str(), received[1].body.as_str()),
        (r#"{"foo":"binary-mode"}"#, r#"{"foo":"structured"}"#)
    );
    layer.expect_count("fairlead_layer_events_accepted_total{application=\"commercemock\"} 4");
    // Who obeys sends all of it again.
    sink.set(Manner::Status(500));
    let refused =
        layer.post("/publish", &["content-type: application/cloudevents-batch+json"], batch.as_bytes()).expect(502);
    let said = "; 0 before it were delivered: send the whole batch again";
    assert!(refused.body.starts_with("event 1 of 2, 3: ") && refused.body.trim_end().ends_with(said), "{refused:?}");
}

#[test]
fn an_application_has_its_own_target_and_event_mesh_its_own_names() {
    let (common, own) = (Sink::start(Manner::Status(202)), Sink::start(Manner::Status(204)));
    // Event Mesh is played: a sink that takes the same request.
    let mesh = format!("eventMesh: {{url: '{}', namespace: /default/sap.kyma/tunas-develop}}", own.url());
    let layer = format!(
        "{{target: {{http: {{url: 'http://{{application}}:{}'}}}}, applications: {{commercemock: {{target: {{{mesh}}}}}}}}}",
        common.port()
    );
    let layer = Layer::start(&layer, &[]);
    layer.publish("commercemock").expect(200);
    layer.publish("localhost").expect(200);
    let (common, own) = (common.received(), own.received());
    assert_eq!((common.len(), own.len()), (1, 1));
    assert_eq!((common[0].header("ce-source"), common[0].header("ce-type")), ("localhost", "order.created"));
    let names = ["ce-source", "ce-type", "ce-originaltype", "qos"].map(|name| own[0].header(name));
    let expected = [
        "/default/sap.kyma/tunas-develop",
        "sap.kyma.custom.commercemock.order.created.v1",
        "order.created.v1",
        "AT_LEAST_ONCE",
    ];
    assert_eq!(names, expected);
}
