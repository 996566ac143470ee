//! MySQL 5.5, which is too old for the jobs: the only MySQL that a registry of packages has.

use std::process::Command;

use super::database::{give, unprivileged};
use super::file;
use super::process::{Process, free_port};
use crate::program::run;

/// A server where the user `root` needs no password, with the database `test`.
pub struct MySql55 {
    port: u16,
    _process: Process,
}

impl MySql55 {
    /// Starts it.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        let (process, port) = Process::start(
            |folder| {
                let (port, programs) = (free_port(), file("mysql-5.5"));
                let data = folder.join("data");
                run(Command::new("cp").arg("-r").arg(programs.join("data")).arg(&data), "").expect(0);
                give(folder);
                let mut command = unprivileged(&programs.join("mysqld"));
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
                command.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
                command.arg(format!("--basedir={}", programs.join("base").display()));
                command.arg(format!("--tmpdir={}", folder.display()));
                command.arg(format!("--socket={}", folder.join("socket").display()));
                command.arg(format!("--pid-file={}", folder.join("pid").display()));
                (command, port)
            },
            |port| super::database::Kind::MariaDb.answers(*port),
        );
        Self { port, _process: process }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
