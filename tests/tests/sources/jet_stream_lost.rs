//! NATS JetStream: messages that are gone without being done, and messages that are still to come.

use fairlead_backlog::reading::Left;
use serde_json::{Value, json};

use crate::jet_stream::{NOTHING, orders, single};
use crate::scene::{Secret, open, refused};

#[test]
fn a_message_past_its_last_delivery_is_poison() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &json!({"max_deliver": 2, "ack_wait": 100_000_000}));
    client.publish("orders.new", 10);
    client.fetch("orders", "worker", 20);
    // One that comes later and is done does not hide them.
    client.publish("orders.new", 1);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    let mut source = open(&orders(&[&server], &[]));
    source.reads("poison", |reading| {
        assert_ne!(reading.left, Left::Empty, "{reading:#?}");
        // Only who asks for more makes the server give up.
        client.ask("orders", "worker");
        reading.hopeless.as_ref().is_some_and(|why| why.contains("are not delivered again after 2 times: poison"))
    });
}

#[test]
fn a_consumer_that_gets_each_message_once_proves_nothing() {
    let once = json!({"max_deliver": 1, "ack_wait": 100_000_000});
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &once);
    for consumers in [&["worker"][..], &[]] {
        let refusal = refused(&orders(&[&server], consumers), &Secret::default());
        assert!(
            refusal.contains("consumer worker gets each message once (max_deliver 1): delivered is not done"),
            "{refusal}"
        );
    }

    // Here they stay until they are acknowledged.
    let (server, client) = single(&json!({"retention": "workqueue"}));
    client.consumer("orders", "worker", &once);
    client.publish("orders.new", 3);
    client.fetch("orders", "worker", 3);
    client.publish("orders.new", 1);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    open(&orders(&[&server], &["worker"])).becomes_left(3);
}

#[test]
fn messages_that_were_dropped_unread_are_lost() {
    let (server, client) = single(&json!({"max_msgs": 10}));
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 100);
    let mut source = open(&orders(&[&server], &[]));
    let reading = source.becomes_hopeless("stream orders has dropped 90 messages before consumer worker got them");
    assert_eq!(reading.left, Left::Some(10));

    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 10);
    let mut source = open(&orders(&[&server], &[]));
    client.api("STREAM.PURGE.orders", &NOTHING);
    source.becomes_hopeless("has dropped 10 messages before consumer worker got them");
}

#[test]
fn messages_that_were_dropped_before_they_were_acknowledged_may_not_be_done() {
    let lost = "that consumer worker had not acknowledged may be among them";
    for filter in [json!({}), json!({"filter_subject": "orders.>"}), json!({"filter_subject": "orders.new"})] {
        let (server, client) = single(&json!({"max_msgs": 5}));
        client.consumer("orders", "worker", &filter);
        client.publish("orders.new", 5);
        client.fetch("orders", "worker", 5);
        let mut source = open(&orders(&[&server], &["worker"]));
        source.becomes_left(5);
        client.publish("orders.new", 5);
        client.acknowledge(&client.fetch("orders", "worker", 5));
        source.becomes_hopeless(lost);

        let (server, client) = single(&NOTHING);
        client.consumer("orders", "worker", &filter);
        client.publish("orders.new", 5);
        client.fetch("orders", "worker", 5);
        let mut source = open(&orders(&[&server], &["worker"]));
        source.becomes_left(5);
        client.api("STREAM.PURGE.orders", &NOTHING);
        source.becomes_hopeless(lost);
        // And so it stays.
        assert!(source.read().hopeless.is_some());
    }
}

#[test]
fn a_stream_that_drops_what_is_done_loses_nothing() {
    let (server, client) = single(&json!({"max_msgs": 5}));
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 5);
    client.acknowledge(&client.fetch("orders", "worker", 5));
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_empty();
    client.publish("orders.new", 3);
    source.becomes_left_after(3);
    client.acknowledge(&client.fetch("orders", "worker", 3));
    source.becomes_empty();
}

#[test]
fn retention_is_looked_at_with_a_filter_too() {
    // The filter takes everything that there is.
    let (server, client) = single(&json!({"max_msgs": 10}));
    client.consumer("orders", "worker", &json!({"filter_subject": "orders.>"}));
    client.publish("orders.new", 50);
    open(&orders(&[&server], &["worker"]))
        .becomes_hopeless("stream orders has dropped 40 messages before consumer worker got them");

    // It takes a part, and nobody knows of which part those were.
    let (server, client) = single(&json!({"max_msgs": 10}));
    client.consumer("orders", "worker", &json!({"filter_subject": "orders.new"}));
    client.publish("orders.new", 1);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    let mut source = open(&orders(&[&server], &["worker"]));
    source.becomes_empty();
    client.publish("orders.old", 50);
    source.becomes_unknown_after("dropped 40 messages that consumer worker had not come to: some may have been its own");
    // With somebody who reads it comes to the end, and has lost nothing.
    client.publish("orders.new", 1);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    source.reads("empty", |reading| reading.left == Left::Empty && reading.hopeless.is_none());
    client.publish("orders.old", 3);
    client.ask("orders", "worker");
    source.becomes_empty();
}

