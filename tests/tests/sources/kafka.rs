//! Kafka: consumer groups, transactions, and what only looks like the end.

use fairlead_backlog::reading::Left;
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::kafka::{Kafka, PASSWORD, USERNAME};
use fairlead_tests::servers::process::closed_port;
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused, try_open};

fn group(server: &Kafka, group: &str, topic: &str) -> Value {
    json!({"kafka": {"brokers": [server.address()], "group": group, "topics": [topic]}})
}

fn with(mut configuration: Value, field: &str, value: Value) -> Value {
    configuration["kafka"][field] = value;
    configuration
}

#[test]
fn a_group_is_empty_when_it_is_at_the_end_of_every_partition() {
    let mut server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 2");
    client.say("produce orders 0 50");
    client.say("produce orders 1 50");
    client.say("offset workers orders 0 50");
    // It has never seen the other partition.
    let configuration = group(&server, "workers", "orders");
    let mut source = open(&configuration);
    source.becomes_unknown("the group has no offset for orders/1, which ends at 50; set uncommitted");
    open(&with(configuration.clone(), "uncommitted", json!("earliest"))).becomes_left(50);
    open(&with(configuration.clone(), "uncommitted", json!("empty"))).becomes_empty();
    client.say("offset workers orders 1 10");
    let reading = source.becomes_left(40);
    assert_eq!([source.read(), source.read(), source.read()].map(|reading| reading.requests), [2, 2, 2]);
    assert_eq!((reading.ends["orders/0"], reading.ends["orders/1"]), (50, 50));
    assert!(reading.server.is_some_and(|server| server.starts_with("kafka (metadata.version ")));
    client.say("offset workers orders 1 50");
    source.becomes_empty();

    // Who writes when nobody should.
    client.say("produce orders 1 1");
    let reading = source.becomes_left_after(1);
    assert!(
        reading.publishers.iter().any(|name| name.starts_with("producer id ") && name.ends_with(" in orders/1")),
        "{reading:?}"
    );
    client.say("offset workers orders 1 51");
    source.becomes_empty();
    // Where nothing is to be found out again, an offset and an end are asked for.
    assert_eq!(source.read().requests, 2);
    // A new partition was never seen, and has nothing.
    client.say("grow orders 3");
    source.renew();
    source.reads("three partitions", |reading| reading.ends.len() == 3 && reading.left == Left::Empty);

    server.restart();
    source.becomes_empty();
    server.process().kill();
    source.becomes_unknown_after("cannot be reached");
}

#[test]
fn records_that_are_gone_were_not_processed() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 50");
    client.say("offset workers orders 0 10");
    let configuration = group(&server, "workers", "orders");
    let mut source = open(&configuration);
    source.becomes_left(40);
    client.say("delete-records orders 0 45");
    let reading =
        source.becomes_hopeless("35 records of orders/0 were deleted before group workers had read them: lost by retention");
    assert_eq!(reading.left, Left::Some(5));

    // Made again, it ends before the group's offset, or the offset went along.
    client.say("delete-topic orders");
    source.becomes_unknown("there is no topic orders; it was there before");
    client.say("delete-group workers");
    client.say("create orders 1");
    source.becomes_unknown("there is no group workers; it was there before");
    client.say("offset workers orders 0 10");
    source.becomes_hopeless("orders/0 was made again: 5 records were left there");
    // Also where the new one has more records than the old one had, all of them read.
    client.say("produce orders 0 60");
    client.say("offset workers orders 0 60");
    let reading = source.reads("60 records", |reading| reading.ends.get("orders/0") == Some(&60));
    let why = "orders/0 was made again: 5 records were left there when it was last seen, and 0 have come since";
    assert_eq!(reading.hopeless.as_deref(), Some(why));
}

#[test]
fn an_open_transaction_is_not_the_end_and_its_marker_is() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("begin orders 10");
    client.say("commit");
    // As consumers do that commit the offset after the last record: a marker follows, for ever.
    client.say("offset workers orders 0 10");
    let mut source = open(&group(&server, "workers", "orders"));
    let reading = source.becomes_empty();
    assert_eq!(reading.ends["orders/0"], 11);
    assert_eq!(reading.seen["partitions"]["orders/0"]["onlyMarkers"], true);
    // A reader of committed records would be told that this is the end.
    client.say("begin orders 1");
    let reading = source.becomes_left_after(2);
    assert_eq!(reading.ends["orders/0"], 12);
    client.say("commit");
    source.reads("the record and its marker", |reading| reading.ends["orders/0"] == 13 && reading.left == Left::Some(3));
    client.say("offset workers orders 0 12");
    source.becomes_empty();
}

#[test]
fn records_of_an_aborted_transaction_are_left_for_who_reads_them() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 3");
    client.say("offset workers orders 0 3");
    client.say("begin orders 3");
    client.say("abort");
    let configuration = group(&server, "workers", "orders");
    let reading = open(&configuration).becomes_left(4);
    assert_eq!(
        reading.largest,
        ["orders/0: 4, all of aborted transactions: set isolation: readCommitted if the group reads so"]
    );
    let mut committed = open(&with(configuration, "isolation", json!("readCommitted")));
    committed.becomes_empty();
    client.say("begin orders 2");
    committed.becomes_left_after(6);
    client.say("commit");
    assert_eq!(committed.becomes_left_after(7).largest, ["orders/0: 7"]);
    client.say("offset workers orders 0 9");
    committed.becomes_empty();
}

