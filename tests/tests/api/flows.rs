//! What Triggers need to get events, on a cluster whose Knative is played.

use fairlead_tests::access::{self, Rule};
use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::becomes;
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::fixtures::{apply, namespace, plan, subscription, tickets};
use crate::mesh::{activated, channel, object, playing_knative};

/// Application `shop`, whose events are let into namespace `flow`, where one Subscription listens.
fn shop(cluster: &Cluster, version: &str) {
    cluster.apply(&json!([namespace("flow"), namespace("kyma-integration")]));
    cluster.apply(&Value::Array(activated("shop", "flow")));
    cluster.apply(&json!([channel(version, "shop"), subscription("flow", "mail", "order.created")]));
}

fn actions(report: &Value) -> Vec<String> {
    let changes = report["changes"].as_array().or(report["plan"]["changes"].as_array()).expect("a list of changes");
    let text = |change: &Value| format!("{} {}", change["action"].as_str().unwrap_or_default(), change["target"]["kind"]);
    changes.iter().map(|change| text(change).replace('"', "")).collect()
}

/// What a flow needs, in the order in which it is made.
const ALL: [&str; 5] = ["create Policy", "create Broker", "create HTTPSource", "create Trigger", "create Subscription"];

#[test]
fn a_flow_is_made_with_all_that_it_needs_and_a_second_run_writes_nothing() {
    let cluster = lease();
    shop(&cluster, "v1");
    let planned = plan(&cluster, &[]).expect(0).json();
    assert_eq!(actions(&planned), ALL);
    let first = playing_knative(&cluster, "v1", || apply(&cluster, &[])).expect(0).json();
    assert_eq!((&first["plan"]["digest"], actions(&first)), (&planned["digest"], ALL.map(str::to_owned).to_vec()));
    // The plan has Knative's usual address, the Broker another one: what counts is the Broker's.
    let subscription = &cluster.list("subscriptions.messaging.knative.dev")[0];
    assert_eq!(subscription["spec"]["subscriber"]["uri"], "http://default-broker.flow.svc.cluster.local");
    assert_eq!(subscription["metadata"]["annotations"]["fairlead.dev/ticket"], first["ticket"]);

    let before = (state::of(&cluster), tickets(&cluster));
    let second = apply(&cluster, &[]).expect(0).json();
    assert_eq!((&second["outcome"], second["plan"]["unchanged"].as_array().map(Vec::len)), (&json!("Unchanged"), Some(5)));
    assert_eq!(state::differences(&before.0, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(before.1, tickets(&cluster));
}

#[test]
fn a_broker_that_gets_no_address_is_named_and_everything_is_taken_back() {
    let cluster = lease();
    shop(&cluster, "v1");
    let before = state::of(&cluster);
    let failed = apply(&cluster, &["--ready-timeout", "1s"]).expect(1);
    let named =
        "waited in vain to see Broker flow/default get an address within 1s: Ready: no controller has looked at it yet";
    assert!(failed.stderr.contains(named), "{}", failed.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    for kind in ["policies.authentication.istio.io", "httpsources.sources.kyma-project.io"] {
        assert_eq!(cluster.list(kind), Vec::<Value>::new());
    }
}

#[test]
fn a_channel_that_is_missing_is_named_in_the_plan_and_where_it_is_waited_for_in_vain() {
    let cluster = lease();
    shop(&cluster, "v1");
    cluster.kubectl(&["delete", "channels.messaging.knative.dev", "-n", "kyma-integration", "shop"]).expect(0);
    let planned = plan(&cluster, &[]).expect(0).stdout;
    let reason = "carries the events of shop to flow, once Channel kyma-integration/shop is there: it is missing";
    assert!(planned.contains(reason), "{planned}");
    let has_address = || cluster.get("brokers", "flow", "default")["status"]["address"]["url"].is_string();
    playing_knative(&cluster, "v1", || {
        cluster.apply(&object("eventing.knative.dev/v1", "Broker", "flow", "default", &json!({})));
        assert!(becomes(has_address), "nobody plays Knative");
    });
    let failed = apply(&cluster, &["--ready-timeout", "1s"]).expect(1).stderr;
    let cause = "; the cause is Channel kyma-integration/shop, which is not there";
    assert!(failed.contains("see HTTPSource kyma-integration/shop become ready") && failed.contains(cause), "{failed}");
}

#[test]
fn a_subscription_whose_broker_has_moved_is_corrected_and_taken_back_when_the_step_fails() {
    let cluster = lease();
    shop(&cluster, "v1");
    playing_knative(&cluster, "v1", || apply(&cluster, &[])).expect(0);
    let name = cluster.list("subscriptions.messaging.knative.dev")[0]["metadata"]["name"].clone();
    let name = name.as_str().expect("a name");
    let moved = json!({"spec": {"subscriber": {"uri": "http://somewhere.else"}}}).to_string();
    let patch = |patch: &str| {
        let kind = "subscriptions.messaging.knative.dev";
        cluster.kubectl(&["patch", kind, "-n", "kyma-integration", name, "--type=merge", "-p", patch]).expect(0);
    };
    patch(&moved);
    let corrected = playing_knative(&cluster, "v1", || apply(&cluster, &[])).expect(0).json();
    assert_eq!(actions(&corrected), ["update Subscription"]);
    patch(&moved);
    crate::fixtures::deny_triggers_for(&cluster, "order.refused");
    cluster.apply(&subscription("flow", "refused", "order.refused"));
    playing_knative(&cluster, "v1", || apply(&cluster, &[])).expect(1);
    let after = cluster.get("subscriptions.messaging.knative.dev", "kyma-integration", name);
    assert_eq!(after["spec"]["subscriber"]["uri"], "http://somewhere.else");
}

/// kyma-project/kyma#6342, in the middle of our run: what nobody asks for any more is not waited for.
#[test]
fn a_service_that_is_deprovisioned_while_we_wait_does_not_fail_the_run() {
    let cluster = lease();
    shop(&cluster, "v1");
    cluster.apply(&Value::Array(activated("crm", "flow")));
    cluster.apply(&channel("v1", "crm"));
    let deprovision = || {
        let label = "application-name=crm";
        let made = ["get", "subscriptions.messaging.knative.dev", "-n", "kyma-integration", "-l", label, "-o", "name"];
        let is_made = || !cluster.kubectl(&made).stdout.is_empty();
        assert!(becomes(is_made), "the job makes the flow of crm");
        // As Kyma's application-broker does it.
        cluster.kubectl(&["delete", "eventactivations.applicationconnector.kyma-project.io", "-n", "flow", "crm-events"]);
        let kind = "subscriptions.messaging.knative.dev";
        cluster.kubectl(&["delete", kind, "-n", "kyma-integration", "-l", label]).expect(0);
    };
    // Nobody makes Subscriptions ready until that has happened.
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| apply(&cluster, &["--ready-timeout", "120s"]));
        let broker = || !cluster.kubectl(&["get", "brokers", "-n", "flow", "-o", "name"]).stdout.is_empty();
        assert!(becomes(broker), "the job makes a Broker");
        let status = json!({"status": {"address": {"url": "http://default-broker.flow.svc.cluster.local"}}}).to_string();
        let patch = ["patch", "broker", "-n", "flow", "default", "--subresource=status", "--type=merge", "-p", &status];
        cluster.kubectl(&patch).expect(0);
        deprovision();
        playing_knative(&cluster, "v1", || run.join().expect("the job runs"))
    });
    assert_eq!(report.expect(0).json()["outcome"], "Committed");
    let left = cluster.list("subscriptions.messaging.knative.dev");
    assert_eq!(left.len(), 1, "only that of shop");
}

