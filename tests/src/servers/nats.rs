//! NATS with `JetStream`: one server, or a cluster of three.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Message};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::process::{Process, free_port, get, is_ok};
use super::server;
use crate::program::becomes;

#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) clients: u16,
    monitoring: u16,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self { clients: free_port(), monitoring: free_port() }
    }
}

/// Where a server of a cluster finds the others.
pub(super) struct Neighbours {
    /// Ports of their routes.
    pub(super) others: Vec<u16>,
    /// Where others, and where clients, are told to find it; at its own ports when there is none.
    pub(super) told: Option<(u16, u16)>,
}

/// One server.
pub struct Nats {
    process: Process,
    ports: Ports,
}

impl Nats {
    /// Starts it with these lines in its configuration, beside those for ports and folder.
    #[must_use]
    pub fn start(configuration: &str) -> Self {
        let (process, ports) = Process::start(
            |folder| {
                std::fs::write(folder.join("configuration"), configuration).expect("written");
                let ports = Ports::free();
                (command(folder, ports), ports)
            },
            |ports| is_ok(ports.monitoring, "/healthz"),
        );
        Self { process, ports }
    }

    /// Starts it with `JetStream`.
    #[must_use]
    pub fn with_jet_stream() -> Self {
        Self::start("jetstream: enabled\n")
    }

    /// Starts three that know each other, and waits until they have a leader.
    #[must_use]
    pub fn cluster() -> Vec<Self> {
        let ports: [_; 3] = std::array::from_fn(|_| (Ports::free(), free_port()));
        let routes = ports.map(|(_, route)| route);
        Self::cluster_of(&ports, |_| Neighbours { others: routes.to_vec(), told: None })
    }

    /// Starts servers with these ports, each with one for the others, and waits until they have a leader.
    pub(super) fn cluster_of(ports: &[(Ports, u16)], neighbours: impl Fn(usize) -> Neighbours) -> Vec<Self> {
        let server = |(number, (ports, route)): (usize, &(Ports, u16))| {
            let Neighbours { others, told } = neighbours(number);
            let urls: Vec<String> = others.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            let (others, clients) = match told {
                None => (String::new(), String::new()),
                Some((others, clients)) => {
                    (format!(", advertise: \"127.0.0.1:{others}\""), format!("client_advertise: \"127.0.0.1:{clients}\"\n"))
                }
            };
            let (name, urls) = (format!("n{}", number + 1), urls.join(", "));
            let lines = format!(
                "server_name: {name}\njetstream: enabled\n{clients}\
                 cluster {{ name: C, listen: 127.0.0.1:{route}, routes: [{urls}]{others} }}\n"
            );
            Process::start(
                |folder| {
                    std::fs::write(folder.join("configuration"), &lines).expect("written");
                    (command(folder, *ports), *ports)
                },
                // Its health waits for the others.
                |ports| is_ok(ports.monitoring, "/varz"),
            )
        };
        let started: Vec<Self> =
            ports.iter().enumerate().map(server).map(|(process, ports)| Self { process, ports }).collect();
        assert!(becomes(|| started.iter().all(Self::has_leader)), "the cluster has no leader");
        started
    }

    fn has_leader(&self) -> bool {
        let answer = get(self.ports.monitoring, "/jsz").map(|(_, body)| body).unwrap_or_default();
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        answer["meta_cluster"]["leader"].is_string() && is_ok(self.ports.monitoring, "/healthz")
    }

    /// Kills and starts it again.
    pub fn restart(&mut self) {
        let (command, monitoring) = (command(self.process.folder(), self.ports), self.ports.monitoring);
        self.process.restart(command, || is_ok(monitoring, "/varz"));
    }

    /// The port where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.clients
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.clients)
    }

    /// Its monitoring endpoint.
    #[must_use]
    pub fn monitoring(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitoring)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A client.
    #[must_use]
    pub fn client(&self) -> NatsClient {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let options = ConnectOptions::new().name("client of the test").request_timeout(Some(Duration::from_secs(3)));
        // Another server of a cluster is none of its business.
        let options = options.ignore_discovered_servers().retry_on_initial_connect();
        let client = runtime.block_on(options.connect(self.url())).expect("a client");
        NatsClient { client, runtime }
    }
}

fn command(folder: &Path, ports: Ports) -> Command {
    let mut command = server("nats-server");
    command.args(["-a", "127.0.0.1", "-p", &ports.clients.to_string(), "-m", &ports.monitoring.to_string()]);
    command.arg("-c").arg(folder.join("configuration")).arg("-sd").arg(folder.join("data"));
    command
}

