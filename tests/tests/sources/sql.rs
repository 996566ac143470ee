//! PostgreSQL and MariaDB: one row with one whole number, from the primary.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use fairlead_backlog::reading::Left;
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::servers::process::closed_port;
use serde_json::{Value, json};

use crate::scene::{Secret, open, refused, try_open};

pub(crate) const BOTH: [Kind; 2] = [Kind::PostgreSql, Kind::MariaDb];

pub(crate) fn query(kind: Kind, port: u16, query: &str) -> Value {
    let of = if kind == Kind::PostgreSql { "postgresql" } else { "mysql" };
    json!({of: {"host": "127.0.0.1", "port": port, "database": "test", "username": "root", "query": query}})
}

pub(crate) fn with(mut configuration: Value, field: &str, value: &Value) -> Value {
    for of in ["postgresql", "mysql"] {
        if configuration[of].is_object() {
            configuration[of][field] = value.clone();
        }
    }
    configuration
}

pub(crate) const LEFT: &str = "select count(*) from jobs where not done";

pub(crate) fn with_jobs(kind: Kind) -> Database {
    let database = Database::start(kind, None);
    database.run("create table jobs (id bigint primary key, done bool not null)");
    database.run("insert into jobs values (1, false), (2, false), (3, true)");
    database
}

#[test]
fn a_query_counts_what_is_left() {
    for kind in BOTH {
        let database = with_jobs(kind);
        let configuration = with(query(kind, database.port(), LEFT), "end", &json!("select max(id) from jobs"));
        let mut source = open(&configuration);
        let reading = source.becomes_left(2);
        assert_eq!(reading.ends["test"], 3);
        let expected = if kind == Kind::PostgreSql { "postgresql 15." } else { "mariadb 10.11." };
        assert!(reading.server.as_ref().is_some_and(|server| server.starts_with(expected)), "{reading:?}");
        // A transaction that stayed open would not see it.
        database.run("update jobs set done = true");
        source.becomes_empty();
        database.run("drop table jobs");
        source.becomes_unknown_after("jobs");
    }
}

#[test]
fn an_answer_that_is_no_count_is_refused() {
    for kind in BOTH {
        let database = with_jobs(kind);
        let null = if kind == Kind::PostgreSql { "select null::bigint" } else { "select max(id) from jobs where id > 9" };
        for (sql, why) in [
            ("select '0'", "which is no whole number"),
            ("select 0.0", "which is no whole number"),
            ("select sum(id) from jobs", "which is no whole number"),
            ("select id from jobs", "it answers more than one row"),
            ("select id from jobs where id > 9", "it answers no row"),
            ("select 0", "select 0: it reads no table, so its answer proves nothing"),
            ("select count(*)", "it reads no table, so its answer proves nothing"),
            ("select 0 where 1 = 1", "it reads no table, so its answer proves nothing"),
            ("select 0, 0", "it answers 2 columns"),
            ("select -1", "it answers -1, which is no count"),
            (null, "it answers null"),
            ("select count(*) from nope", "nope"),
            ("select 0; select 0", ""),
            ("delete from jobs", ""),
            (" ", "query is empty"),
        ] {
            let refusal = refused(&query(kind, database.port(), sql), &Secret::default());
            assert!(refusal.contains(why), "{kind:?}: {sql}: {refusal}");
        }
        assert_eq!(database.run("select count(*) from jobs").trim(), "3", "nothing is written");
    }
}

#[test]
fn a_replica_is_not_believed() {
    let database = with_jobs(Kind::MariaDb);
    let configuration = query(Kind::MariaDb, database.port(), LEFT);
    let mut source = open(&configuration);
    source.becomes_left(2);
    database.run("update jobs set done = true; set global read_only = 1");
    source.becomes_unknown("it is a replica");
    assert!(refused(&configuration, &Secret::default()).contains("it is a replica, which lies behind; name the primary"));

    let primary = with_jobs(Kind::PostgreSql);
    let replica = primary.replica();
    let refusal = refused(&query(Kind::PostgreSql, replica.port(), LEFT), &Secret::default());
    assert!(refusal.contains("it is a replica, which lies behind; name the primary"), "{refusal}");
}

#[test]
fn a_database_that_is_gone_is_unknown_until_it_is_back() {
    for kind in BOTH {
        let mut database = with_jobs(kind);
        let mut source = open(&query(kind, database.port(), LEFT));
        source.becomes_left(2);
        database.process().kill();
        source.becomes_unknown("cannot be reached");
        database.restart();
        source.becomes_left(2);
        // Locked, it does not answer in time.
        let locked = query(
            kind,
            database.port(),
            if kind == Kind::PostgreSql { "select 0 from pg_sleep(60)" } else { "select sleep(60)" },
        );
        let ask = || {
            let began = std::time::Instant::now();
            let refusal = refused(&locked, &Secret::default());
            assert!(began.elapsed() < Duration::from_secs(50), "{kind:?}: {refusal}");
            refusal
        };
        let mut refusal = ask();
        // Where the machine stands still for two seconds it is not the server's limit that comes first.
        for _ in 0..5 {
            if refusal.contains("no answer in time") {
                refusal = ask();
            }
        }
        assert!(refusal.contains("the query took longer than 8 s, which is the limit"), "{kind:?}: {refusal}");
    }
}

