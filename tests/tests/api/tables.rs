//! schema-migrator with the permissions of the chart. What it does to tables is tested in `tests/tests/tables`.

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, root, run};
use fairlead_tests::servers::certificates::Authority;
use fairlead_tests::servers::database::{Database, Kind};
use serde_json::{Value, json};

use crate::fixtures;
use crate::person::Person;

struct Scene {
    cluster: Lease,
    database: Database,
    folder: tempfile::TempDir,
}

impl Scene {
    /// A table whose owner needs TLS and a password, which a Secret has.
    fn new() -> Self {
        let (cluster, authority) = (lease(), Authority::new());
        let database = Database::start(Kind::PostgreSql, Some(&authority.identity("server")));
        database.run("create role migrator login password 'hunter2'; grant create on database test to migrator");
        database.run("create table transfer (id bigint primary key); alter table transfer owner to migrator");
        database.ask_for_passwords("migrator");
        let data = json!({"password": "hunter2\n", "ca": authority.certificate});
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "tables-database"}, "stringData": data}));
        Self { cluster, database, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The section of the configuration: a column is added, and required.
    fn tables(&self) -> Value {
        let key = |key: &str| json!({"name": "tables-database", "key": key});
        let database = json!({"engine": "postgresql", "host": "127.0.0.1", "port": self.database.port(), "database": "test",
            "username": "migrator", "password": key("password"), "tls": {"ca": key("ca")}});
        let migration = |name: &str, spec: Value| json!({"apiVersion": "fairlead.dev/v1", "kind": "SchemaMigration", "metadata": {"name": name}, "spec": spec});
        let add = json!([{"addColumn": {"table": "transfer", "column": "quote", "type": "text"}}]);
        let require = json!([{"setNotNull": {"table": "transfer", "column": "quote"}}]);
        let migrations = [
            migration("add-quote", json!({"kind": "expand", "operations": add})),
            migration("require-quote", json!({"kind": "contract", "after": ["add-quote"], "operations": require})),
        ];
        json!({"database": database, "migrations": migrations, "backup": "none"})
    }

    /// A file with this document.
    fn file(&self, document: &Value) -> String {
        let file = self.folder.path().join("document.json");
        std::fs::write(&file, document.to_string()).expect("written");
        file.display().to_string()
    }

    fn apply(&self) -> Ended {
        let file = self.file(&json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "tables": self.tables()}));
        self.run("schema-migrator", &["apply", "--job", "it", "--history-max", "0", "--config", &file])
    }

    fn run(&self, account: &str, args: &[&str]) -> Ended {
        let mut command = fairlead_tests::program::job("schema-migrator");
        command.args(args).args(["--ledger-namespace", "default", "--release", "tables", "--kubeconfig"]);
        run(command.arg(self.cluster.account(account)), "")
    }

    fn columns(&self) -> String {
        self.database.run("select column_name from information_schema.columns where table_name = 'transfer' order by 1")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "secret", "-n", "default", "tables-database", "--ignore-not-found"]);
    }
}

#[test]
fn the_accounts_of_the_job_and_of_the_rollback_hooks_may_read_the_password_and_keep_the_ledger() {
    let scene = Scene::new();
    for _ in 0..2 {
        // What has been taken back, its Job does not do again.
        fixtures::job(&scene.cluster, 0);
        scene.apply().expect(0);
        assert_eq!(scene.columns(), "id\nquote\n");
        scene.run("fairlead-rollback", &["rollback", "--last"]).expect(0);
        assert_eq!(scene.columns(), "id\n");
    }
    // Old tickets go.
    assert_eq!(fixtures::tickets(&scene.cluster).len(), 1);
}

#[test]
fn check_asks_for_the_plans_of_the_hooks_that_the_chart_renders() {
    let (scene, person) = (Scene::new(), Person::new());
    let migrator = json!({"enabled": true, "contract": {"enabled": true}});
    let values = json!({"triggerReplicator": {"enabled": false}, "schemaMigrator": migrator, "configuration": {"tables": scene.tables()}});
    let (chart, file) = (root().join("charts/fairlead"), scene.file(&values));
    let rendered = format!("helm template tables {} -n default --is-upgrade --values {file}", chart.display());
    let check = "kubectl fairlead check tables -n default --without-helm --upgrade - 2>&1";
    let said = person.paste(&format!("{rendered} | {check}"), Some(scene.cluster.kubeconfig().as_ref())).expect(0).stdout;
    let plans: Vec<&str> = said.lines().filter(|line| line.contains("plan: ")).collect();
    // The contract waits for the other one, which has not run.
    let expected = ["ok  plan: schema-migrator would make 2 changes", "ok  plan: schema-migrator has nothing to do"];
    assert_eq!(plans, expected, "{said}");
}

/// Without its password nothing is taken back: it is looked for before the upgrade.
#[test]
fn check_looks_for_the_secrets_of_tickets_and_of_the_upgrade() {
    let (scene, person) = (Scene::new(), Person::new());
    let kubeconfig = Some(scene.cluster.kubeconfig().as_ref());
    let check = "kubectl fairlead check tables -n default --without-helm";
    let answer = |command: &str| {
        let said = person.paste(&format!("{command} 2>&1"), kubeconfig).stdout;
        let line = said.lines().find(|line| line.contains("credentials: "));
        line.map_or_else(|| format!("no answer in: {said}"), str::to_owned)
    };
    assert!(answer(check).starts_with("no answer"), "nothing needs a Secret");
    fixtures::job(&scene.cluster, 0);
    scene.apply().expect(0);
    assert_eq!(answer(check), "ok  credentials: every Secret is there that the database needs");
    let all = person.paste(check, kubeconfig).expect(0).stdout;
    assert!(all.contains("ok  kinds: "), "{all}");

    // The accounts have what the chart gives them; another one has nothing.
    scene.cluster.account("fairlead-rollback");
    let of_hooks = |account: &str| answer(&format!("{check} --rollback-account {account}"));
    assert_eq!(of_hooks("fairlead-fairlead-rollback"), "ok  credentials: every Secret is there that the database needs");
    let denied = of_hooks("default");
    assert!(
        denied.starts_with("NO  credentials: ServiceAccount default may not get Secret default/tables-database"),
        "{denied}"
    );

    scene.cluster.kubectl(&["delete", "secret", "-n", "default", "tables-database"]).expect(0);
    let gone = answer(check);
    assert_eq!(gone, "NO  credentials: Secret default/tables-database is not there, and taking back run 1 reads it");
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "tables-database"}, "stringData": {"password": "x"}});
    scene.cluster.apply(&other);
    let gone = answer(check);
    assert_eq!(gone, "NO  credentials: Secret default/tables-database has no key ca, and taking back run 1 reads it");

    // The upgrade names another one.
    let mut tables = scene.tables();
    tables["database"]["password"]["name"] = "of-tomorrow".into();
    let values = json!({"triggerReplicator": {"enabled": false}, "schemaMigrator": {"enabled": true}, "configuration": {"tables": tables}});
    let (chart, file) = (root().join("charts/fairlead"), scene.file(&values));
    let rendered = format!("helm template tables {} -n default --is-upgrade --values {file}", chart.display());
    let upgrade = answer(&format!("{rendered} | {check} --upgrade -"));
    assert!(upgrade.contains("Secret default/of-tomorrow is not there, and the upgrade reads it"), "{upgrade}");
}
