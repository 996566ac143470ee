//! NATS Streaming: what its monitoring endpoint says, and what that means.

use fairlead_backlog::reading::{Left, Reading};
use fairlead_tests::servers::nats_streaming::{NatsStreaming, SHORT_LIVED};
use fairlead_tests::servers::process::closed_port;
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused};

fn durables(server: &NatsStreaming, names: &[&str]) -> Value {
    json!({"natsStreaming": {"url": server.url(), "channels": ["orders"], "durables": names}})
}

#[test]
fn a_durable_is_empty_when_it_has_got_and_acknowledged_everything() {
    let server = NatsStreaming::start();
    let (mut publisher, mut reader) = (server.client("publisher"), server.client("reader"));
    publisher.say("publish orders 200");
    reader.say("subscribe orders worker - 100 60");
    let mut source = open(&durables(&server, &["reader/worker"]));
    // 60 acknowledged, 100 held, 40 not sent.
    let last_sent =
        |reading: &Reading| reading.seen["channels"]["orders"]["subscriptions"]["reader/worker"]["lastSent"].clone();
    let reading = source.reads("140 left", |reading| {
        assert_ne!(reading.left, Left::Empty, "{reading:#?}");
        // What is not sent yet and what is not acknowledged are the same number while they are being sent.
        reading.left == Left::Some(140) && last_sent(reading) == 160
    });
    assert_eq!(reading.ends["orders"], 201);
    assert_eq!(reading.redelivery.map(|after| after.as_secs()), Some(60));
    assert_eq!(reading.server.as_deref(), Some("nats-streaming-server 0.25.6"));
    assert_eq!(reading.hopeless, None);
    assert_eq!(reading.largest, ["orders of reader/worker: 40 not sent, 100 not acknowledged"]);

    reader.say("ack 140");
    source.becomes_empty();

    // Nothing is pending, and 5 were not sent: nobody is there who could get them.
    reader.say("close");
    publisher.say("publish orders 5");
    let reading = source.becomes_hopeless("reader/worker of channel orders is offline with 5 messages left");
    assert_eq!((reading.left, reading.ends["orders"]), (Left::Some(5), 206));
    assert!(reading.publishers.iter().any(|name| name.starts_with("publisher (connection ")), "{:?}", reading.publishers);
    assert_eq!(source.read().publishers, Vec::<String>::new(), "nobody has published since");
}

#[test]
fn an_offline_durable_keeps_its_position_over_a_restart() {
    let mut server = NatsStreaming::start();
    server.client("publisher").say("publish orders 20");
    let mut reader = server.client("reader");
    reader.say("subscribe orders worker - 10 5");
    let mut source = open(&durables(&server, &[]));
    source.becomes_left(15);
    reader.say("close");
    source.becomes_hopeless("offline with 15 messages left");
    server.restart();
    let reading = source.becomes_hopeless("offline with 15 messages left");
    assert_eq!(reading.left, Left::Some(15));
}

#[test]
fn a_client_that_died_still_has_what_it_did_not_acknowledge() {
    let server = NatsStreaming::start();
    server.client("publisher").say("publish orders 20");
    let mut reader = server.client("reader");
    reader.say("subscribe orders worker - 20 5");
    let mut source = open(&durables(&server, &[]));
    source.becomes_left(15);
    reader.kill();
    assert_eq!(source.read().left, Left::Some(15));
}

#[test]
fn a_durable_that_is_deleted_takes_its_position_along() {
    let server = NatsStreaming::start();
    server.client("publisher").say("publish orders 20");
    let mut reader = server.client("reader");
    reader.say("subscribe orders worker - 10 5");
    let (mut named, mut all) = (open(&durables(&server, &["reader/worker"])), open(&durables(&server, &[])));
    named.becomes_left(15);
    all.becomes_left(15);
    reader.say("unsubscribe");
    named.becomes_unknown("no channel has a durable reader/worker");
    let reading = all.becomes_hopeless("channel orders holds 20 messages and has no subscription");
    assert!(matches!(reading.left, Left::Unknown(_)), "{reading:?}");
}

#[test]
fn a_durable_that_is_deleted_after_its_work_is_done_leaves_nothing() {
    let server = NatsStreaming::start();
    let mut publisher = server.client("publisher");
    publisher.say("publish orders 20");
    let mut reader = server.client("reader");
    reader.say("subscribe orders worker - 10 20");
    let mut source = open(&durables(&server, &[]));
    source.becomes_empty();
    reader.say("unsubscribe");
    assert_eq!(source.becomes_empty().seen["channels"]["orders"]["subscriptions"], json!({}));
    publisher.say("publish orders 1");
    source.becomes_hopeless("channel orders holds 21 messages and has no subscription");
}

#[test]
fn a_channel_that_nobody_reads_is_not_empty() {
    let server = NatsStreaming::start();
    server.client("publisher").say("publish orders 200");
    let mut source = open(&durables(&server, &[]));
    source.becomes_hopeless("channel orders holds 200 messages and has no subscription: nobody reads them");
    let accepted = json!({"natsStreaming": {"url": server.url(), "channels": ["orders"], "acceptUnread": ["ord*"]}});
    open(&accepted).becomes_empty();
}

