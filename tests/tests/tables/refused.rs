//! What is refused, and what is said about it. Nothing is changed.

use fairlead_tests::servers::database::{Database, Kind};
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};

/// Runs `apply` of this, and sees that it is refused with a code and these words, and the catalog as before.
pub(crate) fn refused(scene: &Scene, args: &[&str], migrations: &[Value], status: i32, code: &str, words: &[&str]) {
    let before = scene.catalog();
    let ended = scene.job(args, migrations);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status, Some(status), "{said}");
    for word in [code].iter().chain(words) {
        assert!(said.contains(word), "{word} is not said: {said}");
    }
    assert_eq!(scene.catalog(), before);
}

fn column(name: &str) -> Value {
    json!({"addColumn": {"table": "transfer", "column": name, "type": "varchar(36)"}})
}

#[test]
fn what_does_not_fit_the_database_is_refused_on_postgresql() {
    what_does_not_fit(Scene::new(ENGINES[0], 100));
}

#[test]
fn what_does_not_fit_the_database_is_refused_on_postgresql_18() {
    what_does_not_fit(Scene::of(ENGINES[0], Database::postgresql_18()).with_transfers(100));
}

#[test]
fn what_does_not_fit_the_database_is_refused_on_mariadb() {
    what_does_not_fit(Scene::new(ENGINES[1], 100));
}

fn what_does_not_fit(mut scene: Scene) {
    let kind = scene.kind;
    let expand = |name: &str, operation: Value, more: Value| migration(name, "expand", json!([operation]), &more);
    let contract = |name: &str, operation: Value| migration(name, "contract", json!([operation]), &json!({}));
    let fill = |table: &str| json!({"backfill": {"table": table, "column": "note", "value": {"sql": "'x'"}}});

    // No table, no key, no such column.
    let add = |table: &str| json!({"addColumn": {"table": table, "column": "note", "type": "varchar(9)"}});
    refused(&scene, &["apply"], &[expand("a", add("absent"), json!({}))], 4, "SM117", &["there is no table", "absent"]);
    scene.database.run("create table keyless (a int); insert into keyless values (1)");
    refused(&scene, &["apply"], &[expand("a", add("keyless"), fill("keyless"))], 4, "SM117", &["has no primary key"]);
    refused(
        &scene,
        &["apply", "--phase", "contract"],
        &[contract("a", json!({"setNotNull": {"table": "transfer", "column": "absent"}}))],
        4,
        "SM117",
        &["has no column absent"],
    );

    // It is there in another shape.
    scene.database.run("alter table transfer add column note int");
    refused(
        &scene,
        &["apply"],
        &[expand("a", add("transfer"), json!({}))],
        4,
        "SM117",
        &["it is there already, as `int", "the migration makes"],
    );
    scene.database.run("alter table transfer drop column note");

    // A migration that is not safe, or cannot be read.
    let unsafe_one =
        expand("a", json!({"addColumn": {"table": "transfer", "column": "n", "type": "int", "nullable": false}}), json!({}));
    refused(&scene, &["apply"], &[unsafe_one], 2, "SM107", &["needs a default"]);
    let typo = expand("a", json!({"addColum": {}}), json!({}));
    refused(&scene, &["plan"], &[typo], 2, "SM107", &["spec.operations[0]", "addColum"]);

    // Rows hold NULL that nothing fills.
    scene.job(&["apply"], &[expand("add", column("quoteid"), json!({}))]).expect(0);
    let require = contract("require", json!({"setNotNull": {"table": "transfer", "column": "quoteid"}}));
    let both = [expand("add", column("quoteid"), json!({})), require];
    refused(&scene, &["apply", "--phase", "contract"], &both, 4, "SM117", &["100 rows of", "hold NULL in quoteid"]);

    // Nobody has said what backup there is.
    scene.database.run("update transfer set quoteid = 'x'");
    scene.backup = Value::Null;
    refused(&scene, &["apply", "--phase", "contract"], &both, 4, "SM115", &["tables.backup"]);

    // A file that was edited after it was applied.
    let edited =
        expand("add", json!({"addColumn": {"table": "transfer", "column": "quoteid", "type": "varchar(64)"}}), json!({}));
    refused(&scene, &["apply"], &[edited], 4, "SM117", &["the database has it as sha256:"]);

    // Somebody has changed it by hand since: it is said, and going back stops there.
    let add = [expand("add", column("quoteid"), json!({}))];
    scene.database.run(match kind {
        Kind::PostgreSql => "alter table transfer alter column quoteid type varchar(40)",
        Kind::MariaDb => "alter table transfer modify quoteid varchar(40)",
    });
    let plan = scene.job(&["plan"], &add).expect(0).stdout;
    assert!(plan.contains("SM202") && plan.contains("(40)"), "{plan}");
    let drift = scene.back(&["--last"]).expect(6);
    let said = format!("{}{}", drift.stdout, drift.stderr);
    assert!(said.contains("(40)") && said.contains("--on-drift"), "{said}");
    scene.back(&["--last", "--on-drift", "overwrite"]).expect(0);
}

#[test]
fn a_server_that_is_absent_old_or_forbidding_is_named() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    let add = migration("add", "expand", json!([column("quoteid")]), &json!({}));
    let with = |change: &dyn Fn(&mut Value)| {
        let ended = scene.told(&["apply"], &add, change);
        (ended.status, ended.output())
    };
    let port = fairlead_tests::servers::process::free_port();
    let (status, said) = with(&|database| database["port"] = json!(port));
    assert!(status == Some(75) && said.contains("SM102") && said.contains(&format!("127.0.0.1:{port}/test")), "{said}");
    let (status, said) = with(&|database| database["database"] = json!("absent"));
    assert!(status == Some(4) && said.contains("SM104") && said.contains("absent"), "{said}");
    scene.database.run("create role reader login; grant select on transfer to reader");
    let (status, said) = with(&|database| database["username"] = json!("reader"));
    assert!(status == Some(4) && said.contains("SM106") && said.contains("not their owner"), "{said}");
    let (status, said) = with(&|database| database["password"] = json!({"name": "absent", "key": "password"}));
    assert!(status == Some(4) && said.contains("SM105") && said.contains("absent"), "{said}");
    let (status, said) = with(&|database| database["password"] = json!({"env": "NO_SUCH_VARIABLE"}));
    assert!(status == Some(4) && said.contains("SM105") && said.contains("NO_SUCH_VARIABLE"), "{said}");
}
