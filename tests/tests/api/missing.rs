//! Secrets of the ledger that somebody has deleted: named before anything is taken back, shown, brought back, or gone on without.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, run};
use fairlead_tests::{access, state};
use serde_json::{Value, json};

use crate::fixtures::{apply, subscription};

/// `kubectl fairlead`, of the release whose name is the jobs' default.
fn plugin(cluster: &Cluster, verb: &str, more: &[&str]) -> Ended {
    let args = [verb, "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
    run(program::job("kubectl-fairlead").args(args).args(more), "")
}

fn applied(cluster: &Cluster, names: &[&str]) {
    for name in names {
        cluster.apply(&subscription("default", name, &format!("order.{name}")));
        apply(cluster, &[]).expect(0);
    }
}

fn delete(cluster: &Cluster, secret: &str) {
    cluster.kubectl(&["delete", "secret", "-n", "default", secret]).expect(0);
}

#[test]
fn a_deleted_ticket_is_named_before_anything_is_taken_back() {
    let cluster = lease();
    applied(&cluster, &["one", "two"]);
    delete(&cluster, "fairlead.v1.fairlead.2");
    let before = state::of(&cluster);
    let refused = |goal: &[&str]| {
        let refused = plugin(&cluster, "rollback", goal).expect(4).stderr;
        for word in [
            "error FL016: Secret default/fairlead.v1.fairlead.2 is not there: somebody has deleted the ticket of run 2",
            "Nothing was taken back. From an export: kubectl fairlead import fairlead -n default FILE",
            &format!("kubectl fairlead rollback fairlead -n default {} --without-missing", goal.join(" ")),
        ] {
            assert!(refused.contains(word), "{word}\n{refused}");
        }
    };
    for goal in [&["--last"][..], &["--to", "0"], &["--to-revision", "1"], &["--to", "1"]] {
        refused(goal);
    }
    applied(&cluster, &["three"]);
    refused(&["--to", "0"]);
    // Of the one that is newer nothing is missing.
    plugin(&cluster, "rollback", &["--to", "2", "--dry-run"]).expect(0);
    plugin(&cluster, "rollback", &["--last"]).expect(0);
    refused(&["--last"]);
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "default", "three"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());

    let status = plugin(&cluster, "status", &[]).expect(0).stdout;
    let without = "  kubectl fairlead rollback fairlead -n default --last --without-missing";
    assert!(status.contains(without) && status.contains("what run 2 changed stays"), "{status}");
    let done = plugin(&cluster, "rollback", &["--last", "--without-missing"]).expect(0);
    assert!(done.stderr.contains("somebody has deleted its ticket, so what it changed stays run=2"), "{}", done.stderr);
    assert_eq!(cluster.list("triggers").len(), 1);
    // Once that is said nobody asks again.
    assert!(!plugin(&cluster, "status", &[]).expect(0).stdout.contains("MISSING"));
    let nothing = plugin(&cluster, "rollback", &["--to", "0"]).expect(4).stderr;
    assert!(nothing.contains("error FL018: release fairlead has no run in namespace default to take back"), "{nothing}");
    let nothing = plugin(&cluster, "rollback", &["--to", "99"]).expect(4).stderr;
    let named = "error FL018: there is no run 99 of release fairlead in namespace default, the newest is 3";
    assert!(nothing.contains(named), "{nothing}");
}