#[test]
fn a_consumer_that_is_gone_takes_its_position_along() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 5);
    let (mut named, mut all) = (open(&orders(&[&server], &["worker"])), open(&orders(&[&server], &[])));
    all.becomes_left(5);
    client.api("CONSUMER.DELETE.orders.worker", &NOTHING);
    named.becomes_unknown("there is no consumer worker of stream orders");
    all.becomes_hopeless("consumer worker is gone, with its position: 5 messages were left");
}

#[test]
fn a_consumer_or_a_stream_that_is_made_again_has_lost_its_position() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 5);
    client.fetch("orders", "worker", 5);
    let (mut named, mut all) = (open(&orders(&[&server], &["worker"])), open(&orders(&[&server], &[])));
    named.becomes_left(5);
    all.becomes_left(5);
    client.api("CONSUMER.DELETE.orders.worker", &NOTHING);
    client.consumer("orders", "worker", &json!({"deliver_policy": "new"}));
    for source in [&mut named, &mut all] {
        source.becomes_hopeless("consumer worker was made again, without its position: 5 messages were left");
    }

    // With nothing left and nothing new there is nothing to lose.
    let mut source = open(&orders(&[&server], &["worker"]));
    source.becomes_empty();
    client.api("CONSUMER.DELETE.orders.worker", &NOTHING);
    client.consumer("orders", "worker", &json!({"deliver_policy": "new"}));
    source.becomes_empty();
    client.api("CONSUMER.DELETE.orders.worker", &NOTHING);
    client.publish("orders.new", 2);
    client.consumer("orders", "worker", &json!({"deliver_policy": "new"}));
    source.becomes_hopeless("0 messages were left when it was last seen, and 2 have come since");

    let mut source = open(&orders(&[&server], &["worker"]));
    client.api("STREAM.DELETE.orders", &NOTHING);
    client.stream("orders", 1, &NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    source.becomes_hopeless("stream orders was made again: what it held before is gone");
}

#[test]
fn messages_that_no_consumer_takes_are_not_done() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &json!({"filter_subject": "orders.new"}));
    client.publish("orders.old", 9);
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_hopeless("stream orders holds 9 messages that no consumer takes, like those of orders.old");
    let mut accepted = orders(&[&server], &[]);
    accepted["jetStream"]["acceptUnread"] = json!(["*.old"]);
    open(&accepted).becomes_empty();
    // Who is named reads its own.
    open(&orders(&[&server], &["worker"])).becomes_empty();
    client.consumer("orders", "other", &json!({"filter_subjects": ["orders.old", "orders.odd"]}));
    open(&orders(&[&server], &[])).becomes_left(9);
}

#[test]
fn messages_that_the_server_will_publish_later_are_left() {
    let (server, client) = single(&json!({"allow_msg_schedules": true}));
    client.consumer("orders", "worker", &json!({"filter_subject": "orders.work.>"}));
    client.schedule("orders.schedules.a", "orders.work.now");
    client.schedule("orders.work.b", "orders.work.now");
    let mut source = open(&orders(&[&server], &["worker"]));
    source.becomes_left(3);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    source.becomes_left(2);
    open(&orders(&[&server], &[])).becomes_left(2);
    for subject in ["orders.schedules.a", "orders.work.b"] {
        client.api("STREAM.PURGE.orders", &json!({"filter": subject}));
    }
    open(&orders(&[&server], &["worker"])).becomes_empty();
    client.publish("orders.work.now", 1);
    client.acknowledge(&client.fetch("orders", "worker", 1));
    open(&orders(&[&server], &["worker"])).becomes_empty();
}

#[test]
fn what_is_still_to_come_from_another_stream_is_not_done() {
    let (server, client) = single(&NOTHING);
    client.publish("orders.new", 5);
    for (name, of) in [("copy", "sources"), ("image", "mirror")] {
        let from = |origin: Value| if of == "sources" { json!([origin]) } else { origin };
        let make = |name: &str, origin: Value| {
            client.api(&format!("STREAM.CREATE.{name}"), &json!({"name": name, of: from(origin)}))
        };
        let source =
            |name: &str| open(&json!({"jetStream": {"servers": [server.url()], "stream": name, "consumers": ["worker"]}}));
        make(name, json!({"name": "orders"}));
        client.consumer(name, "worker", &NOTHING);
        let mut here = source(name);
        here.becomes_left(5);
        client.acknowledge(&client.fetch(name, "worker", 5));
        assert_eq!(here.becomes_empty().redelivery.map(|after| after.as_secs()), Some(10));

        // Its origin was never there.
        let cut_off = format!("{name}-cut-off");
        make(&cut_off, json!({"name": "orders", "external": {"api": "$JS.hub.API"}}));
        client.consumer(&cut_off, "worker", &NOTHING);
        source(&cut_off).becomes_unknown("takes messages from stream orders, and does not hear from it");
    }
}
