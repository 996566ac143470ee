//! How fast rows are filled, beside a loop that somebody would write by hand, in one run. `make bench` prints it.

use std::time::Instant;

use fairlead_tests::servers::database::Kind;
use serde_json::json;

use crate::scene::{ENGINES, Scene, migration};

const ROWS: u32 = 1_000_000;

/// Batches of a thousand rows, each in a transaction of its own, from a cursor on.
fn by_hand(kind: Kind) -> &'static str {
    match kind {
        Kind::PostgreSql => {
            "create procedure fill() language plpgsql as $$ declare at varchar := ''; upto varchar; begin loop \
             select max(id) into upto from (select transferId as id from transfer where transferId > at order by transferId limit 1000) b; \
             exit when upto is null; update transfer set hand = 'x' where transferId > at and transferId <= upto and hand is null; commit; at := upto; end loop; end $$"
        }
        Kind::MariaDb => {
            "delimiter //\ncreate procedure fill() begin declare at_key varchar(36) default ''; declare upto varchar(36); l: loop \
             select max(id) into upto from (select transferId as id from transfer where transferId > at_key order by transferId limit 1000) b; \
             if upto is null then leave l; end if; update transfer set hand = 'x' where transferId > at_key and transferId <= upto and hand is null; commit; set at_key = upto; end loop; end//"
        }
    }
}

#[test]
#[ignore = "it measures: `make bench` runs it"]
fn a_million_rows() {
    for kind in ENGINES {
        // A server for each: rows that were written once leave their old versions behind for whoever comes next.
        let scene = Scene::new(kind, ROWS);
        scene.database.run("alter table transfer add column hand varchar(36)");
        scene.database.run(by_hand(kind));
        let began = Instant::now();
        scene.database.run("call fill()");
        let hand = began.elapsed();
        drop(scene);

        let scene = Scene::new(kind, ROWS);
        let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(36)"}}]);
        let backfill = json!({"table": "transfer", "column": "note", "value": {"sql": "'x'"}});
        let all = [migration("add-note", "expand", column, &json!({"backfill": backfill}))];
        let began = Instant::now();
        scene.job(&["apply", "--run-timeout", "20m"], &all).expect(0);
        let ours = began.elapsed();
        assert_eq!(scene.count("select count(*) from transfer where note is null"), 0);
        println!(
            "| {kind:?}: {ROWS} rows | by hand {hand:.1?} | schema-migrator {ours:.1?} | {:.2} |",
            hand.as_secs_f64() / ours.as_secs_f64()
        );
    }
}
