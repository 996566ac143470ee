//! Everything goes, and comes back as it was.

use fairlead_tests::program::{becomes, job, run, tool};
use fairlead_tests::state::differences;
use hyper::Method;
use serde_json::{Value, json};

use crate::scene::{AT_ONCE, Scene, activation, deployment, replicas};

const DEFINITIONS: [&str; 2] =
    ["subscriptions.eventing.kyma-project.io", "eventactivations.applicationconnector.kyma-project.io"];

fn changed(report: &Value) -> Vec<String> {
    let changes = report["plan"]["changes"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    changes
        .map(|it| format!("{} {} {}", text(&it["action"]), text(&it["target"]["kind"]), text(&it["target"]["name"])))
        .collect()
}

#[test]
fn the_legacy_bus_goes_and_comes_back_as_it_was() {
    let scene = Scene::new();
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        let ended = scene.run(&["apply", "-o", "json"]).expect(0);
        let report = ended.json();
        assert_eq!(
            changed(&report),
            [
                "update Deployment application-broker",
                "create ValidatingAdmissionPolicy fairlead-purge.default.shop",
                "create ValidatingAdmissionPolicyBinding fairlead-purge.default.shop",
                "delete EventActivation shop-events",
                "delete Subscription created",
                "delete Subscription paid",
                "delete Channel created-x7k2p",
                "delete Channel paid-x7k2p",
                "delete Subscription created--orders",
                "delete Subscription paid--orders",
                "delete CustomResourceDefinition eventactivations.applicationconnector.kyma-project.io",
                "delete CustomResourceDefinition subscriptions.eventing.kyma-project.io",
                "delete ValidatingAdmissionPolicy fairlead-purge.default.shop",
                "delete ValidatingAdmissionPolicyBinding fairlead-purge.default.shop",
            ]
        );
        assert!(DEFINITIONS.iter().all(|definition| !scene.is_defined(definition)), "{}", ended.output());
        assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 0);
        assert_eq!(scene.made("channels"), Vec::<String>::new());
        assert_eq!(scene.cluster.list("validatingadmissionpolicies"), Vec::<Value>::new());

        let again = scene.run(&["apply", "-o", "json"]).expect(0).json();
        assert_eq!(again["outcome"], "Unchanged");
        let back = scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new(), "{}", back.output());
    });
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
}

#[test]
fn a_kind_that_later_kyma_uses_too_stays() {
    let scene = Scene::new();
    let later = json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"namespace": "orders", "name": "later"},
        "spec": {"sink": "http://mail.orders.svc.cluster.local", "filter": {"filters": []}},
    });
    scene.cluster.apply(&later);
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        let ended = scene.run(&["apply"]).expect(0);
        let said = ended.output();
        for words in [
            "! warning LP205 CustomResourceDefinition subscriptions.eventing.kyma-project.io: not this purge's: 1 Subscription, the first is \
             Subscription orders/later",
            "= Subscription orders/later: left alone, it is not of the legacy bus but of later Kyma",
            "DESTROYS 1 EventActivation, 2 Subscription",
        ] {
            assert!(said.contains(words), "{words}\n{said}");
        }
        let left = scene.cluster.list(DEFINITIONS[0]);
        assert_eq!(left.iter().map(|it| &it["metadata"]["name"]).collect::<Vec<_>>(), ["later"]);
        assert!(!scene.is_defined(DEFINITIONS[1]));
        // The fence does not stay with it; the API server forgets it a second later.
        let legacy = json!({
            "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"namespace": "orders", "name": "back-again"},
            "spec": {"source_id": "shop", "event_type": "x", "event_type_version": "v1"},
        });
        let create = || {
            let mut kubectl = tool("kubectl");
            kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "create", "-f", "-"]);
            run(&mut kubectl, &legacy.to_string()).status == Some(0)
        };
        assert!(becomes(create), "the fence is still there");
        scene.cluster.kubectl(&["delete", DEFINITIONS[0], "-n", "orders", "back-again"]).expect(0);
        let again = scene.run(&["apply", "-o", "json"]).expect(0).json();
        assert_eq!(again["outcome"], "Unchanged");
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn it_comes_back_also_where_others_have_made_the_same_again() {
    let scene = Scene::new();
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        scene.run(&["apply"]).expect(0);
        // Somebody installs the kind again, and creates one of ours with another content, and one of their own.
        let definition: Value =
            before["\"CustomResourceDefinition\" /\"eventactivations.applicationconnector.kyma-project.io\""].clone();
        let mut definition = definition;
        definition["metadata"] = json!({"name": DEFINITIONS[1], "labels": definition["metadata"]["labels"]});
        scene.cluster.apply(&definition);
        scene.cluster.serves(&[DEFINITIONS[1]]);
        let mut other = activation("shop-events");
        other["spec"]["sourceId"] = "somebody-else".into();
        // The API server forgets the fence a second after the purge.
        let both = json!({"apiVersion": "v1", "kind": "List", "items": [other, activation("theirs")]}).to_string();
        let apply = || {
            let mut kubectl = tool("kubectl");
            kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "apply", "--server-side", "-f", "-"]);
            run(&mut kubectl, &both).status == Some(0)
        };
        assert!(becomes(apply), "the fence is still there");

        let stopped = scene.run(&["rollback", "--last"]).expect(6);
        let said = stopped.output();
        assert!(said.contains("EventActivation orders/shop-events: somebody else has created it again"), "{said}");
        assert!(!scene.is_defined(DEFINITIONS[0]), "nothing was taken back");
        scene.run(&["rollback", "--last", "--on-drift", "keep"]).expect(0);
        let live = scene.cluster.get(DEFINITIONS[1], "orders", "shop-events");
        assert_eq!(live["spec"]["sourceId"], "somebody-else");
        scene.cluster.get(DEFINITIONS[1], "orders", "theirs");
        scene.cluster.get(DEFINITIONS[0], "orders", "paid");
        assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
    });
}

