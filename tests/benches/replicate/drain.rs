//! What a drain costs: how soon it says that a backlog is empty, how often it asks, and what it takes for many consumers.

use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::link::Link;
use fairlead_tests::program::{becomes, root};
use fairlead_tests::servers::nats_streaming::NatsStreaming;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drain_sources::Sources;
use crate::process::{Job, Ran, measure as run};
use crate::say;
use crate::table::{Row, float, mebibytes, spread};

/// Consumers or partitions of each broker.
const MANY: usize = 10_000;

/// `--interval` and `--samples` by default: a verdict takes at least the rounds in a row.
const INTERVAL: Duration = Duration::from_secs(5);
const SAMPLES: u32 = 3;

/// How often the time to a verdict is measured.
const ROUNDS: u64 = 5;

/// A drain with these sources, and what its command line says beside them.
struct Drain<'a> {
    job: &'a Job,
    cluster: &'a Cluster,
    folder: TempDir,
}

impl<'a> Drain<'a> {
    fn new(job: &'a Job, cluster: &'a Cluster, sources: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let drain = json!({"sources": sources});
        let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        std::fs::write(folder.path().join("fairlead.json"), configuration.to_string()).expect("written");
        Self { job, cluster, folder }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.job.command(verb);
        command.args(["--kubeconfig", self.cluster.kubeconfig(), "--ledger-namespace", "default", "--config"]);
        command.arg(self.folder.path().join("fairlead.json"));
        command
    }

    fn apply(&self, more: &[&str]) -> Command {
        let mut command = self.command("apply");
        command.args(["--grace-period", "1s"]).args(more);
        command
    }

    /// Waits until everything can be read and is empty: thousands of partitions take their time.
    fn settle(&self) {
        assert!(becomes(|| self.command("check").status().is_ok_and(|status| status.success())), "a source is not empty");
    }
}

/// Everything about drains.
pub(crate) fn measure(job: &Path) -> Vec<Row> {
    let (job, cluster) = (Job::new(job), Cluster::control_plane());
    let mut rows = vec![verdict(&job, &cluster)];
    rows.extend(requests(&job, &cluster));
    rows.extend(memory(&job, &cluster));
    rows.extend(image());
    rows
}

/// From the last acknowledgement to the end of the job, beyond the rounds that a proof must have.
fn verdict(job: &Job, cluster: &Cluster) -> Row {
    let server = NatsStreaming::start();
    let mut publisher = server.client("publisher");
    let late = (0..ROUNDS).map(|round| {
        let channel = format!("orders-{round}");
        let mut reader = server.client(&format!("reader-{round}"));
        publisher.say(&format!("publish {channel} 5"));
        // What is not acknowledged comes again: the rounds in a row are longer than that.
        reader.say(&format!("subscribe {channel} worker - 10 0 9s"));
        assert!(becomes(|| reader.say("received") == "5"), "the messages do not come");
        let source = json!({"name": "bus", "natsStreaming": {"url": server.url(), "channels": [channel]}});
        let drain = Drain::new(job, cluster, &[source]);
        let ended = std::thread::scope(|scope| {
            let ended = scope.spawn(|| run(&mut drain.apply(&[])));
            // At another moment between two readings each time.
            pause(Duration::from_millis(3_000 + 1_100 * round));
            reader.say("ack 1000");
            let emptied = Instant::now();
            ended.join().expect("no panic");
            emptied.elapsed()
        });
        say(&format!("verdict {:.1} s after the last acknowledgement", ended.as_secs_f64()));
        ended.saturating_sub(INTERVAL * (SAMPLES - 1)).as_secs_f64()
    });
    let figure = spread(late.collect(), "s", |seconds| format!("{seconds:.1}"));
    Row {
        what: "drain: verdict after the last acknowledgement, beyond its three rounds in 10 s".to_owned(),
        objects: None,
        figure,
    }
}

/// How often each kind of source is asked in a minute of waiting.
fn requests(job: &Job, cluster: &Cluster) -> Vec<Row> {
    let servers = Sources::start(0);
    let counted = servers.counted(cluster);
    let sources: Vec<Value> = counted.iter().map(|(_, source, _)| source.clone()).collect();
    let drain = Drain::new(job, cluster, &sources);
    let mut command = drain.command("apply");
    let mut waiting = command.args(["--grace-period", "1h", "--run-timeout", "2h"]).spawn().expect("the job starts");
    // Not what it asks at the start, nor in the rounds of the proof.
    pause(INTERVAL * 15);
    let before: Vec<usize> = counted.iter().map(|(_, _, link)| link.asked()).collect();
    pause(Duration::from_mins(1));
    assert!(waiting.try_wait().expect("a process of ours").is_none(), "the job does not wait");
    let row = |((name, _, link), before): (&(&'static str, Value, Rc<Link>), usize)| {
        let asked = link.asked() - before;
        say(&format!("{name}: {asked} requests in a minute"));
        Row { what: format!("drain: requests in a minute of waiting, {name}"), objects: None, figure: asked.to_string() }
    };
    let rows = counted.iter().zip(before).map(row).collect();
    let _ = waiting.kill();
    let _ = waiting.wait();
    rows
}

/// The most that is resident with many consumers or partitions, of one source and of all.
fn memory(job: &Job, cluster: &Cluster) -> Vec<Row> {
    let (few, many) = (Sources::start(0), Sources::start(MANY));
    let measure = |what: &str, count: usize, chosen: &[Value]| {
        let drain = Drain::new(job, cluster, chosen);
        drain.settle();
        let checked = run(&mut drain.command("check"));
        let applied = run(&mut drain.apply(&["--samples", "2", "--interval", "1s", "--run-timeout", "10m"]));
        say(&format!("{what}: applied in {:.1} s", applied.elapsed.as_secs_f64()));
        let row = |verb: &str, ran: &Ran| {
            Row::new(format!("drain: peak memory of `{verb}`, {what}"), count, mebibytes(float(ran.peak)))
        };
        [row("check", &checked), row("apply", &applied)]
    };
    let mut rows = Vec::new();
    for (name, source) in many.all(cluster) {
        if ["NATS Streaming", "JetStream", "Kafka"].contains(&name) {
            rows.extend(measure(&format!("consumers or partitions of {name}"), MANY, &[source]));
        }
    }
    for (count, sources) in [(1, few), (MANY, many)] {
        let every: Vec<Value> = sources.all(cluster).into_iter().map(|(_, source)| source).collect();
        rows.extend(measure("consumers or partitions of each, every kind of source", count, &every));
    }
    rows
}

fn image() -> Option<Row> {
    let image = root().join("target/images/drain-waiter.tar");
    let length = usize::try_from(image.metadata().ok()?.len()).ok()?;
    Some(Row { what: "the image of drain-waiter, compressed".to_owned(), objects: None, figure: mebibytes(float(length)) })
}

#[expect(clippy::disallowed_methods, reason = "the time that passes is what is measured")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
