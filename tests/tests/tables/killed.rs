//! The job is killed at every line of its log, forward and back; the next run ends it.

use fairlead_tests::program::{job, run};
use fairlead_tests::servers::database::Kind;
use fairlead_tests::watched::Watched;
use serde_json::{Value, json};

use crate::scene::{ENGINES, QUICK, Scene, migration};

/// Every so many lines one is killed; `make soak` kills at each.
fn stride() -> usize {
    std::env::var_os("STRIDE").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(15)
}

fn migrations() -> [Value; 2] {
    let column = json!({"addColumn": {"table": "transfer", "column": "fee", "type": "int"}});
    let index = json!({"addIndex": {"table": "transfer", "name": "transfer_fee", "columns": ["fee"]}});
    let fill = json!({"fill": {"table": "transfer", "column": "fee", "value": "7"}});
    let backfill = json!({"backfill": {"table": "transfer", "column": "fee", "value": {"sql": "7"}, "batch": {"rows": 100, "targetMillis": 1}}});
    [
        migration("add-fee", "expand", json!([column, index, fill]), &backfill),
        migration(
            "require-fee",
            "contract",
            json!([{"setNotNull": {"table": "transfer", "column": "fee"}}]),
            &json!({"after": ["add-fee"]}),
        ),
    ]
}

#[test]
fn killed_anywhere_on_postgresql_it_goes_on() {
    killed(ENGINES[0]);
}

#[test]
fn killed_anywhere_on_mariadb_it_goes_on() {
    killed(ENGINES[1]);
}

fn killed(kind: Kind) {
    let scene = Scene::new(kind, 1500);
    let all = migrations();
    let before = scene.catalog();
    let phases: [&[&str]; 2] = [&["apply"], &["apply", "--phase", "contract"]];
    for phase in phases {
        scene.job(phase, &all).expect(0);
    }
    let after = scene.catalog();
    for _ in phases {
        scene.back(&["--last"]).expect(0);
    }
    assert_eq!(scene.catalog(), before);

    let mut line = 1;
    let mut is_over = false;
    while !is_over {
        is_over = true;
        for phase in phases {
            let command = &mut scene.command(&[phase, &QUICK, &["--log-level", "debug"]].concat(), &all);
            is_over &= !killed_at(command, line);
            scene.job(&[phase, &QUICK].concat(), &all).expect(0);
        }
        assert_eq!(scene.catalog(), after, "killed at line {line}");
        assert_eq!(scene.count("select count(*) from transfer where fee = 7"), 1500, "killed at line {line}");
        // Everything that has been applied is taken back, from wherever a killed rollback has come to.
        let back = |more: &[&str]| {
            let mut command = job("schema-migrator");
            command.args(["rollback", "--to", "0"]).args(more).args(QUICK).args(scene.address());
            command
        };
        is_over &= !killed_at(&mut back(&["--log-level", "debug"]), line);
        // It may have been done already, but for its last word.
        let rest = run(&mut back(&[]), "");
        assert!(rest.status == Some(0) || rest.stderr.contains("FL018"), "killed at line {line}: {rest:?}");
        assert_eq!(scene.catalog(), before, "killed at line {line}");
        assert_eq!(scene.count("select count(*) from transfer"), 1500);
        line += stride();
    }
}

/// Whether it lived that long.
fn killed_at(command: &mut std::process::Command, line: usize) -> bool {
    Watched::start_until(command, "").kill_at(line)
}
