//! What speaks against a purge: each refusal names the object, the reason and what to do, and nothing is changed.

use fairlead_tests::cluster::lease;
use fairlead_tests::program::{PLANTED_SECRET, becomes, job, run, tool};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::meanwhile::IS_WAITED_FOR;
use crate::scene::{AT_ONCE, Scene, activation, deployment, replicas};

/// Runs apply, which must be refused with these words, and must change nothing.
#[track_caller]
pub(crate) fn refused(scene: &Scene, args: &[&str], words: &[&str]) {
    let before = scene.state();
    let ended = scene.run(&[&["apply"], args].concat()).expect(4);
    let said = ended.output();
    for words in words.iter().chain(&["error LP001: ", "Nothing was changed."]) {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

/// The definition of a kind of the files.
fn relics() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "relics.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": {"kind": "Relic", "plural": "relics"},
            "versions": [{"name": "v1", "served": true, "storage": true}]}})
}

#[test]
fn a_plan_that_is_refused_says_so_first_and_destroys_nothing() {
    let config = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {kinds: [{group: example.org, kind: Relic}]}\n";
    std::fs::write(config.path(), text).expect("written");
    let relic = |name: &str, annotations: Value| {
        json!({"apiVersion": "example.org/v1", "kind": "Relic",
            "metadata": {"namespace": "old", "name": name, "annotations": annotations}})
    };
    let charted = relic("charted", json!({"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "old"}));
    let plan = |objects: &[Value], output: &str| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let mut purger = job("legacy-purger");
        purger.args(["plan", "--from", "-", "-o", output, "--config"]).arg(config.path());
        run(&mut purger, &list).expect(0)
    };
    let one = plan(&[relics(), charted.clone()], "text").stdout;
    assert!(one.starts_with("BLOCKED LP001: 1 refusal, see below"), "{one}");
    for words in ["DESTROY", "it has no objects", "CustomResourceDefinition relics.example.org\n"] {
        assert!(!one.contains(words), "{words}\n{one}");
    }
    // What would go when that is mended is listed, as what would.
    let both = plan(&[relics(), charted.clone(), relic("plain", json!({}))], "text").stdout;
    assert!(both.starts_with("BLOCKED ") && both.contains("Would delete 1 Relic if the plan were not blocked"), "{both}");
    let document = plan(&[relics(), charted], "json").json();
    assert_eq!(document["blocked"]["code"], "LP001", "{document}");
    let free = plan(&[relics(), relic("plain", json!({}))], "text").stdout;
    assert!(free.starts_with("Stage 1 of ") && free.contains("DESTROYS 1 CustomResourceDefinition"), "{free}");
}

#[test]
fn a_subscription_without_a_trigger_that_is_ready_stops_everything() {
    let scene = Scene::new();
    scene.subscribe("unreplicated", &json!({}));
    scene.subscribe("no-endpoint", &json!({"endpoint": null}));
    scene.subscribe("unready", &json!({}));
    scene.replicate("unready", "False");
    refused(
        &scene,
        &[],
        &[
            "! refused LP101 Subscription orders/unreplicated: no Trigger delivers unreplicated v1 of shop to http://mail.orders/",
            "! refused LP101 Subscription orders/no-endpoint: spec.endpoint is missing",
            "! refused LP102 Subscription orders/unready: Trigger orders/unready: BrokerReady: BrokerDoesNotExist",
            "or, if nobody needs these events, name the Subscription with --allow-unreplicated NAMESPACE/NAME.",
            "error LP001: LP101 Subscription orders/no-endpoint: spec.endpoint is missing; ",
        ],
    );
    let two = "orders/unreplicated,orders/no-endpoint";
    refused(
        &scene,
        &["--allow-unreplicated", two],
        &["! refused LP102", "! warning LP201 Subscription orders/no-endpoint: allowed by name"],
    );
    scene.playing(AT_ONCE, || {
        let before = scene.state();
        scene.run(&["apply", "--allow-unreplicated", two, "--allow-unreplicated", "orders/unready"]).expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    });
}

#[test]
fn a_trigger_that_does_not_become_ready_stops_everything_after_a_while() {
    let scene = Scene::new();
    scene.subscribe("unready", &json!({}));
    scene.replicate("unready", "False");
    // Nothing is waited for where only the plan is wanted.
    let planned = scene.run(&["plan", "-o", "json"]).expect(0).json();
    assert_eq!(planned["refusals"][0]["code"], "LP102", "{planned}");
    refused(&scene, &["--ready-timeout", "2s"], &["! refused LP102 Subscription orders/unready", IS_WAITED_FOR]);
}

#[test]
fn what_belongs_to_a_helm_release_goes_only_when_that_is_named() {
    let scene = Scene::new();
    let owned = json!({"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "orders"});
    let mut activation = activation("crm-events");
    activation["metadata"]["annotations"] = owned.clone();
    scene.cluster.apply(&activation);
    let definition = "eventactivations.applicationconnector.kyma-project.io";
    let annotate = |kind: &str, more: &[&str]| {
        scene
            .cluster
            .kubectl(&[&["annotate", kind, definition, "meta.helm.sh/release-name=essentials"], more].concat())
            .expect(0);
    };
    annotate("crd", &["meta.helm.sh/release-namespace=kyma-system"]);
    let of_release = "! refused LP105 EventActivation orders/crm-events: it belongs to Helm release crm in namespace orders";
    refused(
        &scene,
        &["--allow-helm-owned", "essentials"],
        &[
            of_release,
            &format!("! warning LP209 CustomResourceDefinition {definition}: it belongs to Helm release essentials"),
        ],
    );
    scene.playing(AT_ONCE, || {
        let before = scene.state();
        let report = scene.run(&["apply", "-o", "json", "--allow-helm-owned", "essentials,crm"]).expect(0).json();
        let stages = report["plan"]["stages"].as_array().cloned().unwrap_or_default();
        let late: Vec<&Value> = report["plan"]["changes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|change| {
                stages.is_empty()
                    || stages[usize::try_from(change["stage"].as_u64().expect("a number")).expect("small")]["undoAt"]
                        == "post-rollback"
            })
            .map(|change| &change["target"]["kind"])
            .collect();
        assert!(
            late.iter().filter(|kind| **kind == "EventActivation").count() == 2,
            "its objects come back when it does: {late:?}"
        );
        scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    });
}

/// The way out that LP105 names, with a Helm that keeps a definition.
#[test]
fn what_helm_keeps_goes_when_its_marks_are_gone() {
    let cluster = lease();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut definition = relics();
    definition["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    definition["spec"]["versions"][0]["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
    std::fs::create_dir(folder.path().join("templates")).expect("made");
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).expect("written");
    write("Chart.yaml", "apiVersion: v2\nname: relics\nversion: 0.1.0\n");
    write("templates/relics.yaml", &format!("{{{{- if .Values.relics }}}}\n{definition}\n{{{{- end }}}}\n"));
    write(
        "fairlead.yaml",
        "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {kinds: [{group: example.org, kind: Relic}]}\n",
    );
    let config = folder.path().join("fairlead.yaml");
    let helm = |relics: &str| {
        let mut helm = tool("helm3");
        helm.args(["upgrade", "--install", "crm"]).arg(folder.path()).args([
            "--set",
            relics,
            "--kubeconfig",
            cluster.kubeconfig(),
        ]);
        run(&mut helm, "").expect(0);
    };
    let plan = || {
        let mut purger = job("legacy-purger");
        purger
            .args(["plan", "--ledger-namespace", "default", "--kubeconfig", cluster.kubeconfig(), "--config"])
            .arg(&config);
        run(&mut purger, "")
    };
    helm("relics=true");
    assert!(becomes(|| plan().status == Some(0)), "it is not served");
    let refused =
        "! refused LP105 CustomResourceDefinition relics.example.org: it belongs to Helm release crm in namespace default";
    assert!(plan().stdout.contains(refused));
    helm("relics=false");
    let still = plan().expect(0).stdout;
    let marks = "meta.helm.sh/release-name- meta.helm.sh/release-namespace-";
    assert!(still.contains(refused) && still.contains(marks), "{still}");
    let annotate = [&["annotate", "crd", "relics.example.org"], &marks.split(' ').collect::<Vec<_>>()[..]].concat();
    cluster.kubectl(&annotate).expect(0);
    let free = plan().expect(0).stdout;
    assert!(!free.contains("LP105") && free.contains("DESTROYS 1 CustomResourceDefinition"), "{free}");
    cluster.kubectl(&["delete", "crd", "relics.example.org"]).expect(0);
}

#[test]
fn what_is_being_deleted_stops_everything() {
    let scene = Scene::new();
    scene
        .cluster
        .kubectl(&[
            "delete",
            "eventactivations.applicationconnector.kyma-project.io",
            "-n",
            "orders",
            "shop-events",
            "--wait=false",
        ])
        .expect(0);
    refused(
        &scene,
        &[],
        &["! refused LP108 EventActivation orders/shop-events: it is being deleted; finalizers: [\"eventactivation."],
    );
}

#[test]
fn several_stored_versions_stop_everything() {
    let scene = Scene::new();
    let definition = "subscriptions.eventing.kyma-project.io";
    let status = json!({"status": {"storedVersions": ["v1alpha0", "v1alpha1"]}});
    // A version that is not defined any more may not be named, so it is defined.
    let live = scene.cluster.get("crd", "default", definition);
    let mut old = live["spec"]["versions"][0].clone();
    old["name"] = "v1alpha0".into();
    old["storage"] = false.into();
    let patch = json!({"spec": {"versions": [live["spec"]["versions"][0], old]}}).to_string();
    scene.cluster.kubectl(&["patch", "crd", definition, "--type=merge", "-p", &patch]).expect(0);
    scene.patch_status("apiextensions.k8s.io/v1/customresourcedefinitions", definition, &status);
    refused(
        &scene,
        &[],
        &[
            "! refused LP106 CustomResourceDefinition subscriptions.eventing.kyma-project.io: status.storedVersions has v1alpha0, v1alpha1",
        ],
    );
}

#[test]
fn a_conversion_webhook_that_is_down_stops_everything() {
    let scene = Scene::new();
    let definition = "subscriptions.eventing.kyma-project.io";
    let live = scene.cluster.get("crd", "default", definition);
    let mut newer = live["spec"]["versions"][0].clone();
    newer["name"] = "v1alpha2".into();
    newer["storage"] = false.into();
    let client = json!({"url": "https://127.0.0.1:1/convert"});
    let conversion = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client}});
    let patch = json!({"spec": {"versions": [live["spec"]["versions"][0], newer], "conversion": conversion}}).to_string();
    scene.cluster.kubectl(&["patch", "crd", definition, "--type=merge", "-p", &patch]).expect(0);
    let is_served = || scene.cluster.kubectl(&["get", "--raw", "/apis/eventing.kyma-project.io/v1alpha2"]).status == Some(0);
    assert!(becomes(is_served), "the version is not served");
    // A webhook that is just starting answers so, too: it is asked for a while.
    let ended = scene.run(&["apply", "--request-timeout", "2s"]).expect(4);
    let words =
        "! refused LP107 CustomResourceDefinition subscriptions.eventing.kyma-project.io: it cannot be read as v1alpha2: ";
    assert!(ended.output().contains(words), "{}", ended.output());
    // Of Subscriptions that nobody can read nobody knows which have gone.
    assert!(!ended.output().contains("LP219"), "{}", ended.output());
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
    // What has two versions is installed again for the next test, and it must be readable until then.
    let none = json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}}).to_string();
    scene.cluster.kubectl(&["patch", "crd", definition, "--type=merge", "-p", &none]).expect(0);
}

