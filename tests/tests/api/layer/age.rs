//! Connections that have become old: they end so that their clients follow the Service, and no event gets lost with them.

use std::collections::BTreeSet;
use std::io::{BufReader, Read as _, Write as _};
use std::time::{Duration, Instant};

use fairlead_tests::program::becomes;
use serde_json::json;

use super::sink::{Manner, Sink};
use super::{EVENT, Layer, next, request};

#[test]
fn the_first_answer_of_an_old_connection_is_its_last() {
    let sink = Sink::start(Manner::Status(202));
    // Long enough that a request comes before the connection is idle for so long, however busy the machine is.
    let layer = Layer::to(&sink.url(), &["--max-connection-age", "3s"]);
    let mut stream = BufReader::new(layer.connect());
    let (mut accepted, mut is_first) = (0, true);
    let ends = becomes(|| {
        stream.get_ref().write_all(request(EVENT).as_bytes()).expect("it is taken");
        let answer = next(&mut stream).expect("an answer").expect(200);
        accepted += 1;
        let is_last = answer.has("connection: close");
        assert!(!(is_first && is_last), "a young one stays");
        is_first = false;
        is_last
    });
    assert!(ends && next(&mut stream).is_none(), "the client is told to go, and the connection ends");
    assert_eq!(sink.received().len(), accepted);
}

#[test]
fn a_connection_without_a_request_for_so_long_is_closed() {
    let sink = Sink::start(Manner::Status(202));
    let layer = Layer::to(&sink.url(), &["--max-connection-age", "1s", "--head-timeout", "10m"]);
    let mut new = layer.connect();
    let mut used = BufReader::new(layer.connect());
    used.get_ref().write_all(request(EVENT).as_bytes()).expect("it is taken");
    next(&mut used).expect("an answer").expect(200);
    assert!(next(&mut used).is_none(), "it ends, and is not reset");
    assert_eq!(new.read(&mut [0]).expect("no reset"), 0);
}

/// A client that does not wait for answers learns which of its requests were served, and sends the others again.
#[test]
fn no_request_behind_the_last_answer_is_served_unseen() {
    let age = Duration::from_secs(2);
    let sink = Sink::start(Manner::Hold);
    let layer = Layer::to(&sink.url(), &["--max-connection-age", "2s"]);
    let event = |number: usize| {
        // All of them together are more than the server reads at once.
        let data = "x".repeat(60 * 1024);
        json!({"event-type": format!("t{number}"), "event-type-version": "v1", "event-time": "2020-09-28T14:47:16Z", "data": data})
            .to_string()
    };
    let events: Vec<String> = (0..3).map(event).collect();
    let mut stream = BufReader::new(layer.connect());
    let begun = Instant::now();
    let all: String = events.iter().map(|event| request(event)).collect();
    stream.get_ref().write_all(all.as_bytes()).expect("it is taken");
    // The connection becomes old while its first request is served: up to a tenth later.
    assert!(becomes(|| sink.received().len() == 1 && begun.elapsed() > age + age / 2));
    sink.set(Manner::Status(202));
    assert!(next(&mut stream).expect("the answer is not lost by a reset").expect(200).has("connection: close"));
    assert!(next(&mut stream).is_none(), "no other one is served");
    for event in &events[1..] {
        layer.post("/shop/v1/events", &[], event.as_bytes()).expect(200);
    }
    let received = sink.received();
    let types: BTreeSet<&str> = received.iter().map(|received| received.header("ce-type")).collect();
    assert_eq!((received.len(), types.len()), (3, 3), "each once");
}
