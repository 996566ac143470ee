//! NATS JetStream, one server and three.

use std::time::Duration;

use fairlead_backlog::reading::Left;
use fairlead_tests::program::becomes;
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::nats::{Nats, NatsClient};
use fairlead_tests::servers::process::closed_port;
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused, try_open};

pub(crate) const NOTHING: Value = Value::Null;

pub(crate) fn orders(servers: &[&Nats], consumers: &[&str]) -> Value {
    let servers: Vec<String> = servers.iter().map(|server| server.url()).collect();
    json!({"jetStream": {"servers": servers, "stream": "orders", "consumers": consumers}})
}

/// One server with the stream `orders`.
pub(crate) fn single(stream: &Value) -> (Nats, NatsClient) {
    let server = Nats::with_jet_stream();
    let client = server.client();
    client.stream("orders", 1, stream);
    (server, client)
}

#[test]
fn a_consumer_is_empty_when_everything_was_acknowledged() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 100);
    let mut configuration = orders(&[&server], &["worker"]);
    configuration["jetStream"]["monitoring"] = json!([server.monitoring()]);
    let mut source = open(&configuration);
    let reading = source.becomes_left(100);
    assert_eq!(reading.ends["orders"], 101);
    assert_eq!(reading.largest, ["worker: 100 not delivered, 0 not acknowledged"]);
    assert_eq!(reading.redelivery, Some(Duration::from_secs(2)));
    assert_eq!(reading.server.as_deref(), Some("nats-server 2.15.2"));

    let messages = client.fetch("orders", "worker", 70);
    client.acknowledge(&messages[..60]);
    assert_eq!(source.becomes_left(40).seen["consumers"]["worker"]["ackPending"], 10);
    // They come again when nobody acknowledges them.
    let again = client.fetch("orders", "worker", 40);
    client.acknowledge(&again);
    assert_eq!(source.becomes_empty().requests, 2);

    client.publish("orders.new", 1);
    let reading = source.becomes_left_after(1);
    assert!(reading.publishers.iter().any(|name| name.starts_with("client of the test (")), "{:?}", reading.publishers);
}

#[test]
fn a_message_that_waits_for_its_delay_is_left() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "worker", &NOTHING);
    client.publish("orders.new", 5);
    let messages = client.fetch("orders", "worker", 5);
    client.answer(&messages, "-NAK {\"delay\": 600000000000}");
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_left(5);
}

#[test]
fn only_its_own_messages_are_the_backlog_of_a_consumer() {
    let (server, client) = single(&NOTHING);
    client.publish("orders.new", 10);
    client.publish("orders.old", 7);
    client.consumer("orders", "all", &NOTHING);
    client.consumer("orders", "some", &json!({"filter_subject": "orders.old"}));
    client.consumer("orders", "late", &json!({"deliver_policy": "new"}));
    open(&orders(&[&server], &["some"])).becomes_left(7);
    open(&orders(&[&server], &["late"])).becomes_empty();
    open(&orders(&[&server], &[])).becomes_left(24);
    client.acknowledge(&client.fetch("orders", "some", 7));
    open(&orders(&[&server], &["some"])).becomes_empty();
}

#[test]
fn a_stream_without_consumers_is_not_empty() {
    let (server, client) = single(&NOTHING);
    client.publish("orders.new", 5);
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_hopeless("stream orders holds 5 messages and has no consumer: nobody reads them");

    let (server, client) = single(&json!({"retention": "interest"}));
    client.publish("orders.new", 5);
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_hopeless("stream orders drops every message, because it has no consumer");
}

#[test]
fn the_messages_of_a_work_queue_are_its_backlog() {
    let (server, client) = single(&json!({"retention": "workqueue"}));
    client.publish("orders.new", 5);
    let mut source = open(&orders(&[&server], &[]));
    source.becomes_left(5);
    client.consumer("orders", "worker", &NOTHING);
    client.acknowledge(&client.fetch("orders", "worker", 5));
    source.becomes_empty();
}

#[test]
fn what_cannot_be_asked_is_said_at_the_start() {
    let (server, client) = single(&NOTHING);
    client.consumer("orders", "silent", &json!({"ack_policy": "none"}));
    let nothing = Secret::default();
    let refusal = |configuration: &Value| refused(configuration, &nothing);
    let none = refusal(&orders(&[&server], &["silent"]));
    assert!(none.contains("consumer silent acknowledges nothing (ack policy none)"), "{none}");
    let unknown = refusal(&orders(&[&server], &["nobody"]));
    assert!(unknown.contains("there is no consumer nobody of stream orders"), "{unknown}");
    let unknown = refusal(&json!({"jetStream": {"servers": [server.url()], "stream": "nope"}}));
    assert!(unknown.contains("there is no stream nope"), "{unknown}");
    let address = format!("nats://127.0.0.1:{}", closed_port());
    let nobody = refusal(&json!({"jetStream": {"servers": [address], "stream": "orders"}}));
    assert!(nobody.contains(&format!("{address} cannot be reached")), "{nobody}");
    let credentials = refusal(&json!({"jetStream": {"servers": ["nats://user:hunter2@host"], "stream": "orders"}}));
    assert!(credentials.contains("servers hold credentials") && !credentials.contains("hunter2"), "{credentials}");

    let none = refusal(&json!({"jetStream": {"servers": [], "stream": "orders"}}));
    assert!(none.contains("servers is empty"), "{none}");
    let monitoring = format!("http://127.0.0.1:{}", closed_port());
    let silent = refusal(&json!({"jetStream": {"servers": [server.url()], "stream": "orders", "monitoring": [monitoring]}}));
    assert!(silent.contains(&format!("{monitoring} cannot be reached")), "{silent}");

    let plain = Nats::start("");
    let without = refusal(&orders(&[&plain], &[]));
    assert!(without.contains("has no JetStream for us"), "{without}");
}

