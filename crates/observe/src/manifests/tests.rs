use super::*;
use crate::kind::Kind;
use serde_json::json;

static THING: Kind = Kind::namespaced("example.com", "Thing", &[]);

fn thing(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"namespace": namespace, "name": name}, "spec": {"a": 1}})
}

fn edited(edit: impl FnOnce(&mut Value)) -> Value {
    let mut object = thing("shop", "a");
    edit(&mut object);
    object
}

/// Reads each object from a file of its own.
fn read(objects: impl IntoIterator<Item = Value>) -> Result<Manifests<'static>, String> {
    static KINDS: [&Kind; 1] = [&THING];
    let mut manifests = Manifests::new(&KINDS, "v1");
    for (number, object) in objects.into_iter().enumerate() {
        manifests.add(&format!("{number}.yaml").into(), 1, object)?;
    }
    Ok(manifests.sorted())
}

#[test]
fn objects_come_in_the_order_of_their_keys_however_many_there_are() {
    // More than one batch, and more than one block.
    let padding = "x".repeat(1_000);
    let name = |number: usize| format!("n{:05}", number * 7_919 % 10_000);
    let objects = (0..10_000).map(|number| {
        let mut object = thing("shop", &name(number));
        object["spec"]["padding"] = padding.as_str().into();
        object
    });
    let manifests = read(objects).expect("valid");
    let names: Vec<String> = manifests.of(&THING).map(|object| object::name(&object).to_owned()).collect();
    assert!(names.len() == 10_000 && names.is_sorted(), "{}", names.len());
    let mut side_by_side = Vec::new();
    manifests.each(&THING, |object| object::name(&object).to_owned(), |name| side_by_side.push(name));
    assert_eq!(side_by_side, names);
}

#[test]
fn the_same_object_is_there_once_and_two_that_differ_are_told_apart() {
    let same = [
        edited(|_| {}),
        edited(|object| object["metadata"]["resourceVersion"] = "7".into()),
        edited(|object| object["apiVersion"] = "example.com/v1beta1".into()),
    ];
    assert_eq!(read(same).expect("they are the same").of(&THING).count(), 1);
    let default = edited(|object| object["metadata"]["namespace"] = "default".into());
    let absent = edited(|object| drop(object["metadata"].as_object_mut().expect("an object").remove("namespace")));
    assert_eq!(read([default, absent]).expect("they are the same").of(&THING).count(), 1);
    for other in [
        edited(|object| object["spec"]["a"] = 2.into()),
        edited(|object| object["metadata"]["labels"] = json!({"a": "b"})),
        edited(|object| object["status"] = json!({"ready": true})),
    ] {
        let error = read([edited(|_| {}), thing("shop", "b"), other]).err().expect("they differ");
        assert_eq!(error, "document 1 of 0.yaml says otherwise; leave one of them out");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for (pointer, value, expected) in [
        ("/metadata/namespace", json!(4711), "metadata.namespace is not text but a number"),
        ("/metadata/namespace", json!({"NAMESPACE": null}), "metadata.namespace is not text but an object"),
        ("/metadata/name", json!(true), "metadata.name is not text but a boolean"),
        ("/metadata/name", json!(""), "metadata.name is empty"),
        ("/metadata", json!(null), "metadata.name is missing"),
        ("/metadata", json!([1]), "metadata is not an object but a list"),
        ("/spec", json!(["a"]), "spec is not an object but a list"),
        ("/spec", json!("a"), "spec is not an object but text"),
    ] {
        let object = edited(|object| *object.pointer_mut(pointer).expect(pointer) = value.clone());
        assert_eq!(read([object]).err().as_deref(), Some(expected));
    }
    for (field, value, expected) in [
        ("labels", json!("a"), "metadata.labels is not an object but text"),
        ("labels", json!({"build": 7}), "metadata.labels.build is not text but a number; quote it"),
        ("annotations", json!({"on": true}), "metadata.annotations.on is not text but a boolean; quote it"),
        ("finalizers", json!("a"), "metadata.finalizers is not a list but text"),
    ] {
        assert_eq!(read([edited(|object| object["metadata"][field] = value)]).err().as_deref(), Some(expected));
    }
    let unnamed = edited(|object| object["metadata"] = json!({"generateName": "a-"}));
    assert!(read([unnamed]).err().is_some_and(|error| error.contains("generateName")));
    let foreign = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "a-"}, "spec": 7});
    let kustomization = json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": []});
    assert!(read([foreign, kustomization]).is_ok());
}

#[test]
fn an_object_is_the_same_however_its_writers_put_it() {
    for same in [
        edited(|object| object["metadata"]["creationTimestamp"] = json!(null)),
        edited(|object| object["metadata"]["annotations"] = json!(null)),
        edited(|object| object["metadata"]["finalizers"] = json!([])),
        edited(|object| object["metadata"]["labels"] = json!({})),
        edited(|object| object["status"] = json!({})),
        edited(|object| object["status"] = json!({"conditions": []})),
        edited(|object| object["spec"] = json!({"a": 1.0, "b": null})),
        edited(|object| object["apiVersion"] = json!("example.com/v1beta1")),
    ] {
        let is_empty_status = same["status"]["conditions"].is_array();
        let other = if is_empty_status {
            edited(|object| object["status"] = json!({"conditions": null}))
        } else {
            thing("shop", "a")
        };
        assert_eq!(read([other, same.clone()]).err(), None, "{same}");
    }
    for other in [
        edited(|object| object["spec"] = json!({"a": 1.5})),
        edited(|object| object["spec"] = json!({"a": 1, "b": {}})),
        edited(|object| object["metadata"]["finalizers"] = json!(["f"])),
    ] {
        assert!(read([thing("shop", "a"), other.clone()]).is_err(), "{other}");
    }
}