#[test]
fn a_step_that_must_come_first_is_asked_for() {
    let scene = Scene::new();
    refused(
        &scene,
        &["--require-step", "drain-waiter"],
        &["! refused LP103 Step drain-waiter: it has not run for this release"],
    );
    // A gate that has let pass leaves a ticket, although it changes nothing.
    let gate = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(gate.path(), "empty").expect("written");
    let mut args = vec!["apply", "--ledger-namespace", "default", "--release", "shop", "--helm-revision", "2"];
    args.extend(["--gate", gate.path().to_str().expect("UTF-8")]);
    let mut every_kind = job("every-kind");
    run(every_kind.args(args).args(["--kubeconfig", scene.cluster.kubeconfig()]), "").expect(0);
    let plan = |revision: &str| {
        let args = ["plan", "-o", "json", "--require-step", "every-gate", "--helm-revision", revision];
        scene.run(&args).expect(0).json()["refusals"].to_string()
    };
    assert_eq!(plan("2"), "[]");
    assert!(plan("3").contains("its last run was that of revision 2, and this is revision 3"));
}

#[test]
fn a_deployment_that_is_not_there_is_nobodys_trouble() {
    let scene = Scene::new();
    scene.cluster.kubectl(&["delete", "deployment", "-n", "kyma-integration", "application-broker"]).expect(0);
    scene.cluster.apply(&deployment("kyma-integration", "other"));
    scene.playing(AT_ONCE, || scene.run(&["apply"]).expect(0));
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "other"), 1);
}

