//! What could not be created again does not go: a schema or an admission rule has become stricter since it was stored.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::becomes;
use fairlead_tests::state::differences;
use serde_json::json;

use crate::meanwhile::stopped_by;
use crate::owners::Owners;
use crate::scene::{ACTIVATIONS, Scene, activation};

/// A policy for creates, which acts a moment later.
fn require(cluster: &Cluster, resource: &str, expression: &str) {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let rule = json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [plural]});
    cluster.apply(&json!([
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "stricter"},
         "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression, "message": "not any more"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "stricter"},
         "spec": {"policyName": "stricter", "validationActions": ["Deny"]}},
    ]));
}

fn refused(plan: &str) -> Vec<&str> {
    plan.lines().filter(|line| line.contains(" LP120 ")).collect()
}

#[test]
fn what_a_stricter_schema_or_policy_would_not_take_back_stops_everything() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    let a = scene.make("Part", "a", &json!({}), &[]);
    scene.make("Part", "b", &json!({}), &[]);
    scene.make("ConfigMap", "of-a", &json!({}), &[&a]);
    scene.make("ConfigMap", "too-of-a", &json!({}), &[&a]);
    scene.configure(
        &json!({"kinds": [{"group": "owners.test", "kind": "Part"}], "dependents": [{"group": "", "kind": "ConfigMap"}]}),
    );
    let before = scene.state();
    let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object"}}});
    let stricter = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]).to_string();
    cluster.kubectl(&["patch", "crd", "parts.owners.test", "--type=json", "-p", &stricter]).expect(0);
    // What a rule is about may be the name of the object itself.
    require(&cluster, "configmaps", "object.metadata.name != 'of-a'");
    let plan = || scene.run(&["plan"]).expect(0).stdout;
    assert!(becomes(|| refused(&plan()).len() == 3), "{}", plan());
    let said = scene.run(&["apply"]).expect(4).output();
    for words in [
        "! refused LP120 Part default/a: Part.owners.test \"a\" is invalid: spec: Required value",
        "! refused LP120 Part default/b: ",
        "! refused LP120 ConfigMap default/of-a: ",
        "not any more",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let unrehearsed = scene.run(&["plan", "--rehearse", "false"]).expect(0).stdout;
    assert_eq!(refused(&unrehearsed), [""; 0]);
    let mut different = differences(&before, &scene.state());
    different.retain(|it| !it.contains("parts.owners.test"));
    assert_eq!(different, Vec::<String>::new());
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

#[test]
fn a_rule_that_comes_after_the_plan_stops_it_before_anything_is_deleted() {
    let scene = Scene::new();
    let said = stopped_by(&scene, 4, || {
        require(&scene.cluster, ACTIVATIONS, "false");
        let path = "/apis/applicationconnector.kyma-project.io/v1alpha1/namespaces/orders/eventactivations?dryRun=All";
        assert!(becomes(|| scene.api.ask(&hyper::Method::POST, path, &activation("probe")).0 == 422), "it does not act");
    });
    assert!(said.contains("error LP120: EventActivation orders/shop-events could not be created again: "), "{said}");
}

/// There is room for it when it is gone.
#[test]
fn a_quota_that_is_full_is_no_reason() {
    let scene = Scene::new();
    let resources = json!({"count/subscriptions.eventing.kyma-project.io": "2"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": "orders"},
        "spec": {"hard": resources}});
    scene.cluster.apply(&quota);
    let status = json!({"status": {"hard": resources, "used": resources}}).to_string();
    let used = ["patch", "resourcequota", "full", "-n", "orders", "--subresource=status", "--type=merge", "-p", &status];
    scene.cluster.kubectl(&used).expect(0);
    let path = "/apis/eventing.kyma-project.io/v1alpha1/namespaces/orders/subscriptions?dryRun=All";
    let probe = json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"name": "probe"},
        "spec": {"source_id": "shop", "event_type": "x", "event_type_version": "v1"}});
    let is_full = || scene.api.ask(&hyper::Method::POST, path, &probe).1.to_string().contains("exceeded quota");
    assert!(becomes(is_full), "the quota does not act");
    let plan = scene.run(&["plan"]).expect(0).stdout;
    assert_eq!(refused(&plan), [""; 0], "{plan}");
    scene.cluster.kubectl(&["delete", "resourcequota", "full", "-n", "orders"]).expect(0);
}