/// A client of one server.
pub struct NatsClient {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl NatsClient {
    /// Asks the API of `JetStream`, which must not answer an error.
    #[track_caller]
    pub fn api(&self, what: &str, body: &Value) -> Value {
        let mut answer = Value::Null;
        // A cluster that has just elected somebody may need a moment.
        let is_done = becomes(|| {
            let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
            let asked = self.runtime.block_on(self.client.request(format!("$JS.API.{what}"), body.into()));
            let Ok(message) = asked else { return false };
            answer = serde_json::from_slice(&message.payload).unwrap_or_default();
            // Nor knows yet that everybody is there.
            let is_short_of_servers = answer["error"]["err_code"] == 10_005;
            !is_short_of_servers && answer["error"]["code"].as_u64().is_none_or(|code| code < 500)
        });
        assert!(is_done && answer["error"].is_null(), "{what}: {answer}");
        answer
    }

    /// Asks the API of `JetStream` once, whatever it answers.
    pub fn ask_for(&self, what: &str, body: &Value) {
        let _ = self.runtime.block_on(self.client.request(format!("$JS.API.{what}"), body.to_string().into()));
    }

    /// Makes a stream for the subjects that begin with its name.
    pub fn stream(&self, name: &str, replicas: u8, more: &Value) {
        let mut configuration =
            json!({"name": name, "subjects": [format!("{name}.>")], "num_replicas": replicas, "storage": "file"});
        extend(&mut configuration, more);
        self.api(&format!("STREAM.CREATE.{name}"), &configuration);
    }

    /// Makes a durable consumer that acknowledges.
    pub fn consumer(&self, stream: &str, name: &str, more: &Value) {
        let mut configuration = json!({"durable_name": name, "ack_policy": "explicit", "ack_wait": 2_000_000_000_u64,
            "max_ack_pending": 10_000});
        extend(&mut configuration, more);
        self.api(
            &format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"),
            &json!({"stream_name": stream, "config": configuration}),
        );
    }

    /// Publishes so many messages, and waits until they are stored.
    pub fn publish(&self, subject: &str, count: usize) {
        for _ in 0..count {
            // A message whose acknowledgement is lost may be stored all the same: not twice.
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", self.client.new_inbox().as_str());
            let send = || self.client.request_with_headers(subject.to_owned(), headers.clone(), "message".into());
            assert!(becomes(|| self.runtime.block_on(send()).is_ok()), "{subject}: a message is not stored");
        }
    }

    /// Gets so many messages; where each is acknowledged.
    pub fn fetch(&self, stream: &str, consumer: &str, count: usize) -> Vec<String> {
        let inbox = self.client.new_inbox();
        self.runtime.block_on(async {
            let messages = self.client.subscribe(inbox.clone()).await.expect("an inbox");
            let body = json!({"batch": count, "expires": 60_000_000_000_u64}).to_string();
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
            self.client.publish_with_reply(subject, inbox, body.into()).await.expect("it is connected");
            let replies = messages.take(count).map(|message| message.reply.expect("a message of JetStream").to_string());
            // It expires after a minute, and nobody would say so.
            tokio::time::timeout(Duration::from_mins(2), replies.collect()).await.expect("all of them arrive")
        })
    }

    /// Asks until somebody answers.
    #[track_caller]
    fn request(&self, subject: &str, body: &str) -> Message {
        let mut answer = None;
        let is_answered = becomes(|| {
            answer = self.runtime.block_on(self.client.request(subject.to_owned(), body.to_owned().into())).ok();
            answer.is_some()
        });
        assert!(is_answered, "{subject}: nobody answers");
        answer.expect("it is there")
    }

    /// Asks for a message that is not there, and waits for the answer: the consumer has come to the end of the stream.
    pub fn ask(&self, stream: &str, consumer: &str) {
        let body = json!({"batch": 1, "no_wait": true}).to_string();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let answer = self.request(&subject, &body);
        assert_eq!(answer.status, Some(async_nats::StatusCode::NOT_FOUND), "there is a message");
    }

    /// Has the server publish a message to `target` much later.
    pub fn schedule(&self, subject: &str, target: &str) {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Schedule", "@at 2100-01-01T00:00:00Z");
        headers.insert("Nats-Schedule-Target", target);
        headers.insert("Nats-Msg-Id", self.client.new_inbox().as_str());
        let send = || self.client.request_with_headers(subject.to_owned(), headers.clone(), "message".into());
        let mut answer = Value::Null;
        let is_answered = becomes(|| {
            let Ok(message) = self.runtime.block_on(send()) else { return false };
            answer = serde_json::from_slice(&message.payload).unwrap_or_default();
            true
        });
        assert!(is_answered, "{subject}: nobody answers");
        assert!(answer["error"].is_null(), "{subject}: {answer}");
    }

    /// Acknowledges messages, and waits until the server knows.
    pub fn acknowledge(&self, messages: &[String]) {
        self.answer(messages, "+ACK");
    }

    /// Answers messages like this: `-NAK {"delay": 60000000000}`.
    pub fn answer(&self, messages: &[String], answer: &str) {
        for message in messages {
            self.request(message, answer);
        }
    }
}

fn extend(configuration: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        configuration[name] = value.clone();
    }
}
