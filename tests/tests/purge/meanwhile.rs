//! What happens between the plan and the first deletion.

use std::fs::read_to_string;
use std::process::{Child, Stdio};

use fairlead_tests::program::becomes;
use fairlead_tests::state::differences;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::fence::is_going;
use crate::scene::{AT_ONCE, PATIENT, SUBSCRIPTIONS, Scene, replicas, served};

/// What the log says of the Trigger of Subscription `unready`.
pub(crate) const IS_WAITED_FOR: &str =
    "waiting until Triggers are Ready open=1 first=Subscription orders/unready why=\"Trigger orders/unready: BrokerReady";

/// A run of apply, and its log.
pub(crate) struct Running {
    child: Child,
    log: NamedTempFile,
}

impl Running {
    pub(crate) fn start(scene: &Scene, args: &[&str]) -> Self {
        let log = NamedTempFile::new().expect("a temporary file");
        let mut command = scene.command(&[&["apply"], args].concat());
        command.stdout(Stdio::null()).stderr(log.reopen().expect("it is there"));
        Self { child: command.spawn().expect("it starts"), log }
    }

    pub(crate) fn said(&self) -> String {
        read_to_string(self.log.path()).expect("its log")
    }

    fn waits(&self) -> usize {
        self.said().matches(IS_WAITED_FOR).count()
    }

    #[track_caller]
    pub(crate) fn expect(mut self, status: i32) -> String {
        let ended = self.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(status), "{}", self.said());
        self.said()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves its cluster to others. It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many pods the held workload has. While there is one the plan has been made, and nothing is deleted.
fn has_pods(scene: &Scene, pods: u32) {
    let path = "apps/v1/namespaces/kyma-integration/deployments";
    scene.patch_status(path, "application-broker", &json!({"status": {"replicas": pods}}));
}

fn is_held(scene: &Scene) -> bool {
    replicas(&scene.cluster, "kyma-integration", "application-broker") == 0
}

#[test]
fn a_trigger_that_is_not_ready_for_a_moment_is_waited_for() {
    let scene = Scene::new();
    scene.subscribe("unready", &json!({}));
    scene.replicate("unready", "True");
    has_pods(&scene, 1);
    let before = scene.state();
    scene.is_ready("unready", "False");
    scene.playing(AT_ONCE, || {
        let run = Running::start(&scene, &[&["--ready-timeout", "10m"], &PATIENT[..]].concat());
        assert!(becomes(|| run.waits() > 0), "{}", run.said());
        scene.is_ready("unready", "True");
        assert!(becomes(|| is_held(&scene)), "{}", run.said());
        let waits_of_the_plan = run.waits();
        scene.is_ready("unready", "False");
        has_pods(&scene, 0);
        assert!(becomes(|| run.waits() > waits_of_the_plan), "{}", run.said());
        assert!(!run.said().contains("changed action=delete"), "{}", run.said());
        scene.is_ready("unready", "True");
        run.expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
    });
    has_pods(&scene, 1);
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

/// Runs apply, and `meanwhile` after the plan and before the first deletion; it must end with `status`, and delete nothing. What it then
/// has said.
pub(crate) fn stopped_by(scene: &Scene, status: i32, meanwhile: impl FnOnce()) -> String {
    has_pods(scene, 1);
    scene.playing(AT_ONCE, || {
        let run = Running::start(scene, &PATIENT);
        assert!(becomes(|| is_held(scene)), "{}", run.said());
        meanwhile();
        has_pods(scene, 0);
        let said = run.expect(status);
        assert!(!said.contains("changed action=delete"), "{said}");
        said
    })
}

#[test]
fn a_consumer_that_somebody_starts_again_stops_it() {
    let scene = Scene::new();
    let said = stopped_by(&scene, 4, || {
        scene
            .cluster
            .kubectl(&["scale", "-n", "kyma-integration", "deployment/application-broker", "--replicas=2"])
            .expect(0);
    });
    let words = "LP104 Deployment kyma-integration/application-broker: it has 2 replicas, and should have none by now: see who has started it";
    assert!(said.contains(words), "{said}");
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 2);
}

#[test]
fn what_would_go_along_without_a_snapshot_stops_it() {
    let scene = Scene::new();
    let [channel, _] = served("late");
    let said = stopped_by(&scene, 6, || scene.cluster.apply(&channel));
    let words = "Channel kyma-system/late-x7k2p: it was created since the snapshot, and would go along with what is purged";
    assert!(said.contains(words), "{said}");
    // Now it is in the snapshot.
    let before = scene.state();
    scene.playing(AT_ONCE, || {
        scene.run(&["apply"]).expect(0);
        scene.run(&["rollback", "--last"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn a_trigger_that_somebody_deletes_meanwhile_brings_everything_back() {
    let scene = Scene::new();
    let before = scene.state();
    // Nobody plays its controller yet: it goes on going.
    let run = Running::start(&scene, &PATIENT);
    assert!(becomes(|| is_going(&scene, "shop-events")), "{}", run.said());
    scene.cluster.kubectl(&["delete", "trigger", "-n", "orders", "paid"]).expect(0);
    let said = scene.playing(AT_ONCE, || run.expect(6));
    assert!(
        said.contains("Subscription orders/paid: nothing delivers instead any more: no Trigger delivers paid v1 of shop to http://mail.orders/"),
        "{said}"
    );
    let different = differences(&before, &scene.state());
    assert!(
        different.iter().all(|it| it.starts_with("\"Trigger\" orders/\"paid\"")) && different.len() == 1,
        "{different:?}"
    );
}

#[test]
fn what_has_come_to_speak_against_it_stops_it_before_anything_is_deleted() {
    let scene = Scene::new();
    let uids = || scene.cluster.kubectl(&["get", SUBSCRIPTIONS, "-A", "-o", "jsonpath={.items[*].metadata.uid}"]).stdout;
    let mut before = String::new();
    let said = stopped_by(&scene, 4, || {
        scene.subscribe("nobody-delivers", &json!({}));
        before = uids();
    });
    let words = "error LP001: something has come to speak against the purge since it was planned: LP101 Subscription orders/nobody-delivers";
    assert!(said.contains(words), "{said}");
    assert_eq!(uids(), before);
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
}
