//! Replicas that lie behind while rows are filled.

use fairlead_tests::program::becomes;
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::watched::Watched;
use serde_json::json;

use crate::scene::{ENGINES, Scene, migration};

/// Holds up what a replica gets, and lets it go on.
fn hold(kind: Kind) -> [&'static str; 2] {
    match kind {
        Kind::PostgreSql => ["select pg_wal_replay_pause()", "select pg_wal_replay_resume()"],
        Kind::MariaDb => ["stop slave sql_thread", "start slave sql_thread"],
    }
}

#[test]
fn a_backfill_waits_for_a_replica_that_lies_behind() {
    for kind in ENGINES {
        let scene = Scene::of(kind, Database::primary(kind)).with_transfers(5000);
        let replica = scene.database.replica();
        let has = |rows: u64| replica.run("select count(*) from transfer").trim() == rows.to_string();
        assert!(becomes(|| has(5000)), "{kind:?}: the replica does not follow");

        let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(36)"}}]);
        let throttle =
            json!({"niceRatio": 20.0, "maxLagMillis": 1000, "replicas": [{"host": "127.0.0.1", "port": replica.port()}]});
        let backfill = json!({"table": "transfer", "column": "note", "value": {"sql": "'x'"},
            "batch": {"rows": 100, "targetMillis": 1}, "throttle": throttle});
        let all = [migration("add-note", "expand", column, &json!({"backfill": backfill}))];
        let mut watched = Watched::start_until(&mut scene.command(&["apply", "--log-level", "debug"], &all), "batch");
        let [pause, go_on] = hold(kind);
        replica.run(pause);
        watched.until("the backfill waits why=\"replica 127.0.0.1:");
        let filled = || scene.count("select count(*) from transfer where note is not null");
        let before = filled();
        assert!(before < 5000, "{kind:?}");
        replica.run(go_on);
        watched.until("the backfill goes on");
        let (status, log) = watched.finish();
        assert_eq!(status, Some(0), "{}", log.join("\n"));
        assert_eq!(filled(), 5000);
    }
}
