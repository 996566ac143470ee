//! The programs of PostgreSQL and MariaDB. Neither server runs as root: they get a user without rights, who owns the folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::program::run;
use crate::servers::file;

/// A user and group that own nothing else.
const NOBODY: u32 = 65534;

/// The file in the folder of a server of MariaDB that others follow, or that follows another one.
pub(super) const REPLICATED: &str = "replicated";

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, where the user `root` needs no password.
    PostgreSql,
    /// MariaDB, where the user `root` needs no password.
    MariaDb,
}

impl Kind {
    /// The folder of the programs that start its server: those of the packages.
    pub(super) fn programs(self) -> PathBuf {
        match self {
            Self::PostgreSql => packaged("postgres").parent().expect("a folder").to_owned(),
            Self::MariaDb => file("mariadb/usr/sbin"),
        }
    }

    /// Its server. TLS is on when the folder has a certificate, and one of its clients is asked for when it has their authority.
    pub(super) fn command(self, programs: &Path, folder: &Path, port: u16) -> Command {
        let [certificate, key, clients] = ["tls.crt", "tls.key", "clients.crt"].map(|name| folder.join(name));
        let (is_tls, asks_clients) = (certificate.exists(), clients.exists());
        let [certificate, key, clients] = [certificate, key, clients].map(|file| file.display().to_string());
        let port = port.to_string();
        let mut command = unprivileged(&programs.join(self.server()));
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
                if asks_clients {
                    command.args(["-c", &format!("ssl_ca_file={clients}")]);
                }
            }
            Self::MariaDb => {
                command.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
                command.arg(format!("--tmpdir={}", folder.display()));
                command.args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--skip-name-resolve"]);
                if folder.join(REPLICATED).exists() {
                    command.args(["--log-bin=binlog", &format!("--server-id={port}")]);
                } else {
                    command.arg("--skip-log-bin");
                }
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
                if asks_clients {
                    command.arg(format!("--ssl-ca={clients}"));
                }
            }
        }
        command
    }

    fn server(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgres",
            Self::MariaDb => "mariadbd",
        }
    }

    /// A client that is let in as `root`.
    pub(super) fn client(self, port: u16, database: &str) -> Command {
        let port = port.to_string();
        match self {
            Self::PostgreSql => {
                let mut command = Command::new(packaged("psql"));
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

    /// What its client takes statements with.
    pub(super) fn execute(self) -> [&'static str; 1] {
        match self {
            Self::PostgreSql => ["-c"],
            Self::MariaDb => ["-e"],
        }
    }

    /// Whether somebody can log in.
    pub(crate) fn answers(self, port: u16) -> bool {
        let mut client = self.client(port, "test");
        run(client.args(self.execute()).arg("select 1"), "").status == Some(0)
    }
}

/// Makes a folder of data with the database `test`.
pub(super) fn initialize(kind: Kind, programs: &Path, data: &Path) {
    match kind {
        Kind::PostgreSql => {
            let mut initdb = unprivileged(&programs.join("initdb"));
            initdb.arg("-D").arg(data).args(["-U", "root", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
            run(&mut initdb, "").expect(0);
            let mut single = unprivileged(&programs.join("postgres"));
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
#[must_use]
pub fn packaged(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|program| program.exists()).max();
    newest.unwrap_or_else(|| panic!("{name} of PostgreSQL is not installed; `make packages` says how"))
}

fn share() -> PathBuf {
    file("mariadb/usr/share/mysql")
}

/// A program run by somebody without rights; by ourselves, when we have none.
pub(crate) fn unprivileged(program: &Path) -> Command {
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
pub(crate) fn give(folder: &Path) {
    if geteuid().is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        run(Command::new("chown").args(["-R", &owner]).arg(folder), "").expect(0);
    }
}
