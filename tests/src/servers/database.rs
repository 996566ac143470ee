//! PostgreSQL and MariaDB. Neither runs as root: they get a user without rights, who owns the folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::geteuid;

use super::certificates::Identity;
use super::file;
use super::process::{Process, free_port};
use crate::program::{becomes, run};

/// A user and group that own nothing else.
const NOBODY: u32 = 65534;

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, where the user `root` needs no password.
    PostgreSql,
    /// MariaDB, where the user `root` needs no password.
    MariaDb,
}

/// A server with the database `test`.
pub struct Database {
    kind: Kind,
    port: u16,
    process: Process,
}

impl Database {
    /// Starts it; with an identity it takes connections with and without TLS.
    #[must_use]
    pub fn start(kind: Kind, identity: Option<&Identity>) -> Self {
        let (process, port) = Process::start(
            |folder| {
                let port = free_port();
                give(folder);
                initialize(kind, &folder.join("data"));
                if let Some(identity) = identity {
                    std::fs::write(folder.join("tls.crt"), &identity.certificate).expect("written");
                    std::fs::write(folder.join("tls.key"), &identity.key).expect("written");
                    run(Command::new("chmod").arg("600").arg(folder.join("tls.key")), "").expect(0);
                }
                give(folder);
                (kind.command(folder, port, identity.is_some()), port)
            },
            |port| kind.answers(*port),
        );
        Self { kind, port, process }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements, and returns what they answer.
    #[track_caller]
    pub fn run(&self, statements: &str) -> String {
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
        self.process.kill();
        // What a killed server leaves there is taken for a running one, when its number has been given to another process.
        let _ = std::fs::remove_file(self.process.folder().join("data/postmaster.pid"));
        let (kind, port) = (self.kind, self.port);
        let is_tls = self.process.folder().join("tls.key").exists();
        self.process.restart(kind.command(self.process.folder(), port, is_tls), || kind.answers(port));
    }

    /// Lets this user of PostgreSQL in over TLS only, with a password.
    pub fn ask_for_passwords(&self, user: &str) {
        let rules = format!("host all root 127.0.0.1/32 trust\nhostssl all {user} 127.0.0.1/32 scram-sha-256\n");
        std::fs::write(self.process.folder().join("data/pg_hba.conf"), rules).expect("written");
        let loaded = || self.run("select pg_conf_load_time()");
        let before = loaded();
        self.run("select pg_reload_conf()");
        assert!(becomes(|| loaded() != before), "the rules are not loaded");
    }

    /// A server of PostgreSQL that follows this one.
    #[must_use]
    pub fn replica(&self) -> Self {
        let primary = self.port.to_string();
        let (process, port) = Process::start(
            |folder| {
                give(folder);
                let mut backup = unprivileged(&postgresql("pg_basebackup"));
                backup.args(["-h", "127.0.0.1", "-p", &primary, "-U", "root", "-c", "fast", "-R", "-D"]);
                run(backup.arg(folder.join("data")), "").expect(0);
                let port = free_port();
                (self.kind.command(folder, port, false), port)
            },
            |port| self.kind.answers(*port),
        );
        Self { kind: self.kind, port, process }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
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

impl Kind {
    fn command(self, folder: &Path, port: u16, is_tls: bool) -> Command {
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let (certificate, key) = (certificate.display(), key.display());
        let port = port.to_string();
        let mut command = unprivileged(&self.server());
        match self {
            Self::PostgreSql => {
                command.arg("-D").arg(folder.join("data")).args(["-p", &port, "-c", "listen_addresses=127.0.0.1"]);
                command.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
                command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
                command.args(["-c", "wal_level=logical", "-c", "max_prepared_transactions=5"]);
                command.args(["-c", "shared_buffers=16MB", "-c", "max_connections=50"]);
                if is_tls {
                    command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={certificate}")]);
                    command.args(["-c", &format!("ssl_key_file={key}")]);
                }
            }
            Self::MariaDb => {
                command.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
                command.arg(format!("--tmpdir={}", folder.display()));
                command.args([
                    "--bind-address=127.0.0.1",
                    &format!("--port={port}"),
                    "--skip-name-resolve",
                    "--skip-log-bin",
                ]);
                command.arg(format!("--socket={}", folder.join("socket").display()));
                command.arg(format!("--pid-file={}", folder.join("pid").display()));
                command.arg(format!("--lc-messages-dir={}", share().display()));
                command.args([
                    "--innodb-flush-log-at-trx-commit=2",
                    "--innodb-flush-method=nosync",
                    "--innodb-doublewrite=0",
                ]);
                command.args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--performance-schema=OFF"]);
                if is_tls {
                    command.args([format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")]);
                }
            }
        }
        command
    }

    fn server(self) -> PathBuf {
        match self {
            Self::PostgreSql => postgresql("postgres"),
            Self::MariaDb => file("mariadb/usr/sbin/mariadbd"),
        }
    }

    fn client(self, port: u16, database: &str) -> Command {
        let port = port.to_string();
        match self {
            Self::PostgreSql => {
                let mut command = Command::new(postgresql("psql"));
                command.args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-U",
                    "root",
                    "-d",
                    database,
                    "-qAt",
                    "-v",
                    "ON_ERROR_STOP=1",
                ]);
                command
            }
            Self::MariaDb => {
                let mut command = with_libraries(Command::new(file("mariadb/usr/bin/mariadb")));
                command.args(["--no-defaults", "-h127.0.0.1", &format!("-P{port}"), "-uroot", "-N", "-B", database]);
                command
            }
        }
    }

    fn execute(self) -> [&'static str; 1] {
        match self {
            Self::PostgreSql => ["-c"],
            Self::MariaDb => ["-e"],
        }
    }

    /// Whether somebody can log in.
    fn answers(self, port: u16) -> bool {
        let mut client = self.client(port, "test");
        run(client.args(self.execute()).arg("select 1"), "").status == Some(0)
    }
}

/// Makes a folder of data with the database `test`.
fn initialize(kind: Kind, data: &Path) {
    match kind {
        Kind::PostgreSql => {
            let mut initdb = unprivileged(&postgresql("initdb"));
            initdb.arg("-D").arg(data).args(["-U", "root", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
            run(&mut initdb, "").expect(0);
            let mut single = unprivileged(&postgresql("postgres"));
            run(single.arg("--single").arg("-D").arg(data).arg("postgres"), "create database test\n").expect(0);
        }
        Kind::MariaDb => {
            let mut install = unprivileged(&file("mariadb/usr/bin/mariadb-install-db"));
            install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
            install.arg("--skip-name-resolve").arg(format!("--datadir={}", data.display()));
            install.arg(format!("--basedir={}", file("mariadb/usr").display()));
            // One that starts deletes what others have in a folder that all share.
            install.env("TMPDIR", data.parent().expect("the folder of the server"));
            run(&mut install, "").expect(0);
            run(unprivileged(Path::new("mkdir")).arg(data.join("test")), "").expect(0);
        }
    }
}

/// A program of PostgreSQL: of the packages, wherever they lie.
fn postgresql(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|program| program.exists()).max();
    newest.unwrap_or_else(|| panic!("{name} of PostgreSQL is not installed; `make packages` says how"))
}

fn share() -> PathBuf {
    file("mariadb/usr/share/mysql")
}

/// A program run by somebody without rights; by ourselves, when we have none.
pub(super) fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return with_libraries(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
    with_libraries(command)
}

/// Libraries of the packages that are unpacked, not installed.
fn with_libraries(mut command: Command) -> Command {
    let folder = format!("mariadb/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    command.env("LD_LIBRARY_PATH", file(&folder));
    command
}

/// Gives a folder to the user without rights.
pub(super) fn give(folder: &Path) {
    if geteuid().is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        run(Command::new("chown").args(["-R", &owner]).arg(folder), "").expect(0);
    }
}