#[test]
fn credentials_and_authorities_come_from_secrets() {
    let authority = Authority::new();
    let (identity, folder) = (authority.identity("server"), tempfile::tempdir().expect("a folder"));
    let file = |name: &str, content: &str| {
        std::fs::write(folder.path().join(name), content).expect("written");
        folder.path().join(name).display().to_string()
    };
    let (certificate, key) = (file("tls.crt", &identity.certificate), file("tls.key", &identity.key));
    let ca = file("ca.crt", &authority.certificate);
    let tls = format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", ca_file: \"{ca}\", verify: true }}");
    let users = "authorization { users: [{user: drain, password: hunter2}] }";
    let server = Nats::start(&format!("jetstream: enabled\n{tls}\n{users}\n"));
    let named = |key: &str| json!({"name": "nats", "key": key});
    let mut configuration = orders(&[&server], &[]);
    configuration["jetStream"]["tls"] = json!({"ca": named("ca"), "certificate": named("certificate"), "key": named("key")});
    configuration["jetStream"]["authentication"] = json!({"password": {"username": "drain", "password": named("password")}});
    let secret = |password: &str, authority: &Authority| {
        let secret = Secret::default().with("certificate", &identity.certificate).with("key", &identity.key);
        secret.with("password", password).with("ca", &authority.certificate)
    };
    // Connected, and there is no stream.
    let refusal = refused(&configuration, &secret("hunter2", &authority));
    assert!(refusal.contains("there is no stream orders"), "{refusal}");
    let refusal = refused(&configuration, &secret("wrong", &authority));
    assert!(refusal.contains("refuses the credentials") && !refusal.contains("none are configured"), "{refusal}");
    let mut without = configuration.clone();
    without["jetStream"].as_object_mut().expect("a map").remove("authentication");
    let refusal = refused(&without, &secret("hunter2", &authority));
    let why = "the server wants credentials, and none are configured: set authentication";
    assert!(refusal.contains("refuses the credentials") && refusal.ends_with(why), "{refusal}");
    let refusal = refused(&configuration, &secret("hunter2", &Authority::new()));
    assert!(refusal.contains("invalid peer certificate"), "{refusal}");
    assert!(try_open(&configuration, &Secret::default()).is_err());
}

/// Three servers with the stream `orders` and the consumer `worker` on all of them, the leader of the consumer first.
fn three(count: usize) -> (Vec<Nats>, NatsClient) {
    let mut servers = Nats::cluster();
    let client = servers[0].client();
    client.stream("orders", 3, &NOTHING);
    client.consumer("orders", "worker", &json!({"ack_wait": 600_000_000_000_u64}));
    client.publish("orders.new", count);
    let leader =
        client.api("CONSUMER.INFO.orders.worker", &NOTHING)["cluster"]["leader"].as_str().expect("a leader").to_owned();
    let number: usize = leader.trim_start_matches('n').parse().expect("a number");
    servers.swap(0, number - 1);
    let client = servers[1].client();
    (servers, client)
}

#[test]
fn of_three_servers_each_leads_to_the_truth() {
    let (servers, client) = three(20);
    client.acknowledge(&client.fetch("orders", "worker", 15));
    for server in &servers {
        open(&orders(&[server], &["worker"])).becomes_left(5);
        open(&orders(&[server], &[])).becomes_left(5);
    }
    client.acknowledge(&client.fetch("orders", "worker", 5));
    for server in &servers {
        open(&orders(&[server], &["worker"])).becomes_empty();
    }
}

#[test]
fn a_leader_without_a_majority_is_not_believed() {
    let (mut servers, client) = three(5);
    client.acknowledge(&client.fetch("orders", "worker", 5));
    let mut source = open(&orders(&[&servers[0]], &["worker"]));
    source.becomes_empty();
    for follower in &mut servers[1..] {
        follower.process().freeze();
    }
    // For seconds it still answers that nothing is left, and that its followers are current.
    source.becomes_unknown_after("");
    assert_ne!(source.read().left, Left::Empty);
    for follower in &mut servers[1..] {
        follower.process().thaw();
    }
    source.reads("empty again", |reading| reading.left == Left::Empty);
}

#[test]
fn a_leader_that_slept_does_not_tell_what_was_true_before() {
    let (mut servers, client) = three(5);
    client.acknowledge(&client.fetch("orders", "worker", 5));
    let mut source = open(&orders(&[&servers[0]], &["worker"]));
    source.becomes_empty();
    servers[0].process().freeze();
    client.publish("orders.new", 7);
    let leads = || client.api("CONSUMER.INFO.orders.worker", &NOTHING)["num_pending"] == 7;
    assert!(becomes(leads), "the others choose another leader");
    servers[0].process().thaw();
    source.becomes_left(7);
}

#[test]
fn a_cluster_that_starts_again_is_unknown_until_it_has_leaders() {
    let (mut servers, client) = three(20);
    client.acknowledge(&client.fetch("orders", "worker", 5));
    let all: Vec<&Nats> = servers.iter().collect();
    let mut source = open(&orders(&all, &["worker"]));
    source.becomes_left(15);
    for server in &mut servers {
        server.process().kill();
    }
    source.becomes_unknown("");
    for server in &mut servers {
        server.restart();
    }
    source.becomes_left(15);
}
