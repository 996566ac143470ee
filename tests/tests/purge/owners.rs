//! Objects that purged objects own: the garbage collector deletes them, and they come back.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, job, run, tool};
use fairlead_tests::state::{self, State, differences};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// A cluster with two kinds, and what is purged of them.
pub(crate) struct Owners<'a> {
    cluster: &'a Cluster,
    configuration: NamedTempFile,
}

impl<'a> Owners<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let definition = |kind: &str, scope: &str| {
            let plural = format!("{}s", kind.to_lowercase());
            let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.owners.test")},
                "spec": {"group": "owners.test", "scope": scope, "names": {"kind": kind, "plural": plural}, "versions": versions}})
        };
        cluster.apply(&json!([definition("Part", "Namespaced"), definition("Line", "Cluster")]));
        assert!(becomes(|| cluster.kubectl(&["get", "parts,lines", "-A"]).status == Some(0)), "they are not served");
        Self { cluster, configuration: NamedTempFile::new().expect("a temporary file") }
    }

    pub(crate) fn configure(&self, purge: &Value) {
        let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "purge": purge});
        std::fs::write(self.configuration.path(), configuration.to_string()).expect("written");
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let mut purger = job("legacy-purger");
        purger.args(args).args(["--kubeconfig", self.cluster.kubeconfig(), "--ledger-namespace", "default", "--config"]);
        run(purger.arg(self.configuration.path()), "")
    }

    /// Creates an object with these owners, and returns what names it as an owner.
    pub(crate) fn make(&self, kind: &str, name: &str, labels: &Value, owners: &[&Value]) -> Value {
        let api_version = if ["Part", "Line"].contains(&kind) { "owners.test/v1" } else { "v1" };
        let mut metadata = json!({"name": name, "labels": labels, "ownerReferences": owners});
        let namespace = if kind == "Line" { "" } else { "default" };
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        self.cluster.apply(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}));
        let made = self.cluster.get(&kind.to_lowercase(), "default", name);
        json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": made["metadata"]["uid"]})
    }

    pub(crate) fn state(&self) -> State {
        let kinds = "parts,lines,configmaps,secrets,customresourcedefinitions";
        let mut objects: Vec<Value> = state::of_kinds(self.cluster, kinds).into_values().collect();
        objects.retain(|object| {
            object["type"] != "fairlead.dev/ticket" && !object["metadata"]["name"].to_string().contains("fairlead")
        });
        for definition in objects.iter_mut().filter(|object| object["kind"] == "CustomResourceDefinition") {
            definition.as_object_mut().expect("an object").remove("status");
            let managers = definition["metadata"]["managedFields"].as_array_mut().expect("a list");
            managers.retain(|entry| entry["subresource"] != "status");
        }
        state::canonical(objects)
    }

    fn names(&self, kinds: &str) -> Vec<String> {
        let names = ["get", kinds, "-A", "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name} {end}"];
        let names = self.cluster.kubectl(&names).expect(0).stdout;
        names.split_whitespace().map(str::to_owned).collect()
    }
}

fn old() -> Value {
    json!({"gen": "old"})
}