#[test]
fn what_an_earlier_attempt_has_put_back_may_have_been_worked_on_since() {
    let scene = Scene::new();
    let before = scene.state();
    let of_kind = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "no-activations"}, "spec": spec});
    let rules = json!([{"apiGroups": ["applicationconnector.kyma-project.io"], "apiVersions": ["*"], "resources": ["eventactivations"], "operations": ["CREATE"]}]);
    let deny = json!({"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "false"}]});
    let bound = json!({"policyName": "no-activations", "validationActions": ["Deny"]});
    scene
        .cluster
        .apply(&json!([of_kind("ValidatingAdmissionPolicy", deny), of_kind("ValidatingAdmissionPolicyBinding", bound)]));
    let is_denied = || {
        let mut kubectl = tool("kubectl");
        kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "create", "--dry-run=server", "-f", "-"]);
        run(&mut kubectl, &activation("denied").to_string()).status != Some(0)
    };
    assert!(becomes(is_denied), "the policy does not act");
    scene.playing(AT_ONCE, || {
        // A rule that would have come only after the purge.
        scene.run(&["apply", "--rehearse", "false"]).expect(0);
        scene.run(&["rollback", "--last"]).expect(3);
        // Knative makes this of a Channel that has come back.
        let channel = "/apis/messaging.knative.dev/v1/namespaces/kyma-system/channels/created-x7k2p";
        let subscribers = json!({"spec": {"subscribers": [{"uid": "new", "generation": 1}]}});
        scene.api.expect(&Method::PATCH, &format!("{channel}?fieldManager=controller"), &subscribers);
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            scene.cluster.kubectl(&["delete", kind, "no-activations"]).expect(0);
        }
        // The API server forgets the policy a second later.
        let mut last = String::new();
        let is_back = || {
            let ended = scene.run(&["rollback", "--last"]);
            last = ended.output();
            ended.status == Some(0)
        };
        assert!(becomes(is_back), "{last}");
        assert_eq!(scene.api.get(channel)["spec"]["subscribers"], subscribers["spec"]["subscribers"]);
        scene.api.expect(
            &Method::PATCH,
            &format!("{channel}?fieldManager=controller"),
            &json!({"spec": {"subscribers": null}}),
        );
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn a_hold_that_somebody_has_ended_is_no_drift() {
    let scene = Scene::new();
    scene.playing(AT_ONCE, || {
        scene.run(&["apply"]).expect(0);
        // The upgrade brings application-broker back, with three replicas and another image.
        let mut newer = deployment("kyma-integration", "application-broker");
        newer["spec"]["replicas"] = 3.into();
        newer["spec"]["template"]["spec"]["containers"][0]["image"] = "newer".into();
        let mut kubectl = tool("kubectl");
        kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "apply", "--server-side", "--force-conflicts", "-f", "-"]);
        run(&mut kubectl, &newer.to_string()).expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 3);
    scene.cluster.get(DEFINITIONS[0], "orders", "paid");
}

