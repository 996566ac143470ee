//! Text stays text, whatever it looks like: YAML takes `1234`, `on`, `1e3` and `null` for something else.

use std::fs;

use serde_json::{Value, json};

use crate::library::{DICT, ROLLBACK, foreign, write};
use crate::{ALL_JOBS, CHART, HELMS, objects, release, text};

/// Texts that YAML reads as numbers, booleans, nothing, times, lists, maps, comments and what not.
const LOOK_ALIKES: [&str; 30] = [
    "1234",
    "on",
    "1e3",
    "null",
    "~",
    "0x1f",
    "0o17",
    "1_000",
    ".5",
    "+1",
    ".inf",
    "yes",
    "N",
    "12:30:45",
    "2026-01-01",
    "a: b",
    "a # b",
    "a:",
    "- a",
    "{a: b}",
    "[a]",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "it's",
    "\"a\"",
    "a\\b",
    "<a>\n\tb ",
];

/// Those that are names in Kubernetes.
const NAMESPACES: [&str; 7] = ["1234", "on", "1e3", "null", "0x1f", "2026-01-01", "y"];

/// The fields of these objects that are numbers or booleans in Kubernetes.
const NOT_TEXT: [&str; 14] = [
    "activeDeadlineSeconds",
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "backoffLimit",
    "enableServiceLinks",
    "optional",
    "readOnly",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "weight",
];

/// Every text in `value`, keys of maps too; what is not text must be below a key that says so.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(key);
            // Exit codes of a podFailurePolicy.
            let key = if key == "values" && map.contains_key("containerName") { "weight" } else { key };
            texts(value, key, found);
        }),
        other => assert!(!other.is_null() && NOT_TEXT.contains(&key), "{key}: {other} is not text"),
    }
}

/// What Helm renders in this namespace for this release, each object with text where text belongs, and in its namespace.
fn rendered(helm: &str, chart: &str, name: &str, more: &[&str]) -> Vec<Value> {
    let objects = objects(&release(helm, name, name, chart, more).expect(0).stdout);
    assert!(!objects.is_empty(), "{helm} {name}");
    for object in &objects {
        texts(object, "", &mut Vec::new());
        let metadata = &object["metadata"];
        let place = if text(&object["kind"]).starts_with("Cluster") {
            &metadata["labels"]["fairlead.dev/namespace"]
        } else {
            &metadata["namespace"]
        };
        assert_eq!((place, &metadata["labels"]["app.kubernetes.io/instance"]), (&json!(name), &json!(name)));
    }
    objects
}

/// A file that a job reads.
fn parsed(text: &str) -> Value {
    objects(&format!("{text}\nmetadata: {{name: it}}")).remove(0)
}

#[test]
fn names_that_look_like_something_else_are_text() {
    let purge = "configuration.purge.kinds[0].group=a.b,configuration.purge.kinds[0].kind=C";
    for helm in HELMS {
        for (name, mode) in NAMESPACES.into_iter().zip(["hook", "job"].into_iter().cycle()) {
            rendered(helm, CHART, name, &["--set", &format!("{ALL_JOBS},{purge},mode={mode}")]);
        }
    }
}

