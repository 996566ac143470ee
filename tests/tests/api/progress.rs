//! How long is waited for what was created, on a cluster whose Knative is played.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, job, run};
use serde_json::{Value, json};

use crate::fixtures::{apply, subscription, tickets};

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

    // Another upgrade does not begin while that one goes on, nor does it end it.
    make_ready(&cluster, 2);
    let held = apply(&cluster, &["--run-timeout", "20s", "--ready-timeout", "10m", "--helm-revision", "3"]);
    let held = held.expect(5).stderr;
    assert!(held.contains("error FL015: run 1 of an earlier upgrade goes on in the background: 2 of 4 are not"), "{held}");
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Background".to_owned())]);

    make_ready(&cluster, COUNT);
    let finished = apply(&cluster, &["--helm-revision", "3"]).expect(0);
    assert_eq!(finished.json()["outcome"], "Unchanged");
    assert!(finished.stderr.contains("finished the earlier run"), "{}", finished.stderr);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Committed".to_owned())]);
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
