//! PostgreSQL and MariaDB: servers of the tests, and one that somebody has given.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::certificates::Identity;
use super::file;
use super::process::{Process, free_port};
use crate::program::{becomes, run};

mod given;
mod programs;

use given::Given;
pub use programs::{Kind, packaged};
use programs::{REPLICATED, initialize};
pub(crate) use programs::{give, unprivileged};

/// A database: `test` in a server of its own, or one that is made in the server that was given.
pub struct Database {
    kind: Kind,
    port: u16,
    server: Server,
}

enum Server {
    /// Started with the programs in a folder.
    Started { process: Process, programs: PathBuf },
    /// Somebody else's.
    Given(Given),
}

impl Database {
    /// Starts it; with an identity it takes connections with and without TLS.
    #[must_use]
    pub fn start(kind: Kind, identity: Option<&Identity>) -> Self {
        Self::start_with(kind, kind.programs(), identity, None)
    }

    /// Starts it so that others can follow it.
    #[must_use]
    pub fn primary(kind: Kind) -> Self {
        let programs = kind.programs();
        Self::begin(kind, programs, |folder| std::fs::write(folder.join(REPLICATED), "").expect("written"))
    }

    /// Starts PostgreSQL 18; [`Self::start`] takes what Debian has.
    #[must_use]
    pub fn postgresql_18() -> Self {
        Self::start_with(Kind::PostgreSql, file("postgresql-18/bin"), None, None)
    }

    /// Starts it so that it can ask clients for a certificate that this authority has signed.
    #[must_use]
    pub fn asking_clients(kind: Kind, identity: &Identity, authority: &str) -> Self {
        Self::start_with(kind, kind.programs(), Some(identity), Some(authority))
    }

    /// A new database in the server that `MYSQL_HOST` and the like name; none if they name none. It is dropped at the end.
    #[must_use]
    pub fn given() -> Option<Self> {
        let given = Given::from_environment()?;
        Some(Self { kind: Kind::MariaDb, port: given::port(), server: Server::Given(given) })
    }

    fn start_with(kind: Kind, programs: PathBuf, identity: Option<&Identity>, clients: Option<&str>) -> Self {
        Self::begin(kind, programs, |folder| {
            if let Some(identity) = identity {
                std::fs::write(folder.join("tls.crt"), &identity.certificate).expect("written");
                std::fs::write(folder.join("tls.key"), &identity.key).expect("written");
                run(Command::new("chmod").arg("600").arg(folder.join("tls.key")), "").expect(0);
            }
            if let Some(clients) = clients {
                std::fs::write(folder.join("clients.crt"), clients).expect("written");
            }
        })
    }

