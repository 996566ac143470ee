//! What finalize takes away for good comes back from the backup that its ticket names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fairlead_tests::program::run;
use fairlead_tests::servers::database::{Kind, packaged};
use serde_json::{Value, json};

use crate::scene::{Scene, migration};

/// Runs a command as an operator pastes it, with the programs of PostgreSQL on the PATH.
fn pasted(command: &str) {
    let programs = packaged("pg_restore");
    let programs = programs.parent().expect("a folder").display();
    let path = format!("{programs}:/usr/bin:/bin");
    run(std::process::Command::new("sh").args(["-c", command]).env("PATH", path), "").expect(0);
}

/// Every row of the application's tables, and what the database remembers of migrations.
fn checksums(scene: &Scene) -> Vec<String> {
    let checksum = |table: &str| {
        scene.database.run(&format!("select count(*), md5(string_agg(r::text, '|' order by r::text)) from {table} r"))
    };
    ["transfer", "old", "fairlead.migration"].map(checksum).to_vec()
}

/// The command that restores the backup, as the ticket of a run keeps it.
fn kept(scene: &Scene, sequence: u32) -> String {
    let [.., release, _, _] = scene.address();
    let secret = scene.cluster.get("secret", "default", &format!("fairlead.v1.{release}.{sequence}"));
    let ticket = BASE64_STANDARD.decode(secret["data"]["ticket"].as_str().expect("it has a ticket")).expect("base64");
    let ticket: Value = serde_json::from_slice(&ticket).expect("JSON");
    ticket["told"]["configuration"]["backup"]["restore"].as_str().expect("it keeps the backup").to_owned()
}

#[test]
fn what_was_dropped_for_good_is_restored_by_the_command_in_the_ticket() {
    let mut scene = Scene::new(Kind::PostgreSql, 2000);
    scene.database.run(
        "create table old (a int primary key, b text); insert into old select n, 'row ' || n from generate_series(1, 300) n",
    );
    let add = migration(
        "add-note",
        "expand",
        json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(20)"}}]),
        &json!({"backfill": {"table": "transfer", "column": "note", "value": {"sql": "'note ' || transferId"}}}),
    );
    let drop = migration(
        "drop-note",
        "contract",
        json!([{"dropColumn": {"table": "transfer", "column": "note"}}, {"dropTable": {"table": "old"}}]),
        &json!({"after": ["add-note"]}),
    );
    let all = [add, drop];
    scene.job(&["apply"], &all).expect(0);

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ledger.dump").display().to_string();
    let server = format!("-h 127.0.0.1 -p {} -U root -d test", scene.database.port());
    pasted(&format!("pg_dump -Fc {server} -f {file}"));
    let restore = format!("pg_restore --clean --if-exists --single-transaction {server} {file}");
    scene.backup = json!({"reference": file, "taken": "2026-11-28T01:00:00Z", "restore": restore});
    let (before, catalog) = (checksums(&scene), scene.catalog());

    scene.job(&["apply", "--phase", "contract"], &all).expect(0);
    scene.job(&["apply", "--phase", "finalize"], &all).expect(0);
    scene.database.run("delete from transfer where transferId > '00001000'");
    let lost = scene.back(&["--last"]);
    assert!(lost.status == Some(4) && lost.output().contains("SM116"), "{}", lost.output());
    assert!(lost.output().contains(&format!("that is {file}, and `{restore}` restores it")), "{}", lost.output());
    pasted(&kept(&scene, 3));
    assert_eq!((checksums(&scene), scene.catalog()), (before, catalog));

    // The database has forgotten the contract with the rest: it can be applied again.
    let again = scene.job(&["apply", "--phase", "contract"], &all).expect(0).output();
    assert!(again.contains("3 changes, verified"), "{again}");
}
