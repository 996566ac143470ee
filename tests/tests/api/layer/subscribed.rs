//! Which events somebody subscribes to: the Triggers of a real cluster.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_tests::cluster::lease;
use fairlead_tests::servers::process::get;
use serde_json::{Value, json};

use super::sink::{Manner, Sink};
use super::{Layer, read};
use crate::fixtures::namespace;

fn trigger(name: &str, attributes: &Value) -> Value {
    json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"namespace": "layer", "name": name},
        "spec": {"broker": "default", "filter": {"attributes": attributes}, "subscriber": {"uri": "http://a.layer/"}}})
}

#[test]
fn a_publisher_learns_which_events_somebody_wants() {
    let cluster = lease();
    cluster.apply(&namespace("layer"));
    let shop = |name: &str, version: &str| json!({"source": "layer-shop", "type": name, "eventtypeversion": version});
    cluster.create(
        [
            ("a", shop("order.created", "v1")),
            ("b", shop("order.created", "v1")),
            ("c", shop("order.paid", "v2")),
            ("d", json!({"source": "layer-other", "type": "x", "eventtypeversion": "v1"})),
            ("e", json!({"type": "y"})),
        ]
        .iter()
        .map(|(name, attributes)| trigger(name, attributes)),
    );
    let sink = Sink::start(Manner::Status(202));
    let target = format!("{{target: {{http: {{url: '{}'}}}}}}", sink.url());
    let layer = Layer::start_with(&target, &[], |command| command.env("KUBECONFIG", cluster.kubeconfig()));
    let asked = |application: &str| {
        let (status, body) = get(layer.port, &format!("/{application}/v1/events/subscribed")).expect("an answer");
        (status, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let events =
        json!({"eventsInfo": [{"name": "order.created", "version": "v1"}, {"name": "order.paid", "version": "v2"}]});
    assert_eq!(asked("layer-shop"), (200, events), "each once");
    assert_eq!(asked("nobody"), (200, json!({"eventsInfo": []})));
    cluster.kubectl(&["delete", "namespace", "layer", "--wait=false"]).expect(0);
    cluster.kubectl(&["delete", "triggers", "--all", "-n", "layer"]).expect(0);

    let layer = Layer::to(&sink.url(), &[]);
    let (status, body) = get(layer.port, "/shop/v1/events/subscribed").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["code"]), (500, &json!(500)), "{body}");
    assert!(body["error"].as_str().is_some_and(|error| error.starts_with("failed to list Triggers: ")), "{body}");
}

/// A cluster that takes connections and never answers.
#[test]
fn requests_do_not_pile_up_before_a_cluster_that_stands_still() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("kubeconfig");
    let document = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "users": [{"name": "a", "user": {}}]});
    std::fs::write(&config, document.to_string()).expect("written");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // It ends with the test's process.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            open.push(stream);
        }
    });
    let sink = Sink::start(Manner::Status(202));
    let target = format!("{{target: {{http: {{url: '{}'}}}}}}", sink.url());
    let layer = Layer::start_with(&target, &[], |command| command.env("KUBECONFIG", &config));
    let mut publishers: Vec<_> = (0..20).map(|_| layer.connect()).collect();
    for stream in &mut publishers {
        let request = "GET /shop/v1/events/subscribed HTTP/1.1\r\nHost: layer\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it is taken");
    }
    for stream in publishers {
        let answer = read(stream).expect(500);
        assert!(answer.body.contains("the cluster gives no answer within 5s"), "{answer:?}");
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!((1..20).contains(&asked), "one asks for all: {asked}");
}
