//! The executor on objects of every kind of change, edited by others meanwhile.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_kube_client::access::Access;
use fairlead_kube_client::cluster::Cluster as Connection;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{Task, World as _};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::OnDrift;
use fairlead_migration::stage::{Stage, StageKind, UndoAt};
use fairlead_migration::store::Lock;
use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::state;
use serde_json::{Value, json};

/// These tests are alone with their cluster.
struct Alone;

#[async_trait(?Send)]
impl Lock for Alone {
    async fn renew(&self) -> Result<(), Obstacle> {
        Ok(())
    }

    fn tell(&self, _how_far: &str) {}

    fn lasts(&self, _within: Duration) -> bool {
        true
    }

    async fn is_held(&self) -> Result<bool, Obstacle> {
        Ok(true)
    }

    async fn keep(&self, _cancelled: &dyn Fn()) {}

    async fn release(self: Box<Self>) {}
}

const MARK: &str = "default/fairlead.v1.test.1";

fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "it"}, "data": {"ours": value}})
}

fn change(images: Images) -> Change {
    let target =
        Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some("default".into()), name: "it".into() };
    Change { stage: 0, target, images, reason: String::new() }
}

/// Carries out one change, as the executor would.
fn bring(cluster: &Cluster, images: Images) -> Result<(), Obstacle> {
    bring_all(cluster, &[change(images)])
}

async fn connect(cluster: &Cluster) -> Connection {
    let access = Access { kubeconfig: Some(Path::new(cluster.kubeconfig())), ..Access::USUAL };
    Connection::connect(&access, Duration::from_secs(15)).await.expect("the harness's kubeconfig is right")
}

fn bring_all(cluster: &Cluster, changes: &[Change]) -> Result<(), Obstacle> {
    bring_each(cluster, &changes.iter().map(|change| (change.clone(), false)).collect::<Vec<_>>())
}

/// The same; those that are marked are taken back.
fn bring_each(cluster: &Cluster, changes: &[(Change, bool)]) -> Result<(), Obstacle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let connection = connect(cluster).await;
        let discovery = Discovery::default();
        let stage = Stage::new("it", StageKind::Expand, UndoAt::PostRollback, 1);
        for (change, is_undo) in changes {
            let (change, is_undo) = if *is_undo { (change.clone().inverse(), true) } else { (change.clone(), false) };
            let task = Task { change: &change, stage: &stage, mark: MARK, is_undo, on_drift: OnDrift::Stop };
            Objects::new(&connection, &discovery).under(&Alone).bring(&task).await?;
        }
        Ok(())
    })
}