#[test]
fn what_goes_with_something_left_is_not_empty() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("create retry 1");
    client.say("produce orders 0 7");
    client.say("produce retry 0 4");
    client.say("offset workers orders 0 0");
    client.say("offset workers retry 0 1");
    let configuration = with(group(&server, "workers", "orders"), "whenAbsent", json!("empty"));
    let (mut source, mut other) = (open(&configuration), open(&configuration));
    // Topics that nobody has named are told of.
    assert_eq!(source.becomes_left(7).seen["otherTopics"], json!({"retry": 3}));
    other.becomes_left(7);
    client.say("delete-group workers");
    source.becomes_hopeless("group workers has no offset in orders/0 any more: 7 records were left there");
    client.say("delete-topic orders");
    other.becomes_hopeless("orders/0 is gone: 7 records were left there");
    open(&configuration).becomes_empty();

    // What is absent may be a slip.
    client.say("offset workers retry 0 4");
    let slip = with(group(&server, "worker", "rety"), "whenAbsent", json!("empty"));
    let warning = |what: &str, meant: &str| {
        format!("there is no {what}, which counts as empty (whenAbsent: empty); did you mean {meant}?")
    };
    assert_eq!(open(&slip).becomes_empty().warnings, [warning("topic rety", "retry"), warning("group worker", "workers")]);
    let gone = with(group(&server, "billing", "invoices"), "whenAbsent", json!("empty"));
    assert_eq!(open(&gone).becomes_empty().warnings, [""; 0]);
}

#[test]
fn groups_of_every_kind_are_read_or_refused() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 5");
    for protocol in ["classic", "consumer"] {
        client.say(&format!("consume {protocol}-group orders 3 {protocol}"));
        let mut source = open(&group(&server, &format!("{protocol}-group"), "orders"));
        let reading = source.becomes_left(2);
        assert_eq!(reading.seen["group"]["type"].as_str().map(str::to_lowercase).as_deref(), Some(protocol));
        client.say(&format!("consume {protocol}-group orders 2 {protocol}"));
        source.becomes_empty();
    }
    client.say("share shared orders 5");
    let refusal = refused(&group(&server, "shared", "orders"), &Secret::default());
    assert!(refusal.contains("shared is a share group"), "{refusal}");
}

#[test]
fn what_cannot_be_asked_is_said_at_the_start() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    let nothing = Secret::default();
    let absent = group(&server, "nobody", "orders");
    let refusal = refused(&absent, &nothing);
    assert!(refusal.contains("there is no group nobody; set whenAbsent: empty"), "{refusal}");
    open(&with(absent, "whenAbsent", json!("empty"))).becomes_empty();
    let refusal = refused(&group(&server, "nobody", "nope"), &nothing);
    assert!(refusal.contains("there is no topic nope; set whenAbsent: empty"), "{refusal}");
    let address = format!("127.0.0.1:{}", closed_port());
    let refusal = refused(&with(group(&server, "g", "orders"), "brokers", json!([address])), &nothing);
    assert!(refusal.contains(&format!("{address} cannot be reached")), "{refusal}");

    let named = |key: &str| json!({"name": "kafka", "key": key});
    let open_password = json!({"plain": {"username": USERNAME, "password": named("password")}});
    let refusal = refused(&with(group(&server, "g", "orders"), "sasl", open_password), &nothing);
    assert!(refusal.contains("sasl.plain sends the password as it is"), "{refusal}");
    let secure = with(group(&server, "nobody", "orders"), "brokers", json!([server.secure_address()]));
    let secret = |password: &str, authority: &Authority| {
        Secret::default().with("password", password).with("ca", &authority.certificate)
    };
    let refusal = refused(&secure, &nothing);
    assert!(refusal.contains("cannot be reached"), "without TLS: {refusal}");
    let secure = with(secure, "tls", json!({"ca": named("ca")}));
    let refusal = refused(&secure, &secret(PASSWORD, &server.authority));
    let why = "the server wants credentials, and none are configured: set sasl";
    assert!(refusal.contains("refuses the credentials") && refusal.ends_with(why), "{refusal}");
    let login = json!({"username": USERNAME, "password": named("password")});
    // SCRAM-SHA-256 has the example of its standard.
    for mechanism in ["plain", "scramSha512"] {
        let configuration = with(secure.clone(), "sasl", json!({mechanism: login}));
        // Let in, and there is no such group.
        let refusal = refused(&configuration, &secret(PASSWORD, &server.authority));
        assert!(refusal.contains("there is no group nobody"), "{mechanism}: {refusal}");
        let accepted = with(configuration.clone(), "whenAbsent", json!("empty"));
        assert!(try_open(&accepted, &secret(PASSWORD, &server.authority)).is_ok());
        let refusal = refused(&configuration, &secret("wrong", &server.authority));
        assert!(refusal.contains("refuses the credentials"), "{mechanism}: {refusal}");
        let refusal = refused(&configuration, &secret(PASSWORD, &Authority::new()));
        assert!(refusal.contains("invalid peer certificate"), "{mechanism}: {refusal}");
    }
    let other = with(secure, "sasl", json!({"scramSha256": login}));
    let refusal = refused(&other, &secret(PASSWORD, &server.authority));
    assert!(refusal.contains("it does not take SCRAM-SHA-256, but"), "{refusal}");
}
