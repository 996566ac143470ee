//! A thousand objects of any form go and come back: with and without an endpoint for the status, any top-level fields, owners,
//! finalizers, managers, several versions, equal field by field.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fairlead_tests::api::Api;
use fairlead_tests::cluster::lease;
use fairlead_tests::program::{becomes, job, root, run};
use fairlead_tests::state::{self, differences};
use hyper::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

const COUNT: usize = 1_000;

const FINALIZER: &str = "example.org/guard";

/// Kind, version in which it is written, path.
const KINDS: [(&str, &str, &str); 4] = [
    ("Whole", "v1alpha1", "/apis/example.org/v1alpha1/wholes"),
    ("Plain", "v1", "/apis/example.org/v1/namespaces/default/plains"),
    ("Part", "v1", "/apis/example.org/v1/namespaces/default/parts"),
    ("Part", "v2", "/apis/example.org/v2/namespaces/default/parts"),
];

const PURGE: &str = "
apiVersion: fairlead.dev/v1
kind: Configuration
purge:
  kinds:
    - {group: example.org, kind: Part}
    - {group: example.org, kind: Plain}
    - {group: example.org, kind: Whole}
";

/// What is not fixed of an object.
#[derive(Clone, Debug)]
struct Form {
    kind: usize,
    fields: Map<String, Value>,
    status: Option<Value>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    is_guarded: bool,
    /// How far before it its owners stand.
    owners: Vec<usize>,
    /// Who writes a field of it later.
    managers: Vec<String>,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|number| json!(f64::from(number) / 8.0 + 0.0625)),
        "[ -~äöü€😀\\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z./_ -]{1,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn texts() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9]{0,10}", 0..3)
        .prop_map(|map| map.into_iter().map(|(key, text)| (key, text.into())).collect())
}

fn form() -> impl Strategy<Value = Form> {
    let fields = proptest::collection::btree_map("(spec|data|rules|Extra|x-[a-z]{1,5})", value(), 0..4);
    let status = proptest::option::of(proptest::collection::btree_map("[a-z]{1,8}", value(), 1..4));
    let owners = proptest::collection::vec(1_usize..20, 0..3);
    let managers = proptest::collection::vec("(helm|kubectl|argo)", 0..3);
    let metadata = (texts(), texts(), proptest::bool::weighted(0.2));
    (0..KINDS.len(), fields, status, metadata, owners, managers).prop_map(
        |(kind, fields, status, (labels, annotations, is_guarded), owners, managers)| Form {
            kind,
            fields: fields.into_iter().collect(),
            status: status.map(|status| status.into_iter().collect()),
            labels,
            annotations,
            is_guarded,
            owners,
            managers,
        },
    )
}

/// Creates an object of this form; what is cluster-wide has no owner in a namespace.
fn create(api: &Api, form: &Form, created: &[Value]) -> Value {
    let (kind, version, path) = KINDS[form.kind];
    let mut object = Value::Object(form.fields.clone());
    object["apiVersion"] = format!("example.org/{version}").into();
    object["kind"] = kind.into();
    object["metadata"] =
        json!({"name": format!("o-{}", created.len()), "labels": form.labels, "annotations": form.annotations});
    if form.is_guarded {
        object["metadata"]["finalizers"] = json!([FINALIZER]);
    }
    let mut owners: Vec<Value> = Vec::new();
    for before in &form.owners {
        let Some(owner) = created.len().checked_sub(*before).map(|index| &created[index]) else { continue };
        let can_own = kind != "Whole" || owner["kind"] == "Whole";
        let reference = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"]});
        if can_own && !owners.contains(&reference) {
            owners.push(reference);
        }
    }
    object["metadata"]["ownerReferences"] = owners.into();
    if let Some(status) = &form.status {
        // Where the status has an endpoint this is not taken.
        object["status"] = status.clone();
    }
    let created = api.expect(&Method::POST, &format!("{path}?fieldManager=creator"), &object);
    let name = format!("{path}/{}", created["metadata"]["name"].as_str().unwrap_or_default());
    if let Some(status) = form.status.as_ref().filter(|_| kind != "Plain") {
        let path = format!("{name}/status?fieldManager=controller");
        api.expect(&Method::PATCH, &path, &json!({"status": status}));
    }
    for manager in &form.managers {
        let label = json!({"metadata": {"labels": {manager: "was-here"}}});
        api.expect(&Method::PATCH, &format!("{name}?fieldManager={manager}"), &label);
    }
    created
}

/// What the controller does that owns the finalizer.
fn let_go(api: &Api, of: impl Fn(&Value) -> bool) {
    for (_, _, path) in KINDS {
        let objects = api.ask(&Method::GET, path, &Value::Null).1;
        for object in objects["items"].as_array().into_iter().flatten().filter(|object| of(object)) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            api.ask(&Method::PATCH, &format!("{path}/{name}"), &json!({"metadata": {"finalizers": null}}));
        }
    }
}

#[test]
fn a_thousand_objects_of_any_form_go_and_come_back() {
    let cluster = lease();
    let api = Api::new(cluster.kubeconfig().as_ref());
    let definitions = root().join("tests/definitions/generated.yaml");
    cluster.kubectl(&["apply", "-f", definitions.to_str().expect("UTF-8")]).expect(0);
    for (_, _, path) in KINDS {
        assert!(becomes(|| api.ask(&Method::GET, path, &Value::Null).0 == 200), "{path} is not served");
    }
    // The same objects every time: a thousand that fail are looked into once.
    let (mut runner, strategy) = (TestRunner::deterministic(), form());
    let mut created = Vec::new();
    while created.len() < COUNT {
        let form = strategy.new_tree(&mut runner).expect("a form").current();
        created.push(create(&api, &form, &created));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    std::fs::write(&file, PURGE).expect("written");
    let states = || {
        let kinds = "plains.example.org,parts.example.org,wholes.example.org";
        state::canonical(state::of_kinds(&cluster, kinds).into_values().collect())
    };
    let ledger = ["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default", "--release", "generated"];
    let file = file.to_str().expect("UTF-8");
    let config = ["--config", file, "--run-timeout", "30m", "--allow-finalizers", FINALIZER];
    let before = states();
    assert_eq!(before.len(), COUNT);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let api = Api::new(cluster.kubeconfig().as_ref());
            let has_ended = || {
                let_go(&api, |object| !object["metadata"]["deletionTimestamp"].is_null());
                is_over.load(Ordering::Relaxed)
            };
            assert!(becomes(has_ended), "the purge does not end");
        });
        let ended = run(job("legacy-purger").arg("apply").args(ledger).args(config), "");
        is_over.store(true, Ordering::Relaxed);
        ended.expect(0);
    });
    for (_, _, path) in KINDS {
        // Its definition is gone, and the API server serves the kind for a moment.
        assert!(becomes(|| api.ask(&Method::GET, path, &Value::Null).0 == 404), "{path} is still served");
    }
    run(job("legacy-purger").args(["rollback", "--last"]).args(ledger), "").expect(0);
    let different = differences(&before, &states());
    assert!(different.is_empty(), "{} are different, the first:\n{}", different.len(), different[0]);
    let crds = ["plains.example.org", "parts.example.org", "wholes.example.org"];
    let_go(&api, |_| true);
    // The next test must not see how they go.
    cluster.kubectl(&[&["delete", "crd"], &crds[..]].concat()).expect(0);
}
