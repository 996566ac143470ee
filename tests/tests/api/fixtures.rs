//! Objects that the tests make.

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{Ended, becomes, run, tool};
use serde_json::{Value, json};

/// A legacy Subscription to events of one type.
pub(crate) fn subscription(namespace: &str, name: &str, event_type: &str) -> Value {
    json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"source_id": "shop", "event_type": event_type, "event_type_version": "v1",
            "endpoint": format!("http://{name}.{namespace}:8080/events")},
    })
}

/// A namespace.
pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Runs `trigger-replicator apply` with the ledger in namespace default.
#[track_caller]
pub(crate) fn apply(cluster: &Cluster, more: &[&str]) -> Ended {
    let args: Vec<&str> = ["apply", "-o", "json", "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    run(&mut cluster.job("trigger-replicator", &args), "")
}

/// Runs `trigger-replicator plan`.
#[track_caller]
pub(crate) fn plan(cluster: &Cluster, more: &[&str]) -> Ended {
    let args: Vec<&str> = ["plan", "-o", "json"].iter().chain(more).copied().collect();
    run(&mut cluster.job("trigger-replicator", &args), "")
}

/// Gives back the lease of a run that was killed, which cannot do it itself.
#[track_caller]
pub(crate) fn free_lease(cluster: &Cluster) {
    let nobody = r#"{"spec": {"holderIdentity": ""}}"#;
    cluster.kubectl(&["patch", "lease", "-n", "default", "fairlead-fairlead", "--type=merge", "-p", nobody]).expect(0);
}

/// Names and phases of the tickets in namespace default, sorted.
#[track_caller]
pub(crate) fn tickets(cluster: &Cluster) -> Vec<(String, String)> {
    let list =
        cluster.kubectl(&["get", "secrets", "-n", "default", "-l", "fairlead.dev/phase", "-o", "json"]).expect(0).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().expect("kubectl prints a list");
    items
        .iter()
        .map(|secret| (text(&secret["metadata"]["name"]), text(&secret["metadata"]["labels"]["fairlead.dev/phase"])))
        .collect()
}

/// Denies to create Triggers whose filter asks for `event_type`, and waits until that is so.
#[track_caller]
pub(crate) fn deny_triggers_for(cluster: &Cluster, event_type: &str) {
    deny(cluster, "CREATE", event_type);
    let probe = trigger("default", "probe", event_type);
    let is_denied = || {
        let mut create = tool("kubectl");
        create.args(["--kubeconfig", cluster.kubeconfig(), "create", "--dry-run=server", "-f", "-"]);
        run(&mut create, &probe.to_string()).stderr.contains("this event type is closed")
    };
    assert!(becomes(is_denied), "the policy does not act");
}

/// Denies to change Triggers whose filter asks for `event_type`, and waits until that is so.
#[track_caller]
pub(crate) fn deny_updates_for(cluster: &Cluster, event_type: &str) {
    cluster.apply(&trigger("default", "probe", event_type));
    deny(cluster, "UPDATE", event_type);
    let label = ["label", "trigger", "-n", "default", "probe", "touched=yes", "--dry-run=server"];
    let is_denied = || cluster.kubectl(&label).stderr.contains("this event type is closed");
    assert!(becomes(is_denied), "the policy does not act");
    cluster.kubectl(&["delete", "trigger", "-n", "default", "probe"]).expect(0);
}

fn trigger(namespace: &str, name: &str, event_type: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"namespace": namespace, "name": name},
        "spec": {"broker": "default", "filter": {"attributes": {"type": event_type}}, "subscriber": {"uri": "http://a.b"}},
    })
}

/// Denies to create Secrets, and waits until that is so.
#[track_caller]
pub(crate) fn deny_secrets(cluster: &Cluster) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]});
    policy(cluster, "deny-secrets", &rule, "false", "no Secrets here");
    let create = ["create", "secret", "generic", "-n", "default", "probe", "--dry-run=server"];
    let is_denied = || cluster.kubectl(&create).stderr.contains("no Secrets here");
    assert!(becomes(is_denied), "the policy does not act");
}

/// Denies to create Secrets that are no tickets, and waits until that is so.
#[track_caller]
pub(crate) fn deny_chunks(cluster: &Cluster) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]});
    policy(cluster, "deny-chunks", &rule, "!object.metadata.name.endsWith('-0')", "no room");
    let create = ["create", "secret", "generic", "-n", "default", "probe-0", "--dry-run=server"];
    let is_denied = || cluster.kubectl(&create).stderr.contains("no room");
    assert!(becomes(is_denied), "the policy does not act");
}

fn deny(cluster: &Cluster, operation: &str, event_type: &str) {
    let name = format!("deny-{}-{event_type}", operation.to_lowercase());
    let rule = json!({"apiGroups": ["eventing.knative.dev"], "apiVersions": ["*"], "operations": [operation],
        "resources": ["triggers"]});
    let expression = format!("object.spec.filter.attributes['type'] != '{event_type}'");
    policy(cluster, &name, &rule, &expression, "this event type is closed");
}

/// Denies what a rule matches and the expression does not allow.
pub(crate) fn policy(cluster: &Cluster, name: &str, rule: &Value, expression: &str, message: &str) {
    cluster.apply(&json!([
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression, "message": message}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": ["Deny"]}},
    ]));
}

/// A Job as Kubernetes would have it after its first pod: begun so many minutes ago. Returns its uid: what was said of one that had the same
/// name is still there.
pub(crate) fn job(cluster: &Cluster, minutes: u64) -> Value {
    // An earlier test of this cluster may have left one, whose beginning cannot be changed.
    cluster.kubectl(&["delete", "job", "-n", "default", "it", "--ignore-not-found"]).expect(0);
    let container = json!({"name": "it", "image": "none"});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    cluster.apply(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "default", "name": "it"},
        "spec": {"template": template}}));
    let began = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * minutes);
    let status = json!({"status": {"startTime": humantime::format_rfc3339_seconds(began).to_string()}}).to_string();
    cluster
        .kubectl(&["patch", "job", "it", "-n", "default", "--subresource=status", "--type=merge", "-p", &status])
        .expect(0);
    cluster.get("job", "default", "it")["metadata"]["uid"].clone()
}

/// A revision of release `fairlead`, as Helm records it, but for what it holds.
pub(crate) fn recorded(cluster: &Cluster, revision: u32, status: &str) {
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {"namespace": "default", "name": format!("sh.helm.release.v1.fairlead.v{revision}"),
            "labels": {"owner": "helm", "name": "fairlead", "version": revision.to_string(), "status": status}}}));
}
