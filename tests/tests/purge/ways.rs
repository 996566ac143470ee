//! A Subscription goes only when its events arrive on the mesh, on the whole way from the Application to the subscriber.

use std::path::Path;

use fairlead_tests::program::{Ended, job, run};
use fairlead_tests::state::differences;
use hyper::Method;
use serde_json::{Value, json};

use crate::scene::{AT_ONCE, LINKS, Scene};

fn plan(file: &Path, args: &[&str]) -> Ended {
    run(job("legacy-purger").args(["plan", "-o", "json", "--from"]).arg(file).args(args), "")
}

/// The codes and messages of findings about a Subscription.
fn about_subscriptions(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().expect("a list").iter().filter(|it| it["target"]["kind"] == "Subscription");
    findings.map(|it| format!("{} {}", it["code"], it["message"]).replace('"', "")).collect()
}

#[test]
fn files_without_a_whole_way_are_refused() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/purge/no-way"));
    for (case, refused) in [
        ("two-channels", "LP116 Application depot-system has more than one Channel: depot-system, depot-system-restored"),
        (
            "missing",
            "LP116 no Knative Subscription carries the events of depot-system from Channel kyma-integration/depot-system to the \
             Broker in depot",
        ),
        (
            "not-ready",
            "LP117 Knative Subscription kyma-integration/brokersub-4hx7q is not Ready: ChannelReady: ChannelReferenceFailed: channel \
             not ready",
        ),
    ] {
        let file = folder.join(case).with_extension("yaml");
        let planned = plan(&file, &[]).expect(0).json();
        assert_eq!(about_subscriptions(&planned["refusals"]), [refused], "{case}");
        let allowed = plan(&file, &["--allow-unreplicated", "depot/one"]).expect(0).json();
        assert_eq!(about_subscriptions(&allowed["refusals"]), Vec::<String>::new(), "{case}");
        assert!(about_subscriptions(&allowed["warnings"]).iter().any(|it| it.starts_with("LP201 ")), "{allowed}");
    }
}

#[test]
fn what_is_allowed_is_named_with_its_namespace() {
    for wrong in ["nonsense", "", "/one", "depot/", "a/b/c", "depot/one,two"] {
        let ended = run(job("legacy-purger").args(["plan", "--from", "-", "--allow-unreplicated", wrong]), "");
        let said = ended.expect(2).stderr;
        assert!(said.contains("a Subscription is named as NAMESPACE/NAME, like payments/unfinished"), "{wrong}: {said}");
    }
}

#[test]
fn a_link_that_is_not_ready_or_not_there_stops_everything() {
    let scene = Scene::new();
    let before = scene.state();
    let refused = |words: &str| {
        let said = scene.run(&["apply", "--ready-timeout", "1s"]).expect(4).output();
        for subscription in ["created", "paid"] {
            let words = format!("! refused {} Subscription orders/{subscription}: {}", &words[..5], &words[6..]);
            assert!(said.contains(&words), "{words}\n{said}");
        }
        assert!(said.contains("Nothing was changed."), "{said}");
    };
    for (link, name) in LINKS.iter().zip(["Channel", "Knative Subscription", "Broker"]) {
        let address = if name == "Broker" { "orders/default".to_owned() } else { format!("kyma-integration/{}", link.1) };
        scene.is_link_ready(link, "False");
        refused(&format!("LP117 {name} {address} is not Ready: Dispatched: NoDispatcher"));
        scene.is_link_ready(link, "True");
    }
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    for ((path, name), words) in LINKS.iter().zip([
        "LP116 kyma-integration has no Channel of Application shop",
        "LP116 no Knative Subscription carries the events of shop from Channel kyma-integration/shop to the Broker in orders",
        "LP116 namespace orders has no Broker default",
    ]) {
        let path = format!("/apis/{path}/{name}");
        let gone = scene.api.get(&path);
        scene.api.expect(&Method::DELETE, &path, &Value::Null);
        refused(words);
        let mut again = json!({"metadata": {"name": name, "labels": gone["metadata"]["labels"]}, "spec": gone["spec"]});
        for field in ["apiVersion", "kind"] {
            again[field] = gone[field].clone();
        }
        scene.api.expect(&Method::POST, path.rsplit_once('/').expect("a path").0, &again);
        scene.is_link_ready(LINKS.iter().find(|it| path.ends_with(&format!("{}/{}", it.0, it.1))).expect("a link"), "True");
    }
    scene.playing(AT_ONCE, || scene.run(&["apply"]).expect(0));
}

#[test]
fn a_subscription_that_gets_no_events_goes_and_comes_back() {
    let scene = Scene::new();
    scene.subscribe("of-nobody", &json!({"source_id": "nobody"}));
    scene.playing(AT_ONCE, || {
        let before = scene.state();
        let said = scene.run(&["apply"]).expect(0).output();
        let words =
            "! warning LP210 Subscription orders/of-nobody: no EventActivation lets the events of nobody into orders";
        assert!(said.contains(words), "{said}");
        scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    });
}

#[test]
fn an_activation_that_a_subscription_needs_which_stays_is_refused() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    let plan = |kinds: &str| {
        let text = format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {{kinds: [{kinds}]}}\n");
        std::fs::write(&file, text).expect("written");
        scene.run(&["plan", "--config", file.to_str().expect("UTF-8")]).expect(0).stdout
    };
    let activations = "{group: applicationconnector.kyma-project.io, kind: EventActivation}";
    let others = "{group: eventing.kyma-project.io, kind: Subscription, selector: {matchLabels: {app: other}}}";
    let is_refused = |said: &str| said.contains("! refused LP118 EventActivation orders/shop-events: Subscription orders/");
    assert!(!is_refused(&plan(activations)));
    scene.subscribe("unreplicated", &json!({}));
    assert!(is_refused(&plan(activations)) && is_refused(&plan(&format!("{activations}, {others}"))));
}

#[test]
fn triggers_of_another_ledger_are_warned_of() {
    let scene = Scene::new();
    let warned = |ticket: &str| {
        let ticket = format!("fairlead.dev/ticket={ticket}");
        scene.cluster.kubectl(&["annotate", "trigger", "paid", "-n", "orders", "--overwrite", &ticket]).expect(0);
        let plan = scene.run(&["plan"]).expect(0).stdout;
        plan.lines().filter(|line| line.contains("LP215")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(warned("default/fairlead.v1.shop.3"), Vec::<String>::new());
    for (ticket, made_with) in [
        ("elsewhere/fairlead.v1.shop.12", "--release shop --ledger-namespace elsewhere"),
        ("default/fairlead.v1.other.1", "--release other --ledger-namespace default"),
    ] {
        let expected = format!(
            "1 Trigger that delivers instead was made with {made_with}, and this is --release shop --ledger-namespace default"
        );
        let lines = warned(ticket);
        assert!(lines.len() == 1 && lines[0].contains(&expected), "{lines:?}");
    }
}