#[test]
fn values_that_look_like_something_else_are_text() {
    let map: Value = LOOK_ALIKES.iter().map(|it| (*it, *it)).collect();
    let list = |item: fn(&str) -> Value| LOOK_ALIKES.map(item);
    let all = list(|it| json!(it));
    let values = json!({
        "release": "1e3",
        "image": {"registry": "1234", "tag": "1e3", "pullPolicy": "Never"},
        "imagePullSecrets": list(|it| json!({"name": it})),
        "nodeSelector": map, "extraLabels": map, "podAnnotations": map,
        "tolerations": list(|it| json!({"key": it, "value": it, "effect": it, "tolerationSeconds": 5})),
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "~", "operator": "In", "values": all}]}}]}},
        "proxy": {"http": "a: b", "https": "a # b", "noProxy": "1234"},
        "triggerReplicator": {"args": all, "excludeNamespaces": ["1234", "on", "1e3"], "image": {"repository": "1234", "tag": "on"}},
        "legacyPurger": {"enabled": true, "args": all, "allowHelmOwned": all,
            "rules": list(|it| json!({"apiGroups": [it], "resources": [it], "resourceNames": [it], "verbs": [it]}))},
        "configuration": {"purge": {"kinds": list(|it| json!({"group": it, "kind": it, "selector": {"matchLabels": {it: it}}}))}},
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), values.to_string()).expect("written");
    for helm in HELMS {
        let objects = rendered(helm, CHART, "on", &["--values", file.path().to_str().expect("UTF-8")]);
        let pods = objects.iter().filter(|object| object["kind"] == "Job").map(|job| &job["spec"]["template"]);
        let pods: Vec<&Value> = pods.collect();
        assert_eq!(pods.len(), 5);
        for pod in pods {
            let mut found = Vec::new();
            texts(pod, "", &mut found);
            for it in LOOK_ALIKES {
                // Label, annotation and selector have it twice, toleration three times, pull secret and affinity once.
                assert!(found.iter().filter(|text| **text == it).count() >= 11, "{helm} {it}: {pod}");
            }
        }
        let file = objects.iter().find(|object| object["kind"] == "ConfigMap").expect("of legacy-purger");
        assert_eq!(parsed(text(&file["data"]["configuration.yaml"]))["purge"], values["configuration"]["purge"], "{helm}");
    }
}

/// In a dict that is made of text, quotes are easily forgotten.
#[test]
fn what_a_chart_of_others_has_not_put_in_quotes_is_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = foreign("helm4", folder.path());
    let more = "
args: [1000000, 0.5, true, --all]
extraLabels: {build: 1000000}
podAnnotations: {build: 1000000, is-it: true}
nodeSelector: {rack: 7}
tolerations: [{key: rack, value: 7, tolerationSeconds: 5}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: rack, operator: In, values: [7]}]}}]}}
imagePullSecrets: [{name: 1234}]
resources: {limits: {memory: 64Mi}}
";
    let values = |objects: &[Value]| {
        let pod = &objects.last().expect("a Job")["spec"]["template"];
        let spec = &pod["spec"];
        json!([
            spec["containers"][0]["args"],
            pod["metadata"]["labels"]["build"],
            pod["metadata"]["annotations"],
            spec["nodeSelector"],
            spec["tolerations"],
            spec["imagePullSecrets"]
        ])
    };
    let expected = json!([["1000000", "0.5", "true", "--all"], "1000000", {"build": "1000000", "is-it": "true"}, {"rack": "7"},
        [{"key": "rack", "value": "7", "tolerationSeconds": 5}], [{"name": "1234"}]]);
    for helm in HELMS {
        write(
            &chart,
            "job",
            &format!(
                "{}{more}env: {{COUNT: 1000000, 7: on, KEY: {{secretKeyRef: {{name: 7, key: 1e3, optional: true}}}}}}",
                DICT.replace("reindex\n", "1234\n")
            ),
        );
        let objects = rendered(helm, &chart, "1234", &[]);
        assert_eq!(values(&objects), expected);
        let env = objects.last().expect("a Job")["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        for variable in [
            json!({"name": "COUNT", "value": "1000000"}),
            json!({"name": "7", "value": "true"}),
            json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "7", "key": "1000", "optional": true}}}),
        ] {
            assert!(env.as_array().expect("a list").contains(&variable), "{variable} is not in {env}");
        }
        write(&chart, "rollback", &format!("{ROLLBACK}{}", more.replace("args:", "mode: job\nnow:")));
        let mut back = expected.clone();
        back[0].as_array_mut().expect("a list").insert(0, json!("rollback"));
        assert_eq!(values(&rendered(helm, &chart, "1234", &[])), back);
    }
}
