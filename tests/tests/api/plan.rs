//! The plan from files is the plan from the cluster.

use std::path::Path;

use fairlead_tests::cluster::lease;
use fairlead_tests::program::{PLANTED_SECRET, job, root, run};
use serde_json::{Value, json};

use crate::fixtures::{apply, namespace, plan, subscription};
use crate::mesh::{activated, channel};

/// Without what only a server knows.
fn comparable(mut plan: Value) -> Value {
    for change in plan["changes"].as_array_mut().expect("a list") {
        change["before"] = Value::Null;
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
            if let Some(metadata) = change["after"]["metadata"].as_object_mut() {
                metadata.remove(field);
            }
        }
    }
    plan
}

#[test]
fn the_demos_manifests_give_the_plan_of_the_demos_cluster() {
    let cluster = lease();
    let legacy = root().join("examples/kyma-event-bus/legacy");
    let path = |file: &str| legacy.join(file).to_str().expect("a path of ours is UTF-8").to_owned();
    for file in ["namespaces.yaml", ""] {
        cluster.kubectl(&["apply", "--server-side", "-R", "-f", &path(file)]).expect(0);
    }
    let going = path("being-deleted.yaml");
    cluster.kubectl(&["delete", "-f", &going, "--wait=false"]).expect(0);
    let from_cluster = plan(&cluster, &[]);
    // No controller takes the finalizers off, and the next test wants this control plane without these objects.
    cluster.kubectl(&["patch", "-f", &going, "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#]).expect(0);
    let from_cluster = from_cluster.expect(0).json();

    // This control plane serves more kinds than the demo's cluster.
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, what) in [("demo", legacy.clone()), ("more", root().join("tests/definitions"))] {
        std::os::unix::fs::symlink(what, folder.path().join(name)).expect("a link");
    }
    let plan_from = |folder: &Path, args: &[&str]| {
        run(job("trigger-replicator").args(["plan", "--from"]).arg(folder).args(args), "").expect(0)
    };
    let from_files = plan_from(folder.path(), &["-o", "json"]).json();
    assert_eq!(from_files["digest"], from_cluster["digest"]);
    assert_eq!(comparable(from_files), comparable(from_cluster));
    insta::assert_snapshot!(plan_from(&legacy, &[]).stdout);
}

#[test]
fn a_dump_of_the_cluster_gives_the_same_plan_also_where_replicas_are_changed() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    apply(&cluster, &[]).expect(0);
    let mut twin = subscription("default", "twin", "order.created");
    twin["spec"]["endpoint"] = "http://one.default.svc:8080/events".into();
    cluster.apply(&json!([twin, subscription("default", "other", "order.paid"), namespace("kyma-integration")]));
    cluster.apply(&Value::Array(activated("shop", "default")));
    cluster.apply(&channel("v1", "shop"));
    let kinds = "subscriptions.eventing.kyma-project.io,triggers.eventing.knative.dev,namespaces,\
        eventactivations,applications,applicationmappings,channels,httpsources,policies,crds";
    for format in ["yaml", "json"] {
        let dump = cluster.kubectl(&["get", kinds, "-A", "-o", format]).expect(0).stdout;
        let from_dump = run(job("trigger-replicator").args(["plan", "-o", "json", "--from", "-"]), &dump).expect(0).json();
        let from_cluster = plan(&cluster, &[]).expect(0).json();
        assert_eq!(from_dump["changes"].as_array().map(Vec::len), Some(6));
        assert_eq!(from_dump["digest"], from_cluster["digest"]);
        assert_eq!(comparable(from_dump), comparable(from_cluster));
    }
}

/// Who reads that it already replicates would take it for well.
#[test]
fn a_trigger_that_is_there_and_not_ready_says_so() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    apply(&cluster, &[]).expect(0);
    let trigger = cluster.list("triggers").remove(0);
    let name = trigger["metadata"]["name"].as_str().expect("a name");
    let line = |status: &str, reason: &str| {
        let ready = json!({"type": "Ready", "status": status, "reason": reason, "message": "the broker is not there"});
        let status = json!({"status": {"observedGeneration": trigger["metadata"]["generation"], "conditions": [ready]}});
        let patch = ["patch", "trigger", "-n", "default", name, "--subresource=status", "--type=merge", "-p"];
        cluster.kubectl(&[&patch[..], &[&status.to_string()]].concat()).expect(0);
        let args = ["plan", "--kubeconfig", cluster.kubeconfig()];
        let said = run(job("trigger-replicator").args(args), "").expect(0).stdout;
        said.lines().find(|line| line.starts_with("= Trigger ")).expect(&said).to_owned()
    };
    let well = format!("= Trigger default/{name}: already replicates Subscription default/one");
    assert_eq!(line("True", ""), well);
    let ill = line("False", "BrokerDoesNotExist");
    assert!(
        ill.starts_with(&format!("{well}, and is not Ready: BrokerDoesNotExist")) && ill.contains("the broker is not there"),
        "{ill}"
    );
}