#[test]
fn what_owns_others_of_the_same_kinds_goes_with_them_and_all_come_back_at_once() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    let line = scene.make("Line", "z-line", &old(), &[]);
    let a = scene.make("Part", "a", &json!({}), &[&line]);
    let b = scene.make("Part", "b", &json!({}), &[&a]);
    let c = scene.make("Part", "c", &old(), &[&b]);
    scene.make("Part", "d", &json!({}), &[&c]);
    scene.make("Part", "of-nobody", &json!({}), &[]);
    let kind = |kind: &str| json!({"group": "owners.test", "kind": kind, "selector": {"matchLabels": {"gen": "old"}}, "keepDefinition": true});
    for kinds in [json!([kind("Part"), kind("Line")]), json!([kind("Line"), kind("Part")])] {
        scene.configure(&json!({"kinds": kinds, "dependents": [{"group": "owners.test", "kind": "Part"}]}));
        let before = scene.state();
        let plan = scene.run(&["plan"]).expect(0).stdout;
        for name in ["a", "b", "c", "d"] {
            let lines = plan.lines().filter(|line| line.contains(&format!("Part default/{name}")));
            assert_eq!(lines.collect::<Vec<_>>(), [format!("- delete Part default/{name}")], "{plan}");
        }
        for words in [
            "= Part default/of-nobody: left alone, its labels are not selected",
            "# its owner goes, and the garbage collector would delete it",
            "# the configuration selects it",
            "DESTROYS 1 Line, 4 Part",
        ] {
            assert!(plan.contains(words), "{words}\n{plan}");
        }
        scene.run(&["apply"]).expect(0);
        assert_eq!(scene.names("parts,lines"), ["Part/of-nobody"]);
        scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    }
    // The guards look at what goes along as well.
    let release = json!({"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "default"});
    let patch = json!({"metadata": {"annotations": release}}).to_string();
    cluster.kubectl(&["patch", "part", "d", "--type=merge", "-p", &patch]).expect(0);
    let refused = scene.run(&["apply"]).expect(4).output();
    assert!(refused.contains("! refused LP105 Part default/d: it belongs to Helm release crm"), "{refused}");
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

#[test]
fn a_second_owner_keeps_an_object_which_gets_the_first_one_back() {
    let cluster = Cluster::with_controllers();
    let scene = Owners::new(&cluster);
    // The collector learns of kinds now and then.
    let probe = scene.make("Part", "probe", &json!({}), &[]);
    scene.make("ConfigMap", "of-probe", &json!({}), &[&probe]);
    cluster.kubectl(&["delete", "part", "probe"]).expect(0);
    let is_collected = || cluster.kubectl(&["get", "configmap", "of-probe"]).status != Some(0);
    assert!(becomes(is_collected), "nothing is collected");

    let [first, second] = ["first", "second"].map(|name| scene.make("Part", name, &old(), &[]));
    let other = scene.make("ConfigMap", "other", &json!({}), &[]);
    scene.make("ConfigMap", "two-owners", &json!({}), &[&first, &other, &second]);
    scene.make("ConfigMap", "both-go", &json!({}), &[&first, &second]);
    let only = scene.make("ConfigMap", "only", &json!({}), &[&first]);
    scene.make("Secret", "of-only", &json!({}), &[&only]);
    scene.make("Part", "kept-part", &json!({}), &[&other, &first]);
    let before = scene.state();
    scene.configure(&json!({"owned": "all",
        "kinds": [{"group": "owners.test", "kind": "Part", "selector": {"matchLabels": {"gen": "old"}}}]}));
    let plan = scene.run(&["plan"]).expect(0).stdout;
    for words in [
        "~ update ConfigMap default/two-owners",
        "~ update Part default/kept-part",
        "# another owner keeps it",
        "DESTROYS 2 ConfigMap, 1 Secret",
        "= Part default/kept-part: left alone, its labels are not selected",
    ] {
        assert!(plan.contains(words), "{words}\n{plan}");
    }
    for _ in 0..2 {
        scene.run(&["apply"]).expect(0);
        let is_gone = || {
            scene
                .names("configmaps,secrets")
                .iter()
                .all(|it| !["only", "of-only", "both-go"].iter().any(|name| it.ends_with(&format!("/{name}"))))
        };
        assert!(becomes(is_gone), "{:?}", scene.names("configmaps,secrets"));
        let kept = scene.cluster.get("configmap", "default", "two-owners");
        assert_eq!(kept["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1), "{kept}");
        assert_eq!(scene.names("parts"), ["Part/kept-part"]);
        scene.run(&["rollback", "--last"]).expect(0);
        assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    }
}

/// The first attempt gives the reference back with the owner's new uid, and the second finds it so.
#[test]
fn a_rollback_that_is_run_again_knows_the_references_that_it_has_given_back() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    let first = scene.make("Part", "first", &old(), &[]);
    let other = scene.make("ConfigMap", "other", &json!({}), &[]);
    scene.make("ConfigMap", "two-owners", &json!({}), &[&first, &other]);
    scene.make("Part", "denied", &old(), &[]);
    let before = scene.state();
    scene.configure(&json!({"dependents": [{"group": "", "kind": "ConfigMap"}],
        "kinds": [{"group": "owners.test", "kind": "Part", "selector": {"matchLabels": {"gen": "old"}}, "keepDefinition": true}]}));
    scene.run(&["apply"]).expect(0);
    let of_kind = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "denied"}, "spec": spec});
    let rule = json!({"apiGroups": ["owners.test"], "apiVersions": ["*"], "resources": ["parts"], "operations": ["CREATE"]});
    let denies = json!({"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "object.metadata.name != 'denied'"}]});
    let bound = json!({"policyName": "denied", "validationActions": ["Deny"]});
    cluster
        .apply(&json!([of_kind("ValidatingAdmissionPolicy", denies), of_kind("ValidatingAdmissionPolicyBinding", bound)]));
    let probe =
        json!({"apiVersion": "owners.test/v1", "kind": "Part", "metadata": {"name": "denied", "namespace": "default"}})
            .to_string();
    let create = || {
        run(tool("kubectl").args(["--kubeconfig", cluster.kubeconfig(), "create", "--dry-run=server", "-f", "-"]), &probe)
    };
    assert!(becomes(|| create().status != Some(0)), "the policy does not act");
    scene.run(&["rollback", "--last"]).expect(3);
    let owned = cluster.get("configmap", "default", "two-owners")["metadata"]["ownerReferences"].clone();
    assert_eq!(owned[0]["uid"], cluster.get("part", "default", "first")["metadata"]["uid"], "{owned}");
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        cluster.kubectl(&["delete", kind, "denied"]).expect(0);
    }
    assert!(becomes(|| create().status == Some(0)), "the policy stays");
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

#[test]
fn one_warning_says_what_nobody_has_looked_at() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    scene.make("Part", "a", &old(), &[]);
    let warned = |owned: Option<&str>| {
        let mut purge =
            json!({"kinds": [{"group": "owners.test", "kind": "Part"}], "dependents": [{"group": "", "kind": "ConfigMap"}]});
        if let Some(owned) = owned {
            purge["owned"] = owned.into();
        }
        scene.configure(&purge);
        let plan = scene.run(&["plan"]).expect(0).stdout;
        let warnings = plan.lines().filter(|line| line.contains("LP211")).map(str::to_owned);
        warnings.collect::<Vec<_>>()
    };
    let expected = "! warning LP211 CustomResourceDefinition parts.owners.test: objects that purged ones own are not looked at in any kind but \
                    Part of owners.test, ConfigMap";
    assert_eq!(warned(None), [expected]);
    assert_eq!(warned(Some("named")), Vec::<String>::new());
    assert_eq!(warned(Some("all")), Vec::<String>::new());
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

#[test]
fn a_group_whose_server_does_not_answer_is_warned_of() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    scene.make("Part", "a", &old(), &[]);
    let service = json!({"namespace": "default", "name": "nowhere"});
    let spec = json!({"group": "silent.test", "version": "v1", "service": service, "insecureSkipTLSVerify": true,
        "groupPriorityMinimum": 100, "versionPriority": 100});
    cluster.apply(&json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.silent.test"}, "spec": spec}));
    let warned = |owned: &str| {
        scene.configure(&json!({"owned": owned, "kinds": [{"group": "owners.test", "kind": "Part"}]}));
        let plan = scene.run(&["plan"]).expect(0).stdout;
        plan.lines().filter(|line| line.contains("LP214")).map(str::to_owned).collect::<Vec<_>>()
    };
    // The API server asks it first.
    assert!(becomes(|| !warned("all").is_empty()), "it is never known to be silent");
    let expected = "! warning LP214 CustomResourceDefinition parts.owners.test: what its objects own is not looked for in silent.test/v1: \
                    no server answers for it";
    assert_eq!(warned("all"), [expected]);
    assert_eq!(warned("named"), Vec::<String>::new());
    cluster.kubectl(&["delete", "apiservice", "v1.silent.test"]).expect(0);
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

/// As `helm rollback` does it: what Helm's object owns comes back in the second part, behind it, whoever has put it back.
#[test]
fn what_an_object_of_helm_owns_comes_back_behind_it() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    let finalizer = "owners.test/it";
    let patch = json!({"metadata": {"finalizers": [finalizer],
        "annotations": {"meta.helm.sh/release-name": "crm", "meta.helm.sh/release-namespace": "default"}}});
    let helms = scene.make("Part", "helms", &old(), &[]);
    cluster.kubectl(&["patch", "part", "helms", "--type=merge", "-p", &patch.to_string()]).expect(0);
    let product = scene.make("ConfigMap", "product", &json!({"made": "yes"}), &[&helms]);
    scene.make("Part", "of-product", &old(), &[&product]);
    scene.make("Part", "of-helms", &old(), &[&helms]);
    scene.make("Part", "of-nobody", &old(), &[]);
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "gone"});
    let products =
        json!([{"group": "", "kind": "ConfigMap", "namespace": "default", "selector": {"matchLabels": {"made": "yes"}}}]);
    scene.configure(&json!({"owned": "named", "finalizers": [{"name": finalizer, "owner": owner, "deletes": products}],
        "kinds": [{"group": "owners.test", "kind": "Part", "selector": {"matchLabels": {"gen": "old"}}, "keepDefinition": true}]}));
    let flags = ["--allow-helm-owned", "crm", "--strip-finalizers", finalizer];
    for is_helms_back in [false, true] {
        let (before, helms) = (scene.state(), cluster.get("part", "default", "helms"));
        scene.run(&[&["apply"], &flags[..]].concat()).expect(0);
        assert!(scene.names("parts").is_empty() && cluster.kubectl(&["get", "configmap", "product"]).status != Some(0));
        let part = |at: &str| scene.run(&["rollback", "--to", "0", "--undo-at", at]).expect(0).output();
        let first = part("pre-rollback");
        assert!(first.contains("Helm has applied the old manifests"), "{first}");
        assert_eq!(scene.names("parts"), ["Part/of-nobody"]);
        if is_helms_back {
            let keep = |key: &str| helms["metadata"][key].clone();
            let metadata = json!({"namespace": "default", "name": "helms", "labels": keep("labels"),
                "annotations": keep("annotations"), "finalizers": keep("finalizers")});
            cluster.apply(&json!({"apiVersion": "owners.test/v1", "kind": "Part", "metadata": metadata}));
        }
        part("post-rollback");
        let mut different = differences(&before, &scene.state());
        different.retain(|it| !(is_helms_back && it.contains("/\"helms\"")));
        assert_eq!(different, Vec::<String>::new());
    }
    cluster.kubectl(&["patch", "part", "helms", "--type=merge", "-p", "{\"metadata\": {\"finalizers\": null}}"]).expect(0);
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}

