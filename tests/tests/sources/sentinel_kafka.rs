//! The sentinel of a topic of Kafka: a record in each partition, which the group must come past.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use fairlead_backlog::reading::Left;
use fairlead_tests::program::run;
use fairlead_tests::servers::file;
use fairlead_tests::servers::kafka::{Kafka, PASSWORD, USERNAME};
use serde_json::{Value, json};

use crate::scene::{Secret, open, try_open};
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
    let mut source = open(&workers(&server));
    // A partition without records needs no offset, and one with a sentinel does.
    assert_eq!(source.becomes_empty().sentinel, None);
    source.order_sentinel("run-1");
    let reading = source.reads("published", |reading| reading.sentinel.is_some());
    assert!(matches!(&reading.left, Left::Unknown(why) if why.contains("no offset for orders/1")), "{reading:#?}");
    let sentinel = published(&reading);
    assert_eq!((sentinel.readers.as_str(), sentinel.is_passed), ("group workers", false));
    assert_eq!(sentinel.positions, json!({"orders/0": 5, "orders/1": 0}));
    assert_eq!((reading.ends["orders/0"], reading.ends["orders/1"]), (6, 1));
    client.say("offset workers orders 1 1");
    assert!(!published(&source.becomes_left(1)).is_passed);
    client.say("offset workers orders 0 6");
    assert!(published(&source.becomes_empty()).is_passed);

    // A partition that comes later has one, too.
    client.say("grow orders 3");
    source.renew();
    let reading = source.reads("three partitions", |reading| reading.ends.len() == 3);
    assert_eq!(published(&reading).positions["orders/2"], 0);
    assert!(!published(&reading).is_passed);
    // A real consumer reads them like any record.
    client.say("consume workers orders 1 classic");
    assert!(published(&source.becomes_empty()).is_passed);
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