#[test]
fn what_cannot_be_asked_is_said_at_the_start() {
    for kind in BOTH {
        let database = with_jobs(kind);
        let address = format!("127.0.0.1:{}", closed_port());
        let port = address.rsplit(':').next().expect("a port").parse().expect("a number");
        let refusal = refused(&query(kind, port, LEFT), &Secret::default());
        assert!(refusal.contains(&format!("{address}/test cannot be reached")), "{refusal}");
        assert_eq!(refusal.matches("Connection refused").count(), 1, "{refusal}");
        let other = with(query(kind, database.port(), LEFT), "database", &json!("nope"));
        assert!(refused(&other, &Secret::default()).contains("nope"), "{}", refused(&other, &Secret::default()));
    }
}

/// What MySQL 8 says first, and that it wants the password itself: its default, for a user whom it has not seen lately.
fn mysql_8() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let capabilities: u32 = 0x0008_8209;
    let [low, lower, high, higher] = capabilities.to_le_bytes();
    let mut hello = b"\x0a8.0.36\0\x01\0\0\0saltsalt\0".to_vec();
    hello.extend([low, lower, 45, 2, 0, high, higher, 21]);
    hello.extend([0; 10]);
    hello.extend(b"saltsaltsalt\0caching_sha2_password\0");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut send = |number: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).expect("it is short");
            stream.write_all(&[&[length, 0, 0, number], payload].concat()).expect("it listens");
            let mut answer = [0; 1024];
            stream.read(&mut answer).is_ok_and(|length| length > 0)
        };
        // It is asked for its key, for a client that has RSA.
        if send(0, &hello) && send(2, &[1, 4]) {
            send(4, b"\x01-----BEGIN PUBLIC KEY-----");
        }
    });
    (port, server)
}

#[test]
fn a_password_that_mysql_8_takes_under_tls_only_is_told() {
    let (port, server) = mysql_8();
    let configuration = with(query(Kind::MariaDb, port, LEFT), "password", &json!({"name": "database", "key": "password"}));
    let refusal = refused(&configuration, &Secret::default().with("password", "hunter2"));
    assert!(refusal.contains("the server takes this password under TLS only; set tls"), "{refusal}");
    server.join().expect("it has ended");
}

#[test]
fn credentials_and_authorities_come_from_secrets() {
    for kind in BOTH {
        let authority = Authority::new();
        let database = Database::start(kind, Some(&authority.identity("server")));
        if kind == Kind::PostgreSql {
            database.run("create role drain login password 'hunter2'");
            database.ask_for_passwords("drain");
        } else {
            database.run("create user drain@'127.0.0.1' identified by 'hunter2' require ssl; grant select on *.* to drain@'127.0.0.1'");
        }
        let named = |key: &str| json!({"name": "database", "key": key});
        let users = if kind == Kind::PostgreSql { "pg_roles where rolname" } else { "mysql.user where user" };
        let nobody = format!("select count(*) from {users} = 'nobody'");
        let configuration = with(query(kind, database.port(), &nobody), "username", &json!("drain"));
        let configuration = with(configuration, "password", &named("password"));
        let secret = |password: &str, authority: &Authority| {
            Secret::default().with("password", password).with("ca", &authority.certificate)
        };
        // Without TLS the server does not take it.
        let refusal = refused(&configuration, &secret("hunter2", &authority));
        assert!(refusal.contains("refuses the credentials"), "{kind:?}: {refusal}");
        let configuration = with(configuration, "tls", &json!({"ca": named("ca")}));
        let mut without = configuration.clone();
        let name = without.as_object().and_then(|kinds| kinds.keys().next().cloned()).expect("a kind");
        without[name.as_str()].as_object_mut().expect("a map").remove("password");
        let refusal = refused(&without, &secret("hunter2", &authority));
        let why = "the server wants credentials, and none are configured: set password";
        assert!(refusal.contains("refuses the credentials") && refusal.ends_with(why), "{kind:?}: {refusal}");
        let mut source =
            try_open(&configuration, &secret("hunter2", &authority)).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(source.read().left, Left::Empty);
        let refusal = refused(&configuration, &secret("wrong", &authority));
        assert!(refusal.contains("refuses the credentials"), "{kind:?}: {refusal}");
        assert!(!refusal.contains("wrong"), "{refusal}");
        let refusal = refused(&configuration, &secret("hunter2", &Authority::new()));
        assert!(refusal.contains("invalid peer certificate"), "{kind:?}: {refusal}");
        assert!(refusal.contains("tls.ca must name the authority") && !refusal.contains("reached"), "{kind:?}: {refusal}");
        let refusal = refused(&configuration, &secret("hunter2", &authority).with("ca", "no certificate"));
        assert!(refusal.contains("tls.ca (Secret database, key ca) is of no use"), "{kind:?}: {refusal}");
        let forbidden = if kind == Kind::PostgreSql { "pg_authid" } else { "secret" };
        if kind == Kind::MariaDb {
            database.run("create table secret (id int); revoke select on *.* from drain@'127.0.0.1'; grant insert on test.* to drain@'127.0.0.1'");
        }
        let configuration = with(configuration, "query", &json!(format!("select count(*) from {forbidden}")));
        let refusal = refused(&configuration, &secret("hunter2", &authority));
        assert!(refusal.contains("grant drain select on what the query reads"), "{kind:?}: {refusal}");
    }
}
