//! A real stream of NATS: what is answered with success is in it, once.

use fairlead_tests::program::{becomes, job, run};
use fairlead_tests::servers::nats::Nats;
use fairlead_tests::servers::process::{closed_port, get};
use serde_json::{Value, json};

use super::Layer;
use super::sink::{Manner, Sink};

const ID: &str = "4ea567cf-812b-49d9-a4b2-cb5ddf464094";

fn event() -> Value {
    json!({"event-type": "order.created", "event-type-version": "v1", "event-time": "2020-09-28T14:47:16.491Z", "event-id": ID,
        "data": {"orderCode": "987"}})
}

fn start(nats: &Nats, more: &str) -> Layer {
    let layer = Layer::start(
        &format!("{{target: {{jetStream: {{servers: ['{}']{more}}}}}}}", nats.url()),
        &["--target-timeout", "5s"],
    );
    assert!(becomes(|| get(layer.port, "/readyz").is_some_and(|(status, _)| status == 200)), "{}", layer.log());
    layer
}

#[test]
fn an_event_is_stored_under_its_subject_and_a_retry_is_not_stored_again() {
    let nats = Nats::with_jet_stream();
    let client = nats.client();
    let layer = start(&nats, "");
    let publish = || layer.post("/commercemock/v1/events", &["X-B3-Sampled: 1"], event().to_string().as_bytes());
    let answer = publish().expect(503);
    assert!(answer.has("retry-after: 5") && answer.json()["type"] == "channel_missing", "{answer:?}");
    client.stream("kyma", 1, &json!({}));
    for _ in 0..3 {
        publish().expect(200);
    }
    let last = client.api("STREAM.MSG.GET.kyma", &json!({"last_by_subj": "kyma.commercemock.order.created.v1"}));
    assert_eq!(last["message"]["seq"], 1, "{last}");
    let text = |field: &str| {
        use base64::Engine as _;
        let encoded = last["message"][field].as_str().expect("a text");
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")).expect("text")
    };
    let headers = text("hdrs").to_lowercase();
    for expected in [
        &format!("nats-msg-id: {ID}"),
        "ce-type: kyma.commercemock.order.created.v1",
        "ce-source: commercemock",
        "x-b3-sampled: 1",
    ] {
        assert!(headers.contains(expected), "{headers}");
    }
    let stored: Value = serde_json::from_str(&text("data")).expect("JSON");
    let expected = json!({"specversion": "1.0", "id": ID, "source": "commercemock", "type": "kyma.commercemock.order.created.v1",
        "originaltype": "order.created.v1", "eventtypeversion": "v1", "time": "2020-09-28T14:47:16.491Z", "b3sampled": "1",
        "datacontenttype": "application/json", "data": {"orderCode": "987"}});
    assert_eq!(stored, expected);
    assert_eq!(client.api("STREAM.INFO.kyma", &Value::Null)["state"]["messages"], 1);
}

#[test]
fn a_subscriber_of_the_current_flow_finds_its_subject() {
    let nats = Nats::with_jet_stream();
    let client = nats.client();
    client.stream("kyma", 1, &json!({}));
    let layer = start(&nats, ", flow: current");
    layer.post("/commercemock/v1/events", &[], event().to_string().as_bytes()).expect(200);
    let subject = "kyma.sap.kyma.custom.commercemock.order.created.v1";
    let last = client.api("STREAM.MSG.GET.kyma", &json!({"last_by_subj": subject}));
    assert_eq!(last["message"]["subject"], subject);
    let cloud_event = ["ce-specversion: 1.0", "ce-type: order.created.v1", "ce-source: commercemock", "ce-id: 1"];
    let answer = layer.post("/publish", &cloud_event, b"").expect(400);
    assert!(answer.body.contains("prefix not found"), "{answer:?}");
}

#[test]
fn a_stream_that_is_full_or_away_is_no_success() {
    let mut nats = Nats::with_jet_stream();
    let client = nats.client();
    client.stream("kyma", 1, &json!({"max_msgs": 1, "discard": "new"}));
    let layer = start(&nats, "");
    let publish = || {
        let mut event = event();
        event.as_object_mut().expect("an object").remove("event-id");
        layer.post("/shop/v1/events", &[], event.to_string().as_bytes())
    };
    publish().expect(200);
    let answer = publish().expect(507);
    assert!(answer.body.contains("maximum messages exceeded"), "{answer:?}");
    client.api("STREAM.PURGE.kyma", &Value::Null);
    nats.process().kill();
    assert!(becomes(|| get(layer.port, "/readyz").is_some_and(|(status, _)| status == 503)), "{}", layer.log());
    let answer = publish().expect(503);
    assert!(answer.json()["type"] == "target_away" && answer.has("retry-after: 5"), "{answer:?}");
    nats.restart();
    assert!(becomes(|| get(layer.port, "/readyz").is_some_and(|(status, _)| status == 200)), "{}", layer.log());
    assert!(becomes(|| publish().status == 200), "{}", layer.log());
    assert_eq!(client.api("STREAM.INFO.kyma", &Value::Null)["state"]["messages"], 1);
}

#[test]
fn a_check_says_which_target_is_not_there() {
    let nats = Nats::with_jet_stream();
    let sink = Sink::start(Manner::Status(202));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("layer.yaml");
    let check = |layer: &str, more: &[&str]| {
        std::fs::write(&config, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\nlayer: {layer}\n"))
            .expect("written");
        run(job("compatibility-layer").arg("check").arg("--config").arg(&config).args(more), "")
    };
    let stream = format!("{{target: {{jetStream: {{servers: ['{}']}}}}}}", nats.url());
    let said = check(&stream, &[]).expect(4).output();
    assert!(said.contains("NO  layer.target: ") && said.contains("has no stream with the subjects kyma.>"), "{said}");
    nats.client().stream("kyma", 1, &json!({}));
    let said = check(&stream, &[]).expect(0).stdout;
    assert!(said.starts_with("ok  layer.target: ") && said.ends_with("stores kyma.> in kyma\n"), "{said}");
    let http = format!("{{target: {{http: {{url: 'http://{{application}}:{}'}}}}}}", sink.port());
    let said = check(&http, &[]).expect(0).stdout;
    assert!(said.contains("name Applications with --application"), "{said}");
    check(&http, &["--application", "localhost"]).expect(0);
    let said = check(&http, &["--application", "localhost,no-such-application"]).expect(4).output();
    assert!(said.contains("CL101") && said.contains("no-such-application"), "{said}");
    assert_eq!(sink.received().len(), 0, "nothing is sent");
}

/// A pod that is not ready gets no event, also of those whose target is there.
#[test]
fn one_application_without_its_nats_takes_no_pod_from_the_others() {
    let sink = Sink::start(Manner::Status(202));
    let away = format!("nats://127.0.0.1:{}", closed_port());
    let target = format!("target: {{http: {{url: '{}'}}}}", sink.url());
    let own = format!("applications: {{crm: {{target: {{jetStream: {{servers: ['{away}']}}}}}}}}");
    let layer = Layer::start(&format!("{{{target}, {own}}}"), &["--target-timeout", "2s"]);
    assert_eq!(get(layer.port, "/readyz").map(|(status, _)| status), Some(200), "{}", layer.log());
    layer.publish("shop").expect(200);
    assert!([503, 504].contains(&layer.publish("crm").status));
}
