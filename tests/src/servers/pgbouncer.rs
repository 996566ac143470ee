//! `PgBouncer` in transaction mode, at its worst: each transaction gets a connection that nobody has had before, so that nothing which a
//! session remembers is there for the next one.

use std::net::TcpStream;

use super::database::{give, unprivileged};
use super::file;
use super::process::{Process, free_port};

/// A pooler before a server of PostgreSQL, on this machine.
pub struct PgBouncer {
    port: u16,
    _process: Process,
}

impl PgBouncer {
    /// Starts one before the server at this port.
    #[must_use]
    pub fn start(server: u16) -> Self {
        let (process, port) = Process::start(
            |folder| {
                let (port, users) = (free_port(), folder.join("users"));
                let configuration = format!(
                    "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                     unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\nserver_lifetime = 0\n",
                    users.display()
                );
                std::fs::write(users, "\"root\" \"\"\n").expect("written");
                std::fs::write(folder.join("pgbouncer.ini"), configuration).expect("written");
                give(folder);
                let mut command = unprivileged(&file("pgbouncer/usr/sbin/pgbouncer"));
                let libraries = format!("pgbouncer/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
                command.arg(folder.join("pgbouncer.ini")).env("LD_LIBRARY_PATH", file(&libraries));
                (command, port)
            },
            |port| TcpStream::connect(("127.0.0.1", *port)).is_ok(),
        );
        Self { port, _process: process }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
