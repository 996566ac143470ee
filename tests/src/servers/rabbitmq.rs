//! RabbitMQ with its management API, and a client of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::file;
use super::process::{Process, free_port, is_ok};
use crate::program::PLANTED_SECRET;

/// A server whose user `guest` has the password [`PLANTED_SECRET`].
pub struct RabbitMq {
    ports: Ports,
    server: Process,
    _names: Process,
}

#[derive(Clone, Copy)]
struct Ports {
    /// Of Erlang's name server.
    names: u16,
    management: u16,
    /// By STOMP.
    clients: u16,
    /// By AMQP, which nobody uses here; it is in the name of the node.
    queues: u16,
    peers: u16,
}

impl Ports {
    fn are_open(self) -> bool {
        is_ok(self.management, "/") && TcpStream::connect(("127.0.0.1", self.clients)).is_ok()
    }
}

impl RabbitMq {
    /// Starts it, with the statistics as they are by default: every 5 seconds.
    #[must_use]
    pub fn start() -> Self {
        let (names, names_port) = Process::start(
            |_| {
                let port = free_port();
                let mut command = Command::new(erlang().join("epmd"));
                command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
                (command, port)
            },
            |port| TcpStream::connect(("127.0.0.1", *port)).is_ok(),
        );
        let (server, ports) = Process::start(
            |folder| {
                let [management, clients, queues, peers] = std::array::from_fn(|_| free_port());
                let ports = Ports { names: names_port, management, clients, queues, peers };
                (command(folder, ports), ports)
            },
            |ports| ports.are_open(),
        );
        Self { ports, server, _names: names }
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let (command, ports) = (command(self.server.folder(), self.ports), self.ports);
        self.server.restart(command, || ports.are_open());
    }

    /// The port of its management API.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.management
    }

    /// Where the management API says how much is in a queue.
    #[must_use]
    pub fn queue(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/api/queues/%2F/{name}", self.ports.management)
    }

    /// A client.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.ports.clients)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.server
    }
}

/// The programs of Erlang, which RabbitMQ runs in.
fn erlang() -> PathBuf {
    file("rabbitmq/usr/lib/erlang/bin")
}

fn command(folder: &Path, Ports { names, management, clients, queues, peers }: Ports) -> Command {
    let configuration = format!(
        "listeners.tcp.1 = 127.0.0.1:{queues}\nstomp.listeners.tcp.1 = 127.0.0.1:{clients}\n\
         management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\ndefault_pass = {PLANTED_SECRET}\n"
    );
    std::fs::write(folder.join("rabbitmq.conf"), configuration).expect("written");
    std::fs::write(folder.join("plugins"), "[rabbitmq_management,rabbitmq_stomp].").expect("written");
    // Not the script in sbin, which wants a user and folders of the machine.
    let mut command = Command::new(file("rabbitmq/usr/lib/rabbitmq/bin/rabbitmq-server"));
    command.env("PATH", format!("{}:/usr/bin:/bin", erlang().display()));
    // Its cookie lies there.
    command.env("HOME", folder);
    command.env("ERL_EPMD_PORT", names.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("RABBITMQ_BASE", folder).env("RABBITMQ_MNESIA_BASE", folder.join("data"));
    command.env("RABBITMQ_LOG_BASE", folder).env("RABBITMQ_LOGS", "-");
    command.env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"));
    command.env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf")).env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    command.env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"));
    command.env("RABBITMQ_FEATURE_FLAGS_FILE", folder.join("features"));
    command.env("RABBITMQ_NODENAME", format!("test{queues}@localhost")).env("RABBITMQ_DIST_PORT", peers.to_string());
    let arguments = "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}";
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments);
    // Otherwise the script stays, and the server would outlive it.
    command.env("RUNNING_UNDER_SYSTEMD", "true");
    command
}

/// A client by STOMP, which is text.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The newest message that it has got.
    last: Option<String>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let mut client = Self { stream: BufReader::new(stream), last: None };
        client.say(&format!("CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:{PLANTED_SECRET}"));
        client.hear("CONNECTED");
        client
    }

    /// Makes the queue, if it is not there, and puts messages into it.
    #[track_caller]
    pub fn publish(&mut self, queue: &str, count: usize) {
        for _ in 0..count {
            self.say(&format!("SEND\ndestination:/queue/{queue}\npersistent:true\nreceipt:sent"));
            self.hear("RECEIPT");
        }
    }

    /// Takes messages, and acknowledges none; of the rest none is sent.
    #[track_caller]
    pub fn take(&mut self, queue: &str, count: usize) {
        self.say(&format!("SUBSCRIBE\nid:0\ndestination:/queue/{queue}\nack:client\nprefetch-count:{count}"));
        for _ in 0..count {
            let message = self.hear("MESSAGE");
            self.last = message.lines().find_map(|line| line.strip_prefix("ack:")).map(str::to_owned);
        }
    }

    /// Acknowledges all that it has taken.
    #[track_caller]
    pub fn acknowledge(&mut self) {
        let last = self.last.take().expect("it has taken a message");
        self.say(&format!("ACK\nid:{last}\nreceipt:acknowledged"));
        self.hear("RECEIPT");
    }

    fn say(&mut self, frame: &str) {
        write!(self.stream.get_mut(), "{frame}\n\n\0").expect("it listens");
    }

    #[track_caller]
    fn hear(&mut self, what: &str) -> String {
        let mut frame = Vec::new();
        self.stream.read_until(0, &mut frame).expect("it answers");
        let frame = String::from_utf8_lossy(&frame).trim_start().to_owned();
        assert!(frame.starts_with(what), "no {what}, but {frame}");
        frame
    }
}
