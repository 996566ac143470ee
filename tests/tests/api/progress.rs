//! How long is waited for what was created, on a cluster whose Knative is played.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use std::thread;

use fairlead_tests::access::BACKGROUND;
use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, job, run};
use serde_json::{Value, json};

use crate::fixtures::{apply, recorded, subscription, tickets};

const COUNT: usize = 4;

/// Subscriptions in a namespace with a Broker, which nobody makes ready on its own.
fn scene(cluster: &Cluster) {
    cluster.apply(&(0..COUNT).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))).collect());
    cluster.apply(&json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
        "metadata": {"namespace": "default", "name": "default"}, "spec": {}}));
    let status = ready(&json!({"address": {"url": "http://broker"}}));
    patch(cluster, "broker", "default", &status);
}

fn ready(more: &Value) -> Value {
    let mut status = more.clone();
    status["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    json!({ "status": status })
}

fn patch(cluster: &Cluster, kind: &str, name: &str, status: &Value) {
    let patch = status.to_string();
    cluster.kubectl(&["patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch]).expect(0);
}

/// Makes the first Triggers ready, as soon as they are all there.
fn make_ready(cluster: &Cluster, count: usize) {
    assert!(becomes(|| cluster.list("triggers").len() == COUNT), "the job makes Triggers");
    for trigger in &cluster.list("triggers")[..count] {
        patch(cluster, "trigger", trigger["metadata"]["name"].as_str().expect("a name"), &ready(&json!({})));
    }
}

fn status(cluster: &Cluster) -> Ended {
    let ledger = ["status", "--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default"];
    run(job("trigger-replicator").args(ledger), "")
}

#[test]
fn what_goes_on_becoming_ready_goes_on_in_the_background_and_is_finished_by_the_next_run() {
    let cluster = lease();
    scene(&cluster);
    let is_ready = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        scope.spawn(|| {
            make_ready(&cluster, 1);
            is_ready.store(true, Ordering::Relaxed);
        });
        apply(&cluster, &["--run-timeout", "30s", "--ready-timeout", "10m", "--helm-revision", "2"])
    });
    assert!(is_ready.into_inner());
    let made = made.expect(0).json();
    assert_eq!(made["outcome"], "Background");
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Background".to_owned())]);
    // However it is broken into lines.
    let said = status(&cluster).expect(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let left = "the run goes on in the background: 3 of 4 are not ready yet, the first is Trigger default/";
    assert!(said.contains("in force; what follows from it goes on in the background") && said.contains(left), "{said}");

    // A pod whose Job is older than it may be takes nothing back because of that.
    let late = ["--run-timeout", "1ms", "--ready-timeout", "10m", "--helm-revision", "2"];
    assert_eq!(apply(&cluster, &late).expect(0).json()["outcome"], "Background");
    assert_eq!((tickets(&cluster)[0].1.as_str(), cluster.list("triggers").len()), ("Background", COUNT));

    // Another upgrade does not begin while that one goes on, nor does it end it.
    make_ready(&cluster, 2);
    let held = apply(&cluster, &["--run-timeout", "20s", "--ready-timeout", "10m", "--helm-revision", "3"]);
    let held = held.expect(5).stderr;
    assert!(held.contains("error FL015: run 1 of an earlier upgrade goes on in the background: 2 of 4 are not"), "{held}");
    let watch = "trigger-replicator background --release fairlead --ledger-namespace default";
    assert!(held.contains(&format!("If nobody watches it any more: {watch}")), "{held}");
    assert!(status(&cluster).expect(0).stdout.contains(watch));
    let check = ["check", "fairlead", "-n", "default", "--without-helm", "--kubeconfig", cluster.kubeconfig()];
    let answers = run(job("kubectl-fairlead").args(check), "").expect(0).stdout;
    assert!(answers.contains("?   background: run 1 (trigger-replicator) goes on: "), "{answers}");
    // Nor one whose number Helm has used again: somebody has deleted its record.
    recorded(&cluster, 2, "pending-upgrade");
    let held = apply(&cluster, &["--run-timeout", "20s", "--ready-timeout", "10m", "--helm-revision", "2"]);
    assert!(held.expect(5).stderr.contains("error FL015: run 1 of an earlier upgrade"));
    cluster.kubectl(&["delete", "secret", "sh.helm.release.v1.fairlead.v2", "-n", "default"]).expect(0);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Background".to_owned())]);

    make_ready(&cluster, COUNT);
    let finished = apply(&cluster, &["--helm-revision", "3"]).expect(0);
    assert_eq!(finished.json()["outcome"], "Unchanged");
    assert!(finished.stderr.contains("finished the earlier run"), "{}", finished.stderr);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Committed".to_owned())]);
}

/// Leaves a run to the background, with `ready` of its Triggers ready.
fn left_behind(cluster: &Cluster, ready: usize) {
    scene(cluster);
    let made = thread::scope(|scope| {
        scope.spawn(|| make_ready(cluster, ready));
        apply(cluster, &["--run-timeout", "30s", "--ready-timeout", "10m", "--helm-revision", "2"])
    });
    assert_eq!(made.expect(0).json()["outcome"], "Background");
}

/// As the Job of the chart does it.
fn background(cluster: &Cluster, more: &[&str]) -> Command {
    let mut command = job("trigger-replicator");
    command.args(["background", "-o", "json", "--ledger-namespace", "default"]).args(more);
    command.arg("--kubeconfig").arg(cluster.account(BACKGROUND));
    command
}

fn watched(cluster: &Cluster) -> Value {
    let ledger = ["status", "-o", "json", "--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default"];
    run(job("trigger-replicator").args(ledger), "").expect(0).json()["watches"].clone()
}

/// Suspends a `CronJob`, and has nothing to wait for.
fn drain(cluster: &Cluster) {
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.com/reports"}]}});
    cluster.apply(
        &json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"namespace": "default", "name": "progress-reports"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}}}),
    );
    let intake = json!([{"suspend": {"namespace": "default", "name": "progress-reports"}}]);
    let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": {"intake": intake}});
    let mut file = tempfile::NamedTempFile::with_suffix(".json").expect("a temporary file");
    file.write_all(configuration.to_string().as_bytes()).expect("written");
    let mut drain = job("drain-waiter");
    drain.args(["apply", "--grace-period", "1s", "--ledger-namespace", "default", "--kubeconfig", cluster.kubeconfig()]);
    run(drain.arg("--config").arg(file.path()), "").expect(0);
}

