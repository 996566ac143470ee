//! Rows that change while they are filled, and rows that cannot be.

use fairlead_tests::servers::database::Kind;
use fairlead_tests::transfers::packet;
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};
use crate::seed::{self, named};

fn fill(value: &Value, more: &Value) -> Value {
    let mut backfill = json!({"table": "transfer", "column": "note", "value": value});
    for (key, value) in more.as_object().into_iter().flatten() {
        backfill[key] = value.clone();
    }
    let column = json!([{"addColumn": {"table": "transfer", "column": "note", "type": "varchar(36)"}}]);
    migration("add-note", "expand", column, &json!({"backfill": backfill}))
}

/// So slow that there is time to do something meanwhile.
fn slow() -> Value {
    json!({"batch": {"rows": 100, "targetMillis": 1}, "throttle": {"niceRatio": 20.0}})
}

#[test]
fn what_a_hook_has_no_time_for_is_filled_in_the_background_on_postgresql() {
    in_the_background(ENGINES[0]);
}

#[test]
fn what_a_hook_has_no_time_for_is_filled_in_the_background_on_mariadb() {
    in_the_background(ENGINES[1]);
}

fn in_the_background(kind: Kind) {
    let scene = Scene::new(kind, 20_000);
    let before = scene.catalog();
    let add = fill(&json!({"sql": "'x'"}), &slow());
    let require = migration(
        "require-note",
        "contract",
        json!([{"setNotNull": {"table": "transfer", "column": "note"}}]),
        &json!({"after": ["add-note"]}),
    );
    let all = [add, require];
    // A run has half a minute to take everything back.
    let behind = scene.job(&["apply", "--run-timeout", "31s"], &all).expect(0);
    assert!(behind.stdout.contains("the run goes on in the background"), "{}", behind.stdout);
    let left = scene.count("select count(*) from transfer where note is null");
    assert!(left > 0);

    // A contract waits for it, and so says the plan.
    let waits = scene.job(&["apply", "--phase", "contract"], &all).expect(0);
    assert!(waits.stdout.contains("SM201") && waits.stdout.contains("not filled to its end"), "{}", waits.stdout);

    // All rows of what comes next are deleted meanwhile; the process is told to end, and killed.
    scene.database.run("delete from transfer where note is null and transferId < '00012000'");
    let background = ["background", "--lease-duration", "2s", "--request-timeout", "1s"];
    let watched =
        Watched::start_until(&mut scene.command(&[&background[..], &["--log-level", "debug"]].concat(), &all), "batch");
    watched.signal(Signal::TERM);
    let (status, rest) = watched.finish();
    assert_eq!(status, Some(75), "{}", rest.join("\n"));
    Watched::start_until(&mut scene.command(&[&background[..], &["--log-level", "debug"]].concat(), &all), "batch").kill();
    scene.job(&background, &all).expect(0);
    assert_eq!(scene.count("select count(*) from transfer where note is null"), 0);
    scene.job(&["apply", "--phase", "contract"], &all).expect(0);
    scene.back(&["--to", "0"]).expect(0);
    assert_eq!(scene.catalog(), before);
}

#[test]
fn rows_without_a_value_are_written_down_on_postgresql() {
    without_a_value(ENGINES[0]);
}

#[test]
fn rows_without_a_value_are_written_down_on_mariadb() {
    without_a_value(ENGINES[1]);
}