#[test]
fn an_old_knative_is_asked_for_brokers_with_a_label_and_written_in_its_own_version() {
    for version in ["v1alpha1", "v1beta1"] {
        // Their definitions only: no controller of these versions runs anywhere here.
        let cluster = Cluster::old_control_plane(version);
        shop(&cluster, version);
        // Its controller has not come yet: the label is taken back.
        let failed = apply(&cluster, &["--ready-timeout", "1s"]).expect(1);
        assert!(failed.stderr.contains("there is no such Broker"), "{}", failed.stderr);
        let labels = cluster.get("namespace", "", "flow")["metadata"]["labels"].clone();
        assert_eq!(labels.get("knative-eventing-injection"), None);

        let report = playing_knative(&cluster, version, || apply(&cluster, &[])).expect(0).json();
        let made = ["create Policy", "create HTTPSource", "update Namespace", "create Trigger", "create Subscription"];
        assert_eq!(actions(&report), made);
        for kind in ["triggers.eventing.knative.dev", "subscriptions.messaging.knative.dev"] {
            let made = &cluster.list(kind)[0];
            assert!(made["apiVersion"].as_str().is_some_and(|it| it.ends_with(&format!("/{version}"))), "{made}");
        }
        let labels = cluster.get("namespace", "", "flow")["metadata"]["labels"].clone();
        assert_eq!(labels["knative-eventing-injection"], "enabled");
        assert_eq!(apply(&cluster, &[]).expect(0).json()["outcome"], "Unchanged");

        if version == "v1alpha1" {
            let rules = access::rules(&access::rendered("shop", "trigger-replicator")).into_iter();
            let rules = rules.filter(|rule| rule.resource == "namespaces" && rule.verb != "list").collect::<Vec<Rule>>();
            cluster.apply(&json!([namespace("second")]));
            cluster.apply(&Value::Array(activated("shop", "second")));
            crate::permission::each_is_missed(&cluster, &rules);
        }
    }
}

#[test]
fn without_the_kinds_that_a_flow_needs_nothing_is_written() {
    let cluster = lease();
    shop(&cluster, "v1");
    let dump = cluster.kubectl(&[
        "get",
        "-A",
        "-o",
        "json",
        "eventactivations,applications,subscriptions.eventing.kyma-project.io",
    ]);
    let mut dump = dump.expect(0).json();
    let missing = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"},
        "spec": {"group": "messaging.knative.dev", "names": {"kind": "Channel"}, "versions": [{"name": "v2", "served": true}]}});
    dump["items"].as_array_mut().expect("a list").push(missing);
    let mut job = fairlead_tests::program::job("trigger-replicator");
    let ended = fairlead_tests::program::run(job.args(["plan", "--from", "-"]), &dump.to_string()).expect(4);
    assert!(ended.stderr.contains("error TR002: Channel of messaging.knative.dev is not served"), "{}", ended.stderr);
}

#[test]
fn what_is_left_out_of_the_flow_is_told() {
    let cluster = lease();
    cluster.apply(&json!([namespace("flow"), namespace("kyma-integration")]));
    cluster.apply(&json!([
        object(
            "applicationconnector.kyma-project.io/v1alpha1",
            "EventActivation",
            "flow",
            "x",
            &json!({"sourceId": "gone"})
        ),
        subscription("flow", "mail", "order.created"),
    ]));
    let report = apply(&cluster, &[]).expect(0).json();
    let codes = |list: &str| -> Vec<String> {
        let findings = report["plan"][list].as_array().cloned().unwrap_or_default();
        findings.iter().map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(
        (codes("refusals"), codes("warnings")),
        (vec!["TR111".to_owned()], vec!["TR205".to_owned(), "TR206".to_owned(), "TR204".to_owned()])
    );
}
