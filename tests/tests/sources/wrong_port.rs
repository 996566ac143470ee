//! A port where something else listens than the source expects, or TLS is spoken, or is not: each is said in words of the reader.

use std::time::Duration;

use fairlead_backlog::event::Event;
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::servers::document::Document;
use fairlead_tests::servers::nats::Nats;
use fairlead_tests::servers::process::closed_port;
use serde_json::{Value, json};

use crate::scene::{Secret, causes, refused};

/// What only who wrote a library understands.
const JARGON: [&str; 9] =
    ["corrupt", "InvalidContentType", "SendRequest", "invalid HTTP", "eof", "EOF", "SSLRequest", "sqlx", "message type"];

/// A source of this kind at this port, with TLS or without.
fn source(kind: &str, port: u16, is_tls: bool) -> Value {
    let scheme = if is_tls { "https" } else { "http" };
    let mut content = match kind {
        "http" => json!({"url": format!("{scheme}://127.0.0.1:{port}/x"), "left": ["/left"]}),
        "jetStream" => json!({"servers": [format!("nats://127.0.0.1:{port}")], "stream": "orders"}),
        "kafka" => json!({"brokers": [format!("127.0.0.1:{port}")], "group": "workers", "topics": ["orders"]}),
        _ => json!({"host": "127.0.0.1", "port": port, "database": "d", "username": "u", "query": "select count(*) from t"}),
    };
    if is_tls {
        content["tls"] = json!({"ca": {"name": "tls", "key": "ca"}});
    }
    json!({kind: content})
}

#[test]
fn what_listens_there_is_said_in_words() {
    let authority = Authority::new();
    let secret = Secret::default().with("ca", &authority.certificate);
    let (document, secure) = (Document::start("{}"), Document::start_tls("{}", &authority));
    let nats = Nats::with_jet_stream();
    let (postgresql, mariadb) = (Database::start(Kind::PostgreSql, None), Database::start(Kind::MariaDb, None));
    let (http, https, nats) = (document.port(), secure.port(), nats.port());
    let (postgresql, mariadb) = (postgresql.port(), mariadb.port());
    let no_http = "no HTTP: another protocol is spoken on this port, or TLS (use https://)";
    let no_kafka = "none of Kafka: another protocol is spoken on this port, or TLS (set tls)";
    let no_postgresql = "no PostgreSQL: another protocol is spoken on this port, or TLS";
    let plain = "the server answers in plain text: TLS is not spoken on this port";
    let certificate = "the server asks for a certificate: name one under tls.certificate, and its key under tls.key";
    for (kind, port, is_tls, expected) in [
        ("http", https, false, no_http),
        ("http", nats, false, no_http),
        ("http", mariadb, false, no_http),
        ("http", postgresql, false, "the server ends the connection without an answer; is HTTP spoken on this port?"),
        ("http", http, true, "TLS is not spoken on this port; use http://"),
        ("http", nats, true, plain),
        ("http", mariadb, true, plain),
        ("http", postgresql, true, "TLS may not be spoken on this port; use http://"),
        ("http", https, true, certificate),
        ("kafka", http, false, no_kafka),
        ("kafka", https, false, no_kafka),
        ("kafka", nats, false, no_kafka),
        ("kafka", mariadb, false, no_kafka),
        ("kafka", http, true, "TLS is not spoken on this port; leave tls out"),
        ("kafka", postgresql, true, "TLS may not be spoken on this port; leave tls out"),
        ("kafka", https, true, certificate),
        ("jetStream", nats, true, plain),
        ("jetStream", http, false, "no answer in time; is this the port of NATS for clients?"),
        ("postgresql", https, false, no_postgresql),
        ("postgresql", mariadb, false, no_postgresql),
        ("postgresql", nats, false, "is PostgreSQL spoken on this port?"),
        ("postgresql", http, true, "no PostgreSQL: another protocol is spoken on this port"),
        ("postgresql", postgresql, true, "TLS is not spoken on this port; leave tls out, or switch it on at the server"),
        ("mysql", mariadb, true, "TLS is not spoken on this port; leave tls out, or switch it on at the server"),
    ] {
        let source = source(kind, port, is_tls);
        let said = refused(&source, &secret);
        assert!(said.contains(expected), "{source}: {said}");
        assert!(!JARGON.iter().any(|word| said.contains(word)), "{source}: {said}");
    }
}

/// Before anything is closed, and without an event.
#[test]
fn an_event_can_be_tried_without_being_sent() {
    let (authority, another) = (Authority::new(), Authority::new());
    let (document, secure) = (Document::start("{}"), Document::start_tls("{}", &authority));
    let (http, https) = (document.port(), secure.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let connects = |url: &str, ca: &str| {
        let event = json!({"url": url, "tls": {"ca": {"name": "tls", "key": "ca"}}});
        let event: Event = serde_json::from_value(event).expect("an event");
        let secret = Secret::default().with("ca", ca);
        runtime.block_on(async {
            let ready = event.prepare(&secret).await.expect("it can be sent");
            ready.connect(Duration::from_secs(5)).await.map_err(|error| causes(&error))
        })
    };
    let ca = &authority.certificate;
    assert_eq!(connects(&format!("http://127.0.0.1:{http}/events"), ca), Ok(true));
    assert_eq!(connects(&format!("https://localhost:{https}/events"), ca), Ok(true));
    // As at a Service without a pod.
    assert_eq!(connects(&format!("http://127.0.0.1:{}/events", closed_port()), ca), Ok(false));
    for (url, ca, why) in [
        ("http://nowhere.invalid/events".to_owned(), ca, "http://nowhere.invalid/events cannot be reached"),
        (format!("https://127.0.0.1:{http}/events"), ca, "TLS is not spoken on this port; use http://"),
        (format!("https://127.0.0.1:{https}/events"), &another.certificate, "tls.ca must name the authority"),
    ] {
        let said = connects(&url, ca).expect_err(why);
        assert!(said.contains(why), "{url}: {said}");
    }
}
