//! Secrets of the ledger that somebody has edited, or whose owner is gone.

use std::path::Path;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, becomes, run};
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::fixtures::{apply, subscription, tickets};

const TICKET: &str = "fairlead.v1.fairlead.1";

/// `kubectl fairlead`, of the release whose name is the jobs' default.
fn plugin(cluster: &Cluster, verb: &str, more: &[&str]) -> Ended {
    let args = [verb, "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
    run(program::job("kubectl-fairlead").args(args).args(more), "")
}

/// A run, and an export of it.
fn exported(cluster: &Cluster, folder: &Path) -> String {
    cluster.apply(&subscription("default", "one", "order.created"));
    apply(cluster, &[]).expect(0);
    let file = folder.join("tickets.json").to_str().expect("a path of ours is UTF-8").to_owned();
    plugin(cluster, "export", &[&file]).expect(0);
    file
}

/// Nobody collects garbage here: as it is before the collector comes.
#[test]
fn chunks_of_a_ticket_that_was_deleted_belong_to_the_imported_one() {
    let (cluster, folder) = (lease(), tempfile::tempdir().expect("a temporary folder"));
    let file = exported(&cluster, folder.path());
    let began = plugin(&cluster, "status", &["-o", "json"]).expect(0).json()["runs"][0]["began"].clone();
    cluster.kubectl(&["delete", "secret", "-n", "default", TICKET]).expect(0);
    let now = || humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    assert!(becomes(|| began.as_str().is_some_and(|began| now().as_str() > began)), "the clock stands still");
    let chunk = || cluster.get("secret", "default", &format!("{TICKET}-0"));
    let old = chunk();
    let mut dangling = old.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        dangling["metadata"].as_object_mut().expect("an object").remove(field);
    }
    dangling["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Secret", "name": TICKET, "uid": "gone"}]);
    cluster.kubectl(&["delete", "secret", "-n", "default", &format!("{TICKET}-0")]).expect(0);
    cluster.apply(&dangling);
    let imported = plugin(&cluster, "import", &[&file]).expect(0).stdout;
    assert!(imported.contains(&format!("is there already: {TICKET}-0\n")), "{imported}");
    assert!(imported.contains(&format!("created {TICKET}\n")), "{imported}");
    let ticket = cluster.get("secret", "default", TICKET);
    assert_eq!(chunk()["metadata"]["ownerReferences"][0]["uid"], ticket["metadata"]["uid"]);
    // The run is as old as it was.
    assert_eq!(plugin(&cluster, "status", &["-o", "json"]).expect(0).json()["runs"][0]["began"], began);
    plugin(&cluster, "import", &[&file]).expect(0);
    plugin(&cluster, "rollback", &["--last"]).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

