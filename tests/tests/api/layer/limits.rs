//! Clients that are slow, too many, or gone, and targets that stand still.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use fairlead_tests::program::becomes;
use fairlead_tests::servers::process::get;
use serde_json::{Value, json};

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

/// It has closed its own side, and still reads.
#[test]
fn a_client_that_has_nothing_more_to_send_gets_its_answer() {
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &[]);
    let mut client = layer.connect();
    begin(&mut client, "/shop/v1/events", &[], EVENT.as_bytes());
    client.shutdown(Shutdown::Write).expect("it is open");
    assert!(becomes(|| sink.received().len() == 1), "{}", layer.log());
    sink.set(Manner::Status(202));
    read(client).expect(200);
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

/// A legacy event with so many bytes of data.
fn event_with(length: usize) -> String {
    let data = "x".repeat(length);
    json!({"event-type": "a", "event-type-version": "v1", "event-time": "2020-09-28T14:47:16Z", "data": data}).to_string()
}

#[test]
fn large_bodies_are_bounded_by_their_bytes_and_leave_room_for_small_ones() {
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &["--max-bytes-in-flight", "200000", "--body-timeout", "10m"]);
    // Announced and not sent.
    let mut slow: Vec<_> = (0..3).map(|_| layer.connect()).collect();
    for stream in &mut slow {
        stream
            .write_all(b"POST /shop/v1/events HTTP/1.1\r\nHost: layer\r\nContent-Length: 60000\r\n\r\n{")
            .expect("it is taken");
    }
    assert!(becomes(|| layer.counts("fairlead_layer_in_flight 3")));
    let chunked = ["Transfer-Encoding: chunked"];
    for (headers, body) in [(&[][..], event_with(60_000)), (&chunked, "1\r\n{\r\n0\r\n\r\n".to_owned())] {
        let answer = layer.post("/shop/v1/events", headers, body.as_bytes()).expect(429);
        assert!(answer.has("retry-after: 1") && answer.json()["type"] == "too_many_bytes", "{answer:?}");
    }
    let mut small = layer.connect();
    begin(&mut small, "/shop/v1/events", &[], EVENT.as_bytes());
    assert!(becomes(|| sink.received().len() == 1), "{}", layer.log());
    sink.set(Manner::Status(202));
    read(small).expect(200);
    drop(slow);
    assert!(becomes(|| layer.counts("fairlead_layer_in_flight 0")));
    layer.post("/shop/v1/events", &[], event_with(60_000).as_bytes()).expect(200);
}

#[test]
fn the_events_of_a_body_count_and_not_only_its_length() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &["--max-bytes-in-flight", "200000", "--max-in-flight", "2"]);
    let event = json!({"specversion": "1.0", "id": "1", "source": "shop", "type": "a"});
    let batch = |count: usize| Value::from(vec![event.clone(); count]).to_string();
    let post = |body: &str| layer.post("/publish", &["content-type: application/cloudevents-batch+json"], body.as_bytes());
    let mut other = layer.connect();
    other.write_all(b"POST /publish HTTP/1.1\r\nHost: layer\r\nContent-Length: 10000\r\n\r\n[").expect("it is taken");
    assert!(becomes(|| layer.counts("fairlead_layer_in_flight 1")));
    let answer = post(&batch(1000)).expect(429);
    assert!(answer.body.starts_with("the events in flight have too many bytes"), "{answer:?}");
    assert_eq!(sink.received().len(), 0, "none of them is sent");
    post(&batch(100)).expect(204);
}

#[test]
fn a_target_that_stands_still_leaves_room_for_the_events_of_others() {
    let (still, other) = (Sink::start(Manner::Hold), Sink::start(Manner::Status(202)));
    let target = |sink: &Sink| format!("{{target: {{http: {{url: '{}'}}}}}}", sink.url());
    let applications = format!("{{applications: {{a: {}, b: {}}}}}", target(&still), target(&other));
    let layer = Layer::start(&applications, &["--max-in-flight", "4", "--target-timeout", "10m"]);
    let mut waiting: Vec<_> = (0..2).map(|_| layer.connect()).collect();
    for stream in &mut waiting {
        begin(stream, "/a/v1/events", &[], EVENT.as_bytes());
    }
    assert!(becomes(|| still.received().len() == 2));
    let answer = layer.publish("a").expect(429);
    assert!(answer.has("retry-after: 1") && answer.json()["type"] == "too_many_for_target", "{answer:?}");
    assert!(answer.body.contains("nothing was sent"), "{answer:?}");
    layer.publish("b").expect(200);
    assert_eq!((still.received().len(), other.received().len()), (2, 1));
    still.set(Manner::Status(202));
    for stream in waiting {
        read(stream).expect(200);
    }
    layer.publish("a").expect(200);
}

/// Where one address leads to all Applications, each of their entrances is a target.
#[test]
fn an_entrance_that_stands_still_takes_no_turn_of_another_one() {
    let sink = Sink::start(Manner::Hold);
    let url = format!("http://{{application}}:{}", sink.port());
    let flags = ["--max-in-flight", "8", "--target-connections", "1", "--target-timeout", "10m"];
    let layer = Layer::to(&url, &flags);
    let mut waiting: Vec<_> = (0..2).map(|_| layer.connect()).collect();
    for stream in &mut waiting {
        begin(stream, "/localhost/v1/events", &[], EVENT.as_bytes());
    }
    assert!(becomes(|| sink.received().len() == 1 && layer.counts("fairlead_layer_in_flight 2")));
    // Its name leads nowhere, and so its event is answered without a turn of the other one.
    layer.publish("no-such-application").expect(503);
    sink.set(Manner::Status(202));
    for stream in waiting {
        read(stream).expect(200);
    }
    assert_eq!(sink.received().len(), 2);
}

#[test]
fn a_batch_has_one_deadline_and_its_answer_says_how_much_was_delivered() {
    let (first, second) = (Sink::start(Manner::Hold), Sink::start(Manner::Hold));
    let target = |sink: &Sink| format!("{{target: {{http: {{url: '{}'}}}}}}", sink.url());
    let applications = format!("{{applications: {{a: {}, b: {}}}}}", target(&first), target(&second));
    let layer = Layer::start(&applications, &["--target-timeout", "3s", "--request-timeout", "1s"]);
    let event = |source: &str| json!({"specversion": "1.0", "id": format!("of-{source}"), "source": source, "type": "t"});
    let batch = json!([event("a"), event("b"), event("a")]).to_string();
    let mut stream = layer.connect();
    let begun = Instant::now();
    begin(&mut stream, "/publish", &["content-type: application/cloudevents-batch+json"], batch.as_bytes());
    assert!(becomes(|| first.received().len() == 1 && begun.elapsed() > Duration::from_secs(1)));
    first.set(Manner::Status(202));
    assert!(becomes(|| second.received().len() == 1));
    let answer = read(stream).expect(504).body;
    // Three seconds for all of them: the request has no less time than one of its events.
    assert!(
        answer.starts_with("event 2 of 3, of-b: ") && answer.contains("the time for the whole request is over"),
        "{answer}"
    );
    assert!(answer.trim_end().ends_with("; 1 before it were delivered: send the whole batch again"), "{answer}");
    assert_eq!(first.received().len(), 1, "the third one is not sent");
}