#[test]
fn what_was_left_to_the_background_is_watched_to_its_end_and_who_watches_says_how_far_it_is() {
    let cluster = lease();
    // A slip in its name, say: that makes no release of it.
    for _ in 0..2 {
        let unknown = run(&mut background(&cluster, &["--release", "nobody-knows"]), "").expect(2).stderr;
        assert!(unknown.contains("error FL032: release nobody-knows has no runs in namespace default"), "{unknown}");
    }
    left_behind(&cluster, 1);
    assert_eq!(watched(&cluster), Value::Null);
    let ended = thread::scope(|scope| {
        let ours = scope.spawn(|| run(&mut background(&cluster, &["--run-timeout", "1h", "--ready-timeout", "10m"]), ""));
        let says =
            |how_far: &str| becomes(|| watched(&cluster)["howFar"].as_str().is_some_and(|it| it.starts_with(how_far)));
        assert!(says("3 of 4 are not ready yet, the first is Trigger default/"), "{}", watched(&cluster));
        // Meanwhile the release is free for others.
        let leases = cluster.list("leases");
        let holder = |name: &str| {
            leases.iter().find(|it| it["metadata"]["name"] == name).map(|it| it["spec"]["holderIdentity"].clone())
        };
        assert_eq!(holder("fairlead-fairlead"), Some(json!("")));
        make_ready(&cluster, 2);
        assert!(says("2 of 4 are not ready yet"), "{}", watched(&cluster));
        make_ready(&cluster, COUNT);
        ours.join().expect("no panic")
    });
    let ended = ended.expect(0);
    assert_eq!(ended.json()["outcome"], "Committed", "{}", ended.stderr);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Committed".to_owned())]);
    let said = status(&cluster).expect(0).stdout;
    assert!(said.contains("trigger-replicator background, exit 0: Done: 4 changes, verified"), "{said}");
    assert_eq!(run(&mut background(&cluster, &[]), "").expect(0).json()["outcome"], "Unchanged");
    assert_eq!(watched(&cluster), Value::Null);
}

