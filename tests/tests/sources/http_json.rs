//! A JSON document over HTTP, with and without TLS.

use fairlead_backlog::reading::Left;
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::document::Document;
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused, try_open};

fn queue(url: &str) -> Value {
    json!({"http": {"url": format!("{url}/api/queues/%2F/orders"), "left": ["/ready", "/unacknowledged"],
        "require": [{"pointer": "/state", "equals": "running"}], "ends": {"orders": "/published"}, "behind": "10s"}})
}

const EMPTY: &str = r#"{"ready": 0, "unacknowledged": 0, "published": 7, "state": "running"}"#;

#[test]
fn numbers_are_added_up_and_what_is_no_number_is_unknown() {
    let server = Document::start(EMPTY);
    let mut source = open(&queue(&server.url()));
    let reading = source.read();
    assert_eq!((reading.left, reading.ends["orders"]), (Left::Empty, 7));
    assert_eq!(reading.redelivery.map(|behind| behind.as_secs()), Some(10));
    server.set(r#"{"ready": 3, "unacknowledged": 4, "published": 9, "state": "running"}"#);
    assert_eq!(source.read().left, Left::Some(7));
    for (body, why) in [
        (r#"{"ready": 0, "published": 9, "state": "running"}"#, "has nothing at /unacknowledged"),
        (r#"{"ready": 0, "unacknowledged": "0", "published": 9, "state": "running"}"#, "at /unacknowledged, but text"),
        (
            r#"{"ready": 0, "unacknowledged": 0, "published": 9, "state": "down"}"#,
            "/state is \"down\", and must be \"running\"",
        ),
        (r#"{"ready": 3, "unacknowledged": 0, "published": 9, "state": "running", "ready": 0}"#, "\"ready\" is there twice"),
        ("", "answers no JSON"),
        ("[]", "has nothing at /ready"),
    ] {
        server.set(body);
        source.becomes_unknown(why);
    }
    server.set(EMPTY);
    for status in [404, 500, 302, 204] {
        server.set_status(status);
        source.becomes_unknown(&format!("answers HTTP {status}"));
    }
    server.set_status(200);
    source.becomes_empty();
    server.set_authorization("Basic Z3Vlc3Q6b3RoZXI=");
    source.becomes_unknown("refuses the credentials: HTTP 401");
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let server = Document::start(EMPTY);
    let mut source = open(&queue(&server.url()));
    server.set(&" ".repeat(17 << 20));
    source.becomes_unknown("length limit exceeded");
}

#[test]
fn what_is_wrong_is_said_at_the_start() {
    let server = Document::start(r#"{"ready": "0", "unacknowledged": 0, "published": 0, "state": "running"}"#);
    let nothing = Secret::default();
    assert!(refused(&queue(&server.url()), &nothing).contains("has no whole number at /ready, but text"));
    server.set(r#"{"ready": 0}"#);
    assert!(refused(&queue(&server.url()), &nothing).contains("has nothing at /unacknowledged"));
    server.set_status(404);
    assert!(refused(&queue(&server.url()), &nothing).contains("answers HTTP 404"));
    let mut accepted = queue(&server.url());
    accepted["http"]["whenAbsent"] = json!("empty");
    let mut source = open(&accepted);
    assert_eq!(source.read().left, Left::Empty);
    // A queue that goes with what was left in it is no empty one.
    server.set(EMPTY.replace("\"ready\": 0", "\"ready\": 7").as_str());
    server.set_status(200);
    assert_eq!(source.read().left, Left::Some(7));
    server.set_status(404);
    source.becomes_hopeless("and 7 were left when it was last there");
    let refusal = |field: &str, value: Value| {
        let mut configuration = queue(&server.url());
        configuration["http"][field] = value;
        refused(&configuration, &nothing)
    };
    assert!(refusal("left", json!(["ready"])).contains("ready is no JSON pointer"));
    assert!(refusal("left", json!(["/ready", "/unacknowledged", "/ready"])).contains("left names /ready twice"));
    assert!(refusal("url", json!("127.0.0.1:18080/q")).contains("url \"127.0.0.1:18080/q\" is no URL of http or https"));
    assert!(!refusal("url", json!("guest:hunter2@127.0.0.1:18080/q")).contains("hunter2"));
    assert!(refusal("left", json!([])).contains("name under left or emptyWhen"));
    assert!(refusal("require", json!([{"pointer": "/state"}])).contains("compares nothing"));
}

#[test]
fn credentials_come_from_secrets() {
    let server = Document::start(EMPTY);
    server.set_authorization("Basic Z3Vlc3Q6aHVudGVyMg==");
    let mut configuration = queue(&server.url());
    let key = json!({"name": "rabbitmq", "key": "password"});
    configuration["http"]["authentication"] = json!({"basic": {"username": "guest", "password": key}});
    // A file has a line end.
    assert!(try_open(&configuration, &Secret::default().with("password", "hunter2\n")).is_ok());
    let refusal = refused(&configuration, &Secret::default().with("password", "other"));
    assert!(refusal.contains("refuses the credentials: HTTP 401"), "{refusal}");
    let refusal = refused(&queue(&server.url()), &Secret::default());
    let why = "HTTP 401 Unauthorized; the server wants credentials, and none are configured: set authentication";
    assert!(refusal.ends_with(why), "{refusal}");
    let refusal = refused(&configuration, &Secret::default());
    assert!(refusal.contains("rabbitmq has no key password"), "{refusal}");
    let refusal = refused(&configuration, &Secret::default().with("password", [0xff]));
    assert!(refusal.contains("its value is no text"), "{refusal}");

    server.set_authorization("Bearer token");
    configuration["http"]["authentication"] = json!({"bearer": key});
    assert!(try_open(&configuration, &Secret::default().with("password", "token")).is_ok());
}

#[test]
fn servers_are_recognized_by_the_authority_of_the_configuration() {
    let authority = Authority::new();
    let server = Document::start_tls(EMPTY, &authority);
    let us = authority.identity("drain-waiter");
    let key = |key: &str| json!({"name": "tls", "key": key});
    let mut configuration = queue(&server.url());
    configuration["http"]["tls"] = json!({"ca": key("ca.crt"), "certificate": key("tls.crt"), "key": key("tls.key")});
    let secret = |authority: &Authority| {
        Secret::default().with("ca.crt", &authority.certificate).with("tls.crt", &us.certificate).with("tls.key", &us.key)
    };
    let mut source = try_open(&configuration, &secret(&authority)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(source.read().left, Left::Empty);

    let refusal = refused(&configuration, &secret(&Authority::new()));
    assert!(refusal.contains("invalid peer certificate"), "{refusal}");
    let refusal = refused(&configuration, &secret(&authority).with("ca.crt", "no certificate"));
    assert!(refusal.contains("tls.ca (Secret tls, key ca.crt) is of no use"), "{refusal}");
    configuration["http"]["tls"] = json!({"ca": key("ca.crt")});
    let refusal = refused(&configuration, &secret(&authority));
    assert!(refusal.to_lowercase().contains("certificate"), "{refusal}");
    configuration["http"]["tls"] = json!({});
    let refusal = refused(&configuration, &secret(&authority));
    assert!(refusal.contains("invalid peer certificate: UnknownIssuer"), "{refusal}");
}
