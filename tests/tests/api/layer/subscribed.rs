//! Which events somebody subscribes to: the Triggers of a real cluster.

use fairlead_tests::cluster::lease;
use fairlead_tests::servers::process::get;
use serde_json::{Value, json};

use super::Layer;
use super::sink::{Manner, Sink};
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
