//! Prometheus.

use std::path::Path;
use std::process::Command;

use super::file;
use super::process::{Process, free_port, is_ok};

/// A server that scrapes one target every second.
pub struct Prometheus {
    process: Process,
    port: u16,
}

impl Prometheus {
    /// Starts it; the first sample is there some seconds later.
    #[must_use]
    pub fn start(target: u16) -> Self {
        Self::launch(target, "")
    }

    /// The same, which asks another store for every query, too.
    #[must_use]
    pub fn start_with_remote(target: u16, store: u16) -> Self {
        Self::launch(target, &format!("remote_read: [{{url: 'http://127.0.0.1:{store}/read', read_recent: true}}]\n"))
    }

    fn launch(target: u16, more: &str) -> Self {
        let (process, port) = Process::start(
            |folder| {
                let port = free_port();
                let configuration = format!(
                    "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
                     scrape_configs: [{{job_name: test, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n{more}"
                );
                std::fs::write(folder.join("configuration.yml"), configuration).expect("written");
                (command(folder, port), port)
            },
            |port| is_ok(*port, "/-/ready"),
        );
        Self { process, port }
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let (command, port) = (command(self.process.folder(), self.port), self.port);
        self.process.restart(command, || is_ok(port, "/-/ready"));
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(file("prometheus/usr/bin/prometheus"));
    command.arg("--config.file").arg(folder.join("configuration.yml"));
    command.arg("--storage.tsdb.path").arg(folder.join("data"));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--storage.tsdb.retention.time=1h");
    command
}
