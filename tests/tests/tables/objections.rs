//! What would break writers or readers later is refused by the plan, by what the server itself says of it.

use fairlead_tests::servers::database::Kind;
use serde_json::{Value, json};

use crate::refused::refused;
use crate::scene::{ENGINES, Scene, migration};

/// Each of these operations, alone in a migration of this kind, is refused with these words.
fn object(scene: &Scene, cases: &[(&str, Value, &str)]) {
    for (kind, operation, said) in cases {
        let all = [migration("m", kind, json!([operation]), &json!({}))];
        let args = ["apply", "--phase", kind];
        refused(scene, &args, &all, 4, "SM110", &[said]);
    }
}

#[test]
fn what_a_trigger_cannot_compute_is_refused() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 10);
        scene.database.run("alter table transfer add column note varchar(20), add column other varchar(20)");
        let on = |more: Value| {
            let mut operation = json!({"table": "transfer"});
            more.as_object().into_iter().flatten().for_each(|(key, value)| operation[key] = value.clone());
            operation
        };
        let change =
            json!({"column": "note", "to": "size", "type": "int", "up": "length(NEW.note)", "down": "nosuch(NEW.size)"});
        object(
            &scene,
            &[
                ("expand", json!({"fill": on(json!({"column": "nott", "value": "'x'"}))}), "has no column nott"),
                ("expand", json!({"fill": on(json!({"column": "note", "value": "NEW.nott"}))}), "nott"),
                ("expand", json!({"fill": on(json!({"column": "note", "value": "nosuch(NEW.other)"}))}), "nosuch"),
                (
                    "expand",
                    json!({"sync": on(json!({"from": "note", "to": "nott", "up": "NEW.note", "down": "NEW.nott"}))}),
                    "has no column nott",
                ),
                ("expand", json!({"changeType": on(change)}), "nosuch"),
                ("contract", json!({"forbid": on(json!({"column": "nott"}))}), "has no column nott"),
                ("contract", json!({"dropColumn": on(json!({"column": "NOTE"}))}), "there is note"),
                (
                    "expand",
                    json!({"renameColumn": on(json!({"from": "note", "to": "note"}))}),
                    "note is the name that the column has",
                ),
            ],
        );
    }
}

#[test]
fn a_column_that_a_check_asks_for_stays() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 10);
        scene.database.run("alter table transfer add column fax varchar(20) default 'none'");
        scene.database.run("alter table transfer add constraint has_fax check (fax is not null)");
        object(&scene, &[("contract", json!({"dropColumn": {"table": "transfer", "column": "fax"}}), "has_fax")]);
    }
}

#[test]
fn postgresql_writes_no_table_for_a_column_and_shows_no_row_that_is_hidden() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    scene.database.run("create domain positive as int check (value > 0)");
    let column = |more: Value| {
        let mut operation = json!({"table": "transfer", "column": "extra"});
        more.as_object().into_iter().flatten().for_each(|(key, value)| operation[key] = value.clone());
        json!({"addColumn": operation})
    };
    object(
        &scene,
        &[
            ("expand", column(json!({"type": "uuid", "default": "gen_random_uuid()"})), "for each row"),
            (
                "expand",
                column(json!({"type": "timestamp", "default": "now() + random() * interval '1 day'"})),
                "for each row",
            ),
            ("expand", column(json!({"type": "positive"})), "for each row"),
            ("expand", json!({"dropNotNull": {"table": "transfer", "column": "transferid"}}), "in the primary key"),
        ],
    );
    // What is computed once is no reason.
    let once = column(json!({"type": "timestamp", "default": "timezone('utc', now())"}));
    let view = json!({"versionView": {"version": "v2", "table": "transfer", "columns": {"id": "transferid"}}});
    let all = [migration("m", "expand", json!([once, view]), &json!({}))];
    scene.job(&["apply"], &all).expect(0);
    scene.database.run(
        "alter table transfer enable row level security; create policy few on transfer using (transferid = '00000001'); \
         create role app; grant usage on schema v2 to app; grant select on transfer, v2.transfer to app",
    );
    assert_eq!(scene.count("set role app; select count(*) from v2.transfer"), 1);
}

#[test]
fn what_would_take_more_along_is_not_dropped_for_good() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    scene
        .database
        .run("alter table transfer add column a int, add column b int; create view reads_b as select b from transfer");
    let drop = |column: &str| json!({"dropColumn": {"table": "transfer", "column": column}});
    let all = [migration("m", "contract", json!([drop("a"), drop("b")]), &json!({}))];
    scene.job(&["apply", "--phase", "contract"], &all).expect(0);
    refused(&scene, &["apply", "--phase", "finalize"], &all, 4, "SM110", &["view reads_b would have to go, too"]);
}

#[test]
fn mariadb_gets_no_foreign_key_that_no_row_fits() {
    let scene = Scene::new(Kind::MariaDb, 10);
    scene.database.run(
        "create table parted (id int, y int, primary key (id, y)) partition by hash (y); \
         create table child (pid int, py int, index (pid, py)); create table other (id int primary key) engine = MyISAM",
    );
    let key = |name: &str, columns: Value, references: &str, referenced: Value| json!({"addForeignKey": {"table": "child", "name": name, "columns": columns, "references": references, "referenced": referenced}});
    object(
        &scene,
        &[
            ("expand", key("a", json!(["pid", "py"]), "parted", json!(["id", "y"])), "parted is partitioned"),
            ("expand", key("b", json!(["pid"]), "other", json!(["id"])), "other is of engine MyISAM"),
        ],
    );
    scene.database.run("set global innodb_force_primary_key = 1");
    let column = json!({"addColumn": {"table": "transfer", "column": "note", "type": "varchar(20)"}});
    scene.job(&["apply"], &[migration("m", "expand", json!([column]), &json!({}))]).expect(0);
}

#[test]
fn a_type_may_be_made_by_a_statement_before() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    let sql = json!({"sql": {"name": "mood", "up": "create type mood as enum ('glad')", "undo": "drop type mood",
        "done": "select exists(select from pg_type where typname = 'mood')"}});
    let column = json!({"addColumn": {"table": "transfer", "column": "mood", "type": "mood"}});
    let all = [migration("m", "expand", json!([sql, column]), &json!({}))];
    let before = scene.catalog();
    scene.job(&["apply"], &all).expect(0);
    scene.back(&["--last"]).expect(0);
    assert_eq!(scene.catalog(), before);
}