fn without_a_value(kind: Kind) {
    let scene = seed::scene(kind, 300);
    scene.database.run("delete from ilpPacket where transferId = '00000001'");
    scene.database.run("update ilpPacket set value = 'no packet!' where transferId = '00000002'");
    scene.database.run(&format!("update ilpPacket set value = '{}' where transferId = '00000003'", packet("it's \\ ")));
    let add = named(kind, &crate::seed::add());
    let ended = scene.job(&["apply"], std::slice::from_ref(&add)).expect(0);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("298 rows filled, 2 without a value"), "{said}");
    let quarantine = if kind == Kind::PostgreSql { "fairlead.quarantine" } else { "_fairlead_quarantine" };
    let reasons = scene.database.run(&format!("select row_key, reason from {quarantine} order by row_key"));
    assert!(reasons.contains("there is no row of") && reasons.contains("no base64"), "{reasons}");
    assert_eq!(
        scene.database.run("select quoteId from transfer where transferId = '00000003'").trim(),
        if kind == Kind::PostgreSql { "it's \\" } else { "it's \\\\" }
    );

    // The contract fills what it can, and refuses NULL no earlier.
    let all = [add, named(kind, &crate::seed::require())];
    let before = scene.catalog();
    let refused = scene.job(&["apply", "--phase", "contract"], &all);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.status.is_some_and(|status| status != 0), "{said}");
    assert_eq!(scene.catalog(), before);
    // Somebody writes them by hand.
    scene.database.run("update transfer set quoteId = 'by hand' where quoteId is null");
    scene.job(&["apply", "--phase", "contract"], &all).expect(0);
}

#[test]
fn composite_keys_of_any_type_are_filled() {
    for kind in ENGINES {
        let scene = Scene::empty(kind);
        scene.database.run("create table transfer (a bigint, b varchar(20), c int, primary key (a, b, c))");
        let rows: Vec<String> =
            (0..40).flat_map(|a| (0..40).map(move |b| format!("({}, 'it''s {b}', {})", a % 7 - 3, a))).collect();
        scene.database.run(&format!("insert into transfer values {}", rows.join(", ")));
        let all = [fill(&json!({"sql": "concat(b, c)"}), &json!({"batch": {"rows": 100, "targetMillis": 1}}))];
        scene.job(&["apply"], &all).expect(0);
        assert_eq!(scene.count("select count(*) from transfer where note = concat(b, c)"), 1600);
        scene.back(&["--last"]).expect(0);
    }
}

#[test]
fn a_server_that_dies_in_a_batch_is_waited_for_by_the_next_run() {
    for kind in ENGINES {
        let mut scene = Scene::new(kind, 5000);
        let all = [fill(&json!({"sql": "'x'"}), &slow())];
        let mut command = scene.command(&["apply", "--log-level", "debug"], &all);
        let watched = Watched::start_until(&mut command, "batch");
        scene.database.restart();
        let (status, rest) = watched.finish();
        assert_eq!(status, Some(75), "{}", rest.join("\n"));
        scene.job(&["apply"], &all).expect(0);
        assert_eq!(scene.count("select count(*) from transfer where note = 'x'"), 5000);
    }
}

#[test]
fn a_database_that_has_it_already_is_only_remembered() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 10);
        scene.database.run("alter table transfer add column note varchar(36)");
        scene.database.run("update transfer set note = 'by hand'");
        let before = scene.catalog();
        let all = [fill(&json!({"sql": "'x'"}), &json!({}))];
        let plan = scene.job(&["plan"], &all).expect(0).stdout;
        assert!(plan.contains("1 to create, 0 to update"), "{plan}");
        scene.job(&["apply"], &all).expect(0);
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
        assert_eq!(scene.count("select count(*) from transfer where note = 'by hand'"), 10);
    }
}

#[test]
fn rows_that_are_deleted_meanwhile_end_no_backfill() {
    for kind in ENGINES {
        let scene = Scene::new(kind, 5000);
        let all = [fill(&json!({"sql": "'x'"}), &slow())];
        let mut command = scene.command(&["apply", "--log-level", "debug"], &all);
        let watched = Watched::start_until(&mut command, "batch");
        // All that the next batches were made of, and the row that was to be the last.
        scene
            .database
            .run("delete from transfer where transferId between '00000050' and '00003000' or transferId = '00005000'");
        assert!(scene.count("select count(*) from transfer where note is null") > 0, "it was at its end already");
        let (status, log) = watched.finish();
        assert_eq!(status, Some(0), "{}", log.join("\n"));
        assert_eq!(scene.count("select count(*) from transfer where note = 'x'"), 2048);
        assert_eq!(scene.count("select count(*) from transfer"), 2048);
    }
}
