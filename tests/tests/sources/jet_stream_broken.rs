//! `drain-waiter` while it waits for streams on three servers of NATS, and the one that leads them is frozen, cut off, or killed.

use std::time::SystemTime;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::becomes;
use fairlead_tests::servers::nats::NatsClient;
use fairlead_tests::servers::nats_cluster::NatsCluster;
use serde_json::{Value, json};

use crate::waiting::{Drain, PATIENT, PROVEN};

#[derive(Clone, Copy, Debug)]
enum Fault {
    Frozen,
    /// Nobody reaches it.
    CutOff,
    /// Clients reach it, and it still believes that it leads.
    CutOffFromOthers,
    Killed,
}

/// It leads everything at first, and breaks.
const LEADER: usize = 0;

/// It stays.
const OTHER: usize = 1;

const STREAMS: [&str; 2] = ["one", "none"];

impl Fault {
    fn begin(self, servers: &mut NatsCluster) {
        match self {
            Self::Frozen => servers.servers[LEADER].process().freeze(),
            Self::CutOff => servers.cut_off(LEADER),
            Self::CutOffFromOthers => servers.cut_off_from_others(LEADER),
            Self::Killed => servers.servers[LEADER].process().kill(),
        }
    }

    fn end(self, servers: &mut NatsCluster) {
        match self {
            Self::Frozen => servers.servers[LEADER].process().thaw(),
            Self::CutOff | Self::CutOffFromOthers => servers.mend(),
            Self::Killed => servers.servers[LEADER].restart(),
        }
    }
}

#[test]
#[ignore = "a minute of timeouts: make soak"]
fn a_leader_that_is_lost_proves_nothing_and_the_others_lead_to_the_verdict() {
    let cluster = lease();
    std::thread::scope(|scope| {
        for fault in [Fault::Frozen, Fault::CutOff, Fault::CutOffFromOthers, Fault::Killed] {
            let cluster: &Cluster = &cluster;
            scope.spawn(move || loses_its_leader(fault, cluster));
        }
    });
}

fn loses_its_leader(fault: Fault, cluster: &Cluster) {
    let mut servers = NatsCluster::start();
    let client = servers.servers[OTHER].client();
    for stream in STREAMS {
        client.stream(stream, 3, &Value::Null);
        client.consumer(stream, "worker", &Value::Null);
        lead(&client, stream);
    }
    client.publish("one.new", 1);
    let drain = |stream: &str| {
        let source = json!({"jetStream": {"servers": servers.urls(), "stream": stream, "consumers": ["worker"]}});
        Drain::new(cluster, &format!("{stream}-{fault:?}").to_lowercase(), &source, false)
    };
    let (one, none) = (drain("one"), drain("none"));
    let mut left = one.start("1 left", &PATIENT);
    none.becomes("empty");
    let mut empty = none.start("empty", &PATIENT);
    fault.begin(&mut servers);

    // What comes to the others the leader does not know.
    client.publish("none.new", 3);
    empty.until("3 left", &[PROVEN]);
    let done = SystemTime::now();
    client.acknowledge(&client.fetch("none", "worker", 3));
    // It may still be away: the others are a majority.
    assert!(empty.ends(0).contains(PROVEN), "{fault:?}");
    none.is_proven_after(done);

    fault.end(&mut servers);
    left.until("1 left", &["empty", PROVEN]);
    let done = SystemTime::now();
    client.acknowledge(&client.fetch("one", "worker", 1));
    assert!(left.ends(0).contains(PROVEN), "{fault:?}");
    one.is_proven_after(done);
}

/// Lets the server lead a stream and its consumer.
fn lead(client: &NatsClient, stream: &str) {
    let name = format!("n{}", LEADER + 1);
    let place = json!({"placement": {"preferred": name}});
    for (information, step_down) in
        [("STREAM.INFO", "STREAM.LEADER.STEPDOWN"), ("CONSUMER.INFO", "CONSUMER.LEADER.STEPDOWN")]
    {
        let of = if information == "STREAM.INFO" { stream.to_owned() } else { format!("{stream}.worker") };
        let leads = || {
            let leads = client.api(&format!("{information}.{of}"), &Value::Null)["cluster"]["leader"] == name;
            if !leads {
                client.ask_for(&format!("{step_down}.{of}"), &place);
            }
            leads
        };
        assert!(becomes(leads), "{name} does not lead {of}");
    }
}