    /// Starts it with what this puts into its folder.
    fn begin(kind: Kind, programs: PathBuf, put: impl Fn(&Path)) -> Self {
        let (process, port) = Process::start(
            |folder| {
                let port = free_port();
                give(folder);
                initialize(kind, &programs, &folder.join("data"));
                put(folder);
                give(folder);
                (kind.command(&programs, folder, port), port)
            },
            |port| kind.answers(*port),
        );
        Self { kind, port, server: Server::Started { process, programs } }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements, and returns what they answer.
    #[track_caller]
    pub fn run(&self, statements: &str) -> String {
        if let Server::Given(given) = &self.server {
            return given.run(statements);
        }
        run(self.kind.client(self.port, "test").args(self.kind.execute()).arg(statements), "").expect(0).stdout
    }

    /// A connection to PostgreSQL that stays open from one statement to the next.
    #[must_use]
    pub fn session(&self) -> Session {
        let mut child = self.kind.client(self.port, "test").stdin(Stdio::piped()).spawn().expect("it starts");
        Session { statements: child.stdin.take(), child }
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let (kind, port) = (self.kind, self.port);
        let Server::Started { process, programs } = &mut self.server else { panic!("nobody restarts what was given") };
        process.kill();
        // What a killed server leaves there is taken for a running one, when its number has been given to another process.
        let _ = std::fs::remove_file(process.folder().join("data/postmaster.pid"));
        process.restart(kind.command(programs, process.folder(), port), || kind.answers(port));
    }

    /// Lets this user of PostgreSQL in over TLS only, with a password.
    pub fn ask_for_passwords(&self, user: &str) {
        self.admit(&format!("hostssl all {user} 127.0.0.1/32 scram-sha-256"));
    }

    /// Lets this user of PostgreSQL in over TLS only, with a certificate of that name.
    pub fn ask_for_certificates(&self, user: &str) {
        self.admit(&format!("hostssl all {user} 127.0.0.1/32 cert"));
    }

    /// Has PostgreSQL let in whom this rule names, and `root`.
    fn admit(&self, rule: &str) {
        let rules = format!("host all root 127.0.0.1/32 trust\n{rule}\n");
        let Server::Started { process, .. } = &self.server else { panic!("nobody changes what was given") };
        std::fs::write(process.folder().join("data/pg_hba.conf"), rules).expect("written");
        let loaded = || self.run("select pg_conf_load_time()");
        let before = loaded();
        self.run("select pg_reload_conf()");
        assert!(becomes(|| loaded() != before), "the rules are not loaded");
    }

    /// A server that follows this one; of MariaDB one that was started for that.
    #[must_use]
    pub fn replica(&self) -> Self {
        if self.kind == Kind::MariaDb {
            let replica = Self::primary(self.kind);
            let primary = format!("master_host = '127.0.0.1', master_port = {}, master_user = 'root'", self.port);
            replica.run(&format!(
                "change master to {primary}, master_connect_retry = 1; start slave; set global read_only = 1"
            ));
            return replica;
        }
        let (primary, programs) = (self.port.to_string(), self.kind.programs());
        let (process, port) = Process::start(
            |folder| {
                give(folder);
                let mut backup = unprivileged(&packaged("pg_basebackup"));
                backup.args(["-h", "127.0.0.1", "-p", &primary, "-U", "root", "-c", "fast", "-R", "-D"]);
                run(backup.arg(folder.join("data")), "").expect(0);
                let port = free_port();
                (self.kind.command(&programs, folder, port), port)
            },
            |port| self.kind.answers(*port),
        );
        Self { kind: self.kind, port, server: Server::Started { process, programs } }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        let Server::Started { process, .. } = &mut self.server else { panic!("what was given has no process here") };
        process
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.server {
            Server::Started { .. } => "test",
            Server::Given(given) => &given.name,
        }
    }

    /// As the section `tables` of a configuration names it.
    #[must_use]
    pub fn section(&self) -> Value {
        if let Server::Given(given) = &self.server {
            return given.section();
        }
        let engine = if self.kind == Kind::PostgreSql { "postgresql" } else { "mariadb" };
        json!({"engine": engine, "host": "127.0.0.1", "port": self.port, "database": "test", "username": "root"})
    }

    /// How a client connects to MariaDB.
    #[must_use]
    pub fn mysql(&self) -> MySqlConnectOptions {
        match &self.server {
            Server::Started { .. } => {
                let options = MySqlConnectOptions::new().host("127.0.0.1").port(self.port).username("root").database("test");
                options.ssl_mode(MySqlSslMode::Disabled).disable_statement_logging()
            }
            Server::Given(given) => given::options().database(&given.name),
        }
    }
}

/// A connection that stays open until it is dropped.
pub struct Session {
    statements: Option<ChildStdin>,
    child: Child,
}

impl Session {
    /// Sends statements, which are run in their order, and does not wait for them.
    pub fn say(&mut self, statements: &str) {
        let stdin = self.statements.as_mut().expect("it is there until it is dropped");
        writeln!(stdin, "{statements}").expect("the client reads");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.statements.take());
        let _ = self.child.wait();
    }
}
