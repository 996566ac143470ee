//! NATS Streaming.

use std::path::Path;
use std::process::Command;

use super::process::{Process, free_port, is_ok};
use super::server;
use super::talker::Talker;

/// Name of the cluster; clients have to say it.
const CLUSTER: &str = "tests";

/// Channels that live so long lose their messages: after a second, in this one.
pub const SHORT_LIVED: &str = "short-lived";

/// A server with its channels in files.
pub struct NatsStreaming {
    process: Process,
    ports: (u16, u16),
}

impl NatsStreaming {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let (process, ports) = Process::start(
            |folder| {
                let ports = (free_port(), free_port());
                let configuration =
                    format!("streaming {{ store_limits {{ channels {{ {SHORT_LIVED}: {{ max_age: \"1s\" }} }} }} }}");
                std::fs::write(folder.join("configuration"), configuration).expect("written");
                (command(folder, ports), ports)
            },
            |(_, monitoring)| is_ok(*monitoring, "/streaming/serverz"),
        );
        Self { process, ports }
    }

    /// Its monitoring endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.1)
    }

    /// The port of its monitoring endpoint.
    #[must_use]
    pub fn monitoring_port(&self) -> u16 {
        self.ports.1
    }

    /// Its port for clients.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.ports.0
    }

    /// A client; what it can do says `tests/servers/stan`.
    #[must_use]
    pub fn client(&self, name: &str) -> Talker {
        let mut command = server("stan");
        command.args([&format!("nats://127.0.0.1:{}", self.ports.0), CLUSTER, name]);
        Talker::start(command)
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let (command, monitoring) = (command(self.process.folder(), self.ports), self.ports.1);
        self.process.restart(command, || is_ok(monitoring, "/streaming/serverz"));
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn command(folder: &Path, (clients, monitoring): (u16, u16)) -> Command {
    let mut command = server("nats-streaming-server");
    command.args(["-a", "127.0.0.1", "-p", &clients.to_string(), "-m", &monitoring.to_string(), "-cid", CLUSTER]);
    command.args(["-st", "FILE", "-file_sync=false", "-mc", "0", "-dir"]).arg(folder.join("data"));
    command.arg("-sc").arg(folder.join("configuration"));
    command
}