#[test]
fn a_definition_that_could_not_be_created_again_stops_everything() {
    let scene = Scene::new();
    let rule = json!({"apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["*"], "operations": ["CREATE"],
        "resources": ["customresourcedefinitions"]});
    scene.cluster.apply(&json!([
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-kinds"},
         "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false", "message": "no new kinds"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-kinds"},
         "spec": {"policyName": "no-kinds", "validationActions": ["Deny"]}},
    ]));
    let words =
        "! refused LP113 CustomResourceDefinition subscriptions.eventing.kyma-project.io: it could not be created again: ";
    let is_said = || scene.run(&["plan"]).expect(0).stdout.contains(words);
    assert!(becomes(is_said), "the policy does not act");
    scene.run(&["apply"]).expect(4);
}

#[test]
fn the_kind_of_later_kyma_stays_also_while_it_has_no_objects() {
    let scene = Scene::new();
    let definition = "subscriptions.eventing.kyma-project.io";
    let live = scene.cluster.get("crd", "default", definition);
    scene.playing(AT_ONCE, || scene.run(&["apply"]).expect(0));
    let mut later = live["spec"].clone();
    later["versions"][0]["additionalPrinterColumns"] = json!([]);
    later["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        json!({"type": "object", "properties": {"sink": {"type": "string"}, "filter": {"type": "object"}}});
    let later = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": definition}, "spec": later});
    scene.cluster.apply(&later);
    scene.cluster.serves(&[definition]);
    let again = scene.run(&["apply", "-o", "json"]).expect(0).json();
    assert_eq!(again["outcome"], "Unchanged");
    assert!(scene.is_defined(definition));
    scene.cluster.kubectl(&["delete", "crd", definition]).expect(0);
}

#[test]
fn a_deletion_that_admission_refuses_is_named_with_who_refuses_it_and_everything_is_as_before() {
    let scene = Scene::new();
    let definition = "eventactivations.applicationconnector.kyma-project.io";
    let rule = json!({"apiGroups": ["applicationconnector.kyma-project.io"], "apiVersions": ["*"], "operations": ["DELETE"],
        "resources": ["eventactivations"]});
    scene.cluster.apply(&json!([
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "keep"},
         "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false", "message": "they stay"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "keep"},
         "spec": {"policyName": "keep", "validationActions": ["Deny"]}},
    ]));
    let delete = ["delete", definition, "-n", "orders", "shop-events", "--dry-run=server"];
    assert!(becomes(|| scene.cluster.kubectl(&delete).stderr.contains("they stay")), "the policy does not act");
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        let said = scene.run(&["apply"]).expect(1).output();
        for words in ["they stay", "who has a say there: ValidatingAdmissionPolicy keep", "everything is as before"] {
            assert!(said.contains(words), "{words}\n{said}");
        }
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn a_password_is_told_to_nobody_who_reads_reports_or_events() {
    let scene = Scene::new();
    let spellings = [
        "http://me:SECRET@mail.orders/",
        "http://me:SECRET/x@mail.orders/",
        "http://me:SECRET x@mail.orders/",
        "me:SECRET@mail.orders/",
        "http://mail.orders/?code=SECRET",
    ];
    for (number, spelling) in spellings.iter().enumerate() {
        let endpoint = spelling.replace("SECRET", PLANTED_SECRET);
        scene.subscribe(&format!("secretive-{number}"), &json!({"endpoint": endpoint}));
    }
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "it", "image": "none"}]}});
    scene
        .cluster
        .apply(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "default", "name": "it"},
        "spec": {"template": template}}));
    // What jobs write is looked through wherever they run.
    for output in ["text", "json", "yaml", "junit", "github"] {
        scene.run(&["apply", "--job", "it", "-o", output, "--log-level", "debug"]).expect(4);
    }
    for output in ["text", "json"] {
        scene.run(&["status", "-o", output]).expect(0);
    }
    let events = scene.cluster.kubectl(&["get", "events", "-n", "default", "-o", "json"]).expect(0).stdout;
    assert!(events.contains("LP101") && !events.contains(PLANTED_SECRET), "{events}");
}
