//! Kafka on three brokers: partitions, the group and what is known of both are spread over them, and each may move or go away.

use std::time::SystemTime;

use fairlead_backlog::reading::Left;
use fairlead_tests::cluster::lease;
use fairlead_tests::link::Link;
use fairlead_tests::program::becomes;
use fairlead_tests::servers::kafka::Kafka;
use fairlead_tests::servers::talker::Talker;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::scene::{Secret, open, try_open};
use crate::waiting::{Drain, PATIENT, PROVEN};

/// Three brokers, 1 to 3, and a client that asks whichever is there.
struct Brokers {
    all: Vec<Kafka>,
    links: Vec<Link>,
    client: Talker,
}

impl Brokers {
    fn start() -> Self {
        let (all, links) = Kafka::cluster();
        let client = Kafka::client_of(&all);
        Self { all, links, client }
    }

    fn say(&mut self, line: &str) -> String {
        self.client.say(line)
    }

    fn broker(&mut self, id: usize) -> &mut Kafka {
        &mut self.all[id - 1]
    }

    /// What a group of the same name has left in a topic.
    fn source(&self, topic: &str) -> Value {
        let addresses: Vec<String> = self.links.iter().map(|link| format!("127.0.0.1:{}", link.port())).collect();
        json!({"kafka": {"brokers": addresses, "group": topic, "topics": [topic]}})
    }

    /// Makes a topic on these brokers with so many records in each partition, all of which its group has read.
    fn topic(&mut self, topic: &str, places: &[&str], records: usize) {
        self.say(&format!("place {topic} {}", places.join(" ")));
        for partition in 0..places.len() {
            self.say(&format!("produce {topic} {partition} {records}"));
            self.say(&format!("offset {topic} {topic} {partition} {records}"));
        }
    }

    /// Says something until it does not fail: the client, too, has to find out who is there.
    fn insist(&mut self, line: &str) {
        assert!(becomes(|| self.client.try_say(line).is_ok()), "{line}: it fails");
    }

    /// Waits until the client answers this.
    fn answers(&mut self, line: &str, is_so: impl Fn(&str) -> bool) {
        let is = becomes(|| self.client.try_say(line).is_ok_and(|answer| is_so(&answer)));
        assert!(is, "{line}: it does not answer that");
    }

    /// Waits until another broker than this leads the first partition.
    fn replaces(&mut self, topic: &str, broker: &str) {
        self.answers(&format!("leaders {topic}"), |all| {
            all.split(' ').next().is_some_and(|one| one != broker && one != "-1")
        });
    }
}

#[test]
#[ignore = "minutes on three brokers: make soak"]
fn each_broker_is_asked_for_what_it_leads_and_none_is_believed_that_may_have_been_replaced() {
    let mut brokers = Brokers::start();
    leaders_and_the_coordinator_move(&mut brokers);
    a_broker_is_killed(&mut brokers);
    the_first_broker_is_frozen(&mut brokers);
    a_leader_has_slept(&mut brokers);
}

fn leaders_and_the_coordinator_move(brokers: &mut Brokers) {
    brokers.topic("spread", &["1,2,3", "2,3,1", "3,1,2"], 5);
    brokers.say("produce spread 2 1");
    let mut source = open(&brokers.source("spread"));
    let reading = source.becomes_left(1);
    assert_eq!(reading.ends.values().collect::<Vec<_>>(), [&5, &5, &6]);
    // The offsets, and the ends of each leader.
    assert_eq!([source.read(), source.read()].map(|reading| reading.requests), [4, 4]);

    brokers.say("move spread 2 1,2,3");
    brokers.answers("leaders spread", |all| all == "1 2 1");
    source.becomes_left(1);
    let coordinator: u32 = brokers.say("coordinator spread").parse().expect("a number");
    let next = coordinator % 3 + 1;
    brokers.say(&format!("move __consumer_offsets 0 {next},{},{coordinator}", next % 3 + 1));
    brokers.answers("coordinator spread", |it| it == next.to_string());
    source.becomes_left(1);
    brokers.say("offset spread spread 2 6");
    source.becomes_empty();
}

/// What lies on one broker only is unknown without it; everything else goes on.
fn a_broker_is_killed(brokers: &mut Brokers) {
    let cluster = lease();
    brokers.topic("copied", &["2,1,3", "1,3,2"], 5);
    brokers.say("produce copied 0 1");
    brokers.topic("alone", &["1", "2", "3"], 5);
    let drain = |brokers: &Brokers, topic: &str| Drain::new(&cluster, topic, &brokers.source(topic), false);
    let (copied, alone) = (drain(brokers, "copied"), drain(brokers, "alone"));
    let mut source = open(&brokers.source("alone"));
    source.becomes_empty();
    let left = copied.start("1 left", &PATIENT);
    let mut empty = alone.start("empty", &PATIENT);
    brokers.broker(2).process().kill();
    source.becomes_unknown_after("alone/1 has no leader");
    brokers.replaces("copied", "2");
    open(&brokers.source("copied")).becomes_left(1);
    empty.until("not known", &[PROVEN]);
    let done = SystemTime::now();
    brokers.insist("offset copied copied 0 6");
    assert!(left.ends(0).contains(PROVEN));
    copied.is_proven_after(done);

    let back = SystemTime::now();
    brokers.broker(2).restart();
    source.becomes_empty();
    assert!(empty.ends(0).contains(PROVEN));
    alone.is_proven_after(back);
}

/// The first of those that the configuration names.
fn the_first_broker_is_frozen(brokers: &mut Brokers) {
    brokers.topic("first", &["1,2,3"], 5);
    brokers.say("produce first 0 1");
    let mut source = open(&brokers.source("first"));
    source.becomes_left(1);
    brokers.broker(1).process().freeze();
    brokers.replaces("first", "1");
    source.becomes_left(1);
    open(&brokers.source("first")).becomes_left(1);
    brokers.insist("offset first first 0 6");
    source.becomes_empty();
    brokers.broker(1).process().thaw();
    source.becomes_empty();
}

/// Nobody has told it what the others have got meanwhile, and it believes that it leads everything.
fn a_leader_has_slept(brokers: &mut Brokers) {
    let cluster = lease();
    brokers.topic("slept", &["1,2,3"], 5);
    brokers.say("move __consumer_offsets 0 1,2,3");
    brokers.answers("coordinator slept", |it| it == "1");
    let configuration = brokers.source("slept");
    let drain = Drain::new(&cluster, "slept", &configuration, false);
    let mut source = open(&configuration);
    source.becomes_empty();
    let mut waiting = drain.start("empty", &PATIENT);
    // Otherwise it may have proven what was so before the records came.
    waiting.signal(Signal::STOP);
    brokers.broker(1).process().freeze();
    brokers.replaces("slept", "1");
    brokers.say("produce slept 0 7");
    for id in [2, 3] {
        brokers.broker(id).process().freeze();
    }
    brokers.broker(1).process().thaw();
    for _ in 0..3 {
        source.renew();
        let reading = source.read();
        assert!(matches!(reading.left, Left::Unknown(_)), "{reading:?}");
    }
    assert!(try_open(&configuration, &Secret::default()).is_err(), "it is believed");
    waiting.signal(Signal::CONT);
    waiting.until("not known", &[PROVEN]);
    for id in [2, 3] {
        brokers.broker(id).process().thaw();
    }
    source.becomes_left(7);
    waiting.until("7 left", &[PROVEN]);
    let done = SystemTime::now();
    brokers.insist("offset slept slept 0 12");
    assert!(waiting.ends(0).contains(PROVEN));
    drain.is_proven_after(done);
}
