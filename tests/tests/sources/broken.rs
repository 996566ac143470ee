//! Every kind of server while `drain-waiter` waits for it: cut off, frozen, killed and started again, and killed for good.
//!
//! Of each server two runs wait for a queue: in one a message is left all the time, the other one is empty. A fault must show in both,
//! and nothing that was read before it, or while it lasts, is part of a proof.

mod brokers;

use std::time::SystemTime;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::PLANTED_SECRET;
use serde_json::json;

use crate::waiting::{Drain, PATIENT, PROVEN};
use brokers::{Broker, all};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Connections stay, and nothing arrives; the server goes on without us.
    CutOff,
    /// Connections stay, and nobody answers.
    Frozen,
    /// Connections end, and there are no new ones until it is started again.
    Killed,
}

const FAULTS: [Fault; 3] = [Fault::CutOff, Fault::Frozen, Fault::Killed];

impl Fault {
    fn begin(self, broker: &mut dyn Broker) {
        match self {
            Self::CutOff => broker.link().cut(),
            Self::Frozen => broker.process().freeze(),
            Self::Killed => broker.process().kill(),
        }
    }

    fn end(self, broker: &mut dyn Broker) {
        match self {
            Self::CutOff => broker.link().mend(),
            Self::Frozen => broker.process().thaw(),
            Self::Killed => broker.restart(),
        }
    }
}

#[test]
#[ignore = "a minute of timeouts: make soak"]
fn a_server_that_is_broken_for_a_while_proves_nothing_and_one_that_stays_so_ends_the_run() {
    let cluster = lease();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "rabbitmq"},
        "stringData": {"password": PLANTED_SECRET}}));
    std::thread::scope(|scope| {
        for (kind, start) in all() {
            let cluster: &Cluster = &cluster;
            scope.spawn(move || meets_every_fault(kind, &mut *start(), cluster));
        }
    });
}

fn meets_every_fault(kind: &str, broker: &mut dyn Broker, cluster: &Cluster) {
    let drain = |queue: &str, broker: &dyn Broker, has_intake: bool| {
        Drain::new(cluster, &format!("{kind}-{queue}"), &broker.source(queue), has_intake)
    };
    broker.publish("one");
    let (one, none) = (drain("one", broker, false), drain("none", broker, false));
    one.becomes("1 left");
    let mut left = one.start("1 left", &PATIENT);
    for fault in FAULTS {
        none.becomes("empty");
        let mut empty = none.start("empty", &PATIENT);
        fault.begin(broker);
        empty.until("not known", &[PROVEN]);
        left.until("not known", &["empty", PROVEN]);
        let mut back = SystemTime::now();
        if fault == Fault::CutOff {
            broker.publish("none");
            fault.end(broker);
            empty.until("1 left", &[PROVEN]);
            back = SystemTime::now();
            broker.acknowledge("none");
        } else {
            fault.end(broker);
        }
        left.until("1 left", &["empty", PROVEN]);
        assert!(empty.ends(0).contains(PROVEN), "{kind}, {fault:?}");
        none.is_proven_after(back);
    }
    let done = SystemTime::now();
    broker.acknowledge("one");
    assert!(left.ends(0).contains(PROVEN), "{kind}");
    one.is_proven_after(done);

    let lost = drain("none", broker, true);
    let waiting = lost.start("empty", &["--samples", "1000", "--stall", "2s"]);
    broker.process().kill();
    let said = waiting.ends(4);
    assert!(said.contains(&format!("error DW115: {kind}-none: ")), "{kind}: {said}");
    assert_eq!(lost.replicas(), 2, "{kind}");
}
