//! The curls of the proposal, word for word, and what becomes of each.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::*;
use crate::legacy::{Service, Version};
use crate::{cloud_event, legacy};

/// Headers and body of the legacy event; it is the same in both flows.
const LEGACY: &str = r#"
    {
		"event-type": "order.created",
		"event-type-version": "v1",
		"event-time": "2020-09-28T14:47:16.491Z",
		"data": {"orderCode": "987"}
  	}
"#;

/// The CloudEvent of the current flow.
const UNDER_PREFIX: &[(&str, &str)] = &[
    ("ce-specversion", "1.0"),
    ("ce-type", "sap.kyma.custom.commercemock.order.created.v1"),
    ("ce-source", "/default/sap.kyma/tunas-develop"),
    ("ce-eventtypeversion", "v1"),
    ("ce-id", "A234-1234-1234"),
    ("content-type", "application/json"),
];

/// The CloudEvent of the proposed flow.
const BEHIND_SOURCE: &[(&str, &str)] = &[
    ("ce-specversion", "1.0"),
    ("ce-type", "order.created.v1"),
    ("ce-source", "commercemock"),
    ("ce-eventtypeversion", "v1"),
    ("ce-id", "A234-1234-1234"),
    ("content-type", "application/json"),
];

const DATA: &str = "{\"foo\":\"binary-mode\"}";

fn naming(backend: Backend, flow: Flow) -> Naming {
    let namespace = match backend {
        Backend::JetStream => "kyma",
        Backend::EventMesh => "/default/sap.kyma/tunas-develop",
    };
    let (type_prefix, subject_prefix) = ("sap.kyma.custom".to_owned(), "kyma".to_owned());
    Naming { backend, flow, type_prefix, subject_prefix, namespace: namespace.to_owned() }
}

fn legacy_event(application: &str) -> Event {
    legacy::read(Service::Application(application), Version::V1, &Bytes::from_static(LEGACY.as_bytes())).expect("an event")
}

fn cloud_event(headers: &[(&str, &str)]) -> Event {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).expect("a name"), value.parse().expect("a value")))
        .collect();
    cloud_event::read(&headers, &Bytes::from_static(DATA.as_bytes())).expect("an event").remove(0)
}

/// Subject (or nothing), source and type.
fn shown(naming: &Naming, origin: Origin, event: &Event) -> Result<[String; 3], String> {
    let named = naming.name(origin, event).map_err(|fault| fault.message(None))?;
    assert_eq!((&named.id, &named.data, &named.attributes["eventtypeversion"]), (&event.id, &event.data, &"v1".to_owned()));
    let subject = if naming.backend == Backend::JetStream { naming.subject(&named) } else { String::new() };
    Ok([subject, named.source, named.name])
}

#[test]
fn the_four_curls_are_named_as_the_proposal_says() {
    use Backend::{EventMesh, JetStream};
    const MESH: &str = "/default/sap.kyma/tunas-develop";
    const PREFIXED: &str = "sap.kyma.custom.commercemock.order.created.v1";
    let no_prefix = "failed to parse event-type=order.created.v1 with prefix=sap.kyma.custom: prefix not found";
    let (first, third) = (legacy_event("commercemock"), legacy_event("commercemock"));
    let (second, fourth) = (cloud_event(UNDER_PREFIX), cloud_event(BEHIND_SOURCE));
    let subject = &format!("kyma.{PREFIXED}");
    let short = "kyma.commercemock.order.created.v1";
    for (curl, origin, event, backend, flow, expected) in [
        (1, Origin::Legacy, &first, JetStream, Flow::Current, Ok([subject.as_str(), "kyma", PREFIXED])),
        (1, Origin::Legacy, &first, EventMesh, Flow::Current, Ok(["", MESH, PREFIXED])),
        (1, Origin::Legacy, &first, JetStream, Flow::Proposed, Ok([short, "commercemock", short])),
        (1, Origin::Legacy, &first, EventMesh, Flow::Proposed, Ok(["", MESH, PREFIXED])),
        (2, Origin::CloudEvent, &second, JetStream, Flow::Current, Ok([subject.as_str(), MESH, PREFIXED])),
        (2, Origin::CloudEvent, &second, EventMesh, Flow::Current, Ok(["", MESH, PREFIXED])),
        // With the prefix it is named as before, so that old publishers reach old Subscriptions.
        (2, Origin::CloudEvent, &second, JetStream, Flow::Proposed, Ok([subject.as_str(), MESH, PREFIXED])),
        (2, Origin::CloudEvent, &second, EventMesh, Flow::Proposed, Ok(["", MESH, PREFIXED])),
        (3, Origin::Legacy, &third, JetStream, Flow::Current, Ok([subject.as_str(), "kyma", PREFIXED])),
        (3, Origin::Legacy, &third, EventMesh, Flow::Current, Ok(["", MESH, PREFIXED])),
        (3, Origin::Legacy, &third, JetStream, Flow::Proposed, Ok([short, "commercemock", short])),
        (3, Origin::Legacy, &third, EventMesh, Flow::Proposed, Ok(["", MESH, PREFIXED])),
        (4, Origin::CloudEvent, &fourth, JetStream, Flow::Current, Err(no_prefix)),
        (4, Origin::CloudEvent, &fourth, EventMesh, Flow::Current, Err(no_prefix)),
        (4, Origin::CloudEvent, &fourth, JetStream, Flow::Proposed, Ok([short, "commercemock", short])),
        (4, Origin::CloudEvent, &fourth, EventMesh, Flow::Proposed, Ok(["", MESH, PREFIXED])),
    ] {
        let shown = shown(&naming(backend, flow), origin, event);
        let expected = expected.map(|names| names.map(str::to_owned)).map_err(str::to_owned);
        assert_eq!(shown, expected, "curl {curl}, {backend:?}, {flow:?}");
    }
}

