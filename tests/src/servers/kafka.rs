//! Kafka: one process that is broker and controller, or three.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::certificates::{Authority, Identity};
use super::file;
use super::process::{Process, free_port};
use super::talker::Talker;
use crate::link::Link;
use crate::program::run;

/// The user of the listener with TLS, for every mechanism.
pub const USERNAME: &str = "drain";

/// Its password.
pub const PASSWORD: &str = "hunter2";

/// How much memory a broker may take: so much only for thousands of partitions.
const MEMORY: &str = "-Xmx512m";

/// The same, of three at once.
const LESS_MEMORY: &str = "-Xmx192m";

/// An id is 16 bytes in base64.
const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    secure: u16,
    /// For other brokers, and for the clients of tests.
    internal: u16,
    controller: u16,
}

impl Ports {
    fn free() -> Self {
        let [plain, secure, internal, controller] = std::array::from_fn(|_| free_port());
        Self { plain, secure, internal, controller }
    }
}

/// A broker with a listener without, and one with TLS and SASL.
pub struct Kafka {
    process: Process,
    ports: Ports,
    memory: &'static str,
    /// Has signed its certificate.
    pub authority: Arc<Authority>,
}

impl Kafka {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_behind(|port| port)
    }

    /// Starts it behind a link: it tells its clients to connect there, but for those of tests.
    #[must_use]
    pub fn start_linked() -> (Self, Link) {
        let link = RefCell::new(None);
        let server = Self::start_behind(|port| link.borrow_mut().insert(Link::to(port)).port());
        (server, link.into_inner().expect("it has asked for one"))
    }

    fn start_behind(front: impl Fn(u16) -> u16) -> Self {
        let authority = Arc::new(Authority::new());
        let identity = authority.identity("broker");
        let (process, (ports, _)) = Process::start(
            |folder| {
                let ports = Ports::free();
                let plan = Plan { id: 1, voters: vec![ports.controller], ports, front: front(ports.plain) };
                plan.write(folder, &identity);
                format(folder);
                (command(folder, MEMORY), (ports, folder.to_owned()))
            },
            |(_, folder)| starts(folder) == 1,
        );
        Self { process, ports, memory: MEMORY, authority }
    }

    /// Starts three brokers, each behind a link, and waits until they know each other.
    #[must_use]
    pub fn cluster() -> (Vec<Self>, Vec<Link>) {
        let authority = Arc::new(Authority::new());
        let identity = authority.identity("broker");
        let ports: Vec<Ports> = (0..3).map(|_| Ports::free()).collect();
        let links: Vec<Link> = ports.iter().map(|ports| Link::to(ports.plain)).collect();
        let voters: Vec<u16> = ports.iter().map(|ports| ports.controller).collect();
        let plans = (1..).zip(&ports).zip(&links);
        let plans = plans.map(|((id, ports), link)| Plan { id, voters: voters.clone(), ports: *ports, front: link.port() });
        // To make a folder takes a second of a processor: the others are copies.
        let model = tempfile::tempdir().expect("a temporary folder");
        let plans: Vec<Plan> = plans.collect();
        plans[0].write(model.path(), &identity);
        format(model.path());
        let start = |plan: &Plan| {
            let (process, _) = Process::start(
                |folder| {
                    plan.write(folder, &identity);
                    plan.copy(&model.path().join("data"), &folder.join("data"));
                    (command(folder, LESS_MEMORY), folder.to_owned())
                },
                |folder| starts(folder) == 1,
            );
            process
        };
        let processes: Vec<Process> = std::thread::scope(|scope| {
            let starting: Vec<_> = plans.iter().map(|plan| scope.spawn(|| start(plan))).collect();
            starting.into_iter().map(|one| one.join().expect("it starts")).collect()
        });
        let server = |(process, ports)| Self { process, ports, memory: LESS_MEMORY, authority: Arc::clone(&authority) };
        (processes.into_iter().zip(ports).map(server).collect(), links)
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let folder = self.process.folder().to_owned();
        let before = starts(&folder);
        self.process.restart(command(&folder, self.memory), || starts(&folder) > before);
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
        Self::client_of(std::slice::from_ref(self))
    }

    /// A client of several brokers of one cluster.
    #[must_use]
    pub fn client_of(brokers: &[Self]) -> Talker {
        let addresses: Vec<String> = brokers.iter().map(|one| format!("127.0.0.1:{}", one.ports.internal)).collect();
        let mut command = java("off");
        command.arg("Client").arg(addresses.join(","));
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

fn command(folder: &Path, memory: &str) -> Command {
    let mut command = java("warn");
    // Of two limits the last one counts.
    command
        .args([memory, "-Dorg.slf4j.simpleLogger.log.kafka=info"])
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"));
    command
}

fn format(folder: &Path) {
    let mut format = java("warn");
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(folder.join("server.properties"));
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        format.args(["--add-scram", &format!("{mechanism}=[name={USERNAME},password={PASSWORD}]")]);
    }
    run(&mut format, "").expect(0);
}

