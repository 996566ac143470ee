//! The rules of the chart are enough, and none is too many.

use std::path::Path;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, root, run, tool};
use serde_json::{Value, json};

use crate::fixtures::{deny_triggers_for, subscription};

/// ServiceAccount, roles and bindings as the chart renders them.
fn rendered() -> Vec<Value> {
    let mut helm = tool("helm3");
    helm.args(["template", "shop", "charts/fairlead", "-n", "default", "--set", "mode=job"]).current_dir(root());
    let rendered = run(&mut helm, "").expect(0).stdout;
    let mut convert = tool("kubectl");
    convert.args(["annotate", "--local", "-o", "json", "-f", "-", "fairlead.dev/demo-"]);
    let objects = run(&mut convert, &rendered).expect(0).stdout;
    let objects =
        serde_json::Deserializer::from_str(&objects).into_iter().map(|object| object.expect("kubectl prints JSON"));
    let objects: Vec<Value> = objects.filter(|object: &Value| object["kind"] != "Job").collect();
    assert_eq!(objects.len(), 5, "ServiceAccount, two roles, two bindings");
    objects
}

/// Every resource and verb that a role allows.
fn rules(role: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
    };
    let rules = role["rules"].as_array().cloned().unwrap_or_default();
    let pairs = |rule: &Value| -> Vec<(String, String)> {
        let verbs = list(&rule["verbs"]);
        list(&rule["resources"])
            .iter()
            .flat_map(|resource| verbs.iter().map(|verb| (resource.clone(), verb.clone())))
            .collect()
    };
    rules.iter().flat_map(pairs).collect()
}

/// Installs the chart's ServiceAccount, roles and bindings, after `edit`, and returns a kubeconfig with its token.
fn install(cluster: &Cluster, folder: &Path, edit: impl Fn(&mut Value)) -> String {
    let mut objects = rendered();
    objects.iter_mut().for_each(&edit);
    cluster.apply(&Value::Array(objects));
    let token = cluster.kubectl(&["create", "token", "-n", "default", "shop-trigger-replicator"]).expect(0).stdout;

    let admin = cluster.kubectl(&["config", "view", "--raw", "-o", "json"]).expect(0).json();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "job",
        "clusters": [{"name": "it", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "job", "user": {"token": token.trim()}}],
        "contexts": [{"name": "job", "context": {"cluster": "it", "user": "job", "namespace": "default"}}],
    });
    let file = folder.join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    file.to_str().expect("a temporary path is UTF-8").to_owned()
}

fn apply_as(kubeconfig: &str) -> Ended {
    let mut command = fairlead_tests::program::job("trigger-replicator");
    run(command.args(["apply", "--release", "shop", "--concurrency", "1", "--kubeconfig", kubeconfig]), "")
}

/// A scenario that needs every rule: creations, an update, and a failure that takes both back.
fn scenario(cluster: &Cluster) {
    deny_triggers_for(cluster, "permission.refused");
    let one = subscription("default", "one", "order.created");
    let mut twin = subscription("default", "twin", "order.created");
    twin["spec"]["endpoint"] = one["spec"]["endpoint"].clone();
    cluster.apply(&one);
    crate::fixtures::apply(cluster, &["--release", "shop"]).expect(0);
    cluster.apply(&json!([
        twin,
        subscription("default", "paid", "order.paid"),
        subscription("default", "x", "permission.refused")
    ]));
}

#[test]
fn the_rules_of_the_chart_are_enough() {
    let cluster = lease();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = install(&cluster, folder.path(), |_| {});
    scenario(&cluster);
    let failed = apply_as(&kubeconfig).expect(1);
    assert!(failed.stderr.contains("everything is as before"), "{}", failed.stderr);
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "default", "x"]).expect(0);
    apply_as(&kubeconfig).expect(0);
    assert_eq!(cluster.list("triggers").len(), 2);
}

/// Every verb of every rule is taken away once; the run must then be refused before its first write, and name the rule.
#[test]
fn a_missing_rule_is_named_and_none_is_too_many() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules: Vec<(String, String)> = rendered().iter().flat_map(rules).collect();
    assert!(rules.len() >= 11, "{rules:?}");
    for (resource, verb) in &rules {
        let cluster = lease();
        let kubeconfig = install(&cluster, folder.path(), |object| {
            for rule in object.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
                if rule["resources"] == json!([resource]) {
                    let verbs = rule["verbs"].as_array_mut().expect("a rule has verbs");
                    verbs.retain(|other| other != verb.as_str());
                    // A rule without verbs is invalid; one for something else allows nothing that matters.
                    if verbs.is_empty() {
                        verbs.push(json!("watch"));
                    }
                }
            }
        });
        scenario(&cluster);
        let failed = apply_as(&kubeconfig);
        let said = failed.output();
        assert_eq!(failed.status, Some(4), "{resource} {verb}\n{said}");
        assert_eq!(cluster.list("triggers").len(), 1, "nothing was written");
        assert!(said.contains(&format!("resources: [\"{resource}\"], verbs: [\"{verb}\"]")), "{resource} {verb}\n{said}");
    }
}
