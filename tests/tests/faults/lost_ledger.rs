//! A ledger whose Secrets are all gone, and runs that begin before anybody has noticed.

use fairlead_tests::program::Ended;
use fairlead_tests::proxy::{Asked, Fault, Moment};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::scenario::{Method, Order, Stage, clusters, free_lease};

struct Lost {
    stage: Stage,
    file: String,
}

impl Lost {
    /// Makes a run, exports it, and loses the ledger; makes another run.
    fn new(name: &str, is_lease_gone: bool) -> Self {
        let stage = Stage::new(&clusters()[0], name);
        stage.reset();
        let file = stage.folder.path().join("exported").display().to_string();
        stage.run_to_the_end(Order::Apply).expect(0);
        let lost = Self { stage, file };
        lost.ask(&["export", &lost.file]).expect(0);
        let Stage { api, name, .. } = &lost.stage;
        let secrets = format!("{}?labelSelector=fairlead.dev/release={name}", lost.stage.path("/api/v1", "secrets"));
        api.expect(&Method::DELETE, &secrets, &Value::Null);
        free_lease(api, name);
        if is_lease_gone {
            let lease = format!("{}/fairlead-{name}", lost.stage.path("/apis/coordination.k8s.io/v1", "leases"));
            api.expect(&Method::DELETE, &lease, &Value::Null);
        }
        let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": name, "name": "later"});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": name, "name": "later"}});
        lost.stage.wish(&json!([{"name": "later", "kind": "expand", "undoAt": "post-rollback", "concurrency": 1,
            "wanted": [{"target": target, "object": object}]}]));
        lost.stage.run_to_the_end(Order::Apply).expect(0);
        lost
    }

    fn ask(&self, words: &[&str]) -> Ended {
        self.stage.ask(words)
    }

    fn tickets(&self) -> Vec<String> {
        self.stage.phases().into_keys().collect()
    }
}

#[test]
fn its_numbers_are_not_given_again_and_an_export_is_imported_beside_later_runs() {
    let lost = Lost::new("lost-ledger", false);
    assert_eq!(lost.tickets(), ["fairlead.v1.lost-ledger.2"]);
    lost.ask(&["import", &lost.file]).expect(0);
    assert_eq!(lost.tickets(), ["fairlead.v1.lost-ledger.1", "fairlead.v1.lost-ledger.2"]);
    lost.stage.run_to_the_end(Order::Rollback).expect(0);
    let again = Stage::new(&clusters()[1], "lost-ledger");
    again.reset();
    assert_eq!(differences(&again.state(), &lost.stage.state()), Vec::<String>::new());
}

/// Whoever is killed before has changed no object, so that nobody has heard of the number.
#[test]
fn a_number_is_remembered_before_an_object_is_changed() {
    let stage = Stage::new(&clusters()[1], "lost-early");
    stage.reset();
    let changes = |asked: &Asked| asked.write.is_some() && asked.path.contains("/configmaps");
    let (killed, _) = stage.run(Order::Apply, &[], move |asked| changes(asked).then_some(Fault::Kill(Moment::BeforeSent)));
    assert_eq!(killed.status, None, "{}", killed.output());
    let secrets = format!("{}?labelSelector=fairlead.dev/release=lost-early", stage.path("/api/v1", "secrets"));
    stage.api.expect(&Method::DELETE, &secrets, &Value::Null);
    stage.run_to_the_end(Order::Apply).expect(0);
    assert_eq!(stage.phases().into_keys().collect::<Vec<_>>(), ["fairlead.v1.lost-early.2"]);
}

/// The namespace was made anew, say: nothing is there that knows the number.
#[test]
fn another_run_of_the_same_number_is_named_and_the_file_says_what_objects_were() {
    let lost = Lost::new("lost-with-lease", true);
    assert_eq!(lost.tickets(), ["fairlead.v1.lost-with-lease.1"]);
    let refused = lost.ask(&["import", &lost.file]).expect(4).stderr;
    for word in [
        "error FL045: run 1 of the file (every-kind, begun 20",
        ") is not run 1 of release lost-with-lease (every-kind, begun 20",
        "kubectl fairlead export lost-with-lease -n lost-with-lease OBJECTS --as-manifests --tickets FILE",
    ] {
        assert!(refused.contains(word), "{word}\n{refused}");
    }
    let objects = lost.stage.folder.path().join("objects");
    lost.ask(&["export", &objects.display().to_string(), "--as-manifests", "--tickets", &lost.file]).expect(0);
    let objects = std::fs::read_to_string(objects).expect("written");
    assert!(objects.contains("name: old") && objects.contains("bus: legacy"), "{objects}");
    // What is there is not touched.
    assert_eq!(lost.tickets(), ["fairlead.v1.lost-with-lease.1"]);
    // The way that is named, as it is named.
    let back = "kubectl fairlead rollback lost-with-lease -n lost-with-lease --to 0";
    let selector = "fairlead.dev/release=lost-with-lease,fairlead.dev/phase!=Elsewhere";
    let forget = ["-n", "lost-with-lease", "delete", "secrets", "-l", selector];
    let import = "kubectl fairlead import lost-with-lease -n lost-with-lease FILE";
    for command in [back, &format!("kubectl {}", forget.join(" ")), import] {
        assert!(refused.contains(&format!("\n  {command} --kubeconfig ")), "{command}\n{refused}");
    }
    lost.ask(&["rollback", "--to", "0"]).expect(0);
    clusters()[0].kubectl(&forget).expect(0);
    lost.ask(&["import", &lost.file]).expect(0);
    lost.ask(&["rollback", "--to", "0"]).expect(0);
    let again = Stage::new(&clusters()[1], "lost-with-lease");
    again.reset();
    assert_eq!(differences(&again.state(), &lost.stage.state()), Vec::<String>::new());
}

/// As trigger-replicator runs mostly are.
#[test]
fn a_file_whose_runs_only_created_says_how_that_is_deleted() {
    let lost = Lost::new("only-created", true);
    let file = |name: &str| lost.stage.folder.path().join(name).display().to_string();
    lost.ask(&["export", &file("tickets")]).expect(0);
    let args = ["export", &file("objects"), "--as-manifests", "--tickets", &file("tickets")];
    let written = lost.ask(&args).expect(0).stdout;
    assert!(written.contains("Wrote 0 objects as they were before, and 1 that were not there"), "{written}");
    let objects = std::fs::read_to_string(file("objects")).expect("written");
    assert!(objects.contains("\n# kubectl -n only-created delete configmap later"), "{objects}");
    lost.stage.run_to_the_end(Order::Rollback).expect(0);
    lost.ask(&["export", &file("undone")]).expect(0);
    let nothing = lost.ask(&["export", &file("none"), "--as-manifests", "--tickets", &file("undone")]).expect(4).stderr;
    let said = format!("error FL018: {} holds no run that has changed an object and is not taken back", file("undone"));
    assert!(nothing.contains(&said), "{nothing}");
}
