//! Finalizers are somebody's work: it is waited for, and said whose it is.

use std::time::Duration;

use fairlead_tests::program::{becomes, job, root, run};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::meanwhile::Running;
use crate::scene::{ACTIVATION_FINALIZER, AT_ONCE, PATIENT, SUBSCRIPTION_FINALIZER, Scene};

const ACTIVATIONS: &str = "eventactivations.applicationconnector.kyma-project.io";
const SUBSCRIPTIONS: &str = "subscriptions.eventing.kyma-project.io";

#[test]
fn an_owner_that_does_not_run_stops_everything() {
    let scene = Scene::new();
    let owner = "whose owner Deployment kyma-system/event-bus-subscription-controller";
    let command = "kubectl -n kyma-system scale deployment/event-bus-subscription-controller --replicas=1";
    let plan = || scene.run(&["plan"]).expect(0).stdout;
    scene.run_controller(0);
    for words in [
        format!(
            "! refused LP111 EventActivation orders/shop-events: it carries {ACTIVATION_FINALIZER}, {owner} has 0 replicas: {command}"
        ),
        format!(
            "! refused LP111 Subscription orders/created: it carries {SUBSCRIPTION_FINALIZER}, as 1 other does, {owner} has 0"
        ),
    ] {
        assert!(plan().contains(&words), "{words}\n{}", plan());
    }
    scene.run(&["apply"]).expect(4);
    scene.cluster.kubectl(&["delete", "deployment", "-n", "kyma-system", "event-bus-subscription-controller"]).expect(0);
    assert!(plan().contains(&format!("{owner} does not exist")), "{}", plan());
    scene.run(&["apply"]).expect(4);
}

