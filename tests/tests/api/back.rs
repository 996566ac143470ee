//! Going back as Helm's hooks do: in two parts, to a revision, with what Helm has recorded.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, run};
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::fixtures::{apply, job, recorded, subscription, tickets};

/// Before or after Helm's manifests, back to revision 1.
fn back(cluster: &Cluster, at: &str, more: &[&str]) -> Ended {
    let args = ["rollback", "--to-revision", "1", "--undo-at", at, "--ledger-namespace", "default"];
    run(&mut cluster.job("trigger-replicator", &[&args, more].concat()), "")
}

/// Three that ask for the same delivery: each upgrade adds its name to the one Trigger.
fn same(cluster: &Cluster, name: &str) {
    let mut same = subscription("default", name, "order.created");
    same["spec"]["endpoint"] = "http://orders.default:8080/events".into();
    cluster.apply(&same);
}

/// An older run, too, has written to what a newer one will take back only after Helm's manifests.
#[test]
fn what_several_runs_have_written_to_is_nobody_elses() {
    let cluster = lease();
    same(&cluster, "one");
    let before = state::of(&cluster);
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    for (name, revision) in [("two", "3"), ("three", "4")] {
        same(&cluster, name);
        apply(&cluster, &["--helm-revision", revision]).expect(0);
    }
    assert_eq!((cluster.list("triggers").len(), tickets(&cluster).len()), (1, 3));
    back(&cluster, "pre-rollback", &[]).expect(0);
    assert!(tickets(&cluster).iter().all(|(_, phase)| phase == "RollingBack"), "{:?}", tickets(&cluster));
    // Helm runs its hooks again when something else has failed.
    back(&cluster, "pre-rollback", &[]).expect(0);
    back(&cluster, "post-rollback", &[]).expect(0);
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "two", "three"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    let nothing = back(&cluster, "post-rollback", &[]).expect(0);
    assert!(
        nothing.stdout.contains("Nothing to take back: no run of a revision after 1 is in force."),
        "{}",
        nothing.stdout
    );
}

/// Between the two parts nothing may go forward: what was added would go while the old side is not there.
#[test]
fn a_step_does_not_run_in_the_middle_of_a_rollback() {
    let cluster = lease();
    same(&cluster, "one");
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    back(&cluster, "pre-rollback", &[]).expect(0);
    let refused = apply(&cluster, &["--helm-revision", "4"]).expect(4);
    for word in [
        "error FL026: run 1 (trigger-replicator) has been taken back as far as",
        "By hand, when the old manifests are there: kubectl fairlead rollback fairlead -n default --to 0 --undo-at post-rollback",
    ] {
        assert!(refused.stderr.contains(word), "{word}\n{}", refused.stderr);
    }
    assert_eq!(cluster.list("triggers").len(), 1);
    back(&cluster, "post-rollback", &[]).expect(0);
    apply(&cluster, &["--helm-revision", "4"]).expect(0);
}

/// `helm uninstall` forgets its revisions, the ledger does not: what an earlier installation has done is not Helm's to take back.
#[test]
fn what_an_earlier_installation_has_done_stays() {
    let cluster = lease();
    same(&cluster, "one");
    recorded(&cluster, 2, "deployed");
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    // A second is as exact as the API server is.
    cluster.kubectl(&["delete", "secrets", "-l", "owner=helm"]).expect(0);
    let created = |name: &str| cluster.get("secret", "default", name)["metadata"]["creationTimestamp"].clone();
    let ticket = created("fairlead.v1.fairlead.1");
    let is_later = || {
        cluster.kubectl(&["delete", "secrets", "-l", "owner=helm"]).expect(0);
        recorded(&cluster, 2, "failed");
        created("sh.helm.release.v1.fairlead.v2").as_str() > ticket.as_str()
    };
    assert!(becomes(is_later));
    recorded(&cluster, 3, "pending-rollback");
    let nothing = back(&cluster, "pre-rollback", &[]).expect(0);
    assert!(nothing.stdout.contains("Nothing to take back"), "{}", nothing.stdout);
    assert!(nothing.stderr.contains("it is of an earlier installation of the release"), "{}", nothing.stderr);
    assert_eq!(cluster.list("triggers").len(), 1);
}

/// Helm waits in its rollback to 1, and the rest is taken back by hand without that number: it is still where Helm is to go on to.
#[test]
fn a_rest_that_is_taken_back_by_hand_does_not_forget_where_helm_goes() {
    let cluster = lease();
    same(&cluster, "one");
    for (revision, status) in [(1, "superseded"), (2, "superseded")] {
        recorded(&cluster, revision, status);
    }
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    recorded(&cluster, 3, "pending-rollback");
    back(&cluster, "pre-rollback", &[]).expect(0);
    let refused = apply(&cluster, &[]).expect(4);
    assert!(refused.stderr.contains("Next: helm rollback fairlead 1 -n default"), "{}", refused.stderr);
    let ask = |args: &[&str]| {
        run(&mut cluster.job("trigger-replicator", &[args, &["--ledger-namespace", "default"]].concat()), "")
    };
    // Not by the way: what is left is what the manifests of today use.
    for goal in [&["--last"][..], &["--to", "0"], &["--to-revision", "1"]] {
        let refused = ask(&[&["rollback"], goal].concat()).expect(4).stderr;
        for word in [
            "error FL034: ",
            "`helm rollback fairlead 1 -n default --kubeconfig ",
            "If Helm is to stay where it is: kubectl fairlead rollback fairlead -n default --to 0 --undo-at post-rollback",
        ] {
            assert!(refused.contains(word), "{word}\n{refused}");
        }
        assert_eq!(cluster.list("triggers").len(), 1);
    }
    ask(&["rollback", "--to", "0", "--undo-at", "post-rollback"]).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    let status = ask(&["status"]).expect(0).stdout;
    assert!(status.contains("  helm rollback fairlead 1 -n default --kubeconfig "), "{status}");
}

