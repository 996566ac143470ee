//! Mojaloop's own migration: a transfer gets the id of its quote, first as something that may be there, then as something that must be.
//! Releases: 1.0.0 does not know it, 1.0.2 writes it, 2.0.0 always does, 2.0.1 relies on it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fairlead_tests::servers::database::Kind;
use serde_json::{Value, json};

use crate::clients::{Seen, Work, with_clients};
use crate::scene::{ENGINES, Scene, migration};

/// An ILP packet whose data names a quote.
pub(crate) fn packet(quote: &str) -> String {
    let data = json!({"transactionId": "t", "quoteId": quote}).to_string();
    let mut bytes = vec![1];
    bytes.extend(200_u64.to_be_bytes());
    bytes.push(16);
    bytes.extend(b"private.payeefsp");
    bytes.push(u8::try_from(data.len()).expect("it is short"));
    bytes.extend(data.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Mojaloop's tables, with this many transfers: the packet of number n names quote `q` and n.
pub(crate) fn mojaloop(kind: Kind, transfers: u32) -> Scene {
    let scene = Scene::empty(kind);
    let (bytes, text) = match kind {
        Kind::PostgreSql => ("bytea", "text"),
        Kind::MariaDb => ("blob", "text"),
    };
    let _ = bytes;
    scene.database.run(&format!(
        "create table currency (currencyId varchar(3) primary key); insert into currency values ('XOF'); \
         create table transferDuplicateCheck (transferId varchar(36) primary key); \
         create table transfer (transferId varchar(36) primary key references transferDuplicateCheck (transferId), amount decimal(18,4) not null, \
         currencyId varchar(3) not null references currency (currencyId), createdDate timestamp not null default current_timestamp); \
         create index transfer_currency on transfer (currencyId); \
         create table ilpPacket (transferId varchar(36) primary key references transfer (transferId), value {text} not null)"
    ));
    // The packet is that of a quote of ten characters, whose place in base64 is computed by the server.
    let head = packet("QQQQQQQQQQ");
    let bytes = URL_SAFE_NO_PAD.decode(&head).expect("ours");
    let at = bytes.windows(10).position(|window| window == b"QQQQQQQQQQ").expect("it is in it");
    let (before, after) = (&bytes[..at], &bytes[at + 10..]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (before, after) = (hex(before), hex(after));
    match kind {
        Kind::PostgreSql => {
            scene.database.run(&format!(
                "insert into transferDuplicateCheck select lpad(n::text, 8, '0') from generate_series(1, {transfers}) n; \
                 insert into transfer (transferId, amount, currencyId) select lpad(n::text, 8, '0'), 100.25, 'XOF' from generate_series(1, {transfers}) n; \
                 insert into ilpPacket select lpad(n::text, 8, '0'), translate(replace(encode(decode('{before}', 'hex') || convert_to('q' || lpad(n::text, 9, '0'), 'UTF8') || decode('{after}', 'hex'), 'base64'), chr(10), ''), '+/=', '-_') from generate_series(1, {transfers}) n; analyze"
            ));
        }
        Kind::MariaDb => {
            scene.database.run(&format!(
                "insert into transferDuplicateCheck select lpad(seq, 8, '0') from seq_1_to_{transfers}; \
                 insert into transfer (transferId, amount, currencyId) select lpad(seq, 8, '0'), 100.25, 'XOF' from seq_1_to_{transfers}; \
                 insert into ilpPacket select lpad(seq, 8, '0'), replace(replace(replace(replace(to_base64(concat(unhex('{before}'), concat('q', lpad(seq, 9, '0')), unhex('{after}'))), '\\n', ''), '+', '-'), '/', '_'), '=', '') from seq_1_to_{transfers}"
            ));
        }
    }
    scene
}

/// The optional column, filled from the packets; new rows of old pods are filled by the contract.
pub(crate) fn add() -> Value {
    let backfill = json!({"table": "transfer", "column": "quoteId", "value": {"ilpPacket": ilp(true)}});
    migration(
        "add-transfer-quote-id",
        "expand",
        json!([{"addColumn": {"table": "transfer", "column": "quoteId", "type": "varchar(36)"}}]),
        &json!({"backfill": backfill}),
    )
}

fn ilp(_: bool) -> Value {
    json!({"table": "ilpPacket", "on": "transferId", "column": "value", "pointer": "/quoteId"})
}

/// The required column.
pub(crate) fn require() -> Value {
    let backfill = json!({"table": "transfer", "column": "quoteId", "value": {"ilpPacket": ilp(true)}});
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
    std::env::var_os("TRANSFERS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(50_000)
}

fn the_seed(kind: Kind) {
    let scene = mojaloop(kind, transfers());
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