#[test]
fn a_channel_without_the_named_durable_is_not_empty() {
    let server = NatsStreaming::start();
    let (mut publisher, mut reader, mut other) =
        (server.client("publisher"), server.client("reader"), server.client("other"));
    reader.say("subscribe orders worker - 10 1000");
    publisher.say("publish orders 3");
    publisher.say("publish payments 50");
    let of = |channels: Value, accepted: Value| json!({"natsStreaming": {"url": server.url(), "channels": channels, "durables": ["reader/worker"], "acceptUnread": accepted}});
    open(&of(json!(["orders"]), json!([]))).becomes_empty();
    for channels in [json!(["orders", "payments"]), json!(["*"]), json!([])] {
        open(&of(channels, json!([]))).becomes_hopeless("channel payments holds 50 messages and has no subscription");
    }
    other.say("subscribe payments worker - 10 1000");
    open(&of(json!(["*"]), json!([]))).becomes_hopeless("channel payments holds 50 messages and has none of the durables");
    open(&of(json!(["*"]), json!(["pay*"]))).becomes_empty();
}

#[test]
fn the_members_of_a_group_share_one_position() {
    let server = NatsStreaming::start();
    let (mut one, mut two) = (server.client("one"), server.client("two"));
    one.say("subscribe orders dur group 10 1000");
    two.say("subscribe orders dur group 10 1000");
    let mut publisher = server.client("publisher");
    publisher.say("publish orders 100");
    let mut source = open(&durables(&server, &["dur:group"]));
    let reading = source.becomes_empty();
    assert_eq!(reading.seen["channels"]["orders"]["subscriptions"]["dur:group"]["lastSent"], 100);
    one.say("close");
    two.say("close");
    publisher.say("publish orders 3");
    source.becomes_hopeless("dur:group of channel orders is offline with 3 messages left");
}

#[test]
fn messages_that_were_dropped_before_they_were_sent_are_lost() {
    let server = NatsStreaming::start();
    let (mut publisher, mut reader) = (server.client("publisher"), server.client("reader"));
    // It gets five at once, before any is dropped.
    reader.say(&format!("subscribe {SHORT_LIVED} worker - 5 0"));
    publisher.say(&format!("publish {SHORT_LIVED} 20"));
    let mut source = open(&json!({"natsStreaming": {"url": server.url(), "durables": ["reader/worker"]}}));
    source.becomes_hopeless("channel short-lived has dropped 15 messages before reader/worker got them: lost by retention");
}

#[test]
fn a_fresh_server_is_not_an_empty_one() {
    let server = NatsStreaming::start();
    let url = server.url();
    let refusal = refused(&json!({"natsStreaming": {"url": url}}), &Secret::default());
    assert!(refusal.contains("has no channel; set whenAbsent: empty"), "{refusal}");
    let refusal = refused(&durables(&server, &[]), &Secret::default());
    assert!(refusal.contains("has no channel orders; set whenAbsent: empty"), "{refusal}");
    open(&json!({"natsStreaming": {"url": url, "whenAbsent": "empty"}})).becomes_empty();

    server.client("publisher").say("publish orders 1");
    let refusal = refused(&durables(&server, &["reader/worker"]), &Secret::default());
    assert!(refusal.contains("no channel has a durable reader/worker"), "{refusal}");
    let slip = json!({"natsStreaming": {"url": url, "channels": ["order", "mails"], "whenAbsent": "empty"}});
    let warning = "there is no channel order, which counts as empty (whenAbsent: empty); did you mean orders?";
    assert_eq!(open(&slip).becomes_empty().warnings, [warning]);
}

#[test]
fn channels_of_several_pages_are_all_seen() {
    let server = NatsStreaming::start();
    let mut publisher = server.client("publisher");
    for number in 0..1030 {
        publisher.say(&format!("publish channel-{number:04} 1"));
    }
    let mut reader = server.client("reader");
    reader.say("subscribe channel-1029 worker - 10 0");
    let url = server.url();
    let mut source = open(
        &json!({"natsStreaming": {"url": url, "durables": ["reader/worker"], "acceptUnread": ["channel-0*", "channel-10*"]}}),
    );
    assert_eq!(source.becomes_left(1).ends.len(), 1030);
}

#[test]
fn a_server_that_does_not_answer_is_unknown() {
    let mut server = NatsStreaming::start();
    server.client("publisher").say("publish orders 1");
    let mut reader = server.client("reader");
    reader.say("subscribe orders worker - 10 1");
    let mut source = open(&durables(&server, &[]));
    source.becomes_empty();
    server.process().kill();
    source.becomes_unknown("cannot be reached");
    server.restart();
    // An acknowledgement that was not written to the disk yet is forgotten.
    source.reads("known again", |reading| matches!(reading.left, Left::Empty | Left::Some(1)));
}

#[test]
fn what_cannot_be_asked_is_said_at_the_start() {
    let server = NatsStreaming::start();
    let refusal = |url: &str| refused(&json!({"natsStreaming": {"url": url}}), &Secret::default());
    let nobody = format!("http://127.0.0.1:{}", closed_port());
    assert!(refusal(&nobody).contains(&format!("{nobody} cannot be reached")), "{}", refusal(&nobody));
    assert!(refusal(&nobody).contains("Connection refused"), "{}", refusal(&nobody));
    let other = format!("http://127.0.0.1:{}", server.client_port());
    assert!(refusal(&other).contains("cannot be reached"), "{}", refusal(&other));
    assert!(refusal("http://user:hunter2@host").contains("url holds credentials"));
    assert!(!refusal("http://user:hunter2@host").contains("hunter2"));
    assert!(refusal("nats://host").contains("is no URL of http or https"));
    let path = format!("{}/nowhere", server.url());
    assert!(refusal(&path).contains("/nowhere/streaming/serverz answers HTTP 404"), "{}", refusal(&path));
}
