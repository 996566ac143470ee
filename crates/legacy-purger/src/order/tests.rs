//! From what was found to the order, without a source.

use std::collections::HashSet;

use serde_json::json;

use std::time::{Duration, SystemTime};

use fairlead_driver::earlier_steps::Valid;

use super::*;
use crate::configuration::{Purge, PurgedKind};
use crate::decide::Mesh;
use crate::index::Index;
use crate::workloads::Workloads;

fn purge() -> Purge {
    serde_json::from_value(json!({"kinds": [{"group": "a.b", "kind": "Thing"}]})).expect("valid")
}

fn options(purge: &Purge) -> Options<'_> {
    Options {
        purge,
        unreplicated: HashSet::new(),
        helm_releases: HashSet::from(["shop".to_owned()]),
        finalizers: HashSet::from(["allowed".to_owned()]),
        stripped: HashSet::from(["f".to_owned()]),
        has_fence: true,
        rehearses: true,
        required_steps: &[],
        release: "it",
        namespace: "ns",
        valid: Valid { revision: None, age: Duration::from_hours(1), now: SystemTime::UNIX_EPOCH },
        concurrency: 1,
    }
}

fn found(entry: &PurgedKind, helm_owned: HelmOwned) -> Found {
    let (entry, kind) = (entry.clone(), entry.observed_kind());
    let definition =
        Definition { entry, kind, api_version: "a.b/v1".into(), plural: "things".into(), image: None, unreadable: None };
    let mut index = Index::default();
    index.begin_kind();
    let dependents = vec![("c.d/v1".to_owned(), Kind::named("c.d", "Child"))];
    Found {
        definitions: vec![definition],
        mesh: Mesh::default(),
        index,
        workloads: Workloads::default(),
        dependents,
        products: Vec::new(),
        helm_owned,
        fence: None,
        silent: Vec::new(),
        around: Vec::new(),
    }
}

fn thing(metadata: &Value) -> Value {
    let mut thing = json!({"apiVersion": "a.b/v1", "kind": "Thing", "metadata": metadata});
    thing["metadata"]["name"] = "t".into();
    thing
}

fn passes<'a>(options: &'a Options<'a>, found: &'a Found) -> Vec<Pass<'a>> {
    let pass = |part| if let Part::Pass(pass) = part { Some(pass) } else { None };
    order(options, found).into_iter().filter_map(pass).collect()
}

/// The stages in which an object is changed.
fn stages_of(passes: &[Pass<'_>], object: &Value) -> Vec<usize> {
    passes.iter().filter_map(|pass| pass.change(object.clone())).map(|change| change.stage).collect()
}

#[test]
fn kinds_are_read_in_the_order_of_stages() {
    let purge = purge();
    let (options, found) = (options(&purge), found(&purge.kinds[0], HelmOwned::Objects));
    let read: Vec<(usize, &str)> =
        passes(&options, &found).iter().map(|pass| (pass.stage, pass.kind.kind.as_ref())).collect();
    assert_eq!(
        read,
        [(RELEASED, "Child"), (DEPENDENTS, "Child"), (FINALIZERS, "Thing"), (OBJECTS, "Thing"), (HELM_OBJECTS, "Thing")]
    );
}

#[test]
fn an_object_goes_in_one_stage() {
    let purge = purge();
    let (options, found) = (options(&purge), found(&purge.kinds[0], HelmOwned::Objects));
    let passes = passes(&options, &found);
    assert_eq!(stages_of(&passes, &thing(&json!({}))), [OBJECTS]);
    let helm_owned = thing(&json!({"annotations": {"meta.helm.sh/release-name": "shop"}}));
    assert_eq!(stages_of(&passes, &helm_owned), [HELM_OBJECTS]);
    let refused = thing(&json!({"annotations": {"meta.helm.sh/release-name": "other"}}));
    assert_eq!(stages_of(&passes, &refused), [0_usize; 0]);
}

#[test]
fn a_stripped_finalizer_is_not_in_the_image_that_is_deleted() {
    let purge = purge();
    let (options, found) = (options(&purge), found(&purge.kinds[0], HelmOwned::Nothing));
    let passes = passes(&options, &found);
    let finalized = thing(&json!({"finalizers": ["f", "g"]}));
    assert_eq!(stages_of(&passes, &finalized), [FINALIZERS, OBJECTS]);
    let last = passes.last().and_then(|pass| pass.change(finalized.clone())).expect("it goes");
    assert_eq!(last.before().expect("an image")["metadata"]["finalizers"], json!(["g"]));
}

#[test]
fn a_workload_of_a_file_may_have_any_spec() {
    let (target, image) = (target(&thing(&json!({}))), json!({"spec": ["not", "an object"]}));
    let mut found = found(&purge().kinds[0], HelmOwned::Nothing);
    found.workloads.held.insert(target, image);
    assert_eq!(holds(&found)[0].after().expect("an image"), &json!({"spec": {"replicas": 0}}));
}

#[test]
fn what_would_not_come_back_does_not_go_with_its_owner() {
    let purge = purge();
    let (options, mut found) = (options(&purge), found(&purge.kinds[0], HelmOwned::Nothing));
    found.index.owned.going.insert("u".into());
    let owned = |kind: &str| {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"namespace": "ns", "name": "data",
            "ownerReferences": [{"apiVersion": "a.b/v1", "kind": "Thing", "name": "t", "uid": "u"}]}})
    };
    let refusal = |object: &Value| passes(&options, &found).iter().find_map(|pass| pass.refusal(object));
    let refused = refusal(&owned("PersistentVolumeClaim")).map(|finding| finding.code);
    assert_eq!(refused.as_deref(), Some("LP119"));
    assert!(refusal(&owned("ConfigMap")).is_none());
    // Only of some is it known who takes it away.
    for (finalizer, code) in [("its.cloud/bucket", Some("LP121")), ("allowed", None), ("kubernetes.io/pvc-protection", None)]
    {
        let mut finalized = owned("ConfigMap");
        finalized["metadata"]["finalizers"] = json!([finalizer]);
        assert_eq!(refusal(&finalized).map(|finding| finding.code).as_deref(), code);
    }
}
