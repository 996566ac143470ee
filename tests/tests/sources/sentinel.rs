//! The sentinel of a stream of NATS JetStream: published once, passed by every consumer, and refused where it cannot be.

use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::{Published, Sentinel};
use fairlead_tests::servers::nats::{Nats, NatsClient};
use serde_json::{Value, json};

use crate::jet_stream::{NOTHING, orders, single};
use crate::scene::{Opened, Secret, open, refused};

/// The consumers of the stream `orders`, with a sentinel in these subjects.
pub(crate) fn with_sentinel(server: &Nats, subjects: &[&str]) -> Value {
    let mut configuration = orders(&[server], &[]);
    configuration["jetStream"]["sentinel"] = json!({"subjects": subjects});
    configuration
}

/// What is known of the sentinel; it was published.
#[track_caller]
pub(crate) fn published(reading: &Reading) -> Published {
    let Some(Sentinel::Published(published)) = &reading.sentinel else { panic!("it is not published: {reading:#?}") };
    published.clone()
}

/// Why the sentinel is refused, in the end.
#[track_caller]
pub(crate) fn is_refused(source: &mut Opened, why: &str) {
    source.reads(why, |reading| {
        assert_ne!(reading.left, Left::Empty, "{reading:#?}");
        matches!(&reading.sentinel, Some(Sentinel::Refused(text)) if text.contains(why))
    });
}

fn messages(client: &NatsClient) -> Value {
    client.api("STREAM.INFO.orders", &NOTHING)["state"]["messages"].clone()
}

#[test]
fn nothing_is_left_when_every_consumer_has_acknowledged_the_sentinel() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "one", &NOTHING);
    client.consumer("orders", "two", &NOTHING);
    let mut source = open(&with_sentinel(&server, &["orders.sentinel"]));
    assert_eq!(source.becomes_empty().sentinel, None);
    source.order_sentinel("run-1");
    let reading = source.becomes_left_after(2);
    let sentinel = published(&reading);
    assert_eq!((&sentinel.positions, reading.ends["orders"]), (&json!({"orders.sentinel": 1}), 2));
    assert_eq!((sentinel.readers.as_str(), sentinel.is_passed), ("consumers one, two", false));
    client.acknowledge(&client.fetch("orders", "one", 1));
    assert!(!published(&source.becomes_left(1)).is_passed);
    client.acknowledge(&client.fetch("orders", "two", 1));
    assert!(published(&source.becomes_empty()).is_passed);

    let message = client.api("STREAM.MSG.GET.orders", &json!({"seq": 1}))["message"].clone();
    let decoded = |field: &str| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(message[field].as_str().expect("base64"));
        String::from_utf8(bytes.expect("base64")).expect("text")
    };
    let expected = json!({"apiVersion": "fairlead.dev/v1", "kind": "Sentinel", "id": "run-1"});
    assert_eq!(serde_json::from_str::<Value>(&decoded("data")).expect("JSON"), expected);
    assert!(decoded("hdrs").contains("Fairlead-Sentinel: run-1"), "{}", decoded("hdrs"));

    // Another process of the same run.
    let mut again = open(&with_sentinel(&server, &["orders.sentinel"]));
    again.order_sentinel("run-1");
    assert!(published(&again.becomes_empty()).is_passed);
    assert_eq!(messages(&client), 1);
}

#[test]
fn consumers_of_a_part_get_a_sentinel_each() {
    let (server, client) = single(&json!({"retention": "workqueue"}));
    client.consumer("orders", "east", &json!({"filter_subject": "orders.east.>"}));
    client.consumer("orders", "west", &json!({"filter_subject": "orders.west.>"}));
    let refusal = refused(&with_sentinel(&server, &["orders.east.sentinel"]), &Secret::default());
    assert!(refusal.contains("consumer west takes none of orders.east.sentinel"), "{refusal}");
    let mut source = open(&with_sentinel(&server, &["orders.east.sentinel", "orders.west.sentinel"]));
    source.order_sentinel("run-1");
    source.becomes_left(2);
    client.acknowledge(&client.fetch("orders", "west", 1));
    client.acknowledge(&client.fetch("orders", "east", 1));
    assert!(published(&source.becomes_empty()).is_passed);
}

