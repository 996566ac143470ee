//! Tables of a PostgreSQL that pods reach over TLS with a password, migrated by `helm upgrade` and given back by `helm rollback`.

use fairlead_tests::cluster::{Cluster, NODE_ADDRESS, shared_node};
use fairlead_tests::link::Link;
use fairlead_tests::program::{Ended, binaries, root, run, tool};
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::database::{Database, Kind};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROWS: u32 = 50_000;

/// Beside other tests everything takes minutes. Each is less than the next.
const RUN: &str = "10m";
const DEADLINE: u32 = 900;
const HELM: &str = "20m";

/// A release of the chart alone, and a database.
struct Scene<'a> {
    cluster: &'a Cluster,
    helm: &'static str,
    namespace: String,
    database: Database,
    link: Link,
    folder: TempDir,
}

impl<'a> Scene<'a> {
    /// A table of transfers whose owner needs TLS and a password, and the armed release.
    fn armed(cluster: &'a Cluster, helm: &'static str, name: &str) -> Self {
        cluster.load_jobs();
        let authority = Authority::new();
        let database = Database::start(Kind::PostgreSql, Some(&authority.identity_at(NODE_ADDRESS, "server")));
        database.run("create role migrator login password 'hunter2'; grant create on database test to migrator");
        database.run(
            "create table transfer (id bigint primary key, amount numeric not null); alter table transfer owner to migrator",
        );
        database.run("grant create on schema public to migrator");
        database.run(&format!("insert into transfer select n, n from generate_series(1, {ROWS}) n"));
        database.ask_for_passwords("migrator");
        let link = Link::from_cluster(cluster, database.port());
        let (namespace, folder) = (format!("{name}-{helm}"), tempfile::tempdir().expect("a temporary folder"));
        let scene = Self { cluster, helm, namespace, database, link, folder };
        // The authority is somebody else's.
        let secret = |namespace: &str, name: &str, key: &str, value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "stringData": {key: value}});
        for namespace in [&scene.namespace, &scene.others()] {
            cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        cluster.apply(&json!([
            secret(&scene.namespace, "database", "password", "hunter2\n"),
            secret(&scene.others(), "authority", "ca.crt", &authority.certificate),
        ]));
        scene.of_values("install", &json!({}), &[]).expect(0);
        scene
    }

    /// The namespace of whoever has the authority.
    fn others(&self) -> String {
        format!("{}-pki", self.namespace)
    }

    /// `helm upgrade` with these migrations, contracts included.
    fn upgrade(&self, migrations: &[Value], more: &[&str]) -> Ended {
        let tls = json!({"ca": {"namespace": self.others(), "name": "authority", "key": "ca.crt"}});
        let database = json!({"engine": "postgresql", "host": NODE_ADDRESS, "port": self.link.port(), "database": "test",
            "username": "migrator", "password": {"name": "database", "key": "password"}, "tls": tls});
        let tables = json!({"database": database, "migrations": migrations, "backup": "none"});
        let migrator =
            json!({"enabled": true, "contract": {"enabled": true}, "runTimeout": RUN, "activeDeadlineSeconds": DEADLINE});
        let values = json!({"schemaMigrator": migrator, "configuration": {"tables": tables}});
        self.of_values("upgrade", &values, more)
    }

    fn of_values(&self, verb: &str, values: &Value, more: &[&str]) -> Ended {
        let mut values = values.clone();
        values["image"] = json!({"registry": "docker.io", "tag": "dev", "pullPolicy": "Never"});
        values["triggerReplicator"] = json!({"enabled": false});
        values["rollback"] = json!({"waitTimeout": "8m", "runTimeout": RUN, "activeDeadlineSeconds": DEADLINE});
        let file = self.folder.path().join("values.json");
        std::fs::write(&file, values.to_string()).expect("written");
        let mut helm = self.command(verb);
        run(helm.args(["shop", "charts/fairlead", "--values"]).arg(&file).args(more), "")
    }

    fn command(&self, verb: &str) -> std::process::Command {
        let mut helm = tool(self.helm);
        helm.args([verb, "-n", &self.namespace, "--kubeconfig", self.cluster.kubeconfig(), "--timeout", HELM]);
        helm.env("HOME", self.folder.path()).env_remove("KUBECACHEDIR").current_dir(root());
        helm
    }

    fn rollback(&self) -> Ended {
        run(self.command("rollback").args(["shop", "1"]), "")
    }

    /// What the catalog says of the application's tables, and the rows.
    fn tables(&self) -> String {
        let columns = "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns \
                       where table_schema = 'public' order by table_name, ordinal_position";
        let constraints = "select conname, pg_get_constraintdef(oid) from pg_constraint \
                           where connamespace = 'public'::regnamespace order by conname";
        let triggers = "select tgname from pg_trigger where not tgisinternal union select proname from pg_proc \
                        where pronamespace = 'public'::regnamespace order by 1";
        let indexes = "select indexname, indexdef from pg_indexes where schemaname = 'public' order by indexname";
        let rows = "select count(*), sum(id), sum(amount) from transfer";
        [columns, constraints, triggers, indexes, rows].map(|query| self.database.run(query)).join("--\n")
    }

    /// Step and phase of each run, the oldest first.
    fn runs(&self) -> Vec<[String; 2]> {
        let mut command = std::process::Command::new(binaries().join("kubectl-fairlead"));
        command.args(["status", "shop", "-n", &self.namespace, "-o", "json", "--kubeconfig", self.cluster.kubeconfig()]);
        let status = run(&mut command, "").expect(0).json();
        let runs = status["runs"].as_array().expect("a list").iter();
        runs.map(|run| ["step", "phase"].map(|field| run[field].as_str().expect("a text").to_owned())).collect()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "namespace", &self.namespace, &self.others(), "--wait=false"]);
    }
}