#[test]
fn without_their_owner_they_go_by_name_and_everything_comes_back() {
    let scene = Scene::new();
    scene.run_controller(0);
    let refused = scene.run(&["apply", "--strip-finalizers", "example.com/mine"]).expect(2);
    assert!(
        refused.stderr.contains("only those that the configuration names may go: subscription.finalizers"),
        "{}",
        refused.stderr
    );
    let one = scene.run(&["plan", "--strip-finalizers", SUBSCRIPTION_FINALIZER]).expect(0).stdout;
    assert!(one.contains("! refused LP111 EventActivation") && one.contains("! warning LP207 Subscription"), "{one}");

    let before = scene.state();
    let both = format!("{SUBSCRIPTION_FINALIZER},{ACTIVATION_FINALIZER}");
    scene.run(&["apply", "--strip-finalizers", &both]).expect(0);
    // What the owner would have deleted, with the finalizer that it has there.
    for kind in ["channels", "subscriptions"] {
        assert_eq!(scene.made(kind), Vec::<String>::new());
    }
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn a_slow_owner_is_waited_for_and_named_when_it_takes_too_long() {
    let scene = Scene::new();
    let before = scene.state();
    let run = Running::start(&scene, &["--deletion-timeout", "1s"]);
    // Going back it is waited for longer.
    let goes_back = ["get", "secrets", "-n", "default", "-l", "fairlead.dev/phase=RollingBack", "-o", "name"];
    assert!(becomes(|| !scene.cluster.kubectl(&goes_back).stdout.is_empty()), "{}", run.said());
    let said = scene.playing(AT_ONCE, || run.expect(1));
    for words in [
        "error FL014: waited in vain to see ",
        "go within 1s: it is deleted, and kept by finalizer",
        "whose owner Deployment kyma-system/event-bus-subscription-controller runs: see its log, or raise --deletion-timeout",
        "everything is as before",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    scene.playing(Duration::from_millis(300), || {
        scene.run(&["apply"]).expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn an_owner_that_stops_in_the_middle_is_named_and_when_it_is_back_everything_comes_back() {
    let scene = Scene::new();
    let before = scene.state();
    // The Deployment says that it runs; nobody works, because it has been told to stop meanwhile.
    scene.run_controller(1);
    let child = scene.start(&["apply", "--deletion-timeout", "8s", "--concurrency", "1"]);
    let activation = "/apis/applicationconnector.kyma-project.io/v1alpha1/namespaces/orders/eventactivations/shop-events";
    let is_going = || !scene.api.get(activation)["metadata"]["deletionTimestamp"].is_null();
    assert!(becomes(is_going), "it is not deleted");
    scene.run_controller(0);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let words =
        "whose owner Deployment kyma-system/event-bus-subscription-controller has 0 replicas: kubectl -n kyma-system scale";
    assert!(said.contains(words), "{said}");
    // One time is said: the one that was asked for.
    assert!(said.contains("go within 8s: ") && said.contains("go on the way back: "), "{said}");
    assert!(!said.contains("restored action=delete") && said.contains("as before target="), "{said}");
    scene.run_controller(1);
    scene.playing(AT_ONCE, || {
        let is_gone = || scene.cluster.kubectl(&["get", ACTIVATIONS, "-n", "orders", "shop-events"]).status != Some(0);
        assert!(becomes(is_gone), "its owner is back");
        scene.run(&["rollback", "--last"]).expect(0);
    });
    let different = differences(&before, &scene.state());
    // It was scaled by us.
    assert!(different.iter().all(|it| it.contains("event-bus-subscription-controller\"\n")), "{different:?}");
}

#[test]
fn a_finalizer_that_nobody_is_known_to_own_goes_only_by_name_and_is_waited_for() {
    let scene = Scene::new();
    let patch = json!({"metadata": {"finalizers": ["example.com/theirs"]}}).to_string();
    scene.cluster.kubectl(&["patch", SUBSCRIPTIONS, "-n", "orders", "paid", "--type=merge", "-p", &patch]).expect(0);
    let carries = "Subscription orders/paid: it carries example.com/theirs, whose owner is not configured";
    let refused = scene.run(&["apply"]).expect(4).output();
    assert!(
        refused.contains(&format!("! refused LP121 {carries}")) && refused.contains("--allow-finalizers FINALIZER"),
        "{refused}"
    );
    let allow = ["--allow-finalizers", "example.com/other,example.com/theirs"];
    let planned = scene.run(&[&["plan"], &allow[..]].concat()).expect(0).stdout;
    assert!(planned.contains(&format!("! warning LP202 {carries}")) && !planned.contains("LP121"), "{planned}");
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        let child = scene.start(&[&["apply"], &PATIENT[..], &allow[..]].concat());
        let is_going = || !scene.cluster.get(SUBSCRIPTIONS, "orders", "paid")["metadata"]["deletionTimestamp"].is_null();
        assert!(becomes(is_going), "it is not deleted");
        scene
            .cluster
            .kubectl(&[
                "patch",
                SUBSCRIPTIONS,
                "-n",
                "orders",
                "paid",
                "--type=merge",
                "-p",
                "{\"metadata\": {\"finalizers\": null}}",
            ])
            .expect(0);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    // Where nobody takes it away, the printed command does.
    let child = scene.start(&[&["apply", "--deletion-timeout", "1s"], &allow[..]].concat());
    let failed = scene.playing(AT_ONCE, || child.wait_with_output().expect("it ends"));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(3), "{said}");
    let command = "kubectl -n orders patch subscriptions.eventing.kyma-project.io paid --type=merge -p '{\"metadata\":{\"finalizers\":null}}'";
    let shown = [
        ": see that its controller runs; if nobody is left who does its work: ",
        ". If nobody is left who does that work: ",
    ];
    assert!(shown.iter().all(|words| said.contains(&format!("{words}{command}"))), "{said}");
    let args =
        ["-n", "orders", "patch", SUBSCRIPTIONS, "paid", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":null}}"];
    scene.cluster.kubectl(&args).expect(0);
    scene.playing(AT_ONCE, || scene.run(&["rollback", "--last"]).expect(0));
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn what_an_owner_has_made_is_left_behind_only_when_its_subscription_has_gone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("fairlead.yaml");
    let text = std::fs::read_to_string(root().join("crates/legacy-purger/src/kyma-event-bus.yaml")).expect("it is there");
    let said = |namespaces: &str, objects: &[Value]| {
        let selected = format!("kind: Subscription\n      namespaces: [{namespaces}]\n");
        let text = if namespaces.is_empty() { text.clone() } else { text.replacen("kind: Subscription\n", &selected, 1) };
        std::fs::write(&config, text).expect("written");
        let input = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        run(job("legacy-purger").args(["plan", "--from", "-", "--config"]).arg(&config), &input).expect(0).stdout
    };
    let legacy = |metadata: Value| {
        let mut object = json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": "orders", "name": "order-created", "finalizers": [SUBSCRIPTION_FINALIZER]},
            "spec": {"endpoint": "http://mail.orders/", "event_type": "created", "event_type_version": "v1", "source_id": "shop"}});
        for (field, value) in metadata.as_object().expect("a map") {
            object["metadata"][field] = value.clone();
        }
        object
    };
    let made = |kind: &str, name: &str| {
        json!({"apiVersion": "messaging.knative.dev/v1", "kind": kind, "spec": {},
            "metadata": {"namespace": "kyma-system", "name": name, "finalizers": [SUBSCRIPTION_FINALIZER]}})
    };
    let [live, channel] = [made("Subscription", "order-created--orders"), made("Channel", "created-x7k2p")];
    let helms = json!({"annotations": {"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "orders"}});
    // It belongs to Helm, its owner does not run, it is not selected, or its owner has not come to it yet.
    for (namespaces, metadata, words) in [
        ("", helms.clone(), "LP105"),
        ("", json!({}), "LP111"),
        ("elsewhere", json!({}), "the configuration does not name orders"),
        ("", json!({"finalizers": null}), "LP210"),
    ] {
        let said = said(namespaces, &[legacy(metadata), live.clone(), channel.clone()]);
        assert!(said.contains(words) && !said.contains("LP219"), "{words}\n{said}");
    }
    // Another one that carries the finalizer is no reason to keep silent about one that has gone.
    let gone = made("Subscription", "order-paid--my-dorders");
    let left = "LP219 Subscription kyma-system/order-paid--my-dorders: 1 object of this kind in kyma-system carries";
    let other = |metadata: Value| said("", &[legacy(metadata), live.clone(), channel.clone(), gone.clone()]);
    for said in [other(helms), other(json!({}))] {
        assert!(said.contains(left) && said.matches("LP219 ").count() == 1, "{said}");
    }
    let there = legacy(json!({"namespace": "my-orders", "name": "order-paid"}));
    assert!(!said("", &[there, gone]).contains("LP219"));
    // With what carries it gone nothing says for what a Channel was made.
    assert!(!said("", &[channel, legacy(json!({"finalizers": null}))]).contains("LP219"));
}