/// Helm can go back to 2, where the first run was in force: without its ticket nobody would know that it is not any more.
#[test]
fn tickets_by_which_a_rollback_is_refused_are_not_pruned() {
    let cluster = lease();
    for revision in 1..=2 {
        recorded(&cluster, revision, "superseded");
    }
    // As Helm's hook.
    job(&cluster, 0);
    for upgrade in [2, 4, 6] {
        same(&cluster, "one");
        apply(&cluster, &["--helm-revision", &upgrade.to_string(), "--history-max", "0"]).expect(0);
        recorded(&cluster, upgrade + 1, "pending-rollback");
        back(&cluster, "pre-rollback", &[]).expect(0);
        // By hand it would come too early: what is left is what the manifests of today use.
        let refused = back(&cluster, "post-rollback", &[]).expect(4);
        assert!(refused.stderr.contains("error FL034") && refused.stderr.contains("--no-hooks"), "{}", refused.stderr);
        back(&cluster, "post-rollback", &["--job", "it"]).expect(0);
    }
    assert_eq!(tickets(&cluster).len(), 3);
    let args = ["rollback", "--to-revision", "2", "--ledger-namespace", "default"];
    let refused = run(&mut cluster.job("trigger-replicator", &args), "").expect(4);
    assert!(
        refused.stderr.contains("error FL023: run 1 (trigger-replicator) was in force at revision 2"),
        "{}",
        refused.stderr
    );
}

/// Helm's hook has waited for the old side in vain, so the old manifests are there, although Helm's record says nothing of it.
#[test]
fn what_helm_has_waited_for_in_vain_may_be_ended_by_hand() {
    let cluster = lease();
    same(&cluster, "one");
    recorded(&cluster, 1, "superseded");
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    recorded(&cluster, 3, "pending-rollback");
    job(&cluster, 0);
    let labels = json!({"app": "old"});
    let container = json!({"name": "it", "image": "none"});
    cluster.apply(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "old",
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "fairlead", "meta.helm.sh/release-namespace": "default"}},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}}));
    let refused = back(&cluster, "post-rollback", &[]).expect(4);
    assert!(refused.stderr.contains("error FL034"), "{}", refused.stderr);
    // The hooks' account may list workloads.
    let mut hook = fairlead_tests::program::job("trigger-replicator");
    hook.args([
        "rollback",
        "--to-revision",
        "1",
        "--undo-at",
        "post-rollback",
        "--ledger-namespace",
        "default",
        "--job",
        "it",
    ]);
    hook.args(["--wait-for", "workloads", "--wait-timeout", "1s", "--kubeconfig", cluster.kubeconfig()]);
    let waited = run(&mut hook, "").expect(1);
    assert!(waited.stderr.contains("error FL025"), "{}", waited.stderr);
    assert_eq!(cluster.list("triggers").len(), 1);
    back(&cluster, "post-rollback", &[]).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    cluster.kubectl(&["delete", "deployment", "-n", "default", "old"]).expect(0);
}

/// What Helm's hooks of a revision are told, and its newest one is another: a Job that comes late.
#[test]
fn a_run_of_a_revision_that_helm_has_left_does_nothing() {
    let cluster = lease();
    same(&cluster, "one");
    recorded(&cluster, 2, "failed");
    recorded(&cluster, 3, "deployed");
    let refused = apply(&cluster, &["--helm-revision", "2"]).expect(1);
    assert!(
        refused.stderr.contains("error FL020: this run is of revision 2, and Helm is at revision 3"),
        "{}",
        refused.stderr
    );
    assert_eq!((cluster.list("triggers"), tickets(&cluster).len()), (Vec::<Value>::new(), 0));
}

#[test]
fn flags_that_make_no_sense_together_are_refused() {
    let cluster = lease();
    let cases: [&[&str]; 4] = [
        &["--last", "--undo-at", "pre-rollback"],
        &["--to", "0", "--wait-for", "restored"],
        &["--to-revision", "1", "--undo-at", "pre-upgrade"],
        &["--to-revision", "1", "--undo-at", "post-rollback", "--wait-for", "pods"],
    ];
    for case in cases {
        run(&mut cluster.job("trigger-replicator", &[&["rollback"], case].concat()), "").expect(2);
    }
}
