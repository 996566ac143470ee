//! SIGTERM: nothing that is in flight gets lost, and clients are told to go before they have to.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;

use fairlead_tests::program::becomes;
use fairlead_tests::servers::process::get;
use rustix::process::Signal;

use super::sink::{Manner, Sink};
use super::{EVENT, Layer, begin, next, read, request};

#[test]
fn what_is_in_flight_is_finished_and_new_clients_are_sent_elsewhere() {
    let sink = Sink::start(Manner::Hold);
    let mut layer = Layer::to(&sink.url(), &["--shutdown-delay", "10m"]);
    assert_eq!(get(layer.port, "/readyz").map(|(status, _)| status), Some(200));
    let mut in_flight = layer.connect();
    begin(&mut in_flight, "/shop/v1/events", &[], EVENT.as_bytes());
    let mut kept = layer.connect();
    assert!(becomes(|| sink.received().len() == 1));
    layer.signal(Signal::TERM);
    for port in [layer.port, layer.probes] {
        assert!(becomes(|| get(port, "/readyz").is_some_and(|(status, _)| status == 503)));
    }
    // Kubernetes may send some for a moment, also over a connection that is kept.
    kept.write_all(request(EVENT).as_bytes()).expect("it is taken");
    assert!(becomes(|| sink.received().len() == 2));
    sink.set(Manner::Status(202));
    let answer = read(kept).expect(200);
    assert!(answer.has("connection: close"), "{answer:?}");
    read(in_flight).expect(200);
    // An operator who asks twice does not want to wait.
    layer.signal(Signal::TERM);
    assert_eq!(layer.child.wait().expect("it ends").code(), Some(0), "{}", layer.log());
    TcpStream::connect(("127.0.0.1", layer.port)).expect_err("nobody listens");
    assert!(layer.log().contains("the server ends"), "{}", layer.log());
}

#[test]
fn an_idle_connection_does_not_hold_the_end_up() {
    let sink = Sink::start(Manner::Status(202));
    let mut layer = Layer::to(&sink.url(), &["--shutdown-delay", "0s"]);
    let mut idle = layer.connect();
    layer.publish("shop").expect(200);
    layer.signal(Signal::TERM);
    assert_eq!(layer.child.wait().expect("it ends").code(), Some(0));
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap_or_default(), 0);
}

/// Publishes over one connection until it is told to go; how many events were accepted. Anything else than success is a failure.
fn publisher(stream: TcpStream) -> usize {
    let mut stream = BufReader::new(stream);
    for accepted in 1.. {
        stream.get_ref().write_all(request(EVENT).as_bytes()).expect("it is taken");
        let answer = next(&mut stream).expect("an answer").expect(200);
        if answer.has("connection: close") {
            assert!(next(&mut stream).is_none(), "it is closed");
            return accepted;
        }
    }
    unreachable!("it is told to go")
}

#[test]
fn publishers_under_load_leave_without_an_error() {
    let sink = Sink::start(Manner::Status(202));
    let mut layer = Layer::to(&sink.url(), &["--shutdown-delay", "10m"]);
    let publishers: Vec<_> =
        (0..8).map(|_| layer.connect()).map(|stream| std::thread::spawn(|| publisher(stream))).collect();
    assert!(becomes(|| sink.received().len() > 200));
    layer.signal(Signal::TERM);
    let accepted: usize = publishers.into_iter().map(|publisher| publisher.join().expect("no error")).sum();
    assert_eq!(sink.received().len(), accepted, "each event once");
    layer.signal(Signal::TERM);
    assert_eq!(layer.child.wait().expect("it ends").code(), Some(0), "{}", layer.log());
}
