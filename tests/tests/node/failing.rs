//! What an operator sees when the job fails or cannot start.

use fairlead_tests::program::becomes;
use serde_json::json;

use crate::back::play;
use crate::back::scene::Scene;

/// What the README tells an operator to run after a failure.
fn described(scene: &Scene<'_>) -> String {
    let selector = "app.kubernetes.io/part-of=fairlead";
    scene.cluster.kubectl(&["-n", &scene.namespace, "describe", "jobs,pods", "-l", selector]).expect(0).stdout
}

fn a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why(scene: &Scene<'_>) {
    // The API server refuses the second of the Triggers.
    scene.cluster.apply(
        &json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": scene.namespace, "name": "few"},
        "spec": {"hard": {"count/triggers.eventing.knative.dev": "1"}}}),
    );
    scene.install(&[]);
    // What the quota counts is written by its controller.
    let without_quota = || {
        let mut state = scene.state();
        state.retain(|name, _| !name.contains("ResourceQuota"));
        state
    };
    let before = without_quota();
    let failed = scene.upgrade(&[]);
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    // Knative takes away what it has made for the Trigger that went.
    let left = || fairlead_tests::state::differences(&before, &without_quota());
    assert!(becomes(|| left().is_empty()), "{:?}", left());
    let (said, described) = (failed.output(), described(scene));
    for word in ["error FL003: failed to create Trigger ", "is forbidden", "quota: few", "everything is as before"] {
        assert!(said.contains(word), "{} does not say {word:?}\n{said}", scene.helm);
        assert!(described.contains(word), "the named command does not say {word:?}\n{described}");
    }
}

fn a_job_that_cannot_start_is_explained_by_the_named_command(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    let job = "fairlead.triggerReplicator";
    let short = format!("{job}.image.tag=there-is-no-such-tag,{job}.activeDeadlineSeconds=55,{job}.runTimeout=5s");
    let failed = scene.upgrade(&["--set", &short]);
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    let described = described(scene);
    assert!(described.contains("there-is-no-such-tag") && described.contains("ErrImageNeverPull"), "{described}");
    scene.assert_is(&before);
}

#[test]
fn a_failing_job_with_helm_3() {
    play("helm3", "failing", a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why);
}

#[test]
fn a_failing_job_with_helm_4() {
    play("helm4", "failing", a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why);
}

#[test]
fn a_job_that_cannot_start_with_helm_3() {
    play("helm3", "starting", a_job_that_cannot_start_is_explained_by_the_named_command);
}

#[test]
fn a_job_that_cannot_start_with_helm_4() {
    play("helm4", "starting", a_job_that_cannot_start_is_explained_by_the_named_command);
}