#[test]
fn after_the_upgrade_a_workload_that_has_changed_runs_again_and_one_that_has_not_stays_held() {
    let scene = Scene::new();
    let broker = "Deployment kyma-integration/application-broker";
    let unhold = || scene.run(&["unhold"]).expect(0).stdout;
    scene.playing(AT_ONCE, || scene.run(&["apply"]).expect(0));
    let stays = format!(
        "{broker} stays held: your upgrade has not changed it, and what it works with may be gone. Upgrade it or remove it; if it needs \
         nothing of that, `kubectl -n kyma-integration scale deployment application-broker --replicas=1 --kubeconfig "
    );
    let said = unhold();
    assert!(said.starts_with(&stays) && said.ends_with("` starts it.\n") && said.lines().count() == 1, "{said}");
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 0);
    scene
        .cluster
        .kubectl(&["set", "image", "-n", "kyma-integration", "deployment/application-broker", "it=newer"])
        .expect(0);
    assert_eq!(unhold(), format!("{broker} has changed, and has back what was held: spec.replicas 1.\n"));
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
    // Its hold has ended: what somebody stops later, on purpose, stays stopped.
    assert_eq!(unhold(), "No run in force holds a workload.\n");
    let stop = ["scale", "-n", "kyma-integration", "deployment/application-broker", "--replicas=0"];
    scene.cluster.kubectl(&stop).expect(0);
    assert_eq!(unhold(), "No run in force holds a workload.\n");
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 0);
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 0);
    assert_eq!(unhold(), "No run in force holds a workload.\n");
}

#[test]
fn the_plan_from_files_is_the_plan_from_the_cluster() {
    let scene = Scene::new();
    let kinds = format!(
        "{},{},brokers,triggers,channels,subscriptions.messaging.knative.dev,deployments,crds",
        DEFINITIONS[0], DEFINITIONS[1]
    );
    let dump = scene.cluster.kubectl(&["get", &kinds, "-A", "-o", "json"]).expect(0).stdout;
    let mut from_files = job("legacy-purger");
    from_files.args(["plan", "-o", "json", "--from", "-", "--release", "shop", "--ledger-namespace", "default"]);
    let from_files = run(&mut from_files, &dump).expect(0).json();
    let from_cluster = scene.run(&["plan", "-o", "json"]).expect(0).json();
    assert_eq!(from_files["digest"], from_cluster["digest"]);
    assert_eq!(from_files["changes"].as_array().map(Vec::len), Some(14));
}

/// As Kyma 1.10 made them.
#[test]
fn what_a_service_instance_owns_comes_back_owned_and_the_instance_stays() {
    let scene = Scene::new();
    scene.cluster.apply(&json!({"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance",
        "metadata": {"namespace": "orders", "name": "shop"}, "spec": {"serviceClassExternalName": "shop"}}));
    let instance = scene.cluster.get("serviceinstance", "orders", "shop");
    let mut owned = activation("owned");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance",
        "name": "shop", "uid": instance["metadata"]["uid"]}]);
    scene.cluster.apply(&owned);
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        let said = scene.run(&["apply"]).expect(0).stdout;
        assert!(said.contains("= ServiceInstance orders/shop: stays: what it provisioned is outside the cluster"), "{said}");
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn tickets_that_have_been_taken_back_are_forgotten_as_the_history_says() {
    let scene = Scene::new();
    let has_ticket = |name: &str| scene.cluster.kubectl(&["get", "secret", "-n", "default", name]).status == Some(0);
    scene.playing(AT_ONCE, || {
        scene.run(&["apply"]).expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
        assert!(has_ticket("fairlead.v1.shop.1"));
        scene.run(&["apply", "--history-max", "0"]).expect(0);
        assert!(!has_ticket("fairlead.v1.shop.1") && has_ticket("fairlead.v1.shop.2"));
        scene.run(&["rollback", "--last"]).expect(0);
    });
}

