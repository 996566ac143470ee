//! Signals, deadlines and servers that are not there.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, run};
use fairlead_tests::state;
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::json;

use crate::fixtures::{apply, free_lease, job, subscription, tickets};

fn many(cluster: &Cluster, count: usize) {
    cluster.create((0..count).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
}

#[test]
fn a_run_that_is_told_to_end_is_finished_by_the_next() {
    is_told_to_end(Signal::TERM);
}

/// A connection that breaks takes its terminal along.
#[test]
fn a_run_whose_terminal_is_gone_is_finished_by_the_next() {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask").trim();
    // Under nohup the jobs would go on, as they should.
    if u64::from_str_radix(ignored, 16).expect("hexadecimal") & 1 == 0 {
        is_told_to_end(Signal::HUP);
    }
}

fn is_told_to_end(signal: Signal) {
    let cluster = lease();
    many(&cluster, 300);
    let args = ["apply", "--ledger-namespace", "default", "--concurrency", "1", "-o", "json"];
    let job = Watched::start_until(&mut cluster.job("trigger-replicator", &args), "changed");
    job.signal(signal);
    let (status, rest) = job.finish();
    assert_eq!(status, Some(75), "{}", rest.join("\n"));
    assert!(rest.iter().any(|line| line.contains("error FL008: interrupted")), "{}", rest.join("\n"));
    let made = cluster.list("triggers").len();
    assert!((1..300).contains(&made), "{made}");

    // Another step, which has no time to do anything.
    let other =
        run(&mut cluster.job("legacy-purger", &["apply", "--ledger-namespace", "default", "--run-timeout", "0s"]), "");
    let other = other.expect(124).stderr;
    let word = "a run of another step is unfinished, and its process may have died";
    assert!(other.contains(word) && other.contains("kubectl fairlead status fairlead -n default"), "{other}");

    // It has given its lease back, so nobody has to wait.
    let next = apply(&cluster, &["--lease-wait", "0s"]).expect(0);
    assert!(next.stderr.contains("going on with an earlier run"), "{}", next.stderr);
    assert_eq!((next.json()["outcome"].clone(), cluster.list("triggers").len()), (json!("Unchanged"), 300));
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Committed".to_owned())]);
}

#[test]
fn a_deadline_that_has_passed_changes_nothing() {
    let cluster = lease();
    many(&cluster, 3);
    let ended = apply(&cluster, &["--run-timeout", "0s"]).expect(124);
    assert!(ended.stderr.contains("error FL007: the deadline of the run has passed"), "{}", ended.stderr);
    assert_eq!((cluster.list("triggers").len(), tickets(&cluster).len()), (0, 0));
}

#[test]
fn a_deadline_counts_from_the_start_of_the_job_over_all_its_pods_and_the_job_gets_an_event() {
    let cluster = lease();
    many(&cluster, 3);
    let uid = job(&cluster, 10);
    let late = apply(&cluster, &["--job", "it", "--run-timeout", "9m"]).expect(124);
    assert!(late.stderr.contains("error FL007"), "{}", late.stderr);
    assert!(cluster.list("triggers").is_empty());
    apply(&cluster, &["--job", "it", "--run-timeout", "11m"]).expect(0);
    let events = cluster.kubectl(&["get", "events", "-n", "default", "-o", "json"]).expect(0).json();
    let mut said: Vec<(&str, &str, &str)> = events["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["involvedObject"]["uid"] == uid)
        .map(|event| ["type", "reason", "message"].map(|field| event[field].as_str().unwrap_or_default()).into())
        .collect();
    said.sort_unstable();
    let committed = "Done: 3 changes, verified; 0 refused, 2 warned of, see above. Ticket default/fairlead.v1.fairlead.1.";
    let refused = "the deadline of the run has passed";
    assert_eq!(said, [("Normal", "Committed", committed), ("Warning", "Refused", refused)]);
    cluster.kubectl(&["delete", "job", "-n", "default", "it"]).expect(0);
    let missing = apply(&cluster, &["--job", "it"]).expect(1);
    assert!(missing.stderr.contains("failed to get Job default/it"), "{}", missing.stderr);
}

#[test]
fn what_an_earlier_pod_has_done_is_taken_back_when_the_deadline_has_passed_meanwhile() {
    let cluster = lease();
    many(&cluster, 300);
    let before = state::of(&cluster);
    let args = ["apply", "--ledger-namespace", "default", "--concurrency", "1"];
    Watched::start_until(&mut cluster.job("trigger-replicator", &args), "changed").kill();
    free_lease(&cluster);
    job(&cluster, 10);
    let late = apply(&cluster, &["--job", "it", "--run-timeout", "9m"]).expect(124);
    assert!(late.stderr.contains("everything is as before"), "{}", late.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "RolledBack".to_owned())]);
    cluster.kubectl(&["delete", "job", "-n", "default", "it"]).expect(0);
}

/// A Job would start another pod, which must not do again what somebody has just taken back.
#[test]
fn a_job_whose_work_has_been_taken_back_does_not_do_it_again() {
    let cluster = lease();
    many(&cluster, 3);
    job(&cluster, 1);
    apply(&cluster, &["--job", "it"]).expect(0);
    let back = ["rollback", "--last", "--ledger-namespace", "default"];
    run(&mut cluster.job("trigger-replicator", &back), "").expect(0);
    let refused = apply(&cluster, &["--job", "it"]).expect(1);
    assert!(refused.stderr.contains("error FL020: what this Job has done, as fairlead.v1.fairlead.1"), "{}", refused.stderr);
    assert!(cluster.list("triggers").is_empty());
    cluster.kubectl(&["delete", "job", "-n", "default", "it"]).expect(0);
    apply(&cluster, &[]).expect(0);
}

#[test]
fn a_server_that_is_not_there_is_asked_again_and_named() {
    // Port 1 of the loopback: nothing listens there.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "gone",
        "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "u"}}],
    });
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    let ended =
        run(program::job("trigger-replicator").args(["plan", "--request-timeout", "300ms", "--kubeconfig"]).arg(&file), "")
            .expect(75);
    for word in [
        "trying again",
        "error FL001: failed to discover what the cluster serves: no connection to http://127.0.0.1:1",
        "kubectl cluster-info",
    ] {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
}

#[test]
fn a_proxy_for_everything_else_is_no_obstacle() {
    let cluster = lease();
    let mut command = cluster.job("trigger-replicator", &["plan"]);
    run(command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "127.0.0.1"), "").expect(0);
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_named() {
    let ended = run(program::job("trigger-replicator").args(["plan", "--kubeconfig", "/there/is/none"]), "").expect(2);
    for word in ["error FL009", "/there/is/none", "--kubeconfig"] {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
}
