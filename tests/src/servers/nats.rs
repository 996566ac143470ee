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
struct Ports {
    clients: u16,
    monitoring: u16,
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
                let ports = Ports { clients: free_port(), monitoring: free_port() };
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
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let urls: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let server = |(number, route): (usize, &u16)| {
            let (name, urls) = (format!("n{}", number + 1), urls.join(", "));
            let lines = format!(
                "server_name: {name}\njetstream: enabled\ncluster {{ name: C, listen: 127.0.0.1:{route}, routes: [{urls}] }}\n"
            );
            Process::start(
                |folder| {
                    std::fs::write(folder.join("configuration"), &lines).expect("written");
                    let ports = Ports { clients: free_port(), monitoring: free_port() };
                    (command(folder, ports), ports)
                },
                // Its health waits for the others.
                |ports| is_ok(ports.monitoring, "/varz"),
            )
        };
        let started: Vec<Self> =
            routes.iter().enumerate().map(server).map(|(process, ports)| Self { process, ports }).collect();
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
            answer["error"]["code"].as_u64().is_none_or(|code| code < 500)
        });
        assert!(is_done && answer["error"].is_null(), "{what}: {answer}");
        answer
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
