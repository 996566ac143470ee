//! The runs of a release: finished when their process died, one at a time, shown, and taken back.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, becomes, run, tool};
use fairlead_tests::proxy::Proxy;
use fairlead_tests::watched::Watched;
use fairlead_tests::{access, state};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fixtures::{apply, deny_triggers_for, free_lease, subscription, tickets};

fn replicator(cluster: &Cluster, command: &str, more: &[&str]) -> Ended {
    let args: Vec<&str> = [command, "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    run(&mut cluster.job("trigger-replicator", &args), "")
}

fn many(cluster: &Cluster, count: usize) {
    cluster.create((0..count).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
}

/// Starts a run and reads its log up to this.
fn start_until(cluster: &Cluster, command: &str, more: &[&str], word: &str) -> Watched {
    let args: Vec<&str> = [command, "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    Watched::start_until(&mut cluster.job("trigger-replicator", &args), word)
}

/// Kills a run, for whose lease nobody need wait.
fn kill(cluster: &Cluster, job: Watched) {
    job.kill();
    free_lease(cluster);
}

#[test]
fn a_run_that_was_killed_is_finished_from_its_ticket_and_not_planned_again() {
    let cluster = lease();
    many(&cluster, 300);
    kill(&cluster, start_until(&cluster, "apply", &["--concurrency", "4"], "changed"));
    let made = cluster.list("triggers").len();
    assert!((1..300).contains(&made), "{made}");
    // What has come since is not of that run.
    cluster.apply(&subscription("default", "late", "order.late"));
    let finished = apply(&cluster, &[]).expect(0);
    assert!(finished.stderr.contains("going on with an earlier run"), "{}", finished.stderr);
    assert_eq!(cluster.list("triggers").len(), 301);
    let phases: Vec<String> = tickets(&cluster).into_iter().map(|(_, phase)| phase).collect();
    assert_eq!(phases, ["Committed", "Committed"]);
    // All of them carry the ticket from which they can be taken back.
    let of_first =
        |trigger: &&Value| trigger["metadata"]["annotations"]["fairlead.dev/ticket"] == "default/fairlead.v1.fairlead.1";
    assert_eq!(cluster.list("triggers").iter().filter(of_first).count(), 300);
}

#[test]
fn a_run_that_was_killed_while_it_took_back_is_taken_back_to_the_end() {
    let cluster = lease();
    many(&cluster, 200);
    deny_triggers_for(&cluster, "z.refused");
    let before = state::of(&cluster);
    cluster.apply(&subscription("default", "z", "z.refused"));
    let with = state::of(&cluster);
    kill(&cluster, start_until(&cluster, "apply", &["--concurrency", "1"], "as before target="));
    assert!(!cluster.list("triggers").is_empty());
    let ended = apply(&cluster, &[]).expect(1);
    for word in ["its process ended while everything was being taken back", "everything is as before"] {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
    assert_eq!(state::differences(&with, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(before.len() + 1, with.len());
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "RolledBack".to_owned())]);
}

#[test]
fn what_was_committed_is_shown_and_taken_back() {
    let cluster = lease();
    let before = {
        many(&cluster, 5);
        state::of(&cluster)
    };
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    cluster.apply(&subscription("default", "late", "order.late"));
    apply(&cluster, &["--helm-revision", "3"]).expect(0);
    let status = replicator(&cluster, "status", &[]).expect(0).stdout;
    for word in [
        "Release fairlead in namespace default",
        "Committed",
        "in force",
        "kubectl fairlead rollback fairlead -n default --last",
        "takes back run 2",
    ] {
        assert!(status.contains(word), "{word}\n{status}");
    }
    let shown = replicator(&cluster, "rollback", &["--to-revision", "1", "--dry-run"]).expect(0).stdout;
    assert_eq!(shown.matches("delete Trigger").count(), 6, "{shown}");
    let first = ["--to-revision", "1", "--dry-run", "--undo-at", "pre-rollback"];
    let shown = replicator(&cluster, "rollback", &first).expect(0).stdout;
    let (early, late) = shown.split_once("when Helm has applied the old manifests").expect("both parts");
    assert_eq!((early.matches("delete").count(), late.matches("delete Trigger").count()), (0, 6), "{shown}");
    assert_eq!(cluster.list("triggers").len(), 6);

    let last = replicator(&cluster, "rollback", &["--to-revision", "2"]).expect(0);
    assert!(last.stdout.contains("Done: 1 change taken back. Ticket default/fairlead.v1.fairlead.2."), "{}", last.output());
    assert_eq!(cluster.list("triggers").len(), 5);
    let status = replicator(&cluster, "status", &["-o", "json"]).expect(0).json();
    let phases: Vec<&Value> = status["runs"].as_array().expect("a list").iter().map(|run| &run["phase"]).collect();
    assert_eq!(phases, [&json!("Committed"), &json!("RolledBack")]);

    replicator(&cluster, "rollback", &["--last"]).expect(0);
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "default", "late"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    let nothing = replicator(&cluster, "rollback", &["--last"]).expect(4);
    assert!(nothing.stderr.contains("error FL018"), "{}", nothing.stderr);
    // Taken back, it can be done again.
    apply(&cluster, &[]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 5);
}

#[test]
fn what_others_have_changed_since_is_found_before_anything_is_taken_back() {
    let cluster = lease();
    many(&cluster, 5);
    apply(&cluster, &[]).expect(0);
    let name = cluster.list("triggers")[3]["metadata"]["name"].as_str().expect("a name").to_owned();
    let elsewhere = r#"{"spec": {"subscriber": {"uri": "http://elsewhere.default/"}}}"#;
    cluster.kubectl(&["patch", "trigger", "-n", "default", &name, "--type=merge", "-p", elsewhere]).expect(0);
    let before = state::of(&cluster);
    let rehearsed = replicator(&cluster, "rollback", &["--last", "--dry-run"]).expect(0).stdout;
    let drifted = format!("  delete Trigger default/{name}  # somebody else has changed it since\n");
    assert!(rehearsed.contains(&drifted) && rehearsed.contains("1 of them have been changed by others"), "{rehearsed}");
    let stopped = replicator(&cluster, "rollback", &["--last"]).expect(6);
    for word in ["Nothing was taken back", &format!("Trigger default/{name}: somebody else has changed it since")] {
        assert!(stopped.stderr.contains(word), "{word}\n{}", stopped.stderr);
    }
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(tickets(&cluster)[0].1, "Committed");
}

#[test]
fn a_rollback_that_was_killed_is_finished_by_the_next() {
    let cluster = lease();
    many(&cluster, 200);
    let before = state::of(&cluster);
    apply(&cluster, &[]).expect(0);
    kill(&cluster, start_until(&cluster, "rollback", &["--last"], "as before target="));
    let left = cluster.list("triggers").len();
    assert!((1..200).contains(&left), "{left}");
    replicator(&cluster, "rollback", &["--last"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

/// Lets a run go on, and another one begin.
fn finish_beside(first: Watched, second: impl FnOnce() -> Ended) -> (Option<i32>, Ended) {
    std::thread::scope(|scope| {
        let first = scope.spawn(|| first.finish().0);
        let second = second();
        (first.join().expect("no panic"), second)
    })
}

#[test]
fn two_runs_at_once_take_turns() {
    let cluster = lease();
    many(&cluster, 300);
    let first = start_until(&cluster, "apply", &["--concurrency", "1"], "changed");
    let impatient = apply(&cluster, &["--lease-wait", "0s"]).expect(5);
    assert!(
        impatient.stderr.contains("error FL015") && impatient.stderr.contains("holds Lease default/fairlead-fairlead"),
        "{}",
        impatient.stderr
    );
    let (first, second) = finish_beside(first, || apply(&cluster, &[]));
    assert_eq!(first, Some(0));
    assert!(matches!(second.status, Some(0 | 75)), "{}", second.output());
    assert_eq!(cluster.list("triggers").len(), 300);
    assert_eq!(tickets(&cluster).len(), 1);
}

/// A process that sleeps over its lease must not write when it wakes.
fn a_holder_that_wakes_after_another_has_taken_over_writes_nothing(concurrency: &str) {
    let cluster = lease();
    many(&cluster, 300);
    // So short that the successor need not wait for long.
    let short = ["--concurrency", concurrency, "--lease-duration", "6s", "--request-timeout", "3s"];
    let paused = start_until(&cluster, "apply", &short, "changed");
    paused.signal(Signal::STOP);
    let successor = apply(&cluster, &["--request-timeout", "3s"]).expect(0);
    assert!(successor.stderr.contains("going on with an earlier run"), "{}", successor.stderr);
    let after = (state::of(&cluster), tickets(&cluster));
    paused.signal(Signal::CONT);
    assert_eq!(paused.finish().0, Some(75));
    assert_eq!(state::differences(&after.0, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(after.1, tickets(&cluster));
}

#[test]
fn a_holder_that_wakes_writes_nothing() {
    a_holder_that_wakes_after_another_has_taken_over_writes_nothing("1");
}

#[test]
fn a_holder_that_wakes_with_many_writes_on_their_way_writes_nothing() {
    a_holder_that_wakes_after_another_has_taken_over_writes_nothing("8");
}

#[test]
fn drift_in_an_older_run_is_found_before_a_newer_one_is_taken_back() {
    let cluster = lease();
    many(&cluster, 2);
    apply(&cluster, &[]).expect(0);
    let name = cluster.list("triggers")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    cluster.apply(&subscription("default", "late", "order.late"));
    apply(&cluster, &[]).expect(0);
    let elsewhere = r#"{"spec": {"subscriber": {"uri": "http://elsewhere.default/"}}}"#;
    let patch = |name: &str| {
        cluster.kubectl(&["patch", "trigger", "-n", "default", name, "--type=merge", "-p", elsewhere]).expect(0);
    };
    patch(&name);
    let before = state::of(&cluster);
    let stopped = replicator(&cluster, "rollback", &["--to", "0"]).expect(6);
    assert!(stopped.stderr.contains(&format!("Trigger default/{name}")), "{}", stopped.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    // What is decided then is decided for all runs, so those of all are told.
    let triggers = cluster.list("triggers");
    let names = triggers.iter().filter_map(|trigger| trigger["metadata"]["name"].as_str());
    names.filter(|it| *it != name).for_each(patch);
    let before = state::of(&cluster);
    let stopped = replicator(&cluster, "rollback", &["--to", "0"]).expect(6);
    assert!(stopped.stderr.contains("somebody else has changed 3 objects since"), "{}", stopped.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    replicator(&cluster, "rollback", &["--to", "0", "--on-drift", "overwrite"]).expect(0);
    assert!(cluster.list("triggers").is_empty());
}

#[test]
fn a_damaged_ledger_is_named_before_anything_is_taken_back() {
    let cluster = lease();
    many(&cluster, 3);
    apply(&cluster, &[]).expect(0);
    let before = state::of(&cluster);
    let chunk = cluster.get("secret", "default", "fairlead.v1.fairlead.1-0");
    let mut damaged = chunk.clone();
    damaged["data"]["chunk"] = "AAAA".into();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        damaged["metadata"].as_object_mut().expect("an object").remove(field);
    }
    cluster.kubectl(&["delete", "secret", "-n", "default", "fairlead.v1.fairlead.1-0"]).expect(0);
    let missing = replicator(&cluster, "rollback", &["--last"]).expect(4);
    let named = "error FL016: Secret default/fairlead.v1.fairlead.1-0 is damaged: it is not there";
    assert!(missing.stderr.contains(named), "{}", missing.stderr);
    cluster.apply(&damaged);
    let changed = replicator(&cluster, "rollback", &["--last"]).expect(4);
    assert!(changed.stderr.contains("fairlead.v1.fairlead.1-0 is damaged: chunk 0 of the snapshot"), "{}", changed.stderr);

    let mut chunk = chunk;
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        chunk["metadata"].as_object_mut().expect("an object").remove(field);
    }
    cluster.kubectl(&["delete", "secret", "-n", "default", "fairlead.v1.fairlead.1-0"]).expect(0);
    cluster.apply(&chunk);

    // A ticket of a later version, which says that this one cannot read it.
    let mut later = cluster.get("secret", "default", "fairlead.v1.fairlead.1");
    let content = BASE64_STANDARD.decode(later["data"]["ticket"].as_str().expect("base64")).expect("base64");
    let ticket: Value = serde_json::from_slice(&content).expect("JSON");
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        later["metadata"].as_object_mut().expect("an object").remove(field);
    }
    let [mut newer, mut of_a_database] = [ticket.clone(), ticket];
    (newer["minReader"], newer["tool"]) = (json!(9), json!({"name": "trigger-replicator", "version": "9.0.0"}));
    (of_a_database["executor"], of_a_database["step"]) = (json!("sql"), json!("tables"));
    of_a_database["tool"] =
        json!({"name": "schema-migrator", "version": "9.0.0", "image": "fairlead/schema-migrator:9.0.0"});
    for (ticket, code, said) in [
        (newer, "error FL016", "trigger-replicator 9.0.0 wrote it, and this version reads formats up to 2, not 9"),
        (
            of_a_database,
            "error FL029",
            "of executor sql, which this binary does not have; image fairlead/schema-migrator:9.0.0 has it",
        ),
    ] {
        later["data"]["ticket"] = BASE64_STANDARD.encode(ticket.to_string()).into();
        cluster.kubectl(&["delete", "secret", "-n", "default", "fairlead.v1.fairlead.1"]).expect(0);
        cluster.apply(&later);
        let refused = replicator(&cluster, "rollback", &["--last"]).expect(4);
        assert!(refused.stderr.contains(code) && refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

#[test]
fn a_lease_too_short_to_write_in_is_refused_before_anything_is_written() {
    let cluster = lease();
    many(&cluster, 1);
    for terms in [
        ["--lease-duration", "1500ms", "--request-timeout", "1s"],
        ["--lease-duration", "900ms", "--request-timeout", "100ms"],
    ] {
        let refused = apply(&cluster, &terms).expect(2);
        assert!(refused.stderr.contains("error FL019: --lease-duration"), "{}", refused.stderr);
    }
    assert!(tickets(&cluster).is_empty() && cluster.list("triggers").is_empty());
}

/// In the middle somebody takes the permissions away: what was done cannot be taken back, and is named. With the permissions back
/// one command does it.
#[test]
fn a_run_that_loses_its_permissions_says_what_is_left_and_the_next_rollback_takes_it_back() {
    let cluster = lease();
    many(&cluster, 20);
    let before = state::of(&cluster);
    // An account of its own: the cluster is used again.
    let (folder, access) =
        (tempfile::tempdir().expect("a temporary folder"), access::rendered("losing", "trigger-replicator"));
    // Of what the job does, and of what undoing takes.
    let bindings: Vec<Value> = access.iter().filter(|object| object["kind"] == "ClusterRoleBinding").cloned().collect();
    let names: Vec<String> =
        bindings.iter().map(|binding| binding["metadata"]["name"].as_str().expect("a name").to_owned()).collect();
    cluster.apply(&Value::Array(access.clone()));
    let account = access::kubeconfig(&cluster, "losing", "trigger-replicator", folder.path());
    let may = |cluster: &str, expected: bool| {
        let user = "--as=system:serviceaccount:default:losing-trigger-replicator";
        let ask = ["auth", "can-i", "delete", "triggers.eventing.knative.dev", "-n", "default", user];
        let is_so = || {
            let mut kubectl = tool("kubectl");
            (run(kubectl.args(["--kubeconfig", cluster]).args(ask), "").status == Some(0)) == expected
        };
        assert!(becomes(is_so), "the permission does not become {expected}");
    };
    may(cluster.kubeconfig(), true);
    let (administrator, deleted) = (cluster.kubeconfig().to_owned(), names.clone());
    let creations = AtomicUsize::new(0);
    let proxy = Proxy::start(&account, move |asked| {
        if asked.method == "POST" && asked.path.contains("/triggers") && creations.fetch_add(1, Ordering::SeqCst) == 10 {
            let mut kubectl = tool("kubectl");
            let delete = ["--kubeconfig", &administrator, "delete", "clusterrolebinding"];
            run(kubectl.args(delete).args(&deleted), "").expect(0);
            may(&administrator, false);
        }
        None
    });
    let job = |command: &str, kubeconfig: &Path, more: &[&str]| {
        let mut job = program::job("trigger-replicator");
        job.args([command, "--release", "losing", "--ledger-namespace", "default", "--kubeconfig"]).arg(kubeconfig);
        run(job.args(more), "")
    };
    // Ten that were made, and one of which nobody knows.
    // The proxy stands still while the permissions go.
    let patient = ["--concurrency", "1", "--request-timeout", "1m", "--lease-duration", "5m"];
    let failed = job("apply", proxy.kubeconfig(), &patient).expect(3);
    for word in [
        "error FL006",
        "11 objects are NOT as before",
        "verbs: [\"get\"]",
        "kubectl fairlead rollback losing -n default --last",
        "kubectl fairlead export losing -n default FILE --as-manifests",
    ] {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    cluster.apply(&Value::Array(bindings));
    may(cluster.kubeconfig(), true);
    let status = job("status", &account, &[]).expect(0).stdout;
    assert!(status.contains("NOT as before: a human must look, because it failed: failed to"), "{status}");
    assert!(status.contains("Not as before: Trigger default/") && status.contains("; and 1 more"), "{status}");
    job("rollback", &account, &["--last"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    cluster.kubectl(&["delete", "clusterrolebinding", &names[0], &names[1]]).expect(0);
}

/// helm/helm#8146: somebody deletes the Job of a hook, and Helm goes on as if it had succeeded.
#[test]
fn after_an_upgrade_whose_step_was_not_done_unhold_says_so() {
    let cluster = lease();
    many(&cluster, 300);
    kill(&cluster, start_until(&cluster, "apply", &["--helm-revision", "2", "--concurrency", "1"], "changed"));
    let unhold = |revision: &str| replicator(&cluster, "unhold", &["--helm-revision", revision]);
    let refused = unhold("2").expect(4).stderr;
    assert!(refused.contains("error FL035: run 1 (trigger-replicator) of this upgrade is in phase Applying"), "{refused}");
    // Of another upgrade it says nothing.
    unhold("3").expect(0);
}

#[test]
fn a_job_that_does_not_come_is_waited_for_as_long_as_the_run_may_take() {
    let cluster = lease();
    many(&cluster, 1);
    let refused = apply(&cluster, &["--after-job", "nobody", "--run-timeout", "2s"]).expect(4).stderr;
    let named = "error FL031: Job nobody was waited for in vain: there is no Job of this name in namespace default";
    assert!(refused.contains(named), "{refused}");
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}
