//! What people have run into with other tools, and with this one.

use fairlead_tests::servers::database::Kind;
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};

fn expand(name: &str, operations: Value) -> Value {
    migration(name, "expand", operations, &json!({}))
}

/// The documented end of a rename: writers of the new release are not stopped by a trigger that names what is gone.
#[test]
fn a_renamed_column_may_go_and_come_back() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene
            .database
            .run("create table t (id int primary key, status varchar(20) not null default 'new', note varchar(20))");
        scene.database.run("insert into t (id, status) values (1, 'paid')");
        let rename = expand("a", json!([{"renameColumn": {"table": "t", "from": "status", "to": "state"}}]));
        let drop = migration(
            "b",
            "contract",
            json!([{"dropColumn": {"table": "t", "column": "status"}}]),
            &json!({"after": ["a"]}),
        );
        let all = [rename, drop];
        scene.job(&["apply"], &all).expect(0);
        scene.database.run("insert into t (id, state) values (2, 'open')");
        scene.database.run("insert into t (id) values (3)");
        assert_eq!(scene.count("select count(*) from t where status = state"), 3);
        let before = scene.catalog();
        scene.job(&["apply", "--phase", "contract"], &all).expect(0);
        scene.database.run("insert into t (id, state) values (4, 'open')");
        scene.database.run("update t set state = 'done' where id = 1");
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
        scene.database.run("update t set status = 'late' where id = 2");
        assert_eq!(scene.database.run("select state from t where id = 2").trim(), "late");
        scene.back(&["--last"]).expect(0);
    }
}

#[test]
fn a_backfill_does_not_touch_what_it_is_filled_from() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene.database.run("create table t (id int primary key, code varchar(20))");
        scene.database.run("insert into t values (1, '007'), (2, ' 12'), (3, null)");
        let (up, down) = match kind {
            Kind::PostgreSql => ("NEW.code::int", "NEW.number::text"),
            Kind::MariaDb => ("cast(NEW.code as signed)", "cast(NEW.number as char)"),
        };
        let change =
            json!([{"changeType": {"table": "t", "column": "code", "to": "number", "type": "int", "up": up, "down": down}}]);
        let all = [expand("a", change)];
        let codes = || scene.database.run("select code from t order by id");
        let before = codes();
        scene.job(&["apply"], &all).expect(0);
        assert_eq!(codes(), before);
        assert_eq!(scene.count("select sum(number) from t"), 19);
        scene.database.run("update t set number = 8 where id = 1");
        assert_eq!(scene.database.run("select code from t where id = 1").trim(), "8");
        scene.back(&["--last"]).expect(0);
    }
}

/// Whoever fails takes away only what it has made.
#[test]
fn what_has_the_same_name_stays() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene.database.run("create table audit (id int primary key, note int)");
        scene.database.run("insert into audit values (1, 2)");
        scene.database.run("create table archive (id int primary key, note int)");
        scene.database.run("create unique index shared on audit (note)");
        let before = scene.catalog();
        let table = json!([{"createTable": {"table": "audit", "columns": [{"name": "other", "type": "int", "nullable": false, "default": "0"}], "primaryKey": ["other"]}}]);
        let refused = scene.job(&["apply"], &[expand("a", table)]);
        assert_eq!(refused.status, Some(4), "{refused:?}");
        assert_eq!(scene.catalog(), before);
        let index = json!([{"addIndex": {"table": "archive", "name": "shared", "columns": ["note"]}}]);
        let ended = scene.job(&["apply"], &[expand("b", index)]);
        // In MariaDB an index belongs to its table.
        assert_eq!(ended.status, Some(i32::from(kind == Kind::PostgreSql)), "{ended:?}");
        if kind == Kind::MariaDb {
            scene.back(&["--last"]).expect(0);
        }
        assert_eq!(scene.catalog(), before);
    }
}

#[test]
fn two_tables_have_triggers_of_their_own() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene.database.run("create table t1 (id int primary key)");
        scene.database.run("create table t2 (id int primary key)");
        let operations = |table: &str, value: &str| json!([{"addColumn": {"table": table, "column": "qty", "type": "int"}}, {"fill": {"table": table, "column": "qty", "value": value}}]);
        let all = [expand("a", operations("t1", "1")), expand("b", operations("t2", "2"))];
        scene.job(&["apply"], &all).expect(0);
        scene.database.run("insert into t1 (id) values (1)");
        scene.database.run("insert into t2 (id) values (1)");
        assert_eq!(scene.count("select t1.qty * 10 + t2.qty from t1 join t2 on t1.id = t2.id"), 12);
        scene.back(&["--last"]).expect(0);
    }
}

