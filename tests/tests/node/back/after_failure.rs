//! The upgrade has failed, or never came to its end.

use std::process::{Child, Stdio};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{Ended, becomes};
use fairlead_tests::state::{self, State};
use serde_json::{Value, json};

use super::scene::Scene;
use super::{alone, play};

/// What each Helm calls going back by itself.
fn by_itself(scene: &Scene<'_>) -> &'static str {
    if scene.helm == "helm3" { "--atomic" } else { "--rollback-on-failure" }
}

/// `helm upgrade` that fails and goes back: every event has a way meanwhile, to one side or the other.
fn upgrade_in_vain(scene: &Scene<'_>, more: &[&str]) -> Ended {
    let meter = scene.meter();
    let failed = scene.upgrade(&[&[by_itself(scene)], more].concat());
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    let count = meter.finish();
    assert!(count.published > 10 && count.nowhere.is_empty(), "{count:?}");
    failed
}

/// After this nothing is left to do, also where Helm 3 has stumbled after its first hooks.
fn finish(scene: &Scene<'_>, revision: u32) {
    if scene.status()["helm"]["revisions"]
        .as_array()
        .and_then(|all| all.last())
        .is_some_and(|last| last["status"] != "deployed")
    {
        assert_eq!(scene.helm, "helm3", "{}", scene.status());
        assert_eq!(scene.next(), format!("helm rollback shop {revision} -n {}", scene.namespace));
        scene.rollback_at_last(revision).expect(0);
    }
}

/// The first step has succeeded, the second refuses: Helm goes back, and takes the first one along.
fn step_fails(scene: &Scene<'_>) {
    let mut odd = scene.subscription("odd");
    odd["spec"].as_object_mut().expect("an object").remove("event_type");
    scene.cluster.apply(&odd);
    scene.install(&[]);
    let before = scene.state();
    let failed = upgrade_in_vain(scene, &[]);
    assert!(failed.output().contains("LP001"), "{}", failed.output());
    finish(scene, 1);
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack"]);
}

/// All steps have succeeded, and then the API server refuses an object of the application.
fn manifests_fail(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    upgrade_in_vain(scene, &["--set", "broken=true"]);
    finish(scene, 1);
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack", "RolledBack"]);
}

/// A Broker that is not ready keeps the first step at work.
fn hold(scene: &Scene<'_>) {
    let broker = scene.cluster.get("brokers.eventing.knative.dev", &scene.namespace, "default");
    scene.cluster.kubectl(&["delete", "brokers.eventing.knative.dev", "-n", &scene.namespace, "default"]).expect(0);
    // What Knative and the garbage collector delete with it.
    for gone in ["inmemorychannels/default-kne-trigger", "service/default-kne-trigger-kn-channel"] {
        scene.cluster.kubectl(&["wait", "-n", &scene.namespace, "--for=delete", gone, "--timeout=10m"]).expect(0);
    }
    let mut spec = broker["spec"].clone();
    spec["config"]["name"] = "late".into();
    scene.cluster.apply(&json!({"apiVersion": broker["apiVersion"], "kind": "Broker",
        "metadata": {"namespace": scene.namespace, "name": "default"}, "spec": spec}));
}

/// Now it comes to its end.
fn release(scene: &Scene<'_>) {
    let mut channel = scene.cluster.get("configmap", &scene.namespace, "channel");
    channel["metadata"] = json!({"namespace": scene.namespace, "name": "late"});
    scene.cluster.apply(&channel);
    // Knative looks at a Broker again after twice the time that it has failed for, or when somebody writes to it.
    for written in ["fairlead.dev/late=no", "fairlead.dev/late-"] {
        let broker = ["annotate", "brokers.eventing.knative.dev", "default", "-n", &scene.namespace, written];
        scene.cluster.kubectl(&broker).expect(0);
    }
}

/// `helm upgrade` up to where its first step works.
fn start(scene: &Scene<'_>, more: &[&str]) -> Child {
    let mut helm = scene.upgrade_command(2, more);
    let child = helm.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let works = || scene.names("triggers.eventing.knative.dev").len() == 2;
    assert!(becomes(works), "the first step makes no Triggers");
    child
}

/// Helm has waited long enough, and the step is still at work: it is asked to stop, and what it has done goes.
fn timeout(scene: &Scene<'_>) {
    hold(scene);
    scene.install(&[]);
    let before = scene.state();
    upgrade_in_vain(scene, &["--timeout", "90s"]);
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack"]);
    let said = scene.termination("shop-trigger-replicator");
    assert!(said.contains("error FL020"), "{said}");
}

/// A Job whose pod could not start until Helm had gone back must not do then what nobody wants any more.
fn late(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    let nowhere = "fairlead.nodeSelector.fairlead\\.dev/late=yes";
    upgrade_in_vain(scene, &["--timeout", "60s", "--set-string", nowhere]);
    scene.assert_is(&before);
    let label = |value: &str| scene.cluster.kubectl(&["label", "nodes", "--all", value]).expect(0);
    label("fairlead.dev/late=yes");
    let ended = becomes(|| !scene.termination("shop-trigger-replicator").is_empty());
    label("fairlead.dev/late-");
    assert!(ended, "the pod does not start");
    let said = scene.termination("shop-trigger-replicator");
    for word in ["error FL020", "this run is of revision 2, and Helm is at revision 3"] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    scene.assert_is(&before);
}

/// Helm itself is killed, and leaves the release as if it were at work on it.
fn killed(scene: &Scene<'_>) {
    hold(scene);
    scene.install(&[]);
    let before = scene.state();
    let mut helm = start(scene, &[]);
    helm.kill().expect("it runs");
    helm.wait().expect("it ends");
    let status = scene.status();
    assert_eq!(status["helm"]["revisions"][1]["status"], "pending-upgrade", "{status}");
    let next: Vec<&str> =
        status["next"].as_array().expect("a list").iter().filter_map(|next| next["command"].as_str()).collect();
    let back = format!("helm rollback shop 1 -n {}", scene.namespace);
    assert!(next.contains(&back.as_str()), "{next:?}");
    scene.rollback_at_last(1).expect(0);
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack"]);
}

/// The kubelet dies and comes again, and the pod is evicted: the next one goes on. And back.
fn evicted(scene: &Scene<'_>) {
    hold(scene);
    scene.install(&[]);
    let before = scene.state();
    let mut helm = start(scene, &[]);
    kill_kubelet(scene.cluster);
    let selector = "batch.kubernetes.io/job-name=shop-trigger-replicator";
    scene.cluster.kubectl(&["delete", "pods", "-n", &scene.namespace, "-l", selector, "--timeout=10m"]).expect(0);
    release(scene);
    let ended = helm.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", scene.termination("shop-trigger-replicator"));
    assert_eq!((scene.sides(), scene.phases().len()), ((0, 2), 2));
    scene.rollback(1).expect(0);
    let knative = ["wait", "-n", "knative-eventing", "--for=condition=Available", "deployments", "--all", "--timeout=10m"];
    scene.cluster.kubectl(&knative).expect(0);
    // But for what Knative has made now that the Broker is ready.
    let is_same = |name: &str| !name.contains("-kne-trigger") && !name.contains("\"late\"");
    let kept = |state: State| -> State { state.into_iter().filter(|(name, _)| is_same(name)).collect() };
    let (before, now) = (kept(before), || kept(scene.state()));
    assert!(becomes(|| state::differences(&before, &now()).is_empty()), "{:?}", state::differences(&before, &now()));
}

/// By its own pid: its name is that of others, too.
fn kill_kubelet(cluster: &Cluster) {
    let threads = std::fs::read_dir(format!("/proc/{}/task", cluster.pid())).expect("the box is there");
    let children = threads.map(|thread| std::fs::read_to_string(thread.expect("an entry").path().join("children")));
    let children: String = children.map(Result::unwrap_or_default).collect();
    let is_kubelet =
        |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "kubelet");
    let kubelet = children.split_whitespace().find(is_kubelet).expect("the box has one");
    fairlead_tests::program::run(std::process::Command::new("kill").args(["-KILL", kubelet]), "").expect(0);
}