#[test]
fn an_owner_that_is_gone_is_named_in_the_report_with_what_it_owned() {
    let cluster = lease();
    let scene = Owners::new(&cluster);
    let [gone, other] = ["gone", "other"].map(|name| scene.make("ConfigMap", name, &json!({}), &[]));
    scene.make("Part", "a", &old(), &[&gone]);
    scene.make("Part", "b", &old(), &[&other, &gone]);
    scene.make("Part", "c", &old(), &[&other]);
    scene.configure(&json!({"owned": "named", "kinds": [{"group": "owners.test", "kind": "Part", "keepDefinition": true}]}));
    let purge = || {
        scene.run(&["apply"]).expect(0);
        cluster.kubectl(&["delete", "configmap", "gone"]).expect(0);
    };
    let line =
        |name: &str| format!("! Part default/{name}: restored without its owner ConfigMap default/gone, which is gone\n");
    purge();
    let said = scene.run(&["rollback", "--last"]).expect(0).stdout;
    assert!(said.contains("Done: ") && said.contains(&format!("{}{}", line("a"), line("b"))), "{said}");
    assert!(!said.contains("Part default/c:"), "{said}");
    let owners = |name: &str| cluster.get("part", "default", name)["metadata"]["ownerReferences"].clone();
    assert_eq!((owners("a"), owners("b"), owners("c")), (Value::Null, json!([other]), json!([other])));

    let gone = scene.make("ConfigMap", "gone", &json!({}), &[]);
    let patch = json!({"metadata": {"ownerReferences": [gone]}}).to_string();
    cluster.kubectl(&["patch", "part", "a", "--type=merge", "-p", &patch]).expect(0);
    purge();
    let report = scene.run(&["rollback", "--last", "-o", "json"]).expect(0).json();
    let left: Vec<(&Value, &Value)> =
        report["left"].as_array().expect("a list").iter().map(|it| (&it["target"]["name"], &it["message"])).collect();
    assert_eq!(left, [(&json!("a"), &json!("restored without its owner ConfigMap default/gone, which is gone"))]);
    cluster.kubectl(&["delete", "crd", "parts.owners.test", "lines.owners.test"]).expect(0);
}
