//! Publishers, and the loss meter's verdict.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{becomes, job};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Events that are sent until it ends.
pub(crate) struct Load {
    child: Child,
    folder: TempDir,
}

impl Load {
    /// Begins to send, and waits until events have been accepted.
    pub(crate) fn start(cluster: &Cluster, receiver: &str, streams: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let document =
            json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "receivers": [receiver], "streams": streams});
        std::fs::write(folder.path().join("streams.json"), document.to_string()).expect("written");
        let file = |name: &str| std::fs::File::create(folder.path().join(name)).expect("created");
        // What nobody has acknowledged comes again after 5 seconds.
        let mut command: Command = job("loss-meter");
        command.args(["send", "--settle", "12s", "-o", "json", "--config"]).arg(folder.path().join("streams.json"));
        command.stdin(Stdio::null()).stdout(file("verdict")).stderr(file("log"));
        let child = cluster.inside(|| command.spawn().expect("it starts"));
        let load = Self { child, folder };
        assert!(becomes(|| load.read("log").contains(" sending ")), "{}", load.read("log"));
        load
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// How many events have been accepted so far, as its log says every 5 seconds.
    pub(crate) fn accepted(&self) -> u64 {
        let log = self.read("log");
        let said = log.lines().filter_map(|line| {
            let (_, stream) = line.split_once(" sending stream=")?;
            let count = stream.split_once(" accepted=")?.1.split_whitespace().next()?.parse::<u64>().ok()?;
            Some((stream.split_whitespace().next()?, count))
        });
        // The last word of each stream counts.
        said.collect::<BTreeMap<&str, u64>>().values().sum()
    }

    /// Ends the publishers, waits for what is under way, and says what was lost.
    pub(crate) fn end(mut self) -> Verdict {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        self.child.wait().expect("it ends");
        let text = self.read("verdict");
        assert!(text.starts_with('{'), "{text}\n{}", self.read("log"));
        Verdict(serde_json::from_str(&text).expect("JSON"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the meter says.
pub(crate) struct Verdict(Value);

impl Verdict {
    fn sum(&self, list: &str, field: &str) -> u64 {
        let list = self.0[list].as_array().expect("a list");
        list.iter().map(|it| it[field].as_u64().expect("a number")).sum()
    }

    /// How many events were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.sum("streams", "accepted")
    }

    /// How many deliveries are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.sum("subscriptions", "missing")
    }

    /// How many came twice, and no broker says that it has delivered them again.
    pub(crate) fn doubled(&self) -> u64 {
        self.sum("subscriptions", "doubled") - self.sum("subscriptions", "redelivered")
    }

    /// What publishers saw beside success.
    pub(crate) fn faults(&self) -> Vec<String> {
        let streams = self.0["streams"].as_array().expect("a list");
        let faults = |stream: &Value| {
            let (name, faults) = (stream["stream"].clone(), stream["faults"].as_object().expect("an object").clone());
            faults.into_iter().map(move |(what, count)| format!("{name}: {count} times {what}"))
        };
        streams.iter().flat_map(faults).collect()
    }

    /// Nothing is lost, nothing doubled, and publishers have seen success alone, but for 502: so the layer passes on that Knative has failed,
    /// which it does now and then where the processors are not its own.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let others: Vec<String> = self.faults().into_iter().filter(|fault| !fault.ends_with(" times HTTP 502")).collect();
        assert_eq!((self.missing(), self.doubled(), others), (0, 0, Vec::new()), "{:#}", self.shown());
        let refused = self.sum("streams", "sent") - self.accepted();
        assert!(refused * 200 < self.accepted(), "{:#}", self.shown());
    }

    /// Without the seconds.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = self.0.clone();
        for subscription in shown["subscriptions"].as_array_mut().expect("a list") {
            subscription.as_object_mut().expect("an object").remove("timeline");
        }
        shown
    }
}