#[test]
fn a_sentinel_takes_the_place_of_no_message_that_somebody_needs() {
    let (server, client) = single(&json!({"max_msgs": 3, "discard": "old"}));
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 3);
    let mut source = open(&with_sentinel(&server, &["orders.sentinel"]));
    source.order_sentinel("run-1");
    assert_eq!(source.becomes_left(3).sentinel, None);
    let taken = client.fetch("orders", "worker", 3);
    client.acknowledge(&taken[..2]);
    assert_eq!(source.becomes_left(1).sentinel, None);
    client.acknowledge(&taken[2..]);
    assert_eq!(
        published(&source.reads("published", |reading| reading.sentinel.is_some())).positions,
        json!({"orders.sentinel": 4})
    );
    client.acknowledge(&client.fetch("orders", "worker", 1));
    source.becomes_empty();
}

#[test]
fn a_stream_that_takes_no_sentinel_is_said_at_the_start() {
    let nothing = Secret::default();
    for (stream, subject, why) in [
        (json!({}), "audit.sentinel", "stream orders does not take subject audit.sentinel, but orders.>"),
        (json!({}), "orders.*", "\"orders.*\" is no subject that a message can have"),
        (json!({"max_msg_size": 100}), "orders.sentinel", "a sentinel has 1024 bytes, and stream orders takes 100"),
        (json!({"subject_transform": {"src": "orders.>", "dest": "done.>"}}), "orders.sentinel", "changes subjects"),
    ] {
        let (server, client) = single(&stream);
        client.consumer("orders", "worker", &NOTHING);
        let refusal = refused(&with_sentinel(&server, &[subject]), &nothing);
        assert!(refusal.contains(why), "{why}: {refusal}");
    }
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    let refusal = refused(&with_sentinel(&server, &[]), &nothing);
    assert!(refusal.contains("name one of the stream's subjects"), "{refusal}");
    client.api("STREAM.CREATE.copy", &json!({"name": "copy", "mirror": {"name": "orders"}}));
    let mut mirror = with_sentinel(&server, &["orders.sentinel"]);
    mirror["jetStream"]["stream"] = "copy".into();
    let refusal = refused(&mirror, &nothing);
    assert!(refusal.contains("stream copy is a mirror, which nobody can publish to"), "{refusal}");
    client.api(
        "STREAM.UPDATE.orders",
        &json!({"name": "orders", "subjects": ["orders.>"], "storage": "file", "sealed": true}),
    );
    let refusal = refused(&with_sentinel(&server, &["orders.sentinel"]), &nothing);
    assert!(refusal.contains("stream orders is sealed"), "{refusal}");
}

#[test]
fn a_full_stream_that_discards_what_is_new_refuses_the_sentinel() {
    let (server, client) = single(&json!({"max_msgs": 2, "discard": "new"}));
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 2);
    let mut source = open(&with_sentinel(&server, &["orders.sentinel"]));
    source.order_sentinel("run-1");
    is_refused(&mut source, "stream orders is full, and takes no message any more (discard: new)");
}

#[test]
fn a_user_who_may_not_publish_is_told_at_once() {
    let users = "authorization { users: [{user: drain, password: hunter2, permissions: {publish: {deny: [\"orders.>\"]}}}, {user: all, password: all}] }\nno_auth_user: all\n";
    let server = Nats::start(&format!("jetstream: enabled\n{users}"));
    let client = server.client();
    client.stream("orders", 1, &NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    let mut configuration = with_sentinel(&server, &["orders.sentinel"]);
    configuration["jetStream"]["authentication"] =
        json!({"password": {"username": "drain", "password": {"name": "n", "key": "password"}}});
    let mut source =
        crate::scene::try_open(&configuration, &Secret::default().with("password", "hunter2")).expect("it may read");
    source.order_sentinel("run-1");
    is_refused(&mut source, "Permissions Violation for Publish to \"orders.sentinel\"");
    assert_eq!(messages(&client), 0);
}

/// What a majority has not got may be gone with its leader.
#[test]
fn without_a_majority_a_sentinel_counts_for_nothing() {
    let mut servers = Nats::cluster();
    let client = servers[0].client();
    client.stream("orders", 3, &NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    let mut source = open(&with_sentinel(&servers[0], &["orders.sentinel"]));
    source.becomes_empty();
    servers[1].process().freeze();
    servers[2].process().freeze();
    source.order_sentinel("run-1");
    let reading = source.read();
    assert!(matches!(reading.left, Left::Unknown(_)) && reading.sentinel.is_none(), "{reading:#?}");
    servers[1].process().thaw();
    servers[2].process().thaw();
    source.reads("published", |reading| {
        assert_ne!(reading.left, Left::Empty, "{reading:#?}");
        reading.sentinel.is_some()
    });
    // It may have been stored before it was acknowledged, and is there once all the same.
    assert_eq!(messages(&client), 1);
}
