//! Tickets as files and back, which of them are kept, and the outcomes of runs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, run};
use fairlead_tests::proxy::{Fault, Moment, Proxy};
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::fixtures::{apply, subscription, tickets};

fn replicator(cluster: &Cluster, command: &str, more: &[&str]) -> Ended {
    let args: Vec<&str> = [command, "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    run(&mut cluster.job("trigger-replicator", &args), "")
}

/// `kubectl fairlead`, of the release whose name is the jobs' default.
fn plugin(cluster: &Cluster, verb: &str) -> Ended {
    let args = [verb, "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
    run(program::job("kubectl-fairlead").args(args), "")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}

#[test]
fn a_ledger_that_was_exported_is_imported_and_taken_back_from() {
    let cluster = lease();
    cluster.create((0..3).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
    let before = state::of(&cluster);
    apply(&cluster, &[]).expect(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tickets.json");
    let exported = replicator(&cluster, "export", &[text(&file)]).expect(0);
    assert!(exported.stdout.contains("keep it as you keep Secrets"), "{}", exported.stdout);
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    // A file that is there is somebody's.
    let refused = replicator(&cluster, "export", &[text(&file)]).expect(2).stderr;
    assert!(
        refused.contains(&format!("error FL043: failed to write {}: there is a file of that name", text(&file))),
        "{refused}"
    );
    let nowhere = folder.path().join("nowhere/tickets.json");
    let refused = replicator(&cluster, "export", &[text(&nowhere)]).expect(2).stderr;
    assert!(refused.contains("error FL043") && refused.contains("No such file or directory"), "{refused}");
    let stdout = replicator(&cluster, "export", &["-"]).expect(0);
    assert_eq!(stdout.stdout, std::fs::read_to_string(&file).expect("text"));

    // Nothing is imported over what is there, and what is the same is no error.
    let again = replicator(&cluster, "import", &[text(&file)]).expect(0);
    assert_eq!(again.stdout.matches("is there already").count(), 3, "{}", again.stdout);
    // Only there: the objects carry the address of their ticket.
    let elsewhere = ["import", text(&file), "--ledger-namespace", "kube-public", "--kubeconfig", cluster.kubeconfig()];
    let refused = run(program::job("trigger-replicator").args(elsewhere), "").expect(2);
    let named = "error FL005: fairlead.v1.fairlead.1 is of release fairlead in namespace default, and not of";
    assert!(refused.stderr.contains(named), "{}", refused.stderr);
    // The outcomes go on, which is no difference that matters.
    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/step"]).expect(0);
    let status = plugin(&cluster, "status").expect(0).stdout;
    assert!(status.contains("MISSING: somebody has deleted tickets") && status.contains("from here: 1\n"), "{status}");
    for next in ["import fairlead -n default FILE", "rollback fairlead -n default --to 0 --without-missing"] {
        assert!(status.contains(&format!("  kubectl fairlead {next}")), "{next}\n{status}");
    }
    let answers = plugin(&cluster, "check").expect(4).stdout;
    assert!(
        answers.contains(
            "NO  tickets: somebody has deleted what run 1 recorded: if there is an export, `kubectl fairlead import"
        ),
        "{answers}"
    );
    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/release"]).expect(0);
    assert_eq!(tickets(&cluster), []);
    let unknown = replicator(&cluster, "rollback", &["--last"]).expect(4).stderr;
    assert!(unknown.contains("error FL018"), "{unknown}");
    apply(&cluster, &[]).expect(0);

    let imported = replicator(&cluster, "import", &[text(&file)]).expect(0);
    assert_eq!(imported.stdout.matches("created fairlead.v1.fairlead.").count(), 2, "{}", imported.stdout);
    let status = plugin(&cluster, "status").expect(0).stdout;
    assert!(!status.contains("MISSING"), "{status}");
    let chunk = cluster.get("secret", "default", "fairlead.v1.fairlead.1-0");
    let ticket = cluster.get("secret", "default", "fairlead.v1.fairlead.1");
    assert_eq!(chunk["metadata"]["ownerReferences"][0]["uid"], ticket["metadata"]["uid"]);
    replicator(&cluster, "rollback", &["--last"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

/// It has died before its snapshot was stored, so it has changed nothing: no part of it is missing.
#[test]
fn a_run_that_never_began_does_not_spoil_an_export() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    let proxy = Proxy::start(cluster.kubeconfig().as_ref(), |asked| {
        let is_chunk = asked.method == "POST" && String::from_utf8_lossy(&asked.body).contains("fairlead.v1.fairlead.1-0");
        is_chunk.then_some(Fault::Kill(Moment::BeforeSent))
    });
    let args =
        ["apply", "--ledger-namespace", "default", "--lease-duration", "10s", "--request-timeout", "5s", "--kubeconfig"];
    let mut killed = program::job("trigger-replicator").args(args).arg(proxy.kubeconfig()).spawn().expect("it starts");
    proxy.set_victim(killed.id());
    assert_eq!(killed.wait().expect("it ends").code(), None);
    apply(&cluster, &[]).expect(0);
    assert_eq!(tickets(&cluster)[0], ("fairlead.v1.fairlead.1".to_owned(), "RolledBack".to_owned()));
    assert_eq!(cluster.kubectl(&["get", "secret", "-n", "default", "fairlead.v1.fairlead.1-0"]).status, Some(1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tickets.json");
    let wrote = replicator(&cluster, "export", &[text(&file)]).expect(0).output();
    assert!(!wrote.contains("damaged"), "{wrote}");
    // What was written has its name at once.
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|it| it.expect("it").file_name()).collect();
    assert_eq!(names, ["tickets.json"]);
}

/// As many people keep what is in a namespace.
#[test]
fn a_backup_that_kubectl_has_written_is_imported() {
    let cluster = lease();
    let before = state::of(&cluster);
    cluster.create((0..3).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
    apply(&cluster, &[]).expect(0);
    cluster.apply(&subscription("default", "other", "order.paid"));
    apply(&cluster, &["--release", "other"]).expect(0);
    cluster.kubectl(&["create", "secret", "generic", "-n", "default", "foreign", "--from-literal=a=b"]).expect(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let owner = |name: &str| cluster.get("secret", "default", name)["metadata"]["ownerReferences"][0]["uid"].clone();
    for form in ["json", "yaml"] {
        let file = folder.path().join(form);
        let backup = cluster.kubectl(&["get", "secrets,leases", "-n", "default", "-o", form]).expect(0).stdout;
        std::fs::write(&file, backup).expect("written");
        let began = plugin(&cluster, "status").expect(0).stdout;
        cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/release=fairlead"]).expect(0);
        let imported = replicator(&cluster, "import", &[text(&file)]).expect(0).stdout;
        assert_eq!(imported.matches("created fairlead.v1.fairlead.").count(), 3, "{imported}");
        assert!(!imported.contains("other") && !imported.contains("foreign"), "{imported}");
        assert_eq!(
            owner("fairlead.v1.fairlead.1-0"),
            cluster.get("secret", "default", "fairlead.v1.fairlead.1")["metadata"]["uid"]
        );
        assert_eq!(plugin(&cluster, "status").expect(0).stdout, began);
        let again = replicator(&cluster, "import", &[text(&file)]).expect(0).stdout;
        assert_eq!(again.matches("is there already: ").count(), 3, "{again}");
    }
    replicator(&cluster, "rollback", &["--last", "--release", "other"]).expect(0);
    replicator(&cluster, "rollback", &["--last"]).expect(0);
    cluster.kubectl(&["delete", "secret/foreign", "-n", "default"]).expect(0);
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "default", "--all"]).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

#[test]
fn a_ticket_that_does_not_say_how_many_changes_it_has_is_damaged_and_a_dry_run_writes_nothing() {
    let cluster = lease();
    cluster.create(std::iter::once(subscription("default", "s", "order.created.1")));
    apply(&cluster, &[]).expect(0);
    let before = state::of(&cluster);
    // Of a release that nobody knows.
    for more in [&["--last", "--dry-run"][..], &["--last"]] {
        let args = ["rollback", "shpo", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
        let refused = run(program::job("kubectl-fairlead").args(args).args(more), "").expect(4);
        let named = refused.stderr.contains("error FL018") && refused.stderr.contains("fairlead in namespace default");
        assert!(named, "{}", refused.stderr);
    }
    let args = ["export", "fairlead", "-", "-n", "nope", "--kubeconfig", cluster.kubeconfig()];
    let refused = run(program::job("kubectl-fairlead").args(args), "").expect(2).stderr;
    assert!(refused.contains("error FL032") && refused.contains("fairlead in namespace default"), "{refused}");
    let secrets = cluster.kubectl(&["get", "secrets", "-n", "default", "-o", "name"]).expect(0).stdout;
    assert!(!secrets.contains("shpo"), "{secrets}");
    // Taken for a run without changes, it would be the first to be pruned.
    cluster.kubectl(&["annotate", "secret", "-n", "default", "fairlead.v1.fairlead.1", "fairlead.dev/changes-"]).expect(0);
    let refused = replicator(&cluster, "rollback", &["--last"]).expect(4);
    let named = "Secret default/fairlead.v1.fairlead.1 is damaged: its annotation fairlead.dev/changes says no number";
    assert!(refused.stderr.contains(named), "{}", refused.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

#[test]
fn a_file_that_is_damaged_or_incomplete_is_not_imported() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    apply(&cluster, &[]).expect(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tickets.json");
    replicator(&cluster, "export", &[text(&file)]).expect(0);
    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/release"]).expect(0);
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("text")).expect("JSON");
    let is_chunk = |item: &Value| item["data"]["chunk"].is_string();
    let mut damaged = whole.clone();
    for item in damaged["items"].as_array_mut().expect("a list").iter_mut().filter(|item| is_chunk(item)) {
        item["data"]["chunk"] = "AAAA".into();
    }
    let mut incomplete = whole.clone();
    incomplete["items"].as_array_mut().expect("a list").retain(|item| !is_chunk(item));
    let mut newer = whole;
    for item in newer["items"].as_array_mut().expect("a list").iter_mut().filter(|item| item["data"]["ticket"].is_string()) {
        item["data"]["ticket"] = "e30=".into();
    }
    for (document, said) in [
        (damaged, "is damaged: chunk 0 of the snapshot is damaged"),
        (incomplete, "fairlead.v1.fairlead.1-0 is damaged: it is not in the file"),
        (newer, "Secret default/fairlead.v1.fairlead.1 is damaged: missing field"),
    ] {
        std::fs::write(&file, document.to_string()).expect("written");
        let refused = replicator(&cluster, "import", &[text(&file)]).expect(4);
        assert!(refused.stderr.contains("error FL016") && refused.stderr.contains(said), "{said}\n{}", refused.stderr);
        assert_eq!(tickets(&cluster), []);
    }
    std::fs::write(&file, "{\"kind\": ").expect("written");
    let refused = replicator(&cluster, "import", &[text(&file)]).expect(2);
    assert!(refused.stderr.contains("error FL005"), "{}", refused.stderr);
}

#[test]
fn what_objects_were_before_is_exported_as_manifests() {
    let cluster = lease();
    let one = subscription("default", "one", "order.created");
    cluster.apply(&one);
    apply(&cluster, &[]).expect(0);
    // Its Trigger is told of another one: an update, so that there is a before. The run that has created it is forgotten.
    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/release"]).expect(0);
    let mut twin = subscription("default", "twin", "order.created");
    twin["spec"]["endpoint"] = one["spec"]["endpoint"].clone();
    cluster.apply(&twin);
    apply(&cluster, &[]).expect(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("before.yaml");
    replicator(&cluster, "export", &["--as-manifests", text(&file)]).expect(0);
    let manifests = std::fs::read_to_string(&file).expect("text");
    assert!(
        manifests.contains("kind: Trigger") && manifests.contains("fairlead.dev/replicated-from: default/one\n"),
        "{manifests}"
    );
    // Also of a run that is not as before: then they are needed most.
    cluster
        .kubectl(&["label", "secret", "-n", "default", "fairlead.v1.fairlead.2", "fairlead.dev/phase=Dirty", "--overwrite"])
        .expect(0);
    let dirty = replicator(&cluster, "export", &["--as-manifests", "-"]).expect(0);
    assert_eq!(dirty.stdout, manifests);
    cluster.kubectl(&["delete", "triggers", "-n", "default", "--all"]).expect(0);
    cluster.kubectl(&["apply", "-f", text(&file)]).expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);
}

#[test]
fn tickets_of_runs_that_were_taken_back_are_pruned_and_those_in_force_are_not() {
    let cluster = lease();
    cluster.apply(&subscription("default", "first", "order.created"));
    apply(&cluster, &[]).expect(0);
    cluster.apply(&subscription("default", "second", "order.paid"));
    for _ in 0..4 {
        apply(&cluster, &["--history-max", "2"]).expect(0);
        replicator(&cluster, "rollback", &["--last"]).expect(0);
    }
    apply(&cluster, &["--history-max", "2"]).expect(0);
    let ticket = |n: u32, phase: &str| (format!("fairlead.v1.fairlead.{n}"), phase.to_owned());
    assert_eq!(
        tickets(&cluster),
        [ticket(1, "Committed"), ticket(4, "RolledBack"), ticket(5, "RolledBack"), ticket(6, "Committed")]
    );
}

#[test]
fn the_last_outcomes_are_kept_also_of_runs_that_changed_nothing() {
    let cluster = lease();
    for _ in 0..52 {
        apply(&cluster, &[]).expect(0);
    }
    cluster.apply(&subscription("default", "one", "order.created"));
    apply(&cluster, &["--strict"]).expect(0);
    replicator(&cluster, "rollback", &["--last"]).expect(0);
    let status = replicator(&cluster, "status", &["-o", "json"]).expect(0).json();
    let outcomes = status["outcomes"].as_array().expect("a list");
    assert_eq!(outcomes.len(), 50);
    let last: Vec<(&Value, &Value)> =
        outcomes[47..].iter().map(|outcome| (&outcome["command"], &outcome["outcome"])).collect();
    let [unchanged, committed, undone] = [json!("Unchanged"), json!("Committed"), json!("RolledBack")];
    assert_eq!(last, [(&json!("apply"), &unchanged), (&json!("apply"), &committed), (&json!("rollback"), &undone)]);
    let text = replicator(&cluster, "status", &[]).expect(0).stdout;
    assert!(
        text.contains("Last outcomes:") && text.contains("trigger-replicator rollback, exit 0: Done: 1 change taken back."),
        "{text}"
    );
}
