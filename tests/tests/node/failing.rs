//! What an operator sees when the job fails or cannot start.

use fairlead_tests::cluster::node;
use fairlead_tests::state;
use serde_json::json;

use crate::release::{Release, demo};

/// Kinds that an upgrade of the shop could touch.
const KINDS: &str = "subscriptions.eventing.kyma-project.io,triggers.eventing.knative.dev,namespaces";

fn a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why(helm: &'static str) {
    let cluster = node();
    let shop = Release::install(&cluster, helm, "failing");
    demo(&cluster);
    // The API server refuses the Triggers in the middle of the list.
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": "payments", "name": "few"},
        "spec": {"hard": {"count/triggers.eventing.knative.dev": "0"}}}));
    let before = state::of_kinds(&cluster, KINDS);
    let failed = shop.upgrade(&[]);
    let after = state::of_kinds(&cluster, KINDS);
    cluster.kubectl(&["delete", "resourcequota", "-n", "payments", "few"]).expect(0);

    assert_ne!(failed.status, Some(0), "{}", failed.output());
    assert_eq!(state::differences(&before, &after), Vec::<String>::new());
    assert_eq!(shop.bus(), json!("legacy"), "the application's manifests were not applied");
    let said = failed.output();
    for word in ["error FL003: failed to create Trigger payments/", "is forbidden", "quota: few", "everything is as before"]
    {
        assert!(said.contains(word), "{helm} does not say {word:?}\n{said}");
        let described = shop.describe();
        assert!(described.contains(word), "the named command does not say {word:?}\n{described}");
    }
}

fn a_job_that_cannot_start_is_explained_by_the_named_command(helm: &'static str) {
    let cluster = node();
    let shop = Release::install(&cluster, helm, "starting");
    let job = "fairlead.triggerReplicator";
    let short = format!("{job}.image.tag=there-is-no-such-tag,{job}.activeDeadlineSeconds=55,{job}.runTimeout=5s");
    let failed = shop.upgrade(&["--set", &short]);
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    let described = shop.describe();
    assert!(described.contains("there-is-no-such-tag") && described.contains("ErrImageNeverPull"), "{described}");
    assert_eq!(shop.bus(), json!("legacy"));
}

#[test]
fn a_failing_job_with_helm_3() {
    a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why("helm3");
}

#[test]
fn a_failing_job_with_helm_4() {
    a_job_that_fails_leaves_the_cluster_as_it_was_and_helm_says_why("helm4");
}

#[test]
fn a_job_that_cannot_start_with_helm_3() {
    a_job_that_cannot_start_is_explained_by_the_named_command("helm3");
}

#[test]
fn a_job_that_cannot_start_with_helm_4() {
    a_job_that_cannot_start_is_explained_by_the_named_command("helm4");
}
