//! Kinds that are deleted with their objects, and come back with them.

use fairlead_tests::program::becomes;
use fairlead_tests::proxy::{Fault, Moment};
use fairlead_tests::state::{State, canonical, differences};
use serde_json::{Value, json};

use crate::scenario::{Method, Order, Stage, clusters, kind};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition(plural: &str, kind: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": schema});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.org")},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [version]}})
}

/// A namespace with three objects of a kind of its own, and the wish that all of it goes: the objects, then the kind.
fn stage(name: &str, plural: &str, kind: &str) -> Stage {
    let stage = Stage::new(&clusters()[0], name);
    let path = stage.path("/apis/example.org/v1", plural);
    stage.api.expect(&Method::POST, DEFINITIONS, &definition(plural, kind));
    let is_served = || stage.api.ask(&Method::GET, &path, &Value::Null).0 == 200;
    assert!(becomes(is_served), "{plural} are not served");
    let names = ["a", "b", "c"];
    for name in names {
        let object = json!({"apiVersion": "example.org/v1", "kind": kind, "metadata": {"name": name}, "spec": {"size": 1}});
        let create = || stage.api.ask(&Method::POST, &path, &object).0 == 201;
        assert!(becomes(create), "{name} cannot be created");
        let status = json!({"status": {"observedGeneration": 1, "phase": "Running"}});
        stage.api.expect(&Method::PATCH, &format!("{path}/{name}/status"), &status);
    }
    let target = |name: &str| json!({"apiVersion": "example.org/v1", "kind": kind, "namespace": stage.name, "name": name});
    let wanted: Vec<Value> = names.iter().map(|name| json!({"target": target(name)})).collect();
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "name": format!("{plural}.example.org")});
    stage.wish(&json!([
        {"name": "objects", "kind": "contract", "undoAt": "pre-rollback", "concurrency": 1, "wanted": wanted},
        {"name": "kinds", "kind": "contract", "undoAt": "pre-rollback", "concurrency": 1, "settled": "Established",
            "wanted": [{"target": definition}]},
    ]));
    stage
}

/// The definition without its status, in which the API server says when what happened, and the objects.
fn state(stage: &Stage, plural: &str) -> State {
    let mut definition = stage.api.get(&format!("{DEFINITIONS}/{plural}.example.org"));
    definition.as_object_mut().expect("an object").remove("status");
    let is_of_server = |entry: &Value| entry["subresource"] == "status";
    let managers = definition["metadata"]["managedFields"].as_array_mut().expect("a list");
    managers.retain(|entry| !is_of_server(entry));
    let list = stage.api.get(&stage.path("/apis/example.org/v1", plural));
    let mut objects = list["items"].as_array().expect("a list").clone();
    objects.push(definition);
    canonical(objects)
}

#[test]
fn a_kind_comes_back_before_its_objects_and_they_come_back_with_their_status() {
    let stage = stage("definitions", "gadgets", "Gadget");
    let old = state(&stage, "gadgets");
    assert_eq!(old.len(), 4);
    stage.run_to_the_end(Order::Apply).expect(0);
    assert_eq!(stage.api.ask(&Method::GET, &format!("{DEFINITIONS}/gadgets.example.org"), &Value::Null).0, 404);
    stage.run_to_the_end(Order::Rollback).expect(0);
    assert_eq!(differences(&old, &state(&stage, "gadgets")), Vec::<String>::new());
}

#[test]
fn killed_when_the_kind_is_back_and_its_objects_are_not_the_next_rollback_brings_them() {
    let stage = stage("definitions-killed", "gizmos", "Gizmo");
    let old = state(&stage, "gizmos");
    stage.run_to_the_end(Order::Apply).expect(0);
    let (killed, _) = stage
        .run(Order::Rollback, &[], |asked| (kind(asked) == "create gizmos").then_some(Fault::Kill(Moment::AfterCommit)));
    assert_eq!(killed.status, None, "{}", killed.output());
    stage.run_to_the_end(Order::Rollback).expect(0);
    assert_eq!(differences(&old, &state(&stage, "gizmos")), Vec::<String>::new());
}
