//! `drain-waiter` while its broker is killed, frozen, and started again: never proven meanwhile, and the intake is open in the end.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, Stdio};

use fairlead_tests::program::{becomes, run};
use fairlead_tests::servers::nats_streaming::NatsStreaming;
use serde_json::json;

use crate::drain_bus::{Bus, durables};

/// A bus with a message that nobody needs, and a run that waits for it.
struct Waiting {
    server: NatsStreaming,
    bus: Bus,
    job: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Waiting {
    fn new(more: &[&str]) -> Self {
        let server = NatsStreaming::start();
        server.client("publisher").say("publish audit 1");
        let bus = Bus::new(&durables(&server, &json!({"channels": ["audit"], "acceptUnread": ["audit"]})));
        let mut job = bus.apply(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(job.stderr.take().expect("piped")).lines();
        let mut waiting = Self { server, bus, job, lines };
        waiting.says("bus: empty");
        waiting
    }

    #[track_caller]
    fn says(&mut self, what: &str) {
        assert!(self.lines.by_ref().map_while(Result::ok).any(|line| line.contains(what)), "it never says {what}");
    }

    /// Its exit status, and what it still said.
    fn ends(mut self) -> (Option<i32>, String, Bus) {
        let rest: Vec<String> = self.lines.map_while(Result::ok).collect();
        let status = self.job.wait().expect("it ends").code();
        (status, rest.join("\n"), self.bus)
    }
}

#[test]
fn a_broker_that_is_started_again_or_frozen_for_a_while_is_waited_for() {
    let mut waiting = Waiting::new(&["--samples", "50"]);
    waiting.server.process().kill();
    waiting.says("bus: not known: http://127.0.0.1");
    waiting.server.restart();
    waiting.says("bus: empty");
    waiting.server.process().freeze();
    waiting.says("bus: not known");
    assert_eq!(waiting.job.try_wait().expect("a process of ours"), None);
    waiting.server.process().thaw();
    let (status, said, bus) = waiting.ends();
    assert!(status == Some(0) && said.contains("proven"), "{said}");
    let certificate = run(&mut bus.cluster.job("drain-waiter", &["certificate", "--ledger-namespace", "default"]), "");
    let evidence = &certificate.expect(0).json()["evidence"];
    // The rounds of before do not count.
    assert_eq!(evidence["row"].as_array().map(Vec::len), Some(50));
}

#[test]
fn a_broker_that_stays_away_ends_the_run_with_its_name_and_the_intake_is_open_again() {
    let mut waiting = Waiting::new(&["--samples", "500", "--stall", "2s"]);
    waiting.server.process().kill();
    let (status, said, bus) = waiting.ends();
    assert!(said.contains("error DW115: bus: http://127.0.0.1"), "{said}");
    assert_eq!((status, bus.replicas()), (Some(4), json!(2)));
}

/// Connections stay, and nobody answers.
#[test]
fn a_broker_that_is_frozen_until_the_deadline_does_not_keep_the_run_longer() {
    let waiting = Waiting::new(&["--samples", "50", "--stall", "10m", "--run-timeout", "20s"]);
    let mut waiting = waiting;
    waiting.server.process().freeze();
    let is_over = becomes(|| waiting.job.try_wait().expect("a process of ours").is_some());
    waiting.server.process().thaw();
    assert!(is_over, "it waits for who is frozen");
    let (status, said, bus) = waiting.ends();
    assert!(!said.contains("proven:"), "{said}");
    assert_eq!((status, bus.replicas()), (Some(124), json!(2)), "{said}");
}
