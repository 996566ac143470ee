//! One source of each kind against its real server, all empty; and links that count how often each is asked.

use std::rc::Rc;

use fairlead_tests::cluster::Cluster;
use fairlead_tests::link::Link;
use fairlead_tests::program::becomes;
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::servers::document::Document;
use fairlead_tests::servers::kafka::Kafka;
use fairlead_tests::servers::nats::Nats;
use fairlead_tests::servers::nats_streaming::NatsStreaming;
use fairlead_tests::servers::process::get;
use fairlead_tests::servers::prometheus::Prometheus;
use fairlead_tests::servers::talker::Talker;
use serde_json::{Value, json};

use crate::say;

/// Most subscriptions that NATS Streaming lets a channel have.
const CHANNEL_SIZE: usize = 1_000;

/// So many partitions Kafka makes at once.
const GROWTH: usize = 2_500;

/// The servers.
pub(crate) struct Sources {
    nats_streaming: NatsStreaming,
    jet_stream: Nats,
    _kafka: Kafka,
    /// It tells its clients to connect there.
    kafka_link: Rc<Link>,
    prometheus: Prometheus,
    postgresql: Database,
    mariadb: Database,
    document: Document,
    /// Who has subscribed.
    _reader: Talker,
    _metrics: Document,
}

impl Sources {
    /// Starts them, with so many more durables, consumers and partitions than one.
    pub(crate) fn start(more: usize) -> Self {
        let nats_streaming = NatsStreaming::start();
        let mut reader = nats_streaming.client("reader");
        for number in 0..=more {
            reader.say(&format!("subscribe orders-{} durable-{number} - 10 0 2s", number / CHANNEL_SIZE));
        }
        let jet_stream = Nats::with_jet_stream();
        let client = jet_stream.client();
        client.stream("ORDERS", 1, &json!({"max_consumers": more + 1}));
        for number in 0..=more {
            client.consumer("ORDERS", &format!("worker-{number}"), &json!({}));
        }
        let (kafka, kafka_link) = Kafka::start_linked();
        let mut broker = kafka.client();
        broker.say("create orders 1");
        broker.say("produce orders 0 1");
        broker.say("offset workers orders 0 1");
        for partitions in (1..=more).step_by(GROWTH).skip(1).chain([more + 1]).filter(|partitions| *partitions > 1) {
            broker.say(&format!("grow orders {partitions}"));
        }
        let metrics = Document::start("lag 0\n");
        let prometheus = Prometheus::start(metrics.port());
        let query = "/api/v1/query?query=lag";
        assert!(becomes(|| get(prometheus.port(), query).is_some_and(|(_, body)| body.contains("\"lag\""))), "no sample");
        let database = |kind| {
            let database = Database::start(kind, None);
            database.run("create table jobs (id bigint primary key)");
            database
        };
        let (postgresql, mariadb) = (database(Kind::PostgreSql), database(Kind::MariaDb));
        let document = Document::start("{\"left\": 0}");
        say(&format!("servers started, with {more} more consumers and partitions each"));
        Self {
            nats_streaming,
            jet_stream,
            _kafka: kafka,
            kafka_link: Rc::new(kafka_link),
            prometheus,
            postgresql,
            mariadb,
            document,
            _reader: reader,
            _metrics: metrics,
        }
    }

    /// A source of each kind, by a name for people.
    pub(crate) fn all(&self, cluster: &Cluster) -> Vec<(&'static str, Value)> {
        cluster
            .apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "queue"},
            "data": {"left": "0"}}));
        let sql = |database: &Database| {
            json!({"host": "127.0.0.1", "port": database.port(), "database": "test", "username": "root",
                "query": "select count(*) from jobs"})
        };
        let until = json!({"field": {"pointer": "/data/left", "is": "0"}});
        let named = |name: &'static str, kind: &str, source: Value| (name, json!({"name": name, kind: source}));
        let kafka = json!({"brokers": [format!("127.0.0.1:{}", self.kafka_link.port())], "group": "workers", "topics": ["orders"], "uncommitted": "earliest"});
        vec![
            named("NATS Streaming", "natsStreaming", json!({"url": self.nats_streaming.url()})),
            named("JetStream", "jetStream", json!({"servers": [self.jet_stream.url()], "stream": "ORDERS"})),
            named("Kafka", "kafka", kafka),
            named("Prometheus", "prometheus", json!({"url": self.prometheus.url(), "query": "lag", "maxAge": "10s"})),
            named("PostgreSQL", "postgresql", sql(&self.postgresql)),
            named("MariaDB", "mysql", sql(&self.mariadb)),
            named("HTTP with JSON", "http", json!({"url": self.document.url(), "left": ["/left"]})),
            named(
                "Kubernetes",
                "kubernetes",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "queue", "until": until}),
            ),
        ]
    }

    /// The same, each asked over a link, which counts; the API server is not.
    pub(crate) fn counted(&self, cluster: &Cluster) -> Vec<(&'static str, Value, Rc<Link>)> {
        let mut all = self.all(cluster);
        all.retain(|(name, _)| *name != "Kubernetes");
        let counted = |(name, mut source): (&'static str, Value)| {
            let through = |port: Option<u16>| Rc::new(Link::to(port.expect("it has a port")));
            let of = |url: &str| url.rsplit(':').next().and_then(|port| port.parse().ok());
            let kind = source.as_object().and_then(|fields| fields.keys().find(|field| *field != "name")).cloned();
            let configuration = &mut source[kind.expect("it has a kind")];
            let link = if let Some(url) = configuration["url"].as_str() {
                let link = through(of(url));
                configuration["url"] = json!(format!("http://127.0.0.1:{}", link.port()));
                link
            } else if let Some(url) = configuration["servers"][0].as_str() {
                let link = through(of(url));
                configuration["servers"] = json!([format!("nats://127.0.0.1:{}", link.port())]);
                link
            } else if let Some(port) = configuration["port"].as_u64() {
                let link = through(u16::try_from(port).ok());
                configuration["port"] = json!(link.port());
                link
            } else {
                Rc::clone(&self.kafka_link)
            };
            (name, source, link)
        };
        all.into_iter().map(counted).collect()
    }
}
