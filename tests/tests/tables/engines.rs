//! Servers that are too old, and how a server and a client recognize each other.

use fairlead_tests::program::{Ended, builder, run};
use fairlead_tests::servers::certificates::{Authority, Identity};
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::servers::mysql::MySql55;
use serde_json::{Value, json};

use crate::scene::{ENGINES, Scene, migration};

/// A table that no one has before.
fn create() -> Value {
    let id = json!({"name": "id", "type": "int", "nullable": false, "default": "0"});
    let table = json!({"createTable": {"table": "quote", "columns": [id], "primaryKey": ["id"]}});
    migration("add-quote", "expand", json!([table]), &json!({}))
}

#[test]
fn mysql_5_5_is_refused_by_name() {
    let (scene, server) = (Scene::empty(Kind::PostgreSql), MySql55::new());
    for engine in ["mysql", "mariadb"] {
        let refused = scene.told(&["apply"], &create(), |database| {
            (database["engine"], database["port"]) = (json!(engine), json!(server.port()));
        });
        let said = refused.output();
        assert_eq!(refused.status, Some(4), "{said}");
        let why = format!(
            "127.0.0.1:{}/test: the server is MySQL 5.5.9; at least MySQL 8.0.29 is needed, because older ones lock a table",
            server.port()
        );
        assert!(said.contains("SM104") && said.contains(&why), "{said}");
    }
    // The record of the runs would be there.
    let status = scene.told(&["plan", "--store", "database"], &create(), |database| {
        (database["engine"], database["port"]) = (json!("mysql"), json!(server.port()));
    });
    assert!(status.status == Some(4) && status.output().contains("MySQL 5.5.9"), "{}", status.output());
}

#[test]
fn a_server_of_mysql_that_is_not_named_well_is_asked_for_without_its_password() {
    let verify = |dsn: Option<&str>| {
        let mut command = builder("scripts/verify-mysql");
        run(command.env_remove("DSN").envs(dsn.map(|dsn| ("DSN", dsn))), "").expect(2).output()
    };
    let usage = "make verify-mysql DSN=mysql://USER:PASSWORD@HOST:3306/DB";
    let none = verify(None);
    assert!(none.starts_with("DSN is not set; ") && none.contains(usage), "{none}");
    for dsn in ["postgres://root:hunter2@h:5432/d", "mysql://root:hunter2@h:3306", "mysql://root:hunter2@h:3306/d;drop"] {
        let other = verify(Some(dsn));
        assert!(other.starts_with("DSN has another form than ") && other.contains(usage), "{other}");
        assert!(!other.contains("hunter2"), "{other}");
    }
}

/// A server that takes the user `migrator` only over TLS, and only with a certificate of `clients`.
fn server(kind: Kind, servers: &Authority, clients: &Authority) -> Database {
    let database = Database::asking_clients(kind, &servers.identity("server"), &clients.certificate);
    match kind {
        Kind::PostgreSql => {
            database.run("create role migrator login; grant create on database test to migrator; grant create on schema public to migrator");
            database.ask_for_certificates("migrator");
        }
        Kind::MariaDb => {
            database.run("create user migrator@'127.0.0.1' require x509; grant all on *.* to migrator@'127.0.0.1'");
        }
    }
    database
}

#[test]
fn the_server_and_the_client_show_certificates() {
    for kind in ENGINES {
        let [servers, clients, stranger] = [Authority::new(), Authority::new(), Authority::new()];
        let scene = Scene::of(kind, server(kind, &servers, &clients));
        let secret = |name: &str, data: Value| {
            scene.cluster.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": name}, "stringData": data}));
        };
        let identity = |Identity { certificate, key }: Identity| json!({"tls.crt": certificate, "tls.key": key});
        secret("right-ca", json!({"ca.crt": servers.certificate}));
        secret("wrong-ca", json!({"ca.crt": stranger.certificate}));
        secret("right-client", identity(clients.identity("migrator")));
        secret("wrong-client", identity(stranger.identity("migrator")));
        secret("no-pem", json!({"ca.crt": "no certificate", "tls.crt": "none", "tls.key": "none"}));

        let key = |name: &str, key: &str| json!({"name": name, "key": key});
        let with = |args: &[&str], ca: &str, client: Option<&str>| -> Ended {
            scene.told(args, &create(), |database| {
                database["username"] = json!("migrator");
                database["tls"] = json!({"ca": key(ca, "ca.crt")});
                if let Some(client) = client {
                    database["tls"]["certificate"] = key(client, "tls.crt");
                    database["tls"]["key"] = key(client, "tls.key");
                }
            })
        };
        let before = scene.catalog();
        let refused = |ca: &str, client: Option<&str>, code: &str, why: &str| {
            let ended = with(&["apply"], ca, client);
            let said = ended.output();
            let host = format!("127.0.0.1:{}/test", scene.database.port());
            assert_eq!(ended.status, Some(4), "{said}");
            assert!(said.contains(code) && said.contains(&host) && said.contains(why), "{why}: {said}");
        };
        let unsigned = "the certificate of the server is not trusted: no authority in `tls.ca` has signed it";
        refused("wrong-ca", Some("right-client"), "SM104", unsigned);
        refused("no-pem", Some("right-client"), "SM104", "`tls.ca` has no certificate in PEM");
        refused("right-ca", Some("wrong-client"), "SM103", "received fatal alert");
        let asked = if kind == Kind::PostgreSql { "requires a valid client certificate" } else { "Access denied" };
        refused("right-ca", None, "SM103", asked);
        assert_eq!(scene.catalog(), before);

        // The way back reads the Secrets that the ticket names.
        with(&["apply"], "right-ca", Some("right-client")).expect(0);
        assert_ne!(scene.catalog(), before);
        scene.back(&["--last"]).expect(0);
        assert_eq!(scene.catalog(), before);
    }
}
