//! Kafka: one process that is broker and controller.

use std::path::Path;
use std::process::Command;

use super::certificates::{Authority, Identity};
use super::file;
use super::process::{Process, free_port};
use super::talker::Talker;
use crate::program::run;

/// The user of the listener with TLS, for every mechanism.
pub const USERNAME: &str = "drain";

/// Its password.
pub const PASSWORD: &str = "hunter2";

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    secure: u16,
    controller: u16,
}

/// A broker with two listeners: one without and one with TLS and SASL.
pub struct Kafka {
    process: Process,
    ports: Ports,
    /// Has signed its certificate.
    pub authority: Authority,
}

impl Kafka {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_behind(|port| port)
    }

    /// Starts it; what `front` makes of the port that everybody may connect to, it tells its clients instead.
    #[must_use]
    pub fn start_behind(front: impl Fn(u16) -> u16) -> Self {
        let authority = Authority::new();
        let identity = authority.identity("broker");
        let (process, ports) = Process::start(
            |folder| {
                let ports = Ports { plain: free_port(), secure: free_port(), controller: free_port() };
                std::fs::write(folder.join("server.properties"), properties(folder, ports, &identity, front(ports.plain)))
                    .expect("written");
                format(folder);
                (command(folder), (ports, folder.to_owned()))
            },
            |(_, folder)| starts(folder) == 1,
        );
        let ports = ports.0;
        Self { process, ports, authority }
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let folder = self.process.folder().to_owned();
        let before = starts(&folder);
        self.process.restart(command(&folder), || starts(&folder) > before);
    }

    /// Where everybody may connect.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// Where the user [`USERNAME`] may connect, over TLS.
    #[must_use]
    pub fn secure_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.secure)
    }

    /// A client; what it can do says `tests/servers/kafka/Client.java`.
    #[must_use]
    pub fn client(&self) -> Talker {
        let mut command = java("off");
        command.arg("Client").arg(self.address());
        Talker::start(command)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// How often it has become ready, as it says itself: its ports are open earlier.
fn starts(folder: &Path) -> usize {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.matches("Kafka Server started").count()
}

fn java(level: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms64m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"]);
    command.arg(format!("-Dorg.slf4j.simpleLogger.defaultLogLevel={level}"));
    command.env("CLASSPATH", format!("{}/*:{}", file("kafka").display(), file("kafka-client").display()));
    command
}

fn command(folder: &Path) -> Command {
    let mut command = java("warn");
    // Of the two limits the last one counts: it takes so much only for thousands of partitions.
    command
        .args(["-Xmx512m", "-Dorg.slf4j.simpleLogger.log.kafka=info"])
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"));
    command
}

fn format(folder: &Path) {
    let mut format = java("warn");
    // An id is 16 bytes in base64.
    format
        .args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
        .arg(folder.join("server.properties"));
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        format.args(["--add-scram", &format!("{mechanism}=[name={USERNAME},password={PASSWORD}]")]);
    }
    run(&mut format, "").expect(0);
}

fn properties(folder: &Path, ports: Ports, identity: &Identity, front: u16) -> String {
    let Ports { plain, secure, controller } = ports;
    let data = folder.join("data");
    let inline = |pem: &str| pem.trim_end().replace('\n', "\\n");
    let modules = "org.apache.kafka.common.security";
    [
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n".to_owned(),
        format!("controller.quorum.voters=1@127.0.0.1:{controller}\n"),
        format!("listeners=PLAINTEXT://127.0.0.1:{plain},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}\n"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{front},SECURE://127.0.0.1:{secure}\n"),
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT\n".to_owned(),
        "inter.broker.listener.name=PLAINTEXT\nsasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n".to_owned(),
        format!("listener.name.secure.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USERNAME}=\"{PASSWORD}\";\n"),
        format!("listener.name.secure.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"),
        format!("listener.name.secure.ssl.keystore.type=PEM\nlistener.name.secure.ssl.keystore.key={}\n", inline(&identity.key)),
        format!("listener.name.secure.ssl.keystore.certificate.chain={}\n", inline(&identity.certificate)),
        format!("log.dirs={}\n", data.display()),
        "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n".to_owned(),
        "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n".to_owned(),
        "transaction.state.log.num.partitions=1\nshare.coordinator.state.topic.replication.factor=1\n".to_owned(),
        "share.coordinator.state.topic.min.isr=1\nshare.coordinator.state.topic.num.partitions=1\n".to_owned(),
        "group.initial.rebalance.delay.ms=0\nnum.network.threads=1\nnum.io.threads=2\n".to_owned(),
        "log.cleaner.enable=false\nauto.create.topics.enable=false\n".to_owned(),
    ]
    .concat()
}
