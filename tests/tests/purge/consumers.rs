//! Workloads that need what is purged: they are held, or stand still, or nothing is purged.

use fairlead_tests::program::{job, root, run};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::refused::refused;
use crate::scene::{SUBSCRIPTION_FINALIZER, Scene, subscription};

#[test]
fn a_consumer_that_runs_and_is_not_held_stops_everything() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    let text = "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:\n  kinds: [{group: eventing.kyma-project.io, kind: Subscription}]\n  \
                consumers:\n    - workload: {apiVersion: apps/v1, kind: Deployment, namespace: kyma-integration, name: application-broker}\n";
    std::fs::write(&file, text).expect("written");
    let config = ["--config", file.to_str().expect("UTF-8"), "--allow-finalizers", SUBSCRIPTION_FINALIZER];
    refused(
        &scene,
        &config,
        &["! refused LP104 Deployment kyma-integration/application-broker: it has 1 replica, and needs"],
    );
    // Stopped by somebody, it is in nobody's way.
    scene.cluster.kubectl(&["scale", "-n", "kyma-integration", "deployment/application-broker", "--replicas=0"]).expect(0);
    let planned = scene.run(&[&["plan", "-o", "json"], &config[..]].concat()).expect(0).json();
    assert_eq!(planned["refusals"], json!([]));
    assert!(planned.to_string().contains("stands still already, with 0 replicas"));
}

