//! Mojaloop's tables, as far as its migration of quotes concerns them, and the packets in them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::servers::database::{Database, Kind};

/// An ILP packet whose data names a quote.
#[must_use]
pub fn packet(quote: &str) -> String {
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
pub fn mojaloop(database: &Database, kind: Kind, transfers: u32) {
    database.run(
        "create table currency (currencyId varchar(3) primary key); insert into currency values ('XOF'); \
         create table transferDuplicateCheck (transferId varchar(36) primary key); \
         create table transfer (transferId varchar(36) primary key references transferDuplicateCheck (transferId), amount decimal(18,4) not null, \
         currencyId varchar(3) not null references currency (currencyId), createdDate timestamp not null default current_timestamp); \
         create index transfer_currency on transfer (currencyId); \
         create table ilpPacket (transferId varchar(36) primary key references transfer (transferId), value text not null)",
    );
    // The packet is that of a quote of ten characters, whose place in base64 is computed by the server.
    let head = packet("QQQQQQQQQQ");
    let bytes = URL_SAFE_NO_PAD.decode(&head).expect("ours");
    let at = bytes.windows(10).position(|window| window == b"QQQQQQQQQQ").expect("it is in it");
    let (before, after) = (&bytes[..at], &bytes[at + 10..]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (before, after) = (hex(before), hex(after));
    match kind {
        Kind::PostgreSql => {
            database.run(&format!(
                "insert into transferDuplicateCheck select lpad(n::text, 8, '0') from generate_series(1, {transfers}) n; \
                 insert into transfer (transferId, amount, currencyId) select lpad(n::text, 8, '0'), 100.25, 'XOF' from generate_series(1, {transfers}) n; \
                 insert into ilpPacket select lpad(n::text, 8, '0'), translate(replace(encode(decode('{before}', 'hex') || convert_to('q' || lpad(n::text, 9, '0'), 'UTF8') || decode('{after}', 'hex'), 'base64'), chr(10), ''), '+/=', '-_') from generate_series(1, {transfers}) n; analyze"
            ));
        }
        Kind::MariaDb => {
            let numbers = numbers(transfers);
            database.run(&format!(
                "insert into transferDuplicateCheck select lpad(seq, 8, '0') from {numbers}; \
                 insert into transfer (transferId, amount, currencyId) select lpad(seq, 8, '0'), 100.25, 'XOF' from {numbers}; \
                 insert into ilpPacket select lpad(seq, 8, '0'), replace(replace(replace(replace(to_base64(concat(unhex('{before}'), concat('q', lpad(seq, 9, '0')), unhex('{after}'))), '\\n', ''), '+', '-'), '/', '_'), '=', '') from {numbers}"
            ));
        }
    }
}

/// The numbers from 1 to this one as column `seq`, for MariaDB and for MySQL, which has no engine of sequences.
#[must_use]
pub fn numbers(last: u32) -> String {
    let digits = (0..10).map(|digit| format!("select {digit} as d")).collect::<Vec<_>>().join(" union all ");
    let places = last.max(1).ilog10() + 1;
    let places: Vec<(u32, u32)> = (0..places).map(|place| (place, 10_u32.pow(place))).collect();
    let value = places.iter().map(|(place, weight)| format!("p{place}.d * {weight}")).collect::<Vec<_>>().join(" + ");
    let from = places.iter().map(|(place, _)| format!("({digits}) p{place}")).collect::<Vec<_>>().join(" cross join ");
    format!("(select seq from (select 1 + {value} as seq from {from}) n where seq <= {last}) numbers")
}