#[test]
fn nothing_is_written_without_the_lock_of_a_release() {
    let cluster = lease();
    let before = state::of(&cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let obstacle = runtime.block_on(async {
        let (connection, discovery) = (connect(&cluster).await, Discovery::default());
        let (change, stage) =
            (change(Images::Create(config_map("1"))), Stage::new("it", StageKind::Expand, UndoAt::PostRollback, 1));
        let task = Task { change: &change, stage: &stage, mark: MARK, is_undo: false, on_drift: OnDrift::Stop };
        Objects::new(&connection, &discovery).bring(&task).await.expect_err("there is no lock")
    });
    assert!(matches!(obstacle, Obstacle::Refused { .. }), "{obstacle}");
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

fn live(cluster: &Cluster) -> Value {
    cluster.kubectl(&["get", "configmap", "-n", "default", "it", "-o", "json", "--show-managed-fields"]).expect(0).json()
}

fn edit(cluster: &Cluster, patch: &Value) {
    cluster.kubectl(&["patch", "configmap", "-n", "default", "it", "--type=merge", "-p", &patch.to_string()]).expect(0);
}

#[test]
fn every_change_is_done_once_however_often_it_is_made_and_its_inverse_takes_it_back() {
    let cluster = lease();
    let create = change(Images::Create(config_map("1")));
    bring_all(&cluster, &[create.clone(), create.clone()]).expect("the second time finds its mark");
    assert_eq!(live(&cluster)["metadata"]["annotations"]["fairlead.dev/ticket"], MARK);

    let before = live(&cluster);
    let mut after = before.clone();
    after["data"] = json!({"ours": "2", "new": "x"});
    let update = change(Images::Update(before.clone(), after));
    bring_all(&cluster, &[update.clone(), update.clone()]).expect("the second time finds its values");
    assert_eq!(live(&cluster)["data"], json!({"ours": "2", "new": "x"}));
    bring_all(&cluster, &[update.clone().inverse(), update.inverse()]).expect("it is taken back");
    assert_eq!(live(&cluster)["data"], before["data"]);

    bring_all(&cluster, &[create.clone().inverse(), create.inverse()]).expect("gone is gone");
    assert!(cluster.list("configmaps").iter().all(|object| object["metadata"]["name"] != "it"));
}

#[test]
fn a_deleted_object_comes_back_with_everything_that_is_ours_to_give() {
    let cluster = lease();
    let mut object = config_map("1");
    object["metadata"]["labels"] = json!({"a": "b"});
    object["metadata"]["finalizers"] = json!([]);
    cluster.apply(&object);
    let before = live(&cluster);
    let delete = change(Images::Delete(before.clone()));
    bring_all(&cluster, &[delete.clone(), delete.clone()]).expect("that uid is gone");
    bring_each(&cluster, &[(delete.clone(), true), (delete, true)]).expect("it is created again, once");
    let (mut restored, mut before) = (live(&cluster), before);
    assert_ne!(restored["metadata"]["uid"], before["metadata"]["uid"]);
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        restored["metadata"].as_object_mut().expect("an object").remove(field);
        before["metadata"].as_object_mut().expect("an object").remove(field);
    }
    // Also who owns which field.
    assert_eq!(restored, before);
}

#[test]
fn fields_of_others_are_left_and_our_fields_written_by_others_are_drift() {
    let cluster = lease();
    cluster.apply(&config_map("1"));
    let before = live(&cluster);
    let mut after = before.clone();
    after["data"]["ours"] = "2".into();

    // Another field: the write conflicts, is read again, and goes through.
    edit(&cluster, &json!({"data": {"theirs": "x"}}));
    bring(&cluster, Images::Update(before.clone(), after.clone())).expect("another field is other people's business");
    assert_eq!(live(&cluster)["data"], json!({"ours": "2", "theirs": "x"}));

    edit(&cluster, &json!({"data": {"ours": "3"}}));
    let obstacle = bring(&cluster, Images::Update(before.clone(), after.clone())).expect_err("our field is drift");
    assert!(matches!(obstacle, Obstacle::Drift { .. }), "{obstacle}");
    let obstacle = bring(&cluster, Images::Update(after, before)).expect_err("and cannot be taken back");
    assert_eq!(obstacle.to_string(), "ConfigMap default/it: somebody else has written the same fields");
    assert_eq!(live(&cluster)["data"]["ours"], "3");
}

#[test]
fn objects_of_others_are_neither_taken_over_nor_deleted() {
    let cluster = lease();
    cluster.apply(&config_map("theirs"));
    let before = state::of(&cluster);
    let obstacle = bring(&cluster, Images::Create(config_map("1"))).expect_err("the name is taken");
    assert_eq!(obstacle.to_string(), "ConfigMap default/it: somebody else has created it meanwhile");
    // Taking back a creation that never happened leaves the other's object alone.
    bring(&cluster, Images::Delete(config_map("1"))).expect("ours is not there");
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

#[test]
fn what_we_created_and_others_changed_is_not_deleted() {
    let cluster = lease();
    bring(&cluster, Images::Create(config_map("1"))).expect("created");
    edit(&cluster, &json!({"data": {"ours": "theirs now"}}));
    let obstacle = bring(&cluster, Images::Delete(config_map("1"))).expect_err("somebody relies on it now");
    assert_eq!(obstacle.to_string(), "ConfigMap default/it: somebody else has changed it since");
}

#[test]
fn an_object_that_is_gone_cannot_be_updated() {
    let cluster = lease();
    cluster.apply(&config_map("1"));
    let before = live(&cluster);
    let mut after = before.clone();
    after["data"]["ours"] = "2".into();
    cluster.kubectl(&["delete", "configmap", "-n", "default", "it"]).expect(0);
    let obstacle = bring(&cluster, Images::Update(before, after)).expect_err("it is gone");
    assert_eq!(obstacle.to_string(), "ConfigMap default/it: somebody else has deleted it");
}

/// A selector of two labels, one of which somebody has written since.
#[test]
fn a_switch_that_somebody_has_ended_is_left_as_it_is() {
    let cluster = lease();
    let mut object = config_map("old");
    object["data"]["tier"] = "a".into();
    cluster.create(std::iter::once(object));
    let before = live(&cluster);
    let mut after = before.clone();
    after["data"] = json!({"ours": "new"});
    let switch = change(Images::Update(before, after));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bring = |change: &Change, is_undo, on_drift| {
        runtime.block_on(async {
            let (connection, discovery) = (connect(&cluster).await, Discovery::default());
            let stage = Stage::new("it", StageKind::Switch, UndoAt::PostRollback, 1);
            let task = Task { change, stage: &stage, mark: MARK, is_undo, on_drift };
            Objects::new(&connection, &discovery).under(&Alone).bring(&task).await
        })
    };
    bring(&switch, false, OnDrift::Stop).expect("nobody else has written it");
    assert_eq!(live(&cluster)["data"], json!({"ours": "new"}));
    edit(&cluster, &json!({"data": {"ours": "newer"}}));
    let edited = state::of(&cluster);
    let back = switch.inverse();
    for on_drift in [OnDrift::Stop, OnDrift::Merge, OnDrift::Overwrite] {
        bring(&back, true, on_drift).expect("it has ended");
        assert_eq!(state::differences(&edited, &state::of(&cluster)), Vec::<String>::new());
    }
    // As it was left, it is taken back whole.
    edit(&cluster, &json!({"data": {"ours": "new"}}));
    bring(&back, true, OnDrift::Stop).expect("it is as it was left");
    assert_eq!(live(&cluster)["data"], json!({"ours": "old", "tier": "a"}));
}
