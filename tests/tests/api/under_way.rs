//! What `status` says while Helm is at work, and of what has been cut off.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, job, run, tool};
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fixtures::{apply, recorded, subscription};

fn plugin(cluster: &Cluster, args: &[&str]) -> Ended {
    run(job("kubectl-fairlead").args(args).args(["--kubeconfig", cluster.kubeconfig()]), "")
}

/// A hook of Helm's, of which a pod runs or not.
fn hook(cluster: &Cluster, active: u64) {
    let metadata = json!({"namespace": "default", "name": "fairlead-legacy-purger", "annotations": {"helm.sh/hook": "pre-upgrade"},
        "labels": {"app.kubernetes.io/part-of": "fairlead", "app.kubernetes.io/instance": "fairlead"}});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "it", "image": "none"}]}});
    cluster.apply(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}));
    let status = json!({"status": {"startTime": "2026-01-01T00:00:00Z", "active": active, "failed": 1}}).to_string();
    let patch = ["patch", "job", "-n", "default", "fairlead-legacy-purger", "--subresource=status", "--type=merge", "-p"];
    cluster.kubectl(&[&patch[..], &[&status]].concat()).expect(0);
}

/// Who is called at night must not break into what goes well.
#[test]
fn as_long_as_a_hook_of_helms_works_the_next_command_is_to_wait() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    recorded(&cluster, 1, "deployed");
    recorded(&cluster, 2, "pending-upgrade");
    apply(&cluster, &["--helm-revision", "2"]).expect(0);
    let next = || {
        let status = plugin(&cluster, &["status", "fairlead", "-n", "default", "-o", "json"]).expect(0).json();
        let next = |next: &Value| {
            let text = |field: &str| next[field].as_str().expect("text").to_owned();
            (text("command"), text("what"))
        };
        status["next"].as_array().expect("a list").iter().map(next).collect::<Vec<_>>()
    };
    hook(&cluster, 1);
    let told = next();
    let watch = format!("kubectl fairlead status fairlead -n default --watch --kubeconfig {}", cluster.kubeconfig());
    assert_eq!(told[0].0, watch);
    assert!(
        told[0].1.starts_with("Job fairlead-legacy-purger works for revision 2 of Helm's, which is pending-upgrade"),
        "{told:?}"
    );
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].0.starts_with("helm rollback fairlead 1 -n default "), "{told:?}");
    assert!(told[1].1.starts_with("only to stop that, or if no helm is at work any more: takes back run 1"), "{told:?}");
    // Nobody can be seen at work for it any more, and helm itself never can be.
    hook(&cluster, 0);
    let told = next();
    assert!(told[0].0.starts_with("helm rollback fairlead 1 -n default "), "{told:?}");
    assert!(told[0].1.contains("if no helm is at work any more"), "{told:?}");
    // What is at work is of another operation.
    hook(&cluster, 1);
    recorded(&cluster, 2, "deployed");
    assert!(next()[0].0.starts_with("helm rollback fairlead 1 -n default "), "{:?}", next());
    cluster.kubectl(&["delete", "job", "-n", "default", "fairlead-legacy-purger"]).expect(0);
}

#[test]
fn a_rollback_that_was_cut_off_says_in_the_status_how_far_it_came() {
    const COUNT: usize = 300;
    let cluster = lease();
    cluster.create((0..COUNT).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
    apply(&cluster, &[]).expect(0);
    let args = ["rollback", "--last", "--concurrency", "1", "--ledger-namespace", "default"];
    let back = Watched::start_until(&mut cluster.job("trigger-replicator", &args), "as before");
    back.signal(Signal::TERM);
    let (code, rest) = back.finish();
    assert_eq!(code, Some(75), "{}", rest.join("\n"));
    let status = plugin(&cluster, &["status", "fairlead", "-n", "default"]).expect(0).stdout;
    let left = cluster.list("triggers").len();
    // However it is broken into lines.
    let status = status.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = format!("FL008: interrupted; {} of {COUNT} changes had been taken back", COUNT - left);
    assert!((1..COUNT).contains(&left) && status.contains(&expected), "{expected}\n{status}");
    run(job("trigger-replicator").args(["rollback", "--last", "-n", "default", "--kubeconfig", cluster.kubeconfig()]), "")
        .expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

#[test]
fn a_namespace_that_is_gone_or_going_is_told_as_such() {
    let cluster = lease();
    // Nobody finishes that: it is going, as it may be for long.
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}}));
    cluster.kubectl(&["delete", "namespace", "leaving", "--wait=false"]).expect(0);
    let held = "namespace leaving is being deleted, and held by: finalizers kubernetes; no ";
    let asked = [
        (&["status", "shop", "-n", "leaving"][..], held),
        (&["status", "-n", "leaving"], held),
        (&["status", "shop", "-n", "nowhere"], "error FL032: there is no namespace nowhere; "),
        (&["status", "-n", "nowhere"], "error FL032: there is no namespace nowhere\n"),
        (&["export", "shop", "-n", "nowhere", "-"], "error FL032: there is no namespace nowhere; "),
        (&["status", "shop", "-n", "default"], "error FL032: release shop has no runs in namespace default, and Helm"),
    ];
    let answers = asked.map(|(args, expected)| (plugin(&cluster, args), expected));
    let gone = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}, "spec": {"finalizers": []}});
    let finalize =
        ["replace", "--raw", "/api/v1/namespaces/leaving/finalize", "-f", "-", "--kubeconfig", cluster.kubeconfig()];
    run(tool("kubectl").args(finalize), &gone.to_string()).expect(0);
    for (answer, expected) in answers {
        let said = answer.expect(2).stderr;
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}
