//! Mojaloop's own migration: a transfer gets the id of its quote, first as something that may be there, then as something that must be.
//! Releases: 1.0.0 does not know it, 1.0.2 writes it, 2.0.0 always does, 2.0.1 relies on it.

use std::time::Duration;

use fairlead_tests::clients::{Seen, Work, with_clients};
use fairlead_tests::servers::database::Kind;
use fairlead_tests::transfers::mojaloop;
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};

/// Mojaloop's tables, with this many transfers.
pub(crate) fn scene(kind: Kind, transfers: u32) -> Scene {
    let scene = Scene::empty(kind);
    mojaloop(&scene.database, kind, transfers);
    scene
}

/// The optional column, filled from the packets; new rows of old pods are filled by the contract.
pub(crate) fn add() -> Value {
    let backfill = json!({"table": "transfer", "column": "quoteId", "value": {"ilpPacket": packets()}});
    migration(
        "add-transfer-quote-id",
        "expand",
        json!([{"addColumn": {"table": "transfer", "column": "quoteId", "type": "varchar(36)"}}]),
        &json!({"backfill": backfill}),
    )
}

fn packets() -> Value {
    json!({"table": "ilpPacket", "on": "transferId", "column": "value", "pointer": "/quoteId"})
}

/// The required column.
pub(crate) fn require() -> Value {
    let backfill = json!({"table": "transfer", "column": "quoteId", "value": {"ilpPacket": packets()}});
    migration(
        "require-transfer-quote-id",
        "contract",
        json!([{"setNotNull": {"table": "transfer", "column": "quoteId"}}]),
        &json!({"after": ["add-transfer-quote-id"], "backfill": backfill}),
    )
}

/// The same for PostgreSQL, which folds names that nobody quotes, and not those that we quote.
pub(crate) fn named(kind: Kind, migration: &Value) -> Value {
    if kind == Kind::MariaDb {
        return migration.clone();
    }
    let mut text = migration.to_string();
    for name in ["transferId", "ilpPacket\",\"on", "quoteId\",\"type", "\"column\":\"quoteId\""] {
        text = text.replace(name, &name.to_lowercase());
    }
    let text = text.replace("\"table\":\"ilpPacket\"", "\"table\":\"ilppacket\"");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_seed_goes_there_and_back_while_old_and_new_clients_write_on_postgresql() {
    the_seed(ENGINES[0]);
}

#[test]
fn the_seed_goes_there_and_back_while_old_and_new_clients_write_on_mariadb() {
    the_seed(ENGINES[1]);
}

fn transfers() -> u32 {
    std::env::var_os("TRANSFERS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(20_000)
}

fn the_seed(kind: Kind) {
    let scene = scene(kind, transfers());
    let before = scene.catalog();
    let all = [named(kind, &add()), named(kind, &require())];
    let seen = Seen::default();
    let (old, everybody) = ([Work::OldInsert, Work::Update, Work::Read, Work::Sit], [Work::Update, Work::Read, Work::Sit]);

    // 1.0.0 runs, and 1.0.2 comes.
    with_clients(&scene.database, kind, &old, &seen, || scene.job(&["apply"], &all).expect(0));
    println!("tables: expanded, longest {:?}", seen.longest());
    assert_eq!(seen.errors(), Vec::<String>::new());
    assert_eq!(scene.count("select count(*) from transfer where quoteId is null and transferId not like 'live-%'"), 0);
    assert_eq!(
        scene.count("select count(*) from transfer where quoteId = concat('q0', transferId)"),
        u64::from(transfers())
    );

    // 1.0.2 writes it beside 1.0.0, which does not.
    with_clients(&scene.database, kind, &[&old[..], &[Work::NewInsert]].concat(), &seen, || {
        scene.job(&["plan"], &all).expect(0)
    });
    // 1.0.0 has gone, and 2.0.1 comes.
    let new = [&everybody[..], &[Work::NewInsert]].concat();
    let contract = ["apply", "--phase", "contract"];
    with_clients(&scene.database, kind, &new, &seen, || scene.job(&contract, &all).expect(0));
    println!("tables: contracted, longest {:?}", seen.longest());
    assert_eq!(scene.count("select count(*) from transfer where quoteId is null"), 0);
    let refused = scene.job(&contract, &all).expect(0);
    assert!(refused.stdout.contains("Nothing to do"), "{}", refused.stdout);

    // Back to 1.0.2, and to 1.0.0.
    with_clients(&scene.database, kind, &new, &seen, || scene.back(&["--last"]).expect(0));
    with_clients(&scene.database, kind, &old, &seen, || scene.back(&["--last"]).expect(0));
    println!("tables: back, longest {:?}, {} operations", seen.longest(), seen.done());
    assert_eq!(scene.catalog(), before);
    assert_eq!(seen.errors(), Vec::<String>::new());
    let written = seen.written.lock().expect("nobody panics with it").len();
    assert_eq!(scene.count("select count(*) from transfer"), u64::from(transfers()) + written as u64, "writes are lost");
    // Not a figure: nothing may lock the table for as long as it takes.
    assert!(seen.longest() < Duration::from_secs(5), "{:?}", seen.longest());
}