#[test]
fn a_consumer_that_cannot_be_held_is_refused_in_the_plan() {
    let scene = Scene::new();
    let (path, apps) = (root().join("tests/definitions/widgets.yaml"), "apps/v1/namespaces/kyma-integration/daemonsets");
    scene.cluster.define(&path);
    let labels = json!({"app": "makers"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "it", "image": "none"}]}});
    let metadata = json!({"namespace": "kyma-integration", "name": "makers"});
    scene.cluster.apply(&json!([
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"selector": {"matchLabels": labels}, "template": template}},
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": {}},
    ]));
    let status = json!({"status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2}});
    scene.patch_status(apps, "makers", &status);
    let widgets = "example.com/v1/namespaces/kyma-integration/widgets";
    scene.patch_status(widgets, "makers", &json!({"status": {"replicas": 1, "readyReplicas": 1}}));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let consumer = |version: &str, kind: &str| {
        format!(
            "{{hold: true, workload: {{apiVersion: {version}, kind: {kind}, namespace: kyma-integration, name: makers}}}}"
        )
    };
    let owner = "{apiVersion: example.com/v1, kind: Widget, namespace: kyma-integration, name: makers}";
    let text = format!(
        "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:\n  kinds: [{{group: eventing.kyma-project.io, kind: Subscription}}]\n  \
         consumers: [{}, {}]\n",
        consumer("apps/v1", "DaemonSet"),
        consumer("example.com/v1", "Widget"),
    );
    std::fs::write(file.path(), text).expect("written");
    // The chart has no permission for these kinds.
    let purger = |args: &[&str], input: &str| {
        let mut command = job("legacy-purger");
        command.args(args).arg("--config");
        run(command.arg(file.path()), input)
    };
    let live = |command: &str| {
        purger(&[command, "--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig(), "-o", "text"], "")
    };
    let words = [
        "! refused LP104 DaemonSet kyma-integration/makers: it has 2 replicas, and needs the kinds that are purged; a DaemonSet cannot",
        "! refused LP104 Widget kyma-integration/makers: it has 1 replica, and needs the kinds that are purged; its spec.replicas is not set",
    ];
    // From files, too, where nothing says which kinds have a scale.
    let dump =
        scene.cluster.kubectl(&["get", "daemonsets,widgets", "-n", "kyma-integration", "-o", "json"]).expect(0).stdout;
    let from_files = purger(&["plan", "--from", "-"], &legacy_beside(&dump)).expect(0).stdout;
    for said in [from_files, live("plan").expect(0).stdout, live("apply").expect(4).output()] {
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
    }
    // The same object owns a finalizer: its controller says that it is ready.
    let text = format!(
        "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:\n  kinds: [{{group: eventing.kyma-project.io, kind: Subscription}}]\n  \
         finalizers: [{{name: {SUBSCRIPTION_FINALIZER}, owner: {owner}}}]\n"
    );
    std::fs::write(file.path(), text).expect("written");
    let planned = live("plan").expect(0).stdout;
    assert!(!planned.contains("! refused"), "{planned}");
    scene.cluster.kubectl(&["delete", "daemonset", "-n", "kyma-integration", "makers"]).expect(0);
    scene.cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
}

/// A slip in such a name would have the purge go on without the hold, or without the proof.
#[test]
fn a_consumer_or_a_step_that_nothing_is_called_blocks_the_plan() {
    let scene = Scene::new();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let write = |consumers: &[(&str, &str, &str)], more: &str| {
        let consumer = |(namespace, name, more): &(&str, &str, &str)| {
            format!("{{{more}workload: {{apiVersion: apps/v1, kind: Deployment, namespace: {namespace}, name: {name}}}}}")
        };
        let consumers = consumers.iter().map(consumer).collect::<Vec<_>>().join(", ");
        let purge = "{kinds: [{group: eventing.kyma-project.io, kind: Subscription}]";
        let text =
            format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {purge}, consumers: [{consumers}]{more}}}\n");
        std::fs::write(file.path(), text).expect("written");
    };
    let purger = |args: &[&str], input: &str| {
        let mut command = job("legacy-purger");
        command.args(args).args(["--allow-finalizers", SUBSCRIPTION_FINALIZER, "-o", "text", "--config"]);
        run(command.arg(file.path()), input)
    };
    let place = ["--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig()];
    let live = |verb: &str, more: &[&str]| purger(&[&[verb], more, &place].concat(), "");
    let blocked = |more: &[&str], words: &[&str]| {
        let planned = live("plan", more).expect(0).stdout;
        assert!(planned.starts_with("BLOCKED LP001: "), "{planned}");
        let applied = live("apply", more).expect(4).output();
        for said in [planned, applied] {
            for words in words {
                assert!(said.contains(words), "{words}\n{said}");
            }
            assert!(!said.contains("absent"), "{said}");
        }
    };
    let before = scene.state();
    write(
        &[
            ("kyma-integration", "application-brokr", "hold: true, "),
            ("typo", "application-broker", ""),
            ("default", "gateway", ""),
            ("kyma-integration", "absent", "optional: true, "),
        ],
        "",
    );
    blocked(
        &[],
        &[
            "! refused LP122 Deployment kyma-integration/application-brokr: purge.consumers[0].workload names it, and it does not exist; did \
             you mean application-broker? If it need not exist here, write beside it: `optional: true`",
            "! refused LP122 Deployment typo/application-broker: purge.consumers[1].workload names it, and there is no namespace \"typo\". If",
            "! refused LP122 Deployment default/gateway: purge.consumers[2].workload names it, and it does not exist; of kind Deployment, \
             namespace default has none. If it need not exist here, write beside it: `optional: true`",
        ],
    );
    // What the configuration means elsewhere, it does not mean here.
    write(&[("kyma-integration", "application-brokr", ""), ("kyma-integration", "application-broker", "hold: true, ")], "");
    blocked(
        &[],
        &["application-brokr: purge.consumers[0].workload names it, and it does not exist; of kind Deployment, namespace"],
    );
    let asked = "it has not run for this release, nor has any other step;";
    write(&[("kyma-integration", "application-broker", "hold: true, ")], ", drainedBy: drain-waitr");
    let meant = "and no job of fairlead has a step of that name; did you mean drain-waiter?";
    blocked(&[], &[&format!("! refused LP103 Step drain-waitr: {asked} purge.drainedBy names it, {meant}")]);
    write(&[("kyma-integration", "application-broker", "hold: true, ")], ", drainedBy: drain-waiter");
    let jobs = "and no job of fairlead has a step of that name; there are trigger-replicator, drain-waiter, legacy-purger";
    blocked(
        &["--require-step", "review"],
        &[&format!("! refused LP103 Step review: {asked} --require-step names it, {jobs}")],
    );
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    let planned = live("plan", &[]).expect(0).stdout;
    assert!(!planned.contains("! refused") && planned.contains("! warning LP208 Step drain-waiter: "), "{planned}");

    // Files seldom hold everything: there only what is nearly another name is taken for a slip.
    let kinds = ["get", "deployments", "-n", "kyma-integration", "-o", "json"];
    let dump = legacy_beside(&scene.cluster.kubectl(&kinds).expect(0).stdout);
    write(&[("kyma-integration", "application-brokr", ""), ("elsewhere", "gateway", "")], ", drainedBy: drain-waitr");
    let planned = purger(&["plan", "--from", "-"], &dump).expect(0).stdout;
    for words in [
        "BLOCKED LP001: ",
        "! refused LP103 Step drain-waitr: ",
        "! refused LP122 Deployment kyma-integration/application-brokr: purge.consumers[0].workload names it, and it does not exist; did",
        "! warning LP216 Deployment elsewhere/gateway: purge.consumers[1].workload names it, and it is not among the files",
    ] {
        assert!(planned.contains(words), "{words}\n{planned}");
    }
}

/// A dump with a legacy Subscription in it.
fn legacy_beside(dump: &str) -> String {
    let mut list: Value = serde_json::from_str(dump).expect("JSON");
    list["items"].as_array_mut().expect("a list").push(subscription("created", &json!({})));
    list.to_string()
}

#[test]
fn an_autoscaler_of_what_is_held_is_warned_of() {
    let scene = Scene::new();
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "application-broker"});
    scene.cluster.apply(&json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "kyma-integration", "name": "broker"}, "spec": {"maxReplicas": 3, "scaleTargetRef": reference}}));
    let planned = scene.run(&["plan"]).expect(0).stdout;
    let words = "! warning LP203 HorizontalPodAutoscaler kyma-integration/broker: it scales Deployment kyma-integration/application-broker";
    assert!(planned.contains(words), "{planned}");
}
