//! The Lease of a release that somebody deletes while a run holds it, and a ledger that is lost while a fence stands.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, run, tool};
use fairlead_tests::proxy::{Fault, Proxy};
use serde_json::json;

use crate::fixtures::{subscription, tickets};

/// So short that it is soon renewed.
const SHORT: [&str; 4] = ["--lease-duration", "6s", "--request-timeout", "3s"];

const DELETE: [&str; 5] = ["delete", "lease", "-n", "default", "fairlead-fairlead"];

fn many(cluster: &Cluster, count: usize) {
    cluster.create((0..count).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
}

#[test]
fn a_holder_whose_lease_is_deleted_stops_at_its_next_renewal() {
    let cluster = lease();
    many(&cluster, 200);
    let administrator = cluster.kubeconfig().to_owned();
    let (creations, is_deleted) = (AtomicUsize::new(0), AtomicBool::new(false));
    let proxy = Proxy::start(cluster.kubeconfig().as_ref(), move |asked| {
        if asked.method != "POST" || !asked.path.contains("/triggers") {
            return None;
        }
        if creations.fetch_add(1, Ordering::SeqCst) == 3 {
            run(tool("kubectl").args(["--kubeconfig", &administrator]).args(DELETE), "").expect(0);
            is_deleted.store(true, Ordering::SeqCst);
        }
        // So slow that the run does not come to its end before the renewal.
        is_deleted.load(Ordering::SeqCst).then_some(Fault::Delay(Duration::from_millis(200)))
    });
    let mut job = program::job("trigger-replicator");
    job.args(["apply", "--ledger-namespace", "default", "--concurrency", "1", "--kubeconfig"]).arg(proxy.kubeconfig());
    let lost = run(job.args(SHORT), "").expect(75).stderr;
    assert!(lost.contains("somebody has deleted the lease"), "{lost}");
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Applying".to_owned())]);
}

/// The process that has lost the lease may not have noticed yet.
#[test]
fn whoever_finds_no_lease_beside_an_unfinished_run_waits_until_its_process_has_noticed() {
    let cluster = lease();
    many(&cluster, 300);
    let job = |command: &str, more: &[&str]| {
        let args: Vec<&str> = [command, "--ledger-namespace", "default"].iter().chain(&SHORT).chain(more).copied().collect();
        let mut job = cluster.job("trigger-replicator", &args);
        let mut child = job.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        (child, log)
    };
    let (mut holder, mut log) = job("apply", &["--concurrency", "1"]);
    assert!(log.any(|line| line.contains("changed")), "the first change is logged");
    let signal = |name: &str| run(Command::new("kill").args([name, &holder.id().to_string()]), "").expect(0);
    signal("-STOP");
    cluster.kubectl(&DELETE).expect(0);
    let (mut successor, mut said) = job("rollback", &["--to", "0"]);
    assert!(said.any(|line| line.contains("somebody may have deleted it; waiting")), "it does not wait");
    signal("-CONT");
    std::thread::spawn(move || log.count());
    std::thread::spawn(move || said.count());
    // It may have come to its end before its renewal: then all of it is taken back.
    assert!(matches!(holder.wait().expect("it ends").code(), Some(0 | 75)));
    assert_eq!(successor.wait().expect("it ends").code(), Some(0));
    assert!(cluster.list("triggers").is_empty(), "{:?}", cluster.list("triggers"));
}

/// Of a purge that was killed, and whose namespace is gone with its ledger.
#[test]
fn a_fence_whose_ledger_is_lost_is_named_with_the_command_that_takes_it_away() {
    let cluster = lease();
    let name = "fairlead-purge.default.ghost";
    let labels = json!({"app.kubernetes.io/part-of": "fairlead", "app.kubernetes.io/instance": "ghost"});
    let rules =
        json!([{"operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["*"], "resources": ["none"]}]);
    cluster.apply(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "false"}]}}));
    cluster.apply(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": labels}, "spec": {"policyName": name, "validationActions": ["Deny"]}}));
    let plugin = |words: &[&str]| {
        run(program::job("kubectl-fairlead").args(words).args(["-n", "default", "--kubeconfig", cluster.kubeconfig()]), "")
    };
    let delete = format!("kubectl -n default delete validatingadmissionpolicy,validatingadmissionpolicybinding {name}");
    for (words, status) in [(&["status", "ghost"][..], 2), (&["unhold", "ghost"], 2), (&["rollback", "ghost", "--last"], 4)]
    {
        let told = plugin(words).expect(status).stderr;
        assert!(told.contains(&format!("has left ValidatingAdmissionPolicy {name}")) && told.contains(&delete), "{told}");
    }
    let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
    cluster.kubectl(&["-n", "default", "delete", kinds, name]).expect(0);
    assert!(!plugin(&["status", "ghost"]).expect(2).stderr.contains("has left"));
}