/// A team that has left does not keep the others from going back, and whoever goes back is told of it before the first change.
#[test]
fn a_namespace_that_has_gone_since_is_told_before_anything_comes_back() {
    let scene = Scene::new();
    let last = json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"namespace": "leaving", "name": "last"},
        "spec": {"source_id": "shop", "event_type": "x", "event_type_version": "v1", "endpoint": "http://mail.leaving/"},
    });
    scene.cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}}));
    scene.cluster.apply(&last);
    // What it owns waits for it, and would wait for ever.
    let uid = scene.cluster.get(DEFINITIONS[0], "leaving", "last")["metadata"]["uid"].clone();
    let mut owned = activation("owned");
    owned["metadata"]["namespace"] = "leaving".into();
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "name": "last", "uid": uid}]);
    scene.cluster.apply(&owned);
    scene.playing(AT_ONCE, || {
        scene.run(&["apply", "--allow-unreplicated", "leaving/last"]).expect(0);
        // Nobody finishes that here: it is going, as it may be for long in any cluster.
        scene.cluster.kubectl(&["delete", "namespace", "leaving", "--wait=false"]).expect(0);
        let told = "! Subscription leaving/last: its namespace is being deleted, and held by: finalizers kubernetes: wait until it is gone";
        let stopped = scene.run(&["rollback", "--last"]).expect(6).output();
        assert!(stopped.contains(told), "{stopped}");
        assert!(!scene.is_defined(DEFINITIONS[0]), "nothing was taken back");
        // What has no namespace cannot be overwritten either.
        let overwrite = ["rollback", "--last", "--on-drift", "overwrite"];
        let going = "kubectl -n default wait --for=delete namespace/leaving --timeout=10m --kubeconfig";
        let shown = scene.run(&[&overwrite[..], &["--dry-run"]].concat()).expect(0).output();
        assert!(shown.contains("2 of them cannot come back, ") && shown.contains(going), "{shown}");
        let stopped = scene.run(&overwrite).expect(6).output();
        assert!(stopped.contains(told) && stopped.contains(&format!("Next: {going}")), "{stopped}");
        assert!(!stopped.contains("create namespace"), "{stopped}");
        assert!(!scene.is_defined(DEFINITIONS[0]), "nothing was taken back");
        let warned = "it will not come back";
        let kept = scene.run(&["rollback", "--last", "--on-drift", "keep"]).expect(0).output();
        assert!(kept.contains("! Subscription leaving/last: its namespace is being deleted"), "{kept}");
        assert!(kept.contains("2 left as others have changed them"), "{kept}");
        assert!(kept.find(warned) < kept.find("taking back") && kept.contains(warned), "{kept}");
        scene.cluster.get(DEFINITIONS[0], "orders", "paid");
    });
    let gone = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}, "spec": {"finalizers": []}});
    scene.api.ask(&Method::PUT, "/api/v1/namespaces/leaving/finalize", &gone);
}

/// Helm brings back what its chart holds, but for its status, which nobody else would write again.
#[test]
fn what_helm_has_created_again_gets_its_status_back() {
    let scene = Scene::new();
    let release = json!({"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "orders"});
    let charted = json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "orders", "name": "charted", "annotations": release},
        "spec": {"source_id": "shop", "event_type": "x", "event_type_version": "v1", "endpoint": "http://mail.orders/"},
    });
    scene.cluster.apply(&charted);
    let status = json!({"status": {"conditions": [{"type": "is-ready", "status": "True"}]}});
    scene.patch_status("eventing.kyma-project.io/v1alpha1/namespaces/orders/subscriptions", "charted", &status);
    let state = || scene.cluster.get(DEFINITIONS[0], "orders", "charted")["status"].clone();
    let before = state();
    scene.playing(AT_ONCE, || {
        scene.run(&["apply", "--allow-unreplicated", "orders/charted", "--allow-helm-owned", "crm"]).expect(0);
        let second = ["rollback", "--to", "0", "--undo-at", "post-rollback"];
        let refused = scene.run(&second).expect(4).stderr;
        let first = "First: kubectl fairlead rollback shop -n default --to 0 --undo-at pre-rollback";
        assert!(refused.contains("error FL046: ") && refused.contains(first), "{refused}");
        scene.run(&["rollback", "--to", "0", "--undo-at", "pre-rollback"]).expect(0);
        // The fence is gone, and the API server forgets it a second later.
        let create = || {
            let mut kubectl = tool("kubectl");
            kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "create", "-f", "-"]);
            run(&mut kubectl, &charted.to_string()).status == Some(0)
        };
        assert!(becomes(create), "the fence is still there");
        assert_eq!(state(), Value::Null);
        scene.run(&second).expect(0);
        assert_eq!((state(), before.is_null()), (before.clone(), false));
    });
}
