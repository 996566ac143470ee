//! The sentinel of a stream of NATS JetStream: published once, passed by every consumer, and refused where it cannot be.

use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::{Published, Sentinel};
use fairlead_tests::servers::nats::{Nats, NatsClient};
use fairlead_tests::servers::process::free_port;
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
    assert_eq!((sentinel.readers.as_str(), sentinel.is_passed, sentinel.is_last), ("consumers one, two", false, true));
    let ours = |name: &str| format!("{name}: 1 not delivered, 0 not acknowledged; 1 of them is the sentinel");
    assert_eq!(reading.largest, [ours("one"), ours("two")]);
    client.acknowledge(&client.fetch("orders", "one", 1));
    assert!(!published(&source.becomes_left(1)).is_passed);
    let taken = client.fetch("orders", "two", 1);
    assert_eq!(
        source.becomes_left(1).largest,
        ["two: 0 not delivered, 1 not acknowledged; the sentinel may be one of them"]
    );
    client.acknowledge(&taken);
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
fn what_comes_behind_a_sentinel_is_told_and_another_one_comes_behind_that() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    let mut source = open(&with_sentinel(&server, &["orders.a", "orders.b"]));
    source.order_sentinel("run-1");
    source.order_sentinel("run-1");
    assert!(published(&source.becomes_left(2)).is_last);
    client.publish("orders.new", 1);
    assert!(!published(&source.becomes_left(3)).is_last);
    client.acknowledge(&client.fetch("orders", "worker", 3));
    let sentinel = published(&source.becomes_empty());
    assert_eq!((sentinel.is_passed, sentinel.is_last), (true, false));

    source.order_sentinel("run-1 again");
    let sentinel = published(&source.becomes_left_after(2));
    assert_eq!((sentinel.id.as_str(), &sentinel.positions), ("run-1 again", &json!({"orders.a": 4, "orders.b": 5})));
    assert_eq!((sentinel.is_passed, sentinel.is_last), (false, true));
    client.acknowledge(&client.fetch("orders", "worker", 2));
    let sentinel = published(&source.becomes_empty());
    assert_eq!((sentinel.is_passed, sentinel.is_last), (true, true));

    // Another process of the run, for which the server has the first one.
    let mut resumed = open(&with_sentinel(&server, &["orders.a", "orders.b"]));
    resumed.order_sentinel("run-1");
    let sentinel = published(&resumed.becomes_empty());
    assert_eq!((sentinel.is_passed, sentinel.is_last), (true, false));
}

/// Both have a stream of this name, which takes the subject.
#[test]
fn the_sentinel_of_another_domain_is_none() {
    let leaves = free_port();
    let hub = Nats::start(&format!(
        "server_name: hub\njetstream: {{domain: hub}}\nleafnodes: {{listen: \"127.0.0.1:{leaves}\"}}\n"
    ));
    let leaf = Nats::start(&format!(
        "server_name: leaf\njetstream: {{domain: leaf}}\n\
         leafnodes: {{remotes: [{{url: \"nats-leaf://127.0.0.1:{leaves}\", deny_exports: [\"orders.>\"]}}]}}\n"
    ));
    for server in [&hub, &leaf] {
        let client = server.client();
        client.stream("orders", 1, &NOTHING);
        client.consumer("orders", "worker", &NOTHING);
    }
    let mut configuration = with_sentinel(&leaf, &["orders.sentinel"]);
    let mut source = open(&configuration);
    source.order_sentinel("run-1");
    assert_eq!(published(&source.becomes_left(1)).positions, json!({"orders.sentinel": 1}));
    configuration["jetStream"]["domain"] = "hub".into();
    let mut source = open(&configuration);
    source.order_sentinel("run-2");
    is_refused(&mut source, "stream orders of domain leaf takes it, and not that of the configuration");
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
        (json!({"no_ack": true}), "orders.sentinel", "acknowledges nothing to who publishes"),
        (json!({"subject_transform": {"src": "orders.>", "dest": "done.>"}}), "orders.sentinel", "changes subjects"),
    ] {
        let (server, client) = single(&stream);
        client.consumer("orders", "worker", &NOTHING);
        let refusal = refused(&with_sentinel(&server, &[subject]), &nothing);
        assert!(refusal.contains(why), "{why}: {refusal}");
    }
    let (server, client) = single(&NOTHING);
    let refusal = refused(&with_sentinel(&server, &["orders.sentinel"]), &nothing);
    assert!(refusal.contains("stream orders has no consumer, and nobody would take a sentinel"), "{refusal}");
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
    client.publish("orders.new", 1);
    let mut source = open(&with_sentinel(&server, &["orders.sentinel"]));
    client.publish("orders.new", 1);
    source.order_sentinel("run-1");
    let why = "stream orders is full, and takes no message any more (discard: new)";
    is_refused(&mut source, why);
    let refusal = refused(&with_sentinel(&server, &["orders.sentinel"]), &Secret::default());
    assert!(refusal.contains(why), "{refusal}");
}

/// Its messages are no matter of the drain, and nobody asks whether it has acknowledged them.
#[test]
fn a_message_that_a_consumer_needs_which_is_not_named_makes_no_room() {
    for (limits, why) in [
        (json!({"max_msgs": 3, "discard": "old"}), "stream orders is full"),
        (json!({"max_msgs": 3, "discard": "old", "retention": "interest"}), "stream orders is full"),
        (json!({"max_msgs_per_subject": 3}), "stream orders limits the messages of a subject (max_msgs_per_subject)"),
    ] {
        let (server, client) = single(&limits);
        client.consumer("orders", "worker", &NOTHING);
        client.consumer("orders", "other", &NOTHING);
        client.publish("orders.new", 3);
        client.acknowledge(&client.fetch("orders", "worker", 3));
        let mut named = with_sentinel(&server, &["orders.sentinel"]);
        named["jetStream"]["consumers"] = json!(["worker"]);
        let refusal = refused(&named, &Secret::default());
        assert!(refusal.starts_with(why) && refusal.contains("leave consumers out"), "{refusal}");
        named["jetStream"]["consumers"] = json!(["worker", "other"]);
        let mut source = open(&named);
        source.order_sentinel("run-1");
        assert_eq!(source.becomes_left(3).sentinel, None);
        assert_eq!(messages(&client), 3);
    }
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
