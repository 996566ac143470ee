//! The run is to end while a statement is under way at the server, which would go on there.

use fairlead_tests::program::{becomes, job, run};
use fairlead_tests::servers::database::Kind;
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::scene::{ENGINES, QUICK, Scene, migration};

/// Takes a second for each row, and there are a hundred.
fn endless(kind: Kind) -> Value {
    let second = match kind {
        Kind::PostgreSql => "length(pg_sleep(1)::text)",
        Kind::MariaDb => "sleep(1)",
    };
    let up = format!("update transfer set amount = amount + 1 + {second} where amount > 0");
    let sql = json!({"name": "raise", "up": up, "undo": "update transfer set amount = 100.25 where amount > 0",
        "done": "select count(*) = 0 from transfer where amount = 100.25"});
    migration("raise", "expand", json!([{"sql": sql}]), &json!({}))
}

/// How many statements are under way, without that which asks.
fn under_way(scene: &Scene) -> u64 {
    scene.count(match scene.kind {
        Kind::PostgreSql => "select count(*) from pg_stat_activity where state = 'active' and query like 'update transfer%'",
        Kind::MariaDb => "select count(*) from information_schema.processlist where info like 'update transfer%'",
    })
}

#[test]
fn a_statement_does_not_outlive_the_run_that_sent_it() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 100);
        let all = [endless(kind)];
        let before = scene.catalog();
        let untouched = || scene.count("select count(*) from transfer where amount = 100.25") == 100;

        let watched = Watched::start_until(&mut scene.command(&["apply", "--log-level", "debug"], &all), "sending");
        assert!(becomes(|| under_way(&scene) == 1));
        watched.signal(Signal::TERM);
        let (status, log) = watched.finish();
        let log = log.join("\n");
        assert_eq!(status, Some(75), "{log}");
        assert!(log.contains("its statement is cancelled"), "{log}");
        assert!(under_way(&scene) == 0 && untouched(), "{kind:?}");

        // The next one has no time for it either, and takes it back.
        let failed = scene.job(&["apply", "--run-timeout", "6s"], &all).expect(124);
        assert!(failed.stderr.contains("FL007") && failed.stderr.contains("everything is as before"), "{failed:?}");
        assert!(under_way(&scene) == 0 && untouched(), "{kind:?}");
        assert_eq!(scene.catalog(), before);
    }
}

#[test]
fn a_connection_that_is_cut_in_a_statement_is_no_end_of_the_run() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 100);
        let before = scene.catalog();
        let watched =
            Watched::start_until(&mut scene.command(&["apply", "--log-level", "debug"], &[endless(kind)]), "sending");
        assert!(becomes(|| under_way(&scene) == 1));
        match kind {
            Kind::PostgreSql => {
                let cut = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'update transfer%'";
                scene.database.run(cut);
            }
            Kind::MariaDb => {
                let which = "select id from information_schema.processlist where info like 'update transfer%'";
                scene.database.run(&format!("kill {}", scene.count(which)));
            }
        }
        let (status, log) = watched.finish();
        assert_eq!(status, Some(75), "{}", log.join("\n"));
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
        assert_eq!(scene.count("select count(*) from transfer where amount = 100.25"), 100);
    }
}

#[test]
fn an_index_that_waits_for_somebody_is_left_and_built_by_the_next_run() {
    let scene = Scene::new(Kind::PostgreSql, 100);
    let index = json!([{"addIndex": {"table": "transfer", "name": "transfer_amount", "columns": ["amount"]}}]);
    let all = [migration("add-index", "expand", index, &json!({}))];
    let before = scene.catalog();
    let mut sits = scene.database.session();
    sits.say("begin isolation level repeatable read; update transfer set amount = amount where transferId < '00000010';");
    let building = "select count(*) from pg_stat_activity where state = 'active' and query like 'create index%'";

    let mut watched = Watched::start_until(&mut scene.command(&["apply", "--log-level", "debug"], &all), "sending");
    assert!(becomes(|| scene.count(building) == 1));
    watched.until("its statement waits for other sessions");
    watched.signal(Signal::TERM);
    let (status, log) = watched.finish();
    assert_eq!(status, Some(75), "{}", log.join("\n"));
    assert_eq!(scene.count(building), 0);

    // One whose time is over drops it, and that waits, too; it can be told to end there.
    let mut command = scene.command(&["apply", "--run-timeout", "5s", "--log-level", "debug"], &all);
    let mut watched = Watched::start_until(&mut command, "RollingBack");
    watched.until("its statement waits for other sessions");
    watched.signal(Signal::TERM);
    let (status, log) = watched.finish();
    let log = log.join("\n");
    assert_eq!(status, Some(75), "{log}");
    drop(sits);

    scene.back(&["--last"]).expect(0);
    assert_eq!(scene.catalog(), before);
    scene.job(&["apply"], &all).expect(0);
    let valid = "select count(*) from pg_index where indexrelid = 'transfer_amount'::regclass and indisvalid";
    assert_eq!(scene.count(valid), 1);
}

#[test]
fn a_frozen_run_holds_nobody_up_and_writes_nothing_when_it_wakes() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 3000);
        let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(36)"}}]);
        let slow = json!({"table": "transfer", "column": "note", "value": {"sql": "'x'"}, "batch": {"rows": 100, "targetMillis": 1},
            "throttle": {"niceRatio": 5.0}});
        let all = [migration("add-note", "expand", column, &json!({"backfill": slow}))];
        let mut command = scene.command(&[&["apply", "--log-level", "debug"], QUICK.as_slice()].concat(), &all);
        let frozen = Watched::start_until(&mut command, "batch");
        frozen.signal(Signal::STOP);

        let second = scene.job(&[&["apply"], QUICK.as_slice()].concat(), &all).expect(0);
        assert_eq!(scene.count("select count(*) from transfer where note = 'x'"), 3000);
        scene.database.run("update transfer set note = 'mine'");

        frozen.signal(Signal::CONT);
        let (status, log) = frozen.finish();
        assert_eq!(status, Some(75), "{}\n{}", log.join("\n"), second.stderr);
        assert_eq!(scene.count("select count(*) from transfer where note = 'mine'"), 3000);
    }
}

#[test]
fn two_releases_change_one_database_one_after_the_other() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 100);
        let watched =
            Watched::start_until(&mut scene.command(&["apply", "--log-level", "debug"], &[endless(kind)]), "sending");
        assert!(becomes(|| under_way(&scene) == 1));
        let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(36)"}}]);
        let file = scene.configuration(&[migration("add-note", "expand", column, &json!({}))]);
        let mut address = scene.address();
        address[3] = "another";
        let mut command = job("schema-migrator");
        let second = run(command.args(["apply", "--lease-wait", "1s", "--config"]).arg(file).args(address), "").expect(5);
        for word in ["the lock of database ", "127.0.0.1"] {
            assert!(second.stderr.contains(word), "{word}: {second:?}");
        }
        watched.signal(Signal::TERM);
        assert_eq!(watched.finish().0, Some(75));
    }
}
