//! RabbitMQ by its management API: nothing but configuration, as docs/sources.md shows it.

use fairlead_backlog::reading::Left;
use fairlead_tests::program::{PLANTED_SECRET, becomes};
use fairlead_tests::servers::rabbitmq::RabbitMq;
use serde_json::{Value, json};

use crate::scene::{Opened, Secret, refused, try_open};

fn queue(server: &RabbitMq, name: &str) -> Value {
    let password = json!({"name": "rabbitmq", "key": "password"});
    json!({"http": {"url": server.queue(name), "authentication": {"basic": {"username": "guest", "password": password}},
        "left": ["/messages_ready", "/messages_unacknowledged"], "require": [{"pointer": "/state", "equals": "running"}],
        "behind": "10s"}})
}

fn password() -> Secret {
    Secret::default().with("password", PLANTED_SECRET)
}

/// Opens it when its first statistics are there.
fn opened(configuration: &Value) -> Opened {
    let mut opened = None;
    let is = becomes(|| {
        opened = try_open(configuration, &password()).ok();
        opened.is_some()
    });
    assert!(is, "{configuration} never has statistics");
    opened.expect("it is there")
}

#[test]
fn a_queue_is_empty_when_everything_is_acknowledged() {
    let server = RabbitMq::start();
    let orders = queue(&server, "orders");
    let refusal = refused(&orders, &password());
    assert!(refusal.contains("/api/queues/%2F/orders answers HTTP 404"), "{refusal}");
    let refusal = refused(&orders, &Secret::default().with("password", "other"));
    assert!(refusal.contains("refuses the credentials: HTTP 401"), "{refusal}");

    let (mut publisher, mut reader) = (server.client(), server.client());
    publisher.publish("orders", 10);
    // The queue is there, and for some seconds the numbers are not.
    if let Err(error) = try_open(&orders, &password()) {
        assert!(error.to_string().contains("has nothing at /messages_ready"), "{error}");
    }

    let mut source = opened(&orders);
    let reading = source.becomes_left(10);
    assert_eq!(reading.seen["/messages_ready"], 10, "{reading:?}");
    assert_eq!(reading.redelivery.map(|behind| behind.as_secs()), Some(10));

    reader.take("orders", 10);
    let reading = source.reads("unacknowledged", |reading| {
        assert_ne!(reading.left, Left::Empty, "{reading:?}");
        reading.left == Left::Some(10) && reading.seen["/messages_unacknowledged"] == 10
    });
    assert_eq!(reading.seen["/messages_ready"], 0, "{reading:?}");

    reader.acknowledge();
    source.becomes_empty();
    // The numbers still say 0 for a while: `behind` makes the readings in a row span longer than that.
    publisher.publish("orders", 3);
    source.becomes_left_after(3);
}