#[test]
fn the_type_of_the_publisher_is_kept_where_it_is_changed() {
    let event = naming(Backend::JetStream, Flow::Proposed).name(Origin::Legacy, &legacy_event("my-shop")).expect("a name");
    assert_eq!((event.attributes[ORIGINAL_TYPE].as_str(), event.source.as_str()), ("order.created.v1", "my-shop"));
    assert_eq!(event.name, "kyma.my-shop.order.created.v1");
    let event = naming(Backend::JetStream, Flow::Current).name(Origin::Legacy, &legacy_event("my-shop")).expect("a name");
    assert_eq!(
        (event.name.as_str(), event.attributes.get(ORIGINAL_TYPE)),
        ("sap.kyma.custom.myshop.order.created.v1", None)
    );
}

#[test]
fn a_name_that_is_empty_after_cleaning_is_refused() {
    for (backend, source, event_type) in
        [(Backend::JetStream, "...", "a.b.v1"), (Backend::JetStream, "shop", "a..v1"), (Backend::EventMesh, "--", "a.b.v1")]
    {
        let event = Event { source: source.to_owned(), name: event_type.to_owned(), ..cloud_event(BEHIND_SOURCE) };
        let fault = naming(backend, Flow::Proposed).name(Origin::CloudEvent, &event).expect_err("a fault");
        assert!(fault.message(None).starts_with("event type cannot have empty segments after cleaning"), "{fault:?}");
    }
}

#[test]
fn event_mesh_takes_64_characters_of_a_source_and_127_of_a_type() {
    let prefix = "sap.kyma.custom.shop.order.created.";
    for (source, event_type, backend, is_taken) in [
        (64, 127, Backend::EventMesh, true),
        (65, 127, Backend::EventMesh, false),
        (64, 128, Backend::EventMesh, false),
        // NATS has no such limits.
        (65, 128, Backend::JetStream, true),
    ] {
        let event_type = format!("{prefix}{}", "v".repeat(event_type - prefix.len()));
        let event = Event { source: "s".repeat(source), name: event_type, ..cloud_event(UNDER_PREFIX) };
        for flow in [Flow::Current, Flow::Proposed] {
            let named = naming(backend, flow).name(Origin::CloudEvent, &event);
            assert_eq!(named.is_ok(), is_taken, "{source} {backend:?} {named:?}");
        }
    }
    // A namespace that is too long is a mistake of the configuration, and no event can mend it.
    let long = Naming { namespace: "n".repeat(65), ..naming(Backend::EventMesh, Flow::Current) };
    assert!(long.name(Origin::Legacy, &legacy_event("shop")).is_err());
}

/// Somebody publishes an event again that he has received: the attribute that the layer gave it says nothing of this way.
#[test]
fn what_a_publisher_says_of_the_type_before_decides_nothing() {
    let naming = naming(Backend::JetStream, Flow::Proposed);
    let read = |headers: &[(&str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value")));
        let events =
            cloud_event::read(&headers.collect::<HeaderMap>(), &Bytes::from_static(DATA.as_bytes())).expect("an event");
        naming.name(Origin::CloudEvent, &events[0]).map(|named| naming.subject(&named)).map_err(|fault| fault.message(None))
    };
    let again = [UNDER_PREFIX, &[("ce-originaltype", "x"), ("ce-data", "foo")]].concat();
    assert_eq!(read(&again), Ok("kyma.sap.kyma.custom.commercemock.order.created.v1".to_owned()));
    assert_eq!(read(&again), read(UNDER_PREFIX));
    // A line of NATS would be too long, and its connection end.
    let long = format!("order.{}.v1", "x".repeat(5000));
    let mut too_long = BEHIND_SOURCE.to_vec();
    too_long[1] = ("ce-type", &long);
    assert!(read(&too_long).expect_err("too long").contains("longer than a subject of 1024 bytes"));
}