#[test]
fn import_says_what_a_ticket_says_otherwise_than_the_file() {
    let (cluster, folder) = (lease(), tempfile::tempdir().expect("a temporary folder"));
    let file = exported(&cluster, folder.path());
    cluster.kubectl(&["annotate", "secret", "-n", "default", TICKET, "fairlead.dev/progress-"]).expect(0);
    let imported = plugin(&cluster, "import", &[&file]).expect(0).stdout;
    for word in [
        "is there already, and not as in the file: fairlead.v1.fairlead.1: fairlead.dev/progress is not there",
        "kubectl -n default delete secret fairlead.v1.fairlead.1",
    ] {
        assert!(imported.contains(word), "{word}\n{imported}");
    }
    let before = state::of(&cluster);
    cluster.kubectl(&["delete", "secret", "-n", "default", TICKET]).expect(0);
    plugin(&cluster, "import", &[&file]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    assert_eq!(tickets(&cluster), [(TICKET.to_owned(), "Committed".to_owned())]);
    plugin(&cluster, "rollback", &["--last"]).expect(0);
    let imported = plugin(&cluster, "import", &[&file]).expect(0).stdout;
    assert!(imported.contains("fairlead.dev/phase is RolledBack, in the file Committed"), "{imported}");
}

/// Whoever opens it ends there; the others are shown, and taken back.
#[test]
fn a_ticket_that_cannot_be_read_hides_no_other_run() {
    let cluster = lease();
    for name in ["one", "two"] {
        cluster.apply(&subscription("default", name, &format!("order.{name}")));
        apply(&cluster, &[]).expect(0);
    }
    let [annotate, label] = ["annotate", "label"];
    let edit = |verb, what: &str| cluster.kubectl(&[verb, "secret", "-n", "default", TICKET, what, "--overwrite"]).expect(0);
    let progress = cluster.get("secret", "default", TICKET)["metadata"]["annotations"]["fairlead.dev/progress"].clone();
    for (verb, edited, back, said) in [
        (label, "fairlead.dev/phase=Resting", "fairlead.dev/phase=Committed", "says no phase that this version knows"),
        (
            label,
            "fairlead.dev/phase-",
            "fairlead.dev/phase=Committed",
            "it is there, but has lost its label fairlead.dev/phase; `kubectl -n default label secret fairlead.v1.fairlead.1 \
             fairlead.dev/phase=Committed --kubeconfig ",
        ),
        (
            annotate,
            "fairlead.dev/progress-",
            &format!("fairlead.dev/progress={}", progress.as_str().expect("a text")),
            "its annotation fairlead.dev/progress is not there",
        ),
        (annotate, "fairlead.dev/changes-", "fairlead.dev/changes=1", "its annotation fairlead.dev/changes says no number"),
    ] {
        edit(verb, edited);
        let status = plugin(&cluster, "status", &["-o", "json"]).expect(0).json();
        assert!(status["damages"][0].as_str().is_some_and(|damage| damage.contains(said)), "{said}\n{status}");
        assert_eq!(status["runs"][1]["phase"], "Committed");
        let refused = plugin(&cluster, "rollback", &["--to", "0"]).expect(4).stderr;
        assert!(refused.contains("error FL016") && refused.contains(said), "{refused}");
        assert_eq!(cluster.list("triggers").len(), 2);
        edit(verb, back);
    }
    edit(label, "fairlead.dev/phase=Resting");
    let refused = apply(&cluster, &[]).expect(4).stderr;
    assert!(refused.contains("error FL016") && refused.contains("says no phase"), "{refused}");
    plugin(&cluster, "rollback", &["--last"]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);
}

/// A gate that only looked: a later purge rests on what it saw.
#[test]
fn evidence_that_is_gone_or_changed_is_noticed_where_a_snapshot_is() {
    let (cluster, folder) = (lease(), tempfile::tempdir().expect("a temporary folder"));
    let path = |name: &str| folder.path().join(name).to_str().expect("a path of ours is UTF-8").to_owned();
    let (configuration, file) = (path("drain.json"), path("tickets.json"));
    let queue = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "edited-queue",
        "until": {"field": {"pointer": "/spec/leaseTransitions", "is": 0}}});
    let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration",
        "drain": {"sources": [{"name": "orders", "kubernetes": queue}]}});
    std::fs::write(&configuration, document.to_string()).expect("written");
    cluster.apply(&json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "default", "name": "edited-queue"}, "spec": {"leaseTransitions": 0}}));
    let mut gate = program::job("drain-waiter");
    gate.args(["apply", "--grace-period", "1s", "--interval", "100ms", "--ledger-namespace", "default"]);
    run(gate.args(["--kubeconfig", cluster.kubeconfig(), "--config", &configuration]), "").expect(0);
    cluster.kubectl(&["delete", "lease", "-n", "default", "edited-queue"]).expect(0);
    plugin(&cluster, "export", &[&file]).expect(0);

    let exported: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("text")).expect("JSON");
    let is_evidence = |item: &Value| item["metadata"]["name"].as_str().is_some_and(|name| name.contains(".1-e"));
    let items = exported["items"].as_array().expect("a list");
    let name = items.iter().find(|item| is_evidence(item)).expect("it has evidence")["metadata"]["name"].clone();
    let name = name.as_str().expect("a name");
    cluster.kubectl(&["delete", "secret", "-n", "default", name]).expect(0);
    let gone = format!("Secret default/{name} is damaged: it is not there");
    let status = plugin(&cluster, "status", &["-o", "json"]).expect(0).json()["damages"].to_string();
    assert!(status.contains(&gone) && status.contains("the evidence of run 1 (drain-waiter) is lost"), "{status}");
    let refused = plugin(&cluster, "export", &[&path("without.json")]).expect(4).stderr;
    assert!(refused.contains(&gone), "{refused}");

    let mut changed = exported.clone();
    changed["items"].as_array_mut().expect("a list").iter_mut().filter(|item| is_evidence(item)).for_each(|item| {
        item["data"]["chunk"] = "AAAA".into();
    });
    std::fs::write(&file, changed.to_string()).expect("written");
    let refused = plugin(&cluster, "import", &[&file]).expect(4).stderr;
    assert!(refused.contains(&format!("Secret default/{name} is damaged: ")), "{refused}");
    std::fs::write(&file, exported.to_string()).expect("written");
    plugin(&cluster, "import", &[&file]).expect(0);
    assert!(!plugin(&cluster, "status", &[]).expect(0).stdout.contains("damaged"));
}
