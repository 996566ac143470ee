//! What others do while a run waits, was killed, or tells what it does.

use std::process::{Command, Stdio};

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, binaries, run};
use serde_json::{Value, json};

use crate::fixtures::{apply, plan, subscription, tickets};

fn replicator(cluster: &Cluster, args: &[&str]) -> Ended {
    run(&mut cluster.job("trigger-replicator", &[args, &["--ledger-namespace", "default"]].concat()), "")
}

/// Makes one Trigger more, in a run of its own.
fn one_more(cluster: &Cluster, name: &str) {
    cluster.apply(&subscription("default", name, &format!("order.{name}")));
    apply(cluster, &[]).expect(0);
}

fn phases(cluster: &Cluster) -> Vec<String> {
    tickets(cluster).into_iter().map(|(_, phase)| phase).collect()
}

/// As a process leaves a run that is killed in this phase.
fn is_left_in(cluster: &Cluster, ticket: &str, phase: &str) {
    let label = format!("fairlead.dev/phase={phase}");
    cluster.kubectl(&["label", "secret", "-n", "default", ticket, &label, "--overwrite"]).expect(0);
}

/// Two people who ask for the same do not take back more than one of them would have.
#[test]
fn the_last_run_is_the_one_that_was_the_last_when_somebody_asked() {
    let cluster = lease();
    one_more(&cluster, "one");
    one_more(&cluster, "two");
    let held = |by: &str| {
        let spec = json!({"holderIdentity": by, "leaseDurationSeconds": 3600});
        let patch = json!({ "spec": spec }).to_string();
        cluster.kubectl(&["patch", "lease", "-n", "default", "fairlead-fairlead", "--type=merge", "-p", &patch]).expect(0);
    };
    held("somebody/rollback");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let children = ["a", "b"].map(|name| {
        let mut rollback = cluster.job("trigger-replicator", &["rollback", "--last", "--ledger-namespace", "default"]);
        let log = std::fs::File::create(folder.path().join(name)).expect("a file");
        (name, rollback.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts"))
    });
    for (name, _) in &children {
        let log = || std::fs::read_to_string(folder.path().join(name)).expect("it is there");
        assert!(becomes(|| log().contains("waiting for another run to end")), "{}", log());
    }
    held("");
    let said = children.map(|(name, child)| {
        let output = child.wait_with_output().expect("it ends");
        let log = std::fs::read_to_string(folder.path().join(name)).expect("it is there");
        assert_eq!(output.status.code(), Some(0), "{log}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let of = |words: &str| said.iter().filter(|said| said.contains(words)).count();
    assert_eq!(of("Nothing to take back: run 2 has been taken back meanwhile."), 1, "{said:?}");
    assert_eq!(of("Done: 1 change taken back."), 1, "{said:?}");
    assert_eq!(phases(&cluster), ["Committed", "RolledBack"]);
}

#[test]
fn a_run_that_was_killed_is_finished_only_with_the_plan_that_it_began_with() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.one"));
    let approved = plan(&cluster, &[]).expect(0).json();
    apply(&cluster, &[]).expect(0);
    is_left_in(&cluster, "fairlead.v1.fairlead.1", "Applying");
    let mut other = approved.clone();
    other["digest"] = "sha256:0".into();
    let with = |plan: &Value| {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, plan.to_string()).expect("written");
        apply(&cluster, &["--plan", file.path().to_str().expect("text")])
    };
    let refused = with(&other).expect(4).stderr;
    let words = "error FL012: approved was sha256:0, and run 1, which has not come to its end, is of plan ";
    assert!(refused.contains(words) && refused.contains("rollback fairlead -n default --last"), "{refused}");
    assert_eq!(phases(&cluster), ["Applying"]);
    with(&approved).expect(0);
    assert_eq!(phases(&cluster), ["Committed"]);
}

#[test]
fn a_run_that_was_killed_before_its_first_change_stands_in_nobodys_way() {
    let cluster = lease();
    one_more(&cluster, "one");
    is_left_in(&cluster, "fairlead.v1.fairlead.1", "Planned");
    let mut check = Command::new(binaries().join("kubectl-fairlead"));
    check.args(["check", "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()]);
    let answers = run(&mut check, "").stdout;
    assert!(answers.contains("ok  runs: 1 recorded, none of them stuck"), "{answers}");
    let said = replicator(&cluster, &["rollback", "--last"]).expect(0);
    assert!(said.stderr.contains("ended before its first change: it will not go on"), "{}", said.stderr);
    assert_eq!(phases(&cluster), ["RolledBack"]);
}

/// Whoever reads the log with `head`, or over a line that breaks, does not end the run.
#[test]
fn a_run_goes_on_when_nobody_reads_its_log_any_more() {
    let cluster = lease();
    cluster.create((0..40).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
    let mut job = cluster.job("trigger-replicator", &["apply", "--ledger-namespace", "default", "--concurrency", "1"]);
    let mut child = job.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Both ends are closed at once: the first line that is written meets nobody.
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!((cluster.list("triggers").len(), phases(&cluster)), (40, vec!["Committed".to_owned()]));
    let mut status = Command::new(binaries().join("kubectl-fairlead"));
    status.args(["status", "fairlead", "-n", "default", "--watch", "--kubeconfig", cluster.kubeconfig()]);
    let mut child = status.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "it watches on for nobody");
}

#[test]
fn somebody_else_is_asked_for_as_kubectl_does() {
    let cluster = lease();
    one_more(&cluster, "one");
    let status = |more: &[&str]| {
        let mut status = Command::new(binaries().join("kubectl-fairlead"));
        status.args(["status", "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()]).args(more);
        run(&mut status, "")
    };
    let refused = status(&["--as", "eve", "--as-group", "on-call"]).expect(4).stderr;
    assert!(refused.contains("error FL002:"), "{refused}");
    let said = status(&["--as", "root", "--as-group", "system:masters"]).expect(0).stdout;
    assert!(
        said.contains("rollback fairlead -n default --last") && said.contains("--as root --as-group system:masters"),
        "{said}"
    );
}
