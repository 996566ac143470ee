//! The table of what Kyma's services found wrong, and in which order.

use serde_json::{Value, json};

use super::*;

const ID: &str = "4ea567cf-812b-49d9-a4b2-cb5ddf464094";

fn v1() -> Value {
    json!({"event-type": "order.created", "event-type-version": "v1", "event-time": "2020-09-28T14:47:16.491Z",
        "event-id": ID, "data": {"orderCode": "987"}})
}

fn v2() -> Value {
    json!({"type": "order.created", "eventtypeversion": "v1", "time": "2020-09-28T14:47:16.491Z", "id": ID, "specversion": "0.3",
        "data": {"orderCode": "987"}})
}

fn asked(service: Service<'_>, version: Version, body: &Value) -> Result<Event, Fault> {
    read(service, version, &Bytes::from(body.to_string()))
}

/// The body with a field changed; null takes it away.
fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[test]
fn an_event_is_read_as_it_was_written() {
    let text = r#"{"event-type":"order.created","event-type-version":"v1","event-time":"2020-09-28T14:47:16.491Z","data":{"n":12345678901234567890.10}}"#;
    let event = read(Service::Application("shop"), Version::V1, &Bytes::from_static(text.as_bytes())).expect("an event");
    assert_eq!((event.source.as_str(), event.name.as_str()), ("shop", "order.created"));
    assert_eq!(&event.data[..], br#"{"n":12345678901234567890.10}"#);
    assert!(is_id(&event.id), "{} is made where the publisher names none", event.id);
    let attributes = [("eventtypeversion", "v1"), ("time", "2020-09-28T14:47:16.491Z")];
    assert_eq!(event.attributes, attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    let event = asked(Service::Application("shop"), Version::V2, &v2()).expect("an event");
    assert_eq!((event.id.as_str(), event.source.as_str(), event.spec_version.as_str()), (ID, "shop", "1.0"));
    let event = asked(Service::Bus(Some("other")), Version::V1, &with(v1(), "source-id", json!("shop"))).expect("an event");
    assert_eq!(event.source, "shop", "what the body says comes before the header");
    let event = asked(Service::Bus(Some("shop")), Version::V1, &v1()).expect("an event");
    assert_eq!(event.source, "shop");
}

#[test]
fn names_of_fields_may_have_capitals() {
    let v1 = r#"{"Event-Type": "order.created", "EVENT-TYPE-VERSION": "v1", "event-Time": "2020-09-28T14:47:16Z", "Data": 1, "Source-ID": "shop"}"#;
    let v2 = r#"{"Type": "order.created", "eventTypeVersion": "v1", "Time": "2020-09-28T14:47:16Z", "Data": 1, "Source": "shop",
        "ID": "4ea567cf-812b-49d9-a4b2-cb5ddf464094", "specVersion": "0.3"}"#;
    for (version, text) in [(Version::V1, v1), (Version::V2, v2)] {
        for service in [Service::Bus(None), Service::Application("shop")] {
            let event = read(service, version, &Bytes::from_static(text.as_bytes())).expect("an event");
            assert_eq!((event.source.as_str(), event.name.as_str(), &event.data[..]), ("shop", "order.created", &b"1"[..]));
            assert_eq!(event.attributes["eventtypeversion"], "v1");
        }
    }
}

#[test]
fn an_event_service_finds_what_kymas_found() {
    use Defect::{Invalid, Missing};
    for (field, value, expected) in [
        ("event-type", json!(null), Some(("event-type", Missing))),
        ("event-type", json!(""), Some(("event-type", Missing))),
        ("event-type", json!("any thing/>"), None),
        ("event-type-version", json!(null), Some(("event-type-version", Missing))),
        ("event-type-version", json!("v-1"), Some(("event-type-version", Invalid))),
        ("event-type-version", json!("version12"), None),
        ("event-time", json!(null), Some(("event-time", Missing))),
        ("event-time", json!("yesterday"), Some(("event-time", Invalid))),
        ("event-time", json!("2020-09-28T14:47:16+02:00"), None),
        ("event-id", json!(null), None),
        ("event-id", json!("1"), Some(("event-id", Invalid))),
        ("event-id", json!("4ea567cf812b49d9a4b2cb5ddf464094"), Some(("event-id", Invalid))),
        ("data", json!(null), Some(("data", Missing))),
        ("data", json!(""), Some(("data", Missing))),
        ("data", json!(false), None),
        ("more", json!(1), None),
    ] {
        let found = asked(Service::Application("shop"), Version::V1, &with(v1(), field, value.clone())).err();
        assert_eq!(found, expected.map(|(name, defect)| Fault::Field(name, defect)), "{field}: {value}");
    }
    for (field, value, expected) in [
        ("id", json!(null), Some(("id", Missing))),
        ("type", json!(null), Some(("type", Missing))),
        ("eventtypeversion", json!(null), Some(("eventtypeversion", Missing))),
        ("specversion", json!(null), Some(("specversion", Invalid))),
        ("specversion", json!("1.0"), Some(("specversion", Invalid))),
        ("time", json!("x"), Some(("time", Invalid))),
        ("data", json!(null), Some(("data", Missing))),
    ] {
        let found = asked(Service::Application("shop"), Version::V2, &with(v2(), field, value.clone())).err();
        assert_eq!(found, expected.map(|(name, defect)| Fault::Field(name, defect)), "{field}: {value}");
    }
}

#[test]
fn the_event_bus_finds_what_kymas_found() {
    use Defect::{Invalid, InvalidHeader, Missing, MissingEverywhere, TooLong};
    let v1 = || with(v1(), "source-id", json!("shop"));
    let long = |length: usize| json!("a".repeat(length));
    for (field, value, header, expected) in [
        ("source-id", json!(null), None, Some(("source-id", MissingEverywhere))),
        ("source-id", json!(""), Some("shop"), None),
        ("source-id", json!(""), Some("shop_1"), Some(("source-id", InvalidHeader))),
        ("source-id", json!("shop_1"), None, Some(("source-id", Invalid))),
        ("source-id", json!("stage.local.kyma"), None, None),
        ("source-id", long(253), None, None),
        ("source-id", long(254), None, Some(("source-id", TooLong(253)))),
        ("event-type", json!("order..created"), None, Some(("event-type", Invalid))),
        ("event-type", long(254), None, Some(("event-type", TooLong(253)))),
        ("event-type-version", json!("v1234"), None, Some(("event-type-version", TooLong(4)))),
        ("event-type-version", json!("v-1"), None, Some(("event-type-version", Invalid))),
        ("event-time", json!("x"), None, Some(("event-time", Invalid))),
        ("event-id", json!("1"), None, Some(("event-id", Invalid))),
        ("data", json!(null), None, Some(("data", Missing))),
    ] {
        let found = asked(Service::Bus(header), Version::V1, &with(v1(), field, value.clone())).err();
        assert_eq!(found, expected.map(|(name, defect)| Fault::Field(name, defect)), "{field}: {value}");
    }
    let v2 = || with(v2(), "source", json!("shop"));
    for (field, value, expected) in [
        ("source", json!(null), Some(("source", Missing))),
        ("id", json!(null), Some(("id", Missing))),
        ("specversion", json!(null), Some(("specversion", Missing))),
        ("specversion", json!("1.0"), Some(("specversion", Invalid))),
        ("type", json!("-a"), Some(("type", Invalid))),
    ] {
        // A header does not help: it is version 1's.
        let found = asked(Service::Bus(Some("shop")), Version::V2, &with(v2(), field, value.clone())).err();
        assert_eq!(found, expected.map(|(name, defect)| Fault::Field(name, defect)), "{field}: {value}");
    }
}

#[test]
fn what_comes_first_is_found_first() {
    let found =
        |service, body: &str| read(service, Version::V1, &Bytes::copy_from_slice(body.as_bytes())).expect_err("a fault");
    assert_eq!(found(Service::Application("shop"), "{}"), Fault::Field("event-type", Defect::Missing));
    assert_eq!(found(Service::Bus(None), "{}"), Fault::Field("source-id", Defect::MissingEverywhere));
    assert_eq!(
        found(Service::Application("shop"), r#"{"event-type": "a", "event-type-version": "-"}"#),
        Fault::Field("event-type-version", Defect::Invalid)
    );
    assert_eq!(
        found(Service::Bus(Some("shop")), r#"{"event-type": "a", "event-type-version": "-"}"#),
        Fault::Field("event-time", Defect::Missing)
    );
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    for body in [
        "",
        "{",
        "[]x",
        "no",
        r#"{"event-type": 1}"#,
        "\u{feff}{}",
        r#"["order.created", "shop", null, "v1", "v1", "2020-09-28T14:47:16Z", {}]"#,
    ] {
        let fault =
            read(Service::Application("shop"), Version::V1, &Bytes::copy_from_slice(body.as_bytes())).expect_err(body);
        assert!(matches!(fault, Fault::Payload(_)), "{body}: {fault:?}");
    }
}
