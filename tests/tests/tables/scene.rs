//! A database with a table of transfers, and the job.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, job, run};
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::transfers::numbers;
use serde_json::{Value, json};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Both engines.
pub(crate) const ENGINES: [Kind; 2] = [Kind::PostgreSql, Kind::MariaDb];

/// What a killed run has left is ended by the next one, which waits for its lease only a moment.
pub(crate) const QUICK: [&str; 6] = ["--lease-duration", "2s", "--request-timeout", "1s", "--lease-wait", "30s"];

/// A database, a release, and the migrations that it is to have.
pub(crate) struct Scene {
    pub(crate) cluster: Lease,
    pub(crate) database: Database,
    pub(crate) kind: Kind,
    pub(crate) backup: Value,
    folder: tempfile::TempDir,
    release: String,
}

impl Scene {
    /// A database with so many transfers, each with its packet.
    pub(crate) fn new(kind: Kind, transfers: u32) -> Self {
        Self::empty(kind).with_transfers(transfers)
    }

    /// So many transfers, each with its packet.
    pub(crate) fn with_transfers(self, transfers: u32) -> Self {
        let (kind, scene) = (self.kind, self);
        scene.database.run(
            "create table transfer (transferId varchar(36) primary key, amount decimal(18,4) not null, currencyId varchar(3) not null, \
             createdDate timestamp not null default current_timestamp)",
        );
        let rows = match kind {
            Kind::PostgreSql => format!("generate_series(1, {transfers}) n"),
            Kind::MariaDb => format!("(select seq as n from {}) s", numbers(transfers)),
        };
        let id = match kind {
            Kind::PostgreSql => "lpad(n::text, 8, '0')",
            Kind::MariaDb => "lpad(n, 8, '0')",
        };
        scene
            .database
            .run(&format!("insert into transfer (transferId, amount, currencyId) select {id}, 100.25, 'XOF' from {rows}"));
        scene
    }

    /// A database with nothing in it. Where a server of MySQL was given, it takes the place of MariaDB.
    pub(crate) fn empty(kind: Kind) -> Self {
        let given = if kind == Kind::MariaDb { Database::given() } else { None };
        Self::of(kind, given.unwrap_or_else(|| Database::start(kind, None)))
    }

    /// With this database.
    pub(crate) fn of(kind: Kind, database: Database) -> Self {
        let cluster = lease();
        let release = format!("tables-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().expect("a folder");
        Self { cluster, database, kind, backup: json!("none"), folder, release }
    }

    /// A configuration with these migrations: names, kinds, operations, and more of the specification.
    pub(crate) fn configuration(&self, migrations: &[Value]) -> PathBuf {
        let tables = json!({"database": self.database.section(), "migrations": migrations, "backup": self.backup});
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "tables": tables});
        let file = self.folder.path().join(format!("{}.json", NUMBER.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&file, document.to_string()).expect("written");
        file
    }

    /// The job, with these migrations.
    pub(crate) fn job(&self, args: &[&str], migrations: &[Value]) -> Ended {
        run(&mut self.command(args, migrations), "")
    }

    /// The same, not started.
    pub(crate) fn command(&self, args: &[&str], migrations: &[Value]) -> std::process::Command {
        let mut command = job("schema-migrator");
        command.args(args).args(self.address()).arg("--config").arg(self.configuration(migrations));
        command
    }

    /// The job with this migration, where something about the database is said otherwise.
    pub(crate) fn told(&self, args: &[&str], migration: &Value, change: impl Fn(&mut Value)) -> Ended {
        let file = self.configuration(std::slice::from_ref(migration));
        let mut document: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("ours")).expect("JSON");
        change(&mut document["tables"]["database"]);
        std::fs::write(&file, document.to_string()).expect("written");
        run(job("schema-migrator").args(args).arg("--config").arg(&file).args(self.address()), "")
    }

    /// The flags that name the release, and the cluster.
    pub(crate) fn address(&self) -> [&str; 6] {
        ["--ledger-namespace", "default", "--release", &self.release, "--kubeconfig", self.cluster.kubeconfig()]
    }

    /// Goes back, without any configuration.
    pub(crate) fn back(&self, args: &[&str]) -> Ended {
        run(job("schema-migrator").arg("rollback").args(args).args(self.address()), "")
    }

    /// Everything that the catalog says of the tables of the application.
    pub(crate) fn catalog(&self) -> String {
        let queries: &[&str] = match self.kind {
            Kind::PostgreSql => &[
                "select table_schema, table_name, column_name, data_type, character_maximum_length, is_nullable, column_default from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema', 'fairlead') order by 1, 2, ordinal_position",
                "select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2",
                "select indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indexrelid where c.relnamespace = 'public'::regnamespace order by 1",
                "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal order by 1, 2",
                "select proname from pg_proc where pronamespace = 'public'::regnamespace order by 1",
                "select schemaname, viewname from pg_views where schemaname not in ('pg_catalog', 'information_schema') order by 1, 2",
            ],
            Kind::MariaDb => &[
                "select table_name, column_name, column_type, is_nullable, column_default, extra, column_comment from information_schema.columns where table_schema = database() and table_name not like '\\_fairlead%' order by 1, ordinal_position",
                "select table_name, index_name, non_unique, column_name from information_schema.statistics where table_schema = database() and table_name not like '\\_fairlead%' order by 1, 2, seq_in_index",
                "select table_name, constraint_name from information_schema.table_constraints where table_schema = database() and table_name not like '\\_fairlead%' order by 1, 2",
                "select trigger_name from information_schema.triggers where trigger_schema = database() order by 1",
                "select table_schema, table_name from information_schema.views where table_schema like concat(database(), '%') order by 1, 2",
            ],
        };
        queries.iter().map(|query| self.database.run(query)).collect::<Vec<_>>().join("--\n")
    }

    /// One number.
    pub(crate) fn count(&self, query: &str) -> u64 {
        let answer = self.database.run(query);
        answer.trim().parse().expect(query)
    }
}

/// A migration.
#[expect(clippy::needless_pass_by_value, reason = "it is written in place")]
pub(crate) fn migration(name: &str, kind: &str, operations: Value, more: &Value) -> Value {
    let mut spec = json!({"kind": kind, "operations": operations});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "fairlead.dev/v1", "kind": "SchemaMigration", "metadata": {"name": name}, "spec": spec})
}