/// A broker of a cluster, before it starts.
struct Plan {
    id: usize,
    /// Ports of all controllers.
    voters: Vec<u16>,
    ports: Ports,
    /// What everybody is told to connect to.
    front: u16,
}

impl Plan {
    fn write(&self, folder: &Path, identity: &Identity) {
        std::fs::write(folder.join("server.properties"), self.properties(folder, identity)).expect("written");
    }

    /// Copies the folder of the first broker, under the own name.
    fn copy(&self, from: &Path, to: &Path) {
        std::fs::create_dir(to).expect("a folder");
        for file in std::fs::read_dir(from).expect("a folder").flatten() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
        let about = to.join("meta.properties");
        let text = std::fs::read_to_string(&about).expect("it says whose folder it is");
        let own = text.lines().map(|line| match line.split_once('=') {
            Some(("node.id", _)) => format!("node.id={}\n", self.id),
            Some(("directory.id", _)) => format!("directory.id=AAAAAAAAAAAAAAAAAAAA{}Q\n", self.id),
            _ => format!("{line}\n"),
        });
        std::fs::write(about, own.collect::<String>()).expect("written");
    }

    fn properties(&self, folder: &Path, identity: &Identity) -> String {
        let Self { id, voters, ports: Ports { plain, secure, internal, controller }, front } = self;
        let data = folder.join("data");
        let inline = |pem: &str| pem.trim_end().replace('\n', "\\n");
        let modules = "org.apache.kafka.common.security";
        let all: Vec<String> = (1..).zip(voters).map(|(id, port): (usize, _)| format!("{id}@127.0.0.1:{port}")).collect();
        let listeners = format!("SECURE://127.0.0.1:{secure},INTERNAL://127.0.0.1:{internal}");
        let replicas = voters.len();
        [
            format!("process.roles=broker,controller\nnode.id={id}\ncontroller.listener.names=CONTROLLER\n"),
            format!("controller.quorum.voters={}\n", all.join(",")),
            format!("listeners=PLAINTEXT://127.0.0.1:{plain},{listeners},CONTROLLER://127.0.0.1:{controller}\n"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{front},{listeners}\n"),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT\n".to_owned(),
            "inter.broker.listener.name=INTERNAL\nsasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n".to_owned(),
            format!("listener.name.secure.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USERNAME}=\"{PASSWORD}\";\n"),
            format!("listener.name.secure.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"),
            format!("listener.name.secure.ssl.keystore.type=PEM\nlistener.name.secure.ssl.keystore.key={}\n", inline(&identity.key)),
            format!("listener.name.secure.ssl.keystore.certificate.chain={}\n", inline(&identity.certificate)),
            format!("log.dirs={}\n", data.display()),
            format!("offsets.topic.replication.factor={replicas}\noffsets.topic.num.partitions=1\n"),
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n".to_owned(),
            "transaction.state.log.num.partitions=1\nshare.coordinator.state.topic.replication.factor=1\n".to_owned(),
            "share.coordinator.state.topic.min.isr=1\nshare.coordinator.state.topic.num.partitions=1\n".to_owned(),
            "group.initial.rebalance.delay.ms=0\nnum.network.threads=1\nnum.io.threads=2\n".to_owned(),
            "log.cleaner.enable=false\nauto.create.topics.enable=false\n".to_owned(),
            // A broker that is silent is soon missed, and its partitions get another leader; none gets back what it led before.
            if replicas == 1 { "" } else { "broker.heartbeat.interval.ms=500\nbroker.session.timeout.ms=5000\n" }.to_owned(),
            "auto.leader.rebalance.enable=false\n".to_owned(),
        ]
        .concat()
    }
}
