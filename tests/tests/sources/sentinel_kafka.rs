//! The sentinel of a topic of Kafka: a record in each partition, which the group must come past.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use fairlead_backlog::reading::Left;
use fairlead_tests::program::run;
use fairlead_tests::servers::file;
use fairlead_tests::servers::kafka::{Kafka, PASSWORD, USERNAME};
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused, try_open};
use crate::sentinel::{is_refused, published};

fn workers(server: &Kafka) -> Value {
    json!({"kafka": {"brokers": [server.address()], "group": "workers", "topics": ["orders"], "sentinel": {}}})
}

/// A program of Kafka's, or of a file.
fn java(args: &[&str]) {
    let classes = format!("{}/*", file("kafka").display());
    let mut java = Command::new("java");
    run(java.args(["-Xmx128m", "-XX:+UseSerialGC", "-cp", &classes]).args(args), "").expect(0);
}

#[test]
fn nothing_is_left_when_the_group_has_come_past_the_sentinel_in_every_partition() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 2");
    // Of a topic that keeps one record of each key.
    let topic = ["--entity-type", "topics", "--entity-name", "orders", "--add-config", "cleanup.policy=compact"];
    let alter = ["kafka.admin.ConfigCommand", "--bootstrap-server", &server.address(), "--alter"];
    java(&[&alter[..], &topic[..]].concat());
    client.say("produce orders 0 5");
    client.say("offset workers orders 0 5");
    client.say("offset workers orders 1 0");
    let mut source = open(&workers(&server));
    assert_eq!(source.becomes_empty().sentinel, None);
    source.order_sentinel("run-1");
    let reading = source.becomes_left_after(2);
    let sentinel = published(&reading);
    assert_eq!((sentinel.readers.as_str(), sentinel.is_passed, sentinel.is_last), ("group workers", false, true));
    assert_eq!(sentinel.positions, json!({"orders/0": 5, "orders/1": 0}));
    assert_eq!((reading.ends["orders/0"], reading.ends["orders/1"]), (6, 1));
    assert_eq!(reading.largest, ["orders/0: 1; 1 of them is the sentinel", "orders/1: 1; 1 of them is the sentinel"]);
    client.say("offset workers orders 1 1");
    assert!(!published(&source.becomes_left(1)).is_passed);
    client.say("offset workers orders 0 6");
    assert!(published(&source.becomes_empty()).is_passed);

    // A partition that comes later has one, too.
    client.say("grow orders 3");
    client.say("offset workers orders 2 0");
    source.renew();
    let reading = source.reads("three partitions", |reading| reading.ends.len() == 3);
    assert_eq!(published(&reading).positions["orders/2"], 0);
    assert!(!published(&reading).is_passed);
    // A real consumer reads them like any record.
    client.say("consume workers orders 1 classic");
    assert!(published(&source.becomes_empty()).is_passed);
}

#[test]
fn what_comes_behind_a_sentinel_is_told_and_another_one_comes_behind_that() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 2");
    client.say("offset workers orders 0 2");
    let mut source = open(&workers(&server));
    source.order_sentinel("run-1");
    source.order_sentinel("run-1");
    assert!(published(&source.becomes_left(1)).is_last);
    client.say("produce orders 0 3");
    let reading = source.becomes_left(4);
    assert_eq!(reading.largest, ["orders/0: 4; 1 of them is the sentinel"]);
    assert!(!published(&reading).is_last);
    client.say("offset workers orders 0 6");
    let sentinel = published(&source.becomes_empty());
    assert_eq!((sentinel.is_passed, sentinel.is_last), (true, false));

    source.order_sentinel("run-1 again");
    let sentinel = published(&source.becomes_left_after(1));
    assert_eq!((sentinel.id.as_str(), &sentinel.positions), ("run-1 again", &json!({"orders/0": 6})));
    assert_eq!((sentinel.is_passed, sentinel.is_last), (false, true));
    client.say("offset workers orders 0 7");
    let sentinel = published(&source.becomes_empty());
    assert_eq!((sentinel.is_passed, sentinel.is_last), (true, true));

    // The marker of a transaction is no record.
    client.say("begin orders 1");
    client.say("offset workers orders 0 8");
    // A sentinel that is still the last record serves the next id, too.
    source.reads("overtaken", |reading| !published(reading).is_last);
    source.order_sentinel("run-1 a third time");
    assert!(published(&source.becomes_left(1)).is_last);
    client.say("abort");
    client.say("offset workers orders 0 9");
    let reading = source.reads("passed", |reading| reading.left == Left::Empty && reading.ends["orders/0"] == 10);
    assert!(published(&reading).is_last, "{reading:#?}");

    // A partition where nothing came behind it keeps the one that it has.
    client.say("create two 2");
    client.say("offset both two 0 0");
    client.say("offset both two 1 0");
    let two = json!({"kafka": {"brokers": [server.address()], "group": "both", "topics": ["two"], "sentinel": {}}});
    let mut source = open(&two);
    source.order_sentinel("run-2");
    source.becomes_left_after(2);
    client.say("produce two 0 1");
    client.say("offset both two 0 2");
    client.say("offset both two 1 1");
    assert!(!published(&source.becomes_empty()).is_last);
    source.order_sentinel("run-2 again");
    let sentinel = published(&source.becomes_left_after(1));
    assert_eq!((&sentinel.positions, sentinel.is_last), (&json!({"two/0": 2, "two/1": 0}), true));
}

