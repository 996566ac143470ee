//! A server of each kind with two queues, `one` and `none`, and a link in front of it.

use std::collections::BTreeMap;

use fairlead_tests::link::Link;
use fairlead_tests::program::becomes;
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::servers::document::Document;
use fairlead_tests::servers::kafka::Kafka;
use fairlead_tests::servers::nats::{Nats, NatsClient};
use fairlead_tests::servers::process::{Process, get};
use fairlead_tests::servers::prometheus::Prometheus;
use fairlead_tests::servers::rabbitmq::RabbitMq;
use fairlead_tests::servers::talker::Talker;
use serde_json::{Value, json};

const QUEUES: [&str; 2] = ["one", "none"];

/// A server whose queues are empty at first. What a test does with them goes past the link.
pub(crate) trait Broker {
    /// The queue as a source, over the link.
    fn source(&self, queue: &str) -> Value;
    /// Puts a message into a queue.
    fn publish(&mut self, queue: &str);
    /// Acknowledges the messages of a queue.
    fn acknowledge(&mut self, queue: &str);
    fn process(&mut self) -> &mut Process;
    /// Starts it again after it was killed.
    fn restart(&mut self);
    fn link(&self) -> &Link;
}

type Start = fn() -> Box<dyn Broker>;

/// How to start one of each kind but NATS Streaming: killed, that loses acknowledgements, and a queue that was empty is not any more.
pub(crate) fn all() -> [(&'static str, Start); 6] {
    [
        ("jetstream", || Box::new(Streams::start())),
        ("kafka", || Box::new(Topics::start())),
        ("prometheus", || Box::new(Series::start())),
        ("postgresql", || Box::new(Tables::start(Kind::PostgreSql))),
        ("mariadb", || Box::new(Tables::start(Kind::MariaDb))),
        ("rabbitmq", || Box::new(Queues::start())),
    ]
}

struct Streams {
    server: Nats,
    link: Link,
    client: NatsClient,
}

impl Streams {
    fn start() -> Self {
        let server = Nats::with_jet_stream();
        let client = server.client();
        for queue in QUEUES {
            client.stream(queue, 1, &Value::Null);
            client.consumer(queue, "worker", &Value::Null);
        }
        Self { link: Link::to(server.port()), server, client }
    }
}

impl Broker for Streams {
    fn source(&self, queue: &str) -> Value {
        let url = format!("nats://127.0.0.1:{}", self.link.port());
        json!({"jetStream": {"servers": [url], "stream": queue, "consumers": ["worker"]}})
    }

    fn publish(&mut self, queue: &str) {
        self.client.publish(&format!("{queue}.new"), 1);
    }

    fn acknowledge(&mut self, queue: &str) {
        self.client.acknowledge(&self.client.fetch(queue, "worker", 1));
    }

    fn process(&mut self) -> &mut Process {
        self.server.process()
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn link(&self) -> &Link {
        &self.link
    }
}

struct Topics {
    server: Kafka,
    link: Link,
    client: Talker,
    ends: BTreeMap<String, u64>,
}

impl Topics {
    fn start() -> Self {
        let (server, link) = Kafka::start_linked();
        let mut client = server.client();
        for queue in QUEUES {
            client.say(&format!("create {queue} 1"));
            client.say(&format!("offset workers-{queue} {queue} 0 0"));
        }
        Self { server, link, client, ends: BTreeMap::new() }
    }
}

impl Broker for Topics {
    fn source(&self, queue: &str) -> Value {
        let address = format!("127.0.0.1:{}", self.link.port());
        json!({"kafka": {"brokers": [address], "group": format!("workers-{queue}"), "topics": [queue]}})
    }

    fn publish(&mut self, queue: &str) {
        *self.ends.entry(queue.to_owned()).or_default() += 1;
        self.client.say(&format!("produce {queue} 0 1"));
    }

    fn acknowledge(&mut self, queue: &str) {
        let end = self.ends.get(queue).copied().unwrap_or_default();
        self.client.say(&format!("offset workers-{queue} {queue} 0 {end}"));
    }

    fn process(&mut self) -> &mut Process {
        self.server.process()
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn link(&self) -> &Link {
        &self.link
    }
}

struct Series {
    server: Prometheus,
    link: Link,
    target: Document,
    left: BTreeMap<String, u64>,
}

impl Series {
    fn start() -> Self {
        let target = Document::start("");
        let server = Prometheus::start(target.port());
        let left = QUEUES.map(|queue| (queue.to_owned(), 0)).into();
        let series = Self { link: Link::to(server.port()), server, target, left };
        series.show();
        let query = "/api/v1/query?query=lag";
        let is_there = || get(series.server.port(), query).is_some_and(|(_, body)| body.contains("\"lag\""));
        assert!(becomes(is_there), "there is no sample");
        series
    }

    fn show(&self) {
        let lines = self.left.iter().map(|(queue, left)| format!("lag{{queue=\"{queue}\"}} {left}"));
        self.target.set(&(lines.collect::<Vec<_>>().join("\n") + "\n"));
    }
}

impl Broker for Series {
    fn source(&self, queue: &str) -> Value {
        let url = format!("http://127.0.0.1:{}", self.link.port());
        json!({"prometheus": {"url": url, "query": format!("lag{{queue=\"{queue}\"}}"), "maxAge": "5s"}})
    }

    fn publish(&mut self, queue: &str) {
        self.left.insert(queue.to_owned(), 1);
        self.show();
    }

    fn acknowledge(&mut self, queue: &str) {
        self.left.insert(queue.to_owned(), 0);
        self.show();
    }

    fn process(&mut self) -> &mut Process {
        self.server.process()
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn link(&self) -> &Link {
        &self.link
    }
}

struct Tables {
    kind: Kind,
    server: Database,
    link: Link,
}

impl Tables {
    fn start(kind: Kind) -> Self {
        let server = Database::start(kind, None);
        for queue in QUEUES {
            server.run(&format!("create table {queue} (id bigint)"));
        }
        Self { kind, link: Link::to(server.port()), server }
    }
}

impl Broker for Tables {
    fn source(&self, queue: &str) -> Value {
        let kind = if self.kind == Kind::PostgreSql { "postgresql" } else { "mysql" };
        json!({kind: {"host": "127.0.0.1", "port": self.link.port(), "database": "test", "username": "root",
            "query": format!("select count(*) from {queue}")}})
    }

    fn publish(&mut self, queue: &str) {
        self.server.run(&format!("insert into {queue} values (1)"));
    }

    fn acknowledge(&mut self, queue: &str) {
        self.server.run(&format!("delete from {queue}"));
    }

    fn process(&mut self) -> &mut Process {
        self.server.process()
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn link(&self) -> &Link {
        &self.link
    }
}

struct Queues {
    server: RabbitMq,
    link: Link,
}

impl Queues {
    fn start() -> Self {
        let server = RabbitMq::start();
        let mut queues = Self { link: Link::to(server.port()), server };
        for queue in QUEUES {
            queues.publish(queue);
            queues.acknowledge(queue);
        }
        queues
    }
}

impl Broker for Queues {
    fn source(&self, queue: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/queues/%2F/{queue}", self.link.port());
        let password = json!({"name": "rabbitmq", "key": "password"});
        json!({"http": {"url": url, "authentication": {"basic": {"username": "guest", "password": password}},
            "left": ["/messages_ready", "/messages_unacknowledged"], "require": [{"pointer": "/state", "equals": "running"}],
            "behind": "10s"}})
    }

    fn publish(&mut self, queue: &str) {
        self.server.client().publish(queue, 1);
    }

    fn acknowledge(&mut self, queue: &str) {
        let mut reader = self.server.client();
        reader.take(queue, 1);
        reader.acknowledge();
    }

    fn process(&mut self) -> &mut Process {
        self.server.process()
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn link(&self) -> &Link {
        &self.link
    }
}