#[test]
fn the_exit_status_says_whether_there_is_something_to_do() {
    let cluster = lease();
    plan(&cluster, &["--exit-code"]).expect(0);
    cluster.apply(&subscription("default", "one", "order.created"));
    plan(&cluster, &[]).expect(0);
    plan(&cluster, &["--exit-code"]).expect(10);
    assert_eq!(cluster.list("triggers").len(), 0);
}

#[test]
fn only_the_approved_plan_is_applied() {
    let cluster = lease();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("plan.json");
    let path = file.to_str().expect("a temporary path is UTF-8");
    cluster.apply(&subscription("default", "one", "order.created"));
    std::fs::write(&file, plan(&cluster, &[]).expect(0).stdout).expect("written");
    cluster.apply(&subscription("default", "late", "order.paid"));
    let refused = apply(&cluster, &["--plan", path]).expect(4);
    assert!(refused.stderr.contains("error FL012: approved was sha256:"), "{}", refused.stderr);
    assert_eq!(cluster.list("triggers").len(), 0);

    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "default", "late"]).expect(0);
    apply(&cluster, &["--plan", path]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);

    std::fs::write(&file, subscription("default", "no", "plan").to_string()).expect("written");
    assert!(apply(&cluster, &["--plan", path]).expect(2).stderr.contains("holds no plan of trigger-replicator"));
}

#[test]
fn strict_does_nothing_where_something_is_refused() {
    let cluster = lease();
    let mut odd = subscription("default", "odd", "order.paid");
    odd["spec"]["endpoint"] = format!("ftp://me:{PLANTED_SECRET}@files.default/").into();
    cluster.apply(&json!([subscription("default", "one", "order.created"), odd]));
    for (ended, at) in [(plan(&cluster, &["--strict"]), ""), (apply(&cluster, &["--strict"]), "/plan")] {
        let ended = ended.expect(4);
        assert!(ended.stderr.contains("error FL011: 1 object is refused"), "{}", ended.stderr);
        let document = ended.json();
        assert_eq!(document.pointer(&format!("{at}/blocked/code")), Some(&json!("FL011")), "{document}");
    }
    // Said first, and only where it is so.
    for command in ["plan", "apply"] {
        let args = [command, "--strict", "--ledger-namespace", "default"];
        let text = run(&mut cluster.job("trigger-replicator", &args), "").expect(4).stdout;
        assert!(text.starts_with("BLOCKED FL011: 1 object is refused\n"), "{text}");
        let text =
            run(&mut cluster.job("trigger-replicator", &["plan", "--ledger-namespace", "default"]), "").expect(0).stdout;
        assert!(!text.contains("BLOCKED"), "{text}");
    }
    assert_eq!(cluster.list("triggers").len(), 0);
    apply(&cluster, &[]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);
}

#[test]
fn input_that_cannot_be_read_is_named_by_file_document_and_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("broken.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: [\n").expect("written");
    let ended = run(job("trigger-replicator").args(["plan", "--from"]).arg(&file), "").expect(2);
    for word in ["error FL005", "broken.yaml: document 2 is not YAML, line"] {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_trigger_kind_that_cannot_be_written_is_refused() {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "triggers.eventing.knative.dev"},
        "spec": {"group": "eventing.knative.dev", "names": {"kind": "Trigger"}, "versions": [{"name": "v2", "served": true}]},
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [crd, subscription("default", "one", "order.created")]});
    let ended = run(job("trigger-replicator").args(["plan", "--from", "-"]), &list.to_string()).expect(4);
    assert!(
        ended.stderr.contains("error TR001: Trigger is not served in a version that can be written, and 1 are needed"),
        "{}",
        ended.stderr
    );
}

#[test]
fn codes_are_explained() {
    let text = run(job("trigger-replicator").args(["explain", "TR107"]), "").expect(0).stdout;
    assert!(text.starts_with("TR107: ") && text.contains("Next: "), "{text}");
    let all = run(job("trigger-replicator").args(["explain"]), "").expect(0).stdout;
    assert!(all.contains("LP101    4  ") && all.contains("FL001"), "{all}");
    let document = run(job("trigger-replicator").args(["explain", "TR107", "-o", "json"]), "").expect(0).json();
    assert_eq!(document["code"], "TR107");
    let unknown = run(job("trigger-replicator").args(["explain", "TR999"]), "").expect(2);
    assert!(unknown.stderr.contains("there is no code TR999"), "{}", unknown.stderr);
}