#[test]
fn a_ledger_that_is_not_whole_says_so_wherever_it_is_asked() {
    let cluster = lease();
    applied(&cluster, &["one", "two"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    plugin(&cluster, "export", &[&path("whole")]).expect(0);
    delete(&cluster, "fairlead.v1.fairlead.2-0");
    let import = "kubectl fairlead import fairlead -n default FILE";
    let gone = "Secret default/fairlead.v1.fairlead.2-0 is damaged: it is not there";
    let exported = plugin(&cluster, "export", &[&path("rest")]).expect(4).stderr;
    let refused = plugin(&cluster, "rollback", &["--last"]).expect(4).stderr;
    for told in [exported, refused] {
        assert!(told.contains(&format!("error FL016: {gone}")) && told.contains(import), "{told}");
    }
    let status = plugin(&cluster, "status", &[]).expect(0).stdout;
    assert!(status.contains("DAMAGED: ") && status.contains(gone) && status.contains(import), "{status}");
    let answers = plugin(&cluster, "check", &[]).expect(4).stdout;
    assert!(answers.contains(&format!("NO  tickets: {gone}: if there is an export, `{import}")), "{answers}");
    // What is whole is written, and can be imported.
    plugin(&cluster, "import", &[&path("rest")]).expect(0);
    delete(&cluster, "fairlead.v1.fairlead.2");
    let exported = plugin(&cluster, "export", &[&path("older")]).expect(4).stderr;
    assert!(
        exported.contains("error FL016: Secret default/fairlead.v1.fairlead.2 is damaged: it is not there"),
        "{exported}"
    );
    plugin(&cluster, "import", &[&path("whole")]).expect(0);
    plugin(&cluster, "rollback", &["--to", "0"]).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

/// A chunk is lost for good: its ticket keeps everybody from going back until somebody gives it up.
#[test]
fn without_an_export_a_damaged_run_is_given_up_and_the_others_go_back() {
    let cluster = lease();
    applied(&cluster, &["one", "two"]);
    delete(&cluster, "fairlead.v1.fairlead.2-0");
    let refused = plugin(&cluster, "rollback", &["--to", "0"]).expect(4).stderr;
    assert!(refused.contains("How it goes on without one: kubectl fairlead status fairlead -n default"), "{refused}");
    let status = plugin(&cluster, "status", &[]).expect(0).stdout;
    assert!(status.contains("  kubectl -n default delete secret fairlead.v1.fairlead.2 "), "{status}");
    delete(&cluster, "fairlead.v1.fairlead.2");
    let status = plugin(&cluster, "status", &[]).expect(0).stdout;
    assert!(status.contains("  kubectl fairlead rollback fairlead -n default --last"), "{status}");
    plugin(&cluster, "rollback", &["--to", "0", "--without-missing"]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);
}

#[test]
fn releases_with_runs_are_listed_where_none_is_named() {
    let cluster = lease();
    let ask = |args: &[&str]| {
        run(program::job("kubectl-fairlead").arg("status").args(args).args(["--kubeconfig", cluster.kubeconfig()]), "")
    };
    applied(&cluster, &["one"]);
    let listed = ask(&["-n", "default"]).expect(0).stdout;
    assert!(listed.contains("default    fairlead\n") && listed.contains("  kubectl fairlead status "), "{listed}");
    let all = ask(&["-o", "json"]).expect(0).json();
    let ours = json!({"namespace": "default", "release": "fairlead"});
    assert!(all["releases"].as_array().expect("a list").contains(&ours), "{all}");
    let hidden = ask(&["-n", "default", "--as", "stranger"]).expect(4).stderr;
    assert!(hidden.contains("error FL002: "), "{hidden}");
    let none = ask(&["-n", "kube-public"]).expect(2).stderr;
    assert!(none.contains("error FL032: no release has runs in namespace kube-public"), "{none}");
    let nowhere = ask(&["-n", "nobody"]).expect(2).stderr;
    assert!(nowhere.contains("error FL032: there is no namespace nobody"), "{nowhere}");
}

#[test]
fn who_may_not_look_is_not_told_that_there_is_a_way_back() {
    let cluster = lease();
    let account: Vec<Value> = access::rendered("nobody", "trigger-replicator")
        .into_iter()
        .filter(|object| object["kind"] == "ServiceAccount")
        .collect();
    cluster.apply(&Value::Array(account));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = access::kubeconfig(&cluster, "nobody", "trigger-replicator", folder.path());
    let mut check = program::job("kubectl-fairlead");
    let answers =
        run(check.args(["check", "fairlead", "-n", "default", "--kubeconfig"]).arg(kubeconfig), "").expect(4).stdout;
    assert!(answers.contains("?   armed: you may not read the records of Helm in namespace default"), "{answers}");
    assert!(answers.contains("NO  runs: failed to list secrets"), "{answers}");
}
