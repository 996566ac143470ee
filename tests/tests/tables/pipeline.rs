//! A pipeline without a cluster: the record of the runs is in the database.

use std::path::Path;

use fairlead_tests::program::{Ended, job, run};
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};

fn add() -> Value {
    let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(9)"}}]);
    migration("add-note", "expand", column, &json!({}))
}

/// The job, where there is no cluster.
fn alone(verb: &str, release: &str, file: &Path, more: &[&str]) -> Ended {
    let mut command = job("schema-migrator");
    command.args([verb, "--release", release, "--kubeconfig", "/nonexistent/kubeconfig", "--config"]).arg(file).args(more);
    run(&mut command, "")
}

#[test]
fn a_release_that_the_database_does_not_know_is_not_looked_for_in_a_namespace() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 10);
        let (file, store) = (scene.configuration(&[add()]), ["--store", "database"]);
        let database = format!("database 127.0.0.1:{}/test", scene.database.port());
        let none = alone("status", "other", &file, &store).expect(2).stderr;
        let message = format!("error FL032: release other has no runs in {database}; nor has any other release\n");
        assert!(none.starts_with(&message) && !none.contains("Helm has no release"), "{none}");
        alone("apply", "shop", &file, &store).expect(0);
        let other = alone("status", "other", &file, &store).expect(2).stderr;
        let message = format!("error FL032: release other has no runs in {database}; runs have: shop\n");
        assert!(other.starts_with(&message), "{other}");
        let known = alone("status", "shop", &file, &store).expect(0).stdout;
        assert!(known.contains("Committed"), "{known}");
    }
}

#[test]
fn who_has_no_cluster_is_told_of_the_store_that_needs_none() {
    let scene = Scene::new(ENGINES[0], 10);
    let file = scene.configuration(&[add()]);
    for verb in ["apply", "status"] {
        let said = alone(verb, "shop", &file, &[]).expect(2).stderr;
        assert!(said.contains("error FL009: ") && said.contains("add `--store database`"), "{verb}: {said}");
    }
    // Credentials of a cluster need one.
    let mut document: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("ours")).expect("JSON");
    document["tables"]["database"]["password"] = json!({"name": "db", "key": "password"});
    std::fs::write(&file, document.to_string()).expect("written");
    let said = alone("apply", "shop", &file, &[]).expect(2).stderr;
    assert!(said.contains("error FL009: ") && !said.contains("--store"), "{said}");
}