#[test]
fn a_partition_without_an_offset_gets_no_sentinel() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 2");
    client.say("offset workers orders 0 0");
    let why = "group workers has no offset for orders/1, so nobody would know whether a sentinel there is left";
    let refusal = refused(&workers(&server), &Secret::default());
    assert!(refusal.starts_with(why), "{refusal}");
    let mut earliest = workers(&server);
    earliest["kafka"]["uncommitted"] = json!("earliest");
    let mut source = open(&earliest);
    source.becomes_empty();
    source.order_sentinel("run-1");
    source.becomes_left_after(2);

    client.say("create later 1");
    client.say("offset late later 0 0");
    let late = json!({"kafka": {"brokers": [server.address()], "group": "late", "topics": ["later"]}});
    let mut with_sentinel = late.clone();
    with_sentinel["kafka"]["sentinel"] = json!({});
    let mut source = open(&with_sentinel);
    source.becomes_empty();
    client.say("grow later 2");
    source.renew();
    source.order_sentinel("run-1");
    is_refused(&mut source, "group late has no offset for later/1");
    assert_eq!(open(&late).becomes_empty().ends, BTreeMap::from([("later/0".to_owned(), 0), ("later/1".to_owned(), 0)]));
}

#[test]
fn a_broker_that_takes_no_sentinel_says_so() {
    let server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 1");
    client.say("offset workers orders 0 1");
    let mut source = open(&workers(&server));
    source.order_sentinel(&"x".repeat(2 << 20));
    is_refused(&mut source, "orders/0: the sentinel is larger than the topic takes (max.message.bytes)");
    let mut internal = workers(&server);
    internal["kafka"]["topics"] = json!(["__consumer_offsets"]);
    internal["kafka"]["uncommitted"] = json!("empty");
    let mut source = open(&internal);
    source.order_sentinel("run-1");
    is_refused(&mut source, "__consumer_offsets/0: the topic takes no records of clients");
}

/// Allows the user to look at the topic and the group.
const ALLOW: &str = r#"
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.resource.*;

class Allow {
    public static void main(String[] args) throws Exception {
        var rules = new ArrayList<AclBinding>();
        for (var resource : List.of(new ResourcePattern(ResourceType.TOPIC, "orders", PatternType.LITERAL),
                new ResourcePattern(ResourceType.GROUP, "workers", PatternType.LITERAL))) {
            rules.add(new AclBinding(resource, new AccessControlEntry("User:" + args[1], "*",
                AclOperation.valueOf(args[2]), AclPermissionType.ALLOW)));
        }
        try (var admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            admin.createAcls(rules).all().get();
        }
    }
}
"#;

#[test]
fn a_user_who_may_not_write_is_refused_at_the_start() {
    let mut server = Kafka::start();
    let mut client = server.client();
    client.say("create orders 1");
    client.say("produce orders 0 1");
    client.say("offset workers orders 0 1");
    let properties = server.process().folder().join("server.properties");
    let mut lines = OpenOptions::new().append(true).open(properties).expect("it is there");
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    writeln!(lines, "authorizer.class.name={authorizer}\nsuper.users=User:ANONYMOUS").expect("written");
    server.restart();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("Allow.java");
    std::fs::write(&program, ALLOW).expect("written");
    let allow = |operation: &str| java(&[program.to_str().expect("UTF-8"), &server.address(), USERNAME, operation]);
    allow("DESCRIBE");
    let key = |key: &str| json!({"name": "kafka", "key": key});
    let mut configuration = workers(&server);
    configuration["kafka"]["brokers"] = json!([server.secure_address()]);
    configuration["kafka"]["tls"] = json!({"ca": key("ca")});
    configuration["kafka"]["sasl"] = json!({"scramSha512": {"username": USERNAME, "password": key("password")}});
    let secret = Secret::default().with("password", PASSWORD).with("ca", &server.authority.certificate);
    let refusal = match try_open(&configuration, &secret) {
        Ok(_) => panic!("it may not write"),
        Err(error) => error.to_string(),
    };
    assert_eq!(refusal, "orders: we may not write to the topic: it needs Write");
    allow("WRITE");
    let mut source = try_open(&configuration, &secret).unwrap_or_else(|error| panic!("{error}"));
    source.order_sentinel("run-1");
    assert_eq!(published(&source.becomes_left(1)).positions, json!({"orders/0": 1}));
}