/// The old side does not come up again: the new one stays until it does.
fn not_ready(scene: &Scene<'_>) {
    scene.install(&["--set", "fairlead.rollback.waitTimeout=20s"]);
    let before = scene.state();
    scene.upgrade(&["--wait"]).expect(0);
    let enforce = |standard: &str| {
        let label = format!("pod-security.kubernetes.io/enforce{standard}");
        scene.cluster.kubectl(&["label", "namespace", &scene.namespace, &label]).expect(0);
    };
    enforce("=restricted");
    let meter = scene.meter();
    let failed = scene.rollback_unmetered(1);
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    assert_eq!(scene.sides(), (2, 2));
    let said = scene.termination("shop-fairlead-post-rollback");
    let again = format!("helm rollback shop 1 -n {}", scene.namespace);
    for word in ["error FL025: Deployment ", "/web is not ready after 20s: 0 of 1 pods are of the last change", &again] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    assert_eq!(scene.next(), again);
    enforce("-");
    // The controller has given up for a while.
    scene.cluster.kubectl(&["delete", "replicasets", "-n", &scene.namespace, "--all"]).expect(0);
    scene.cluster.kubectl(&["rollout", "status", "-n", &scene.namespace, "deployment/web", "--timeout=10m"]).expect(0);
    scene.rollback_unmetered(1).expect(0);
    meter.finish().assert_none_lost();
    let labels = |mut state: State| {
        state
            .values_mut()
            .filter(|object| object["kind"] == "Namespace")
            .for_each(|it| it["metadata"]["managedFields"] = Value::Null);
        state
    };
    let (before, now) = (labels(before), || labels(scene.state()));
    assert!(becomes(|| state::differences(&before, &now()).is_empty()), "{:?}", state::differences(&before, &now()));
}

#[test]
fn a_step_that_fails_with_helm_3() {
    play("helm3", "step-fails", step_fails);
}

#[test]
fn a_step_that_fails_with_helm_4() {
    play("helm4", "step-fails", step_fails);
}

#[test]
fn manifests_that_fail_with_helm_3() {
    play("helm3", "manifests-fail", manifests_fail);
}

#[test]
fn manifests_that_fail_with_helm_4() {
    play("helm4", "manifests-fail", manifests_fail);
}

#[test]
fn a_step_that_works_longer_than_helm_waits_is_asked_to_stop() {
    play("helm4", "timeout", timeout);
}

#[test]
fn a_pod_that_starts_after_helm_has_gone_back_does_nothing() {
    play("helm4", "late", late);
}

#[test]
fn helm_killed_with_helm_3() {
    play("helm3", "killed", killed);
}

#[test]
fn helm_killed_with_helm_4() {
    play("helm4", "killed", killed);
}

#[test]
fn a_pod_that_was_evicted_is_followed_by_one_that_goes_on() {
    // Without others: their pods are this kubelet's, too.
    alone("helm4", "evicted", evicted);
}

#[test]
fn the_new_side_stays_until_the_old_one_is_there() {
    play("helm4", "not-ready", not_ready);
}