#[test]
fn what_does_not_become_ready_in_the_background_is_taken_back_and_a_run_that_is_ended_by_others_is_over() {
    let cluster = lease();
    left_behind(&cluster, 1);
    // Its time is over: nothing is lost, and the next one goes on.
    let late = run(&mut background(&cluster, &["--run-timeout", "1ms", "--ready-timeout", "10m"]), "").expect(75);
    assert!(late.stderr.contains("error FL038: "), "{}", late.stderr);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Background".to_owned())]);
    // What came after it may rest on it: a drain that has closed an intake.
    drain(&cluster);
    let rested = run(&mut background(&cluster, &["--run-timeout", "1h", "--ready-timeout", "5s"]), "").expect(4);
    assert!(
        rested.stderr.contains("error FL039: run 1 (trigger-replicator) has not come to its end, and run 2"),
        "{}",
        rested.stderr
    );
    assert!(rested.stderr.contains("rollback fairlead -n default --to 0"), "{}", rested.stderr);
    assert_eq!(cluster.list("triggers").len(), COUNT);
    let last = ["rollback", "--last", "--ledger-namespace", "default", "--kubeconfig", cluster.kubeconfig()];
    run(job("drain-waiter").args(last), "").expect(0);
    let failed = run(&mut background(&cluster, &["--run-timeout", "1h", "--ready-timeout", "5s"]), "").expect(1);
    assert!(failed.stderr.contains("error FL014: waited in vain to see Trigger default/"), "{}", failed.stderr);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    assert_eq!(tickets(&cluster)[0], ("fairlead.v1.fairlead.1".to_owned(), "RolledBack".to_owned()));

    // A rollback does not wait for who watches.
    left_behind(&cluster, 1);
    let ended = thread::scope(|scope| {
        let ours = scope.spawn(|| run(&mut background(&cluster, &["--run-timeout", "1h", "--ready-timeout", "10m"]), ""));
        assert!(becomes(|| watched(&cluster)["howFar"].is_string()));
        let back = ["rollback", "--last", "--ledger-namespace", "default"];
        run(&mut cluster.job("trigger-replicator", &back), "").expect(0);
        ours.join().expect("no panic")
    });
    assert_eq!(ended.expect(0).json()["outcome"], "Unchanged");
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

#[test]
fn where_nothing_becomes_ready_any_more_it_is_said_what_and_everything_is_taken_back() {
    let cluster = lease();
    scene(&cluster);
    let stuck = thread::scope(|scope| {
        scope.spawn(|| make_ready(&cluster, 1));
        apply(&cluster, &["--ready-timeout", "20s"])
    });
    let said = stuck.expect(1).stderr;
    assert!(said.contains("error FL014: waited in vain to see Trigger default/"), "{said}");
    assert!(said.contains("become ready, and nothing has for 20s: Ready: no controller has looked at it yet"), "{said}");
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());

    // The deadline of the run comes first, and nothing has become ready until then.
    let said = apply(&cluster, &["--run-timeout", "15s"]).expect(124).stderr;
    assert!(said.contains("error FL007: the deadline of the run has passed, and Trigger default/"), "{said}");
    assert!(said.contains("is not ready: Ready: no controller has looked at it yet (and 3 others are not ready)"), "{said}");
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

#[test]
fn triggers_are_created_in_time_with_knative_so_that_nobody_waits_behind_all_of_them() {
    const WINDOW: usize = 60;
    let cluster = lease();
    scene(&cluster);
    let more = (COUNT..WINDOW + 30).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}")));
    cluster.apply(&more.collect());
    let is_over = AtomicBool::new(false);
    let (made, most) = thread::scope(|scope| {
        let knative = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                let triggers = cluster.list("triggers");
                let unready = triggers.iter().filter(|trigger| trigger.get("status").is_none());
                let names: Vec<&str> = unready.filter_map(|trigger| trigger["metadata"]["name"].as_str()).collect();
                most = most.max(names.len());
                // It begins when the window is full, and does half of it at a time.
                if names.len() == WINDOW || triggers.len() > WINDOW && !names.is_empty() {
                    let status = ready(&json!({})).to_string();
                    let args = ["patch", "trigger", "--subresource=status", "--type=merge", "-p", &status];
                    let names = names.into_iter().take(WINDOW / 2);
                    cluster.kubectl(&args.into_iter().chain(names).collect::<Vec<_>>()).expect(0);
                }
            }
            most
        });
        let made = apply(&cluster, &["--run-timeout", "10m"]);
        is_over.store(true, Ordering::Relaxed);
        (made, knative.join().expect("no panic"))
    });
    assert_eq!(made.expect(0).json()["outcome"], "Committed");
    assert_eq!(most, WINDOW);
}
