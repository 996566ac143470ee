//! Secrets of the ledger that somebody has edited, or whose owner is gone.

use std::path::Path;
use std::time::SystemTime;

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
    // The clock of objects has seconds.
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
    let then = second();
    assert!(becomes(|| second() > then), "time stands still");
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
