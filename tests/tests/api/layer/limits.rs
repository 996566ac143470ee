//! Clients that are slow, too many, or gone.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use fairlead_tests::program::becomes;
use fairlead_tests::servers::process::get;

use super::sink::{Manner, Sink};
use super::{EVENT, Layer, begin, read};

#[test]
fn more_than_may_be_in_flight_are_asked_to_come_later() {
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &["--max-in-flight", "1"]);
    let mut first = layer.connect();
    begin(&mut first, "/shop/v1/events", &[], EVENT.as_bytes());
    assert!(becomes(|| sink.received().len() == 1));
    for (path, dialect) in
        [("/shop/v1/events", "\"type\":\"too_many_in_flight\""), ("/publish", "too many events are in flight")]
    {
        let answer = layer.post(path, &[], EVENT.as_bytes()).expect(429);
        assert!(answer.has("retry-after: 1") && answer.body.contains(dialect), "{answer:?}");
    }
    layer.expect_count("fairlead_layer_in_flight 1");
    sink.set(Manner::Status(202));
    read(first).expect(200);
    layer.publish("shop").expect(200);
    assert_eq!(sink.received().len(), 2);
}

#[test]
fn a_client_that_sends_slowly_is_left() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &["--head-timeout", "2s", "--body-timeout", "300ms"]);
    let mut silent = layer.connect();
    let mut half = layer.connect();
    half.write_all(b"POST /shop/v1/events HTTP/1.1\r\nHost: lay").expect("it is taken");
    let mut body = layer.connect();
    body.write_all(b"POST /shop/v1/events HTTP/1.1\r\nHost: layer\r\nContent-Length: 100\r\n\r\n{").expect("it is taken");
    let answer = read(body).expect(408);
    assert_eq!(answer.json()["type"], "request_timeout");
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut rest);
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    }
    assert!(becomes(|| layer.counts("fairlead_layer_in_flight 0")));
    assert_eq!(sink.received().len(), 0);
}

#[test]
fn a_client_that_goes_away_holds_nothing() {
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &["--max-in-flight", "1"]);
    let mut first = layer.connect();
    begin(&mut first, "/shop/v1/events", &[], EVENT.as_bytes());
    assert!(becomes(|| sink.received().len() == 1));
    drop(first);
    assert!(becomes(|| layer.counts("fairlead_layer_in_flight 0")), "{}", layer.log());
    sink.set(Manner::Status(202));
    layer.publish("shop").expect(200);
}

#[test]
fn one_more_connection_than_allowed_waits_for_its_turn() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &["--max-connections", "1"]);
    let open = layer.connect();
    let mut second = layer.connect();
    begin(&mut second, "/shop/v1/events", &[], EVENT.as_bytes());
    second.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    second.peek(&mut [0]).expect_err("nobody answers");
    drop(open);
    second.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    read(second).expect(200);
}

#[test]
fn publishers_that_take_all_connections_do_not_make_the_server_seem_dead() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &["--max-connections", "1"]);
    let _open = layer.connect();
    let mut waiting = layer.connect();
    begin(&mut waiting, "/shop/v1/events", &[], EVENT.as_bytes());
    for path in ["/healthz", "/readyz", "/metrics", "/v1/health", "/v1/status/ready"] {
        assert_eq!(get(layer.probes, path).map(|(status, _)| status), Some(200), "{path}");
    }
    for path in ["/shop/v1/events/subscribed", "/publish", "/"] {
        assert_eq!(get(layer.probes, path).map(|(status, _)| status), Some(404), "{path}: it is not for publishers");
    }
}

#[test]
fn the_port_of_publishers_answers_probes_too() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &[]);
    for path in ["/healthz", "/readyz", "/metrics", "/v1/health", "/v1/status/ready"] {
        assert_eq!(get(layer.port, path).map(|(status, _)| status), Some(200), "{path}");
    }
}

#[test]
fn an_event_whose_turn_does_not_come_in_time_is_not_said_to_be_delivered() {
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &["--target-connections", "1", "--target-timeout", "1s"]);
    let mut first = layer.connect();
    begin(&mut first, "/shop/v1/events", &[], EVENT.as_bytes());
    assert!(becomes(|| sink.received().len() == 1));
    let mut second = layer.connect();
    begin(&mut second, "/shop/v1/events", &[], EVENT.as_bytes());
    read(first).expect(504);
    // Its turn comes with the end of the first one's, or not at all.
    let answer = read(second);
    assert!([429, 504].contains(&answer.status), "{answer:?}");
    // After a 504 it may be, or it may be on its way.
    assert!(answer.status == 504 || sink.received().len() == 1, "{answer:?}");
}
