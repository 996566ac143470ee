//! Where Helm runs no hooks of ours: the documented ways by hand.

use std::process::Command;

use fairlead_tests::program::{job, run, tool};
use serde_json::{Value, json};

use super::play;
use super::scene::Scene;

/// The revision to go back to has no hooks of ours: what `status` says, line by line.
fn not_armed(scene: &Scene<'_>) {
    scene.install(&["--set", "fairlead.rollback.enabled=false"]);
    let before = scene.state();
    scene.upgrade(&[]).expect(0);
    let status = scene.status();
    assert_eq!(status["helm"]["armed"], false, "{status}");
    let next: Vec<&str> =
        status["next"].as_array().expect("a list").iter().filter_map(|it| it["command"].as_str()).collect();
    let [first, helm, last] = next[..3] else { unreachable!("three lines: {next:?}") };
    assert!(first.contains("--to-revision 1 --undo-at pre-rollback") && last.contains("--undo-at post-rollback --wait-for"));
    assert_eq!(helm, format!("helm rollback shop 1 -n {}", scene.namespace));
    let meter = scene.meter();
    scene.by_hand(first).expect(0);
    assert_eq!(scene.sides(), (2, 2));
    scene.rollback_unmetered(1).expect(0);
    scene.by_hand(last).expect(0);
    meter.finish().assert_none_lost();
    scene.assert_is(&before);
}

/// Creates what is rendered, but for hooks of events that are not played, in the order of their weights.
fn create(scene: &Scene<'_>, objects: Vec<Value>, is_played: impl Fn(&Value) -> bool) {
    let weight = |object: &Value| -> i64 {
        let text = object["metadata"]["annotations"]["helm.sh/hook-weight"].as_str().unwrap_or("0");
        text.parse().expect("a number")
    };
    let mut objects: Vec<Value> = objects.into_iter().filter(is_played).collect();
    objects.sort_by_key(weight);
    for object in &objects {
        replace(scene, object);
        if object["kind"] == "Job" {
            wait_for(scene, object["metadata"]["name"].as_str().expect("a name"));
        }
    }
}

fn replace(scene: &Scene<'_>, objects: &Value) {
    let mut replace = tool("kubectl");
    replace.args(["--kubeconfig", scene.cluster.kubeconfig(), "replace", "--force", "-f", "-"]);
    run(&mut replace, &objects.to_string()).expect(0);
}

fn wait_for(scene: &Scene<'_>, job: &str) {
    let name = format!("job/{job}");
    let args = ["wait", "-n", &scene.namespace, "--for=condition=Complete", &name, "--timeout=20m"];
    let waited = scene.cluster.kubectl(&args);
    let log = scene.cluster.kubectl(&["logs", "-n", &scene.namespace, &name]);
    assert_eq!(waited.status, Some(0), "{}", log.output());
}

/// What a hook is played at; none for what is no hook.
fn events(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"]["helm.sh/hook"].as_str()
}

/// As plain Jobs, without any hook.
fn job_mode(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    let ours = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fairlead";
    // All at once, the last first: they wait for each other.
    let mut objects: Vec<Value> = scene.template(2, &["--set", "fairlead.mode=job"]).into_iter().filter(ours).collect();
    objects.reverse();
    replace(scene, &json!({"apiVersion": "v1", "kind": "List", "items": &objects}));
    for job in ["shop-trigger-replicator", "shop-legacy-purger"] {
        wait_for(scene, job);
    }
    let log = scene.cluster.kubectl(&["logs", "-n", &scene.namespace, "job/shop-legacy-purger"]).output();
    assert!(log.contains("Done: "), "{log}");
    assert_eq!(scene.sides(), (0, 2));
    // Helm knows nothing of it, goes back to where it is, and says what stays.
    let said = scene.rollback_unmetered(1).expect(0).output();
    assert!(
        said.contains("Nothing to take back") && said.contains("it was not started by Helm, so it stays in force"),
        "{said}"
    );
    assert_eq!(scene.sides(), (0, 2));
    let set = "fairlead.mode=job,fairlead.rollback.now={--to,0}";
    create(scene, scene.template(2, &["--set-string", set]), ours);
    scene.assert_is(&before);
    let runs = scene.status()["runs"].clone();
    assert!(runs.as_array().expect("a list").iter().all(|run| run["helmRevision"].is_null()), "{runs}");
}