/// The server writes types and defaults in its own way.
#[test]
fn types_and_defaults_of_any_spelling_go_there_and_back() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene.database.run("create table t (id int primary key, old varchar(20), n int)");
        let (types, default): (&[&str], &str) = match kind {
            Kind::PostgreSql => {
                scene.database.run("create type \"OrderStatus\" as enum ('NEW')");
                (
                    &[
                        "\"OrderStatus\"",
                        "public.\"OrderStatus\"",
                        "numeric(10)",
                        "bit",
                        "float(24)",
                        "varchar(9) collate \"C\"",
                        "timestamptz(3)",
                    ],
                    "-1",
                )
            }
            Kind::MariaDb => (
                &[
                    "enum('NEW','Paid')",
                    "json",
                    "double precision",
                    "int(5) unsigned",
                    "varchar(9) character set utf8mb4 collate utf8mb4_bin",
                    "decimal(18)",
                ],
                "-1",
            ),
        };
        let mut operations: Vec<Value> = types
            .iter()
            .enumerate()
            .map(|(n, kind)| json!({"addColumn": {"table": "t", "column": format!("c{n}"), "type": kind}}))
            .collect();
        operations.push(json!({"setDefault": {"table": "t", "column": "n", "default": default}}));
        operations.push(json!({"renameColumn": {"table": "t", "from": "old", "to": "new"}}));
        let all = [expand("a", Value::Array(operations))];
        let before = scene.catalog();
        scene.job(&["apply"], &all).expect(0);
        let again = scene.job(&["plan"], &all).expect(0).stdout;
        assert!(!again.contains("SM202"), "{again}");
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
    }
}

/// A fresh database gets everything in one run.
#[test]
fn a_migration_builds_on_those_before_it() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        let id = json!({"name": "id", "type": "int", "nullable": false, "default": "0"});
        let all = [
            expand("a", json!([{"createTable": {"table": "t", "columns": [id], "primaryKey": ["id"]}}])),
            expand("b", json!([{"addColumn": {"table": "t", "column": "c", "type": "varchar(9)"}}])),
            migration(
                "c",
                "expand",
                json!([{"renameColumn": {"table": "t", "from": "c", "to": "d"}}]),
                &json!({"backfill": {"table": "t", "column": "d", "value": {"sql": "'x'"}}}),
            ),
        ];
        // Alone it changes no table that is there.
        scene.job(&["apply"], &all[..1]).expect(0);
        scene.job(&["apply"], &all).expect(0);
        scene.back(&["--to", "0"]).expect(0);
        assert_eq!(scene.job(&["apply"], &all).expect(0).status, Some(0));
    }
}

#[test]
fn what_mariadb_does_not_say_is_asked_for() {
    let scene = Scene::empty(Kind::MariaDb);
    scene.database.run("create table t (id int primary key, n varchar(9), u timestamp not null default '2020-01-01 00:00:00' on update current_timestamp)");
    scene.database.run("insert into t (id, n) values (1, 'a')");
    scene.database.run("create table b (id binary(16) primary key)");
    scene.database.run("insert into b values (unhex(md5('1')))");
    let fill = |table: &str| {
        let column = json!([{"addColumn": {"table": table, "column": "m", "type": "varchar(9)"}}]);
        migration(table, "expand", column, &json!({"backfill": {"table": table, "column": "m", "value": {"sql": "'x'"}}}))
    };
    // A time of change stays as it was.
    scene.job(&["apply"], &[fill("t")]).expect(0);
    assert_eq!(scene.count("select count(*) from t where m = 'x' and u = '2020-01-01 00:00:00'"), 1);
    let refused = scene.job(&["apply"], &[fill("t"), fill("b")]);
    assert!(
        refused.status == Some(4) && refused.stdout.contains("SM111") && refused.stdout.contains("binary(16)"),
        "{refused:?}"
    );
    let elsewhere =
        scene.job(&["plan"], &[expand("e", json!([{"addColumn": {"table": "other.t", "column": "m", "type": "int"}}]))]);
    assert!(elsewhere.status == Some(2) && elsewhere.stderr.contains("MariaDB has no schemas"), "{elsewhere:?}");
    // What a comment says is no property of its column.
    scene.database.run("create table w (id int primary key, c varchar(9) comment 'generated, on update, check (x)')");
    let rename = expand("w", json!([{"renameColumn": {"table": "w", "from": "c", "to": "d"}}]));
    scene.job(&["apply"], &[rename]).expect(0);
    let required = migration("v", "contract", json!([{"setNotNull": {"table": "w", "column": "c"}}]), &json!({}));
    scene.job(&["apply", "--phase", "contract"], &[required]).expect(0);
    assert!(scene.catalog().contains("generated, on update, check (x)"));
    // A CHECK that the server would drop.
    scene.database.run("create table k (id int primary key, k int check (k > 0))");
    let require = migration("r", "contract", json!([{"setNotNull": {"table": "k", "column": "k"}}]), &json!({}));
    let refused = scene.job(&["apply", "--phase", "contract"], &[require]);
    assert!(refused.status == Some(4) && refused.stdout.contains("has a CHECK"), "{refused:?}");
}

