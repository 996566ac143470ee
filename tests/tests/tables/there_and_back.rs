//! Every operation, forward and back.

use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};
use fairlead_tests::servers::database::{Database, Kind};

fn everything(scene: &Scene) -> Value {
    let new = |column: &str| format!("NEW.{column}");
    // MariaDB has no schemas in a database.
    let version = if scene.kind == Kind::PostgreSql { "v2".to_owned() } else { format!("{}_v2", scene.database.name()) };
    json!([
        {"createTable": {"table": "quote", "columns": [{"name": "quoteId", "type": "varchar(36)", "nullable": false, "default": "''"}, {"name": "note", "type": "varchar(20)"}], "primaryKey": ["quoteId"]}},
        {"addColumn": {"table": "transfer", "column": "quoteId", "type": "varchar(36)"}},
        {"addColumn": {"table": "transfer", "column": "retries", "type": "int", "nullable": false, "default": "0"}},
        {"setDefault": {"table": "transfer", "column": "currencyId", "default": "'EUR'"}},
        {"addIndex": {"table": "transfer", "name": "transfer_quote", "columns": ["quoteId"]}},
        {"addForeignKey": {"table": "transfer", "name": "transfer_quote_fk", "columns": ["quoteId"], "references": "quote", "referenced": ["quoteId"]}},
        {"fill": {"table": "transfer", "column": "retries", "value": "0"}},
        {"renameColumn": {"table": "transfer", "from": "createdDate", "to": "createdAt"}},
        {"changeType": {"table": "transfer", "column": "currencyId", "to": "currency", "type": "varchar(10)", "up": new("currencyId"), "down": new("currency")}},
        {"versionView": {"version": version, "table": "transfer", "columns": {"transferId": "transferId", "total": "amount"}}},
    ])
}

/// PostgreSQL folds names that nobody quotes.
fn folded(kind: Kind, mut operations: Value) -> Value {
    if kind == Kind::PostgreSql {
        let text = operations
            .to_string()
            .replace("createdDate", "createddate")
            .replace("transferId\":\"transferId", "transferid\":\"transferid");
        operations = serde_json::from_str(&text.replace("\"currencyId\"", "\"currencyid\"")).expect("JSON");
    }
    operations
}

#[test]
fn every_operation_goes_there_and_back_on_postgresql() {
    there_and_back(&Scene::new(ENGINES[0], 5000));
}

#[test]
fn every_operation_goes_there_and_back_on_postgresql_18() {
    there_and_back(&Scene::of(ENGINES[0], Database::postgresql_18()).with_transfers(5000));
}

#[test]
fn every_operation_goes_there_and_back_on_mariadb() {
    there_and_back(&Scene::new(ENGINES[1], 5000));
}

fn there_and_back(scene: &Scene) {
    let kind = scene.kind;
    let before = scene.catalog();
    let all = [migration("everything", "expand", folded(kind, everything(scene)), &json!({}))];

    let plan = scene.job(&["plan", "--exit-code"], &all).expect(10);
    assert!(plan.stdout.contains("Column") && scene.catalog() == before, "{}", plan.stdout);
    let applied = scene.job(&["apply"], &all).expect(0);
    let after = scene.catalog();
    assert_ne!(after, before);
    let created = if kind == Kind::PostgreSql { "\"createdAt\"" } else { "createdAt" };
    assert_eq!(
        scene.count(&format!("select count(*) from transfer where {created} is null or currency is null")),
        0,
        "{}",
        applied.stdout
    );

    // The old release does not know the new column, the new one not the old one.
    scene.database.run("insert into transfer (transferId, amount, currencyId) values ('old', 1, 'USD')");
    assert_eq!(scene.database.run("select currency from transfer where transferId = 'old'").trim(), "USD");
    scene.database.run("update transfer set currency = 'CHF' where transferId = 'old'");
    assert_eq!(scene.database.run("select currencyId from transfer where transferId = 'old'").trim(), "CHF");

    // Twice is once.
    let again = scene.job(&["apply"], &all).expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    assert_eq!(scene.catalog(), after);

    // The way back knows nothing of the migration.
    let back = scene.back(&["--last"]).expect(0);
    let left = scene.catalog();
    assert_eq!(left, before, "{}", back.stdout);
    assert_eq!(scene.count("select count(*) from transfer"), 5001);
    scene.job(&["apply"], &all).expect(0);
    assert_eq!(scene.catalog(), after);
}

#[test]
fn what_a_contract_takes_away_comes_back_until_it_is_final_on_postgresql() {
    taken_away(&Scene::new(ENGINES[0], 100));
}

#[test]
fn what_a_contract_takes_away_comes_back_until_it_is_final_on_postgresql_18() {
    taken_away(&Scene::of(ENGINES[0], Database::postgresql_18()).with_transfers(100));
}

#[test]
fn what_a_contract_takes_away_comes_back_until_it_is_final_on_mariadb() {
    taken_away(&Scene::new(ENGINES[1], 100));
}

fn taken_away(scene: &Scene) {
    scene.database.run("alter table transfer add column note varchar(20)");
    scene.database.run("update transfer set note = 'kept'");
    scene.database.run("create table old (a int primary key)");
    scene.database.run("insert into old values (7)");
    let undo = json!({"sql": {"name": "seven", "up": "update old set a = 8", "undo": "update old set a = 7", "done": "select count(*) = 1 from old where a = 8"}});
    let before = scene.catalog();
    let all = [migration(
        "drop-note",
        "contract",
        json!([undo, {"forbid": {"table": "transfer", "column": "amount"}}, {"dropColumn": {"table": "transfer", "column": "note"}}, {"dropTable": {"table": "old"}}]),
        &json!({}),
    )];
    let contract = ["apply", "--phase", "contract"];
    let finalize = ["apply", "--phase", "finalize"];
    scene.job(&contract, &all).expect(0);
    assert_eq!(scene.count("select count(*) from fairlead_dropped_old where a = 8"), 1);
    scene.database.run("insert into transfer (transferId, amount, currencyId) values ('new', 1, 'USD')");
    scene.back(&["--last"]).expect(0);
    assert_eq!(scene.catalog(), before);
    assert_eq!(scene.count("select count(*) from transfer where note = 'kept'"), 100);
    assert_eq!(scene.count("select a from old"), 7);

    scene.job(&contract, &all).expect(0);
    let plan = scene.job(&["plan", "--phase", "finalize"], &all).expect(0).stdout;
    assert!(plan.contains("drop column") && plan.contains("drop table"), "{plan}");
    scene.job(&finalize, &all).expect(0);
    let after = scene.catalog();
    assert!(!after.contains("fairlead_dropped"), "{after}");
    let again = scene.job(&finalize, &all).expect(0).stdout;
    assert!(again.contains("Nothing to do"), "{again}");
    let lost = scene.back(&["--last"]);
    let said = format!("{}{}", lost.stdout, lost.stderr);
    assert!(lost.status == Some(4) && said.contains("SM116") && said.contains("only a backup has what it held"), "{said}");
    assert_eq!(scene.catalog(), after);
}