/// A pipeline runs the steps before Helm, which knows nothing of them and leaves them in force.
fn pipeline(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    let check = |more: &str| scene.by_hand(&format!("kubectl fairlead check shop -n {}{more}", scene.namespace));
    let prepared = check(" --start-pods").expect(0).stdout;
    assert!(prepared.contains("ok  armed: revision 1 brings the rollback hooks"), "{prepared}");
    assert_eq!(prepared.matches("ok  image: ").count(), 1, "{prepared}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.json");
    let kind = json!({"group": "eventing.kyma-project.io", "kind": "Subscription", "namespaces": [scene.namespace], "keepDefinition": true});
    let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "purge": {"kinds": [kind]}});
    std::fs::write(&file, configuration.to_string()).expect("written");
    let apply = || {
        let place =
            ["--release", "shop", "--ledger-namespace", &scene.namespace, "--kubeconfig", scene.cluster.kubeconfig()];
        let others = super::NAMESPACES.into_iter().filter(|name| *name != scene.namespace).collect::<Vec<_>>().join(",");
        let mut replicate: Command = job("trigger-replicator");
        run(replicate.arg("apply").args(place).args(["--exclude-namespace", &others]), "").expect(0);
        let mut purge = job("legacy-purger");
        run(purge.arg("apply").args(place).arg("--config").arg(&file), "").expect(0);
    };
    let off = ["--set", "fairlead.triggerReplicator.enabled=false,fairlead.legacyPurger.enabled=false"];
    apply();
    scene.upgrade(&off).expect(0);
    scene.rollback_unmetered(1).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    scene.by_hand(&format!("kubectl fairlead rollback shop --to 0 -n {}", scene.namespace)).expect(0);
    scene.assert_is(&before);
}

/// Argo CD renders as `helm template` does, runs pre-upgrade hooks before it syncs, and drops those of a rollback.
fn argo(scene: &Scene<'_>) {
    let sync = |version: u32, more: &[&str]| {
        let objects = scene.template(version, more);
        let at = |event: &'static str| move |object: &Value| events(object).is_some_and(|events| events.contains(event));
        create(scene, objects.clone(), at("pre-upgrade"));
        scene.cluster.apply(&Value::Array(objects.iter().filter(|object| events(object).is_none()).cloned().collect()));
        create(scene, objects, at("post-upgrade"));
    };
    sync(1, &[]);
    let dropped = || scene.cluster.kubectl(&["delete", "configmap", "-n", &scene.namespace, "dropped"]).expect(0);
    let before = scene.state();
    sync(2, &[]);
    dropped();
    assert_eq!(scene.sides(), (0, 2));
    let runs = scene.status()["runs"].clone();
    assert!(runs.as_array().expect("a list").iter().all(|run| run["helmRevision"].is_null()), "{runs}");
    // Back: the rollback as a Job, around the old manifests.
    let back = |at: &str| {
        let now = format!("fairlead.mode=job,fairlead.rollback.now={{--to,0,--undo-at,{at}}}");
        let ours = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fairlead";
        create(scene, scene.template(2, &["--set-string", &now]), ours);
    };
    let meter = scene.meter();
    back("pre-rollback");
    assert_eq!(scene.sides(), (2, 2));
    sync(1, &[]);
    back("post-rollback");
    meter.finish().assert_none_lost();
    scene.assert_is(&before);
}

#[test]
fn a_release_that_is_not_armed_goes_back_as_status_says() {
    play("helm4", "not-armed", not_armed);
}

#[test]
fn plain_jobs_go_back_with_a_plain_job() {
    play("helm4", "job-mode", job_mode);
}

#[test]
fn what_a_pipeline_has_done_is_taken_back_by_hand() {
    play("helm4", "pipeline", pipeline);
}

#[test]
fn argo_cd_goes_back_with_jobs_around_the_old_manifests() {
    play("helm4", "argo", argo);
}