/// A policy hides rows from the owner of a table, too.
#[test]
fn rows_that_a_policy_hides_are_no_rows_that_are_filled() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    scene.database.run("create role owner login; grant create on schema public to owner; grant create on database test to owner; alter table transfer owner to owner");
    scene.database.run("alter table transfer enable row level security; alter table transfer force row level security; create policy p on transfer using (false)");
    let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(9)"}}]);
    let all = [migration(
        "a",
        "expand",
        column,
        &json!({"backfill": {"table": "transfer", "column": "note", "value": {"sql": "'x'"}}}),
    )];
    let file = scene.configuration(&all);
    let text = std::fs::read_to_string(&file).expect("ours").replace("\"root\"", "\"owner\"");
    std::fs::write(&file, text).expect("written");
    let ended = fairlead_tests::program::run(
        fairlead_tests::program::job("schema-migrator").args(["apply", "--config"]).arg(&file).args(scene.address()),
        "",
    );
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.status != Some(0) && said.contains("row-level security"), "{said}");
}

/// A backfill that failed, and was taken back, stops no contract later; one that fails in the background takes nothing back.
#[test]
fn a_backfill_that_failed_is_forgotten_when_another_one_is_done() {
    let scene = Scene::new(Kind::PostgreSql, 2000);
    let all = |value: &str| {
        let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "int"}}]);
        let backfill = json!({"table": "transfer", "column": "note", "value": {"sql": value}, "batch": {"rows": 100, "targetMillis": 1}, "throttle": {"niceRatio": 40.0}});
        let require = migration(
            "b",
            "contract",
            json!([{"setNotNull": {"table": "transfer", "column": "note"}}]),
            &json!({"after": ["a"]}),
        );
        [migration("a", "expand", column, &json!({"backfill": backfill})), require]
    };
    let failed = scene.job(&["apply"], &all("amount::int / (case when t.transferId = '00001500' then 0 else 1 end)"));
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(failed.status != Some(0) && said.contains("SM114") && said.contains("division by zero"), "{said}");
    assert!(!said.contains("namespace that is missing"), "{said}");
    scene.job(&["apply", "--run-timeout", "2m"], &all("7")).expect(0);
    scene.job(&["apply", "--phase", "contract"], &all("7")).expect(0);
    scene.back(&["--to", "0"]).expect(0);

    // In the background: a row that cannot be computed keeps the rest waiting, and what is written stays.
    let bad = all("amount::int / (case when t.transferId = '00002000' and t.amount > 100 then 0 else 1 end)");
    let behind = scene.job(&["apply", "--run-timeout", "31s"], &bad).expect(0).stdout;
    assert!(behind.contains("the run goes on in the background"), "{behind}");
    scene.database.run("insert into transfer (transferId, amount, currencyId, note) values ('new', 1, 'USD', 42)");
    let waits = scene.job(&["background"], &bad);
    let said = format!("{}{}", waits.stdout, waits.stderr);
    assert!(waits.status == Some(75) && said.contains("division by zero"), "{said}");
    assert_eq!(scene.count("select note from transfer where transferId = 'new'"), 42);
    scene.database.run("update transfer set amount = 1 where transferId = '00002000'");
    scene.job(&["background"], &bad).expect(0);
    assert_eq!(scene.count("select count(*) from transfer where note is null"), 0);
}

#[test]
fn a_default_is_kept_by_what_comes_after_it() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 10);
        scene.database.run("alter table transfer add column note varchar(20) default 'old' not null");
        let before = scene.catalog();
        let column = |more: Value| {
            let mut operation = json!({"table": "transfer", "column": "note"});
            more.as_object().into_iter().flatten().for_each(|(key, value)| operation[key] = value.clone());
            operation
        };
        let all = [expand(
            "loosen-note",
            json!([{"setDefault": column(json!({"default": "'new'"}))}, {"dropNotNull": column(json!({}))}]),
        )];
        scene.job(&["apply"], &all).expect(0);
        scene.database.run("insert into transfer (transferId, amount, currencyId) values ('later', 1, 'USD')");
        assert_eq!(scene.count("select count(*) from transfer where transferId = 'later' and note = 'new'"), 1);
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
    }
}

#[test]
fn our_triggers_see_what_those_of_the_application_have_made() {
    let scene = Scene::new(Kind::PostgreSql, 10);
    scene.database.run(
        "alter table transfer add column mail text; \
         create function lowered() returns trigger language plpgsql as $$ begin new.mail := lower(new.mail); return new; end $$; \
         create trigger normalize before insert or update on transfer for each row execute function lowered()",
    );
    let all = [expand("rename-mail", json!([{"renameColumn": {"table": "transfer", "from": "mail", "to": "email"}}]))];
    scene.job(&["apply"], &all).expect(0);
    scene.database.run("insert into transfer (transferId, amount, currencyId, mail) values ('m', 1, 'USD', 'A@B')");
    assert_eq!(scene.count("select count(*) from transfer where mail = 'a@b' and email = 'a@b'"), 1);
}