fn migration(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "fairlead.dev/v1", "kind": "SchemaMigration", "metadata": {"name": name}, "spec": spec})
}

/// A column with a value for each row, and without.
fn added(backfill: &Value) -> Value {
    let column = json!({"addColumn": {"table": "transfer", "column": "quote", "type": "varchar(36)"}});
    let fill = json!({"fill": {"table": "transfer", "column": "quote", "value": "'q' || NEW.id"}});
    let mut spec = json!({"kind": "expand", "operations": [column, fill]});
    if backfill.is_object() {
        spec["backfill"] = backfill.clone();
    }
    migration("add-quote", &spec)
}

fn required() -> Value {
    let operations = json!([{"setNotNull": {"table": "transfer", "column": "quote"}}]);
    migration("require-quote", &json!({"kind": "contract", "after": ["add-quote"], "operations": operations}))
}

/// With Helm 4 a rollback is in the next test.
#[test]
fn helm_rollback_takes_back_what_an_upgrade_did_to_tables() {
    let cluster = shared_node();
    let scene = Scene::armed(&cluster, "helm3", "tables");
    let before = scene.tables();
    let backfill = json!({"table": "transfer", "column": "quote", "value": {"sql": "'q' || id"}});
    scene.upgrade(&[added(&backfill), required()], &[]).expect(0);
    let filled = scene.database.run("select count(*) from transfer where quote = 'q' || id");
    assert_eq!(filled.trim(), ROWS.to_string());
    assert!(scene.tables().contains("transfer|quote|character varying|NO|"), "{}", scene.tables());
    assert_eq!(scene.runs(), [["tables", "Committed"], ["tables-contract", "Committed"]]);
    // The armed revision has never heard of tables: its hooks carry out the tickets.
    scene.rollback().expect(0);
    assert_eq!(scene.tables(), before);
    assert_eq!(scene.runs(), [["tables", "RolledBack"], ["tables-contract", "RolledBack"]]);
}

#[test]
fn a_migration_that_fails_fails_the_upgrade_and_the_tables_are_as_before() {
    let cluster = shared_node();
    let scene = Scene::armed(&cluster, "helm4", "refusing-tables");
    scene.database.run("insert into transfer values (0, 1)");
    let before = scene.tables();
    // In its middle: the column is there by then.
    let index = json!({"addIndex": {"table": "transfer", "name": "transfer_amount", "columns": ["amount"], "unique": true}});
    let column = json!({"addColumn": {"table": "transfer", "column": "note", "type": "text"}});
    let unique = migration("unique", &json!({"kind": "expand", "operations": [column, index]}));
    let failed = scene.upgrade(&[unique], &[]).expect(1);
    assert!(failed.output().contains("transfer_amount"), "{}", failed.output());
    assert_eq!(scene.tables(), before);
    assert_eq!(scene.runs(), [["tables", "RolledBack"]]);
    // In its contract, before that begins: nobody has filled the rows.
    let failed = scene.upgrade(&[added(&Value::Null), required()], &["--rollback-on-failure"]).expect(1);
    // Helm prints what its hooks have said.
    let said = failed.output();
    for word in ["SM112", "transfer", "quote"] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    assert_eq!(scene.tables(), before);
    assert_eq!(scene.runs(), [["tables", "RolledBack"], ["tables", "RolledBack"]]);
}
