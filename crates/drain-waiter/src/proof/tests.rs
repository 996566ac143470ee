//! Made-up histories of queues, whose truth is known: late acknowledgements, redeliveries, servers that do not answer, publishers that go on.

use super::*;
use serde_json::Value;

const SECOND: u64 = 1000;
const POLL: u64 = 5 * SECOND;
/// A round takes less.
const ROUND: u64 = 2 * SECOND;

/// A small generator of numbers: a history is its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below this number.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn is_one_of(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A message: when it is published, when it shows itself, and when it is acknowledged. Between two deliveries it may be invisible.
struct Message {
    published: u64,
    shown: Vec<(u64, u64)>,
    acknowledged: u64,
}

/// A queue with its messages.
struct Queue {
    messages: Vec<Message>,
    /// When the server does not answer, or only a follower that knows nothing.
    silent: Option<(u64, u64)>,
    redelivery: u64,
}

impl Queue {
    fn random(random: &mut Random, redelivery: u64, last_publish: u64) -> Self {
        let messages = (0..random.below(6)).map(|_| Message::random(random, redelivery, last_publish)).collect();
        let silent = random.is_one_of(4).then(|| (random.below(60 * SECOND), random.below(20 * SECOND)));
        Self { messages, silent: silent.map(|(from, long)| (from, from + long)), redelivery }
    }

    fn outstanding(&self, at: u64) -> usize {
        self.messages.iter().filter(|message| message.published <= at && at < message.acknowledged).count()
    }

    fn read(&self, at: u64) -> Reading {
        if self.silent.is_some_and(|(from, to)| (from..to).contains(&at)) {
            return Reading::unknown("no leader answers");
        }
        let is_shown = |message: &&Message| message.shown.iter().any(|(from, to)| (*from..*to).contains(&at));
        let shown = self.messages.iter().filter(is_shown).count() as u64;
        let end = self.messages.iter().filter(|message| message.published <= at).count() as u64;
        Reading {
            left: if shown == 0 { Left::Empty } else { Left::Some(shown) },
            largest: Vec::new(),
            hopeless: None,
            ends: BTreeMap::from([("queue".to_owned(), end)]),
            redelivery: Some(Duration::from_millis(self.redelivery)),
            publishers: vec!["shop".to_owned()],
            sentinel: None,
            warnings: Vec::new(),
            server: None,
            requests: 1,
            seen: Value::Null,
        }
    }

    /// From when on every reading says that it is empty, and is right.
    fn drained(&self) -> u64 {
        let messages = self.messages.iter().map(|message| message.acknowledged.max(message.published));
        messages.chain(self.silent.map(|(_, to)| to)).max().unwrap_or_default()
    }
}

impl Message {
    /// Delivered again and again until somebody acknowledges it. It shows itself at each delivery for long enough to be read.
    fn random(random: &mut Random, redelivery: u64, last_publish: u64) -> Self {
        let published = random.below(last_publish);
        let deliveries = 1 + random.below(4);
        let (mut at, mut shown) = (published, Vec::new());
        for _ in 1..deliveries {
            let visible = (POLL + 3 * SECOND + random.below(redelivery)).min(redelivery);
            shown.push((at, at + visible));
            at += redelivery;
        }
        let acknowledged = at + 1 + random.below(redelivery);
        shown.push((at, acknowledged));
        Self { published, shown, acknowledged }
    }
}

/// Plays a history, and returns when it was proven, if ever, and the truth at that moment.
fn play(seed: u64, is_patient: bool) -> Result<Option<u64>, String> {
    let mut random = Random(seed);
    let redelivery = 10 * SECOND + random.below(50 * SECOND);
    // A patient history ends: its publishers do, too.
    let last_publish = if is_patient || !random.is_one_of(3) { 1 + random.below(20 * SECOND) } else { 120 * SECOND };
    let queues: Vec<Queue> = (0..=random.below(3)).map(|_| Queue::random(&mut random, redelivery, last_publish)).collect();
    let stall = Duration::from_secs(if is_patient { 100_000 } else { 30 });
    let grace = Duration::from_secs(random.below(60));
    let rules = Rules { samples: 3, grace, stall, redelivery: Duration::ZERO };
    let watched = (0..queues.len()).map(|index| Watched { name: format!("queue {index}"), is_intake: false }).collect();
    let mut proof = Proof::new(rules, watched);
    let drained = queues.iter().map(Queue::drained).max().unwrap_or_default();
    // Whether a reading takes one message.
    let is_cheap = random.is_one_of(2);
    let mut from = random.below(POLL);
    for _ in 0..400 {
        let mut to = from;
        let mut read = |queue: &Queue| {
            let taken = random.below(ROUND);
            to = to.max(from + taken);
            queue.read(from + random.below(taken + 1))
        };
        let readings: Vec<Reading> = queues.iter().map(&mut read).collect();
        let span = Span { from: Duration::from_millis(from), to: Duration::from_millis(to) };
        match proof.add(span, &readings) {
            Verdict::Proven => {
                let left: usize = queues.iter().map(|queue| queue.outstanding(from)).sum();
                let row = proof.row();
                if left > 0 {
                    return Err(format!("{seed}: {left} are in flight at {from} ms, after {row:?}"));
                }
                // The row is counted from the end of its first round: the window is longer than the time of redelivery by that round.
                let window = (redelivery + ROUND).max(2 * POLL);
                // Two polls until the first round that sees it, where a reading is dear; the last round begins with the end of the window.
                let due = (drained + window + 2 * POLL).max(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) + 2 * POLL);
                if is_patient && from > due {
                    return Err(format!("{seed}: drained at {drained} ms, and proven only at {from} ms, due at {due} ms"));
                }
                return Ok(Some(from));
            }
            Verdict::Waiting(_) => {}
            // A publisher that went on, or a pause of the consumers: the gate is closed, which is never wrong.
            _ if !is_patient => return Ok(None),
            Verdict::Moved { .. } => return Ok(None),
            verdict => return Err(format!("{seed}: {verdict:?}")),
        }
        let pace = if is_cheap { POLL } else { 2 * POLL };
        let next = proof.next(span.from, Duration::from_millis(POLL), Duration::from_millis(pace));
        from = u64::try_from(next.as_millis()).expect("it is short");
    }
    if is_patient { Err(format!("{seed}: drained at {drained} ms, and never proven")) } else { Ok(None) }
}

fn soak(seeds: std::ops::Range<u64>) {
    let (mut proven, mut patient) = (0, 0);
    for seed in seeds.clone() {
        proven += usize::from(play(seed, false).unwrap_or_else(|wrong| panic!("{wrong}")).is_some());
        patient += usize::from(play(seed, true).unwrap_or_else(|wrong| panic!("{wrong}")).is_some());
    }
    let all = seeds.count();
    assert!(proven > all / 4 && patient > all / 2, "{proven} and {patient} of {all} are proven: the histories are too hard");
}

#[test]
fn no_history_is_taken_for_empty_that_is_not_and_each_that_is_gets_its_verdict_in_time() {
    soak(0..20_000);
}

/// `cargo test --release -p drain-waiter --lib -- --ignored`.
#[test]
#[ignore = "minutes: for make soak"]
fn no_history_of_a_million_is_taken_for_empty_that_is_not() {
    soak(0..1_000_000);
}

fn reading(left: u64, end: u64) -> Reading {
    let left = if left == 0 { Left::Empty } else { Left::Some(left) };
    let publishers = vec!["client shop".to_owned()];
    Reading { left, ends: BTreeMap::from([("orders/0".to_owned(), end)]), publishers, ..Reading::unknown("") }
}

/// Readings of one source, one each second; what follows from the last of them.
fn verdict(rules: Rules, readings: Vec<Reading>) -> Verdict {
    let mut proof = Proof::new(rules, vec![Watched { name: "orders".to_owned(), is_intake: false }]);
    let mut verdict = Verdict::Waiting(WaitingFor::Intake);
    for (second, reading) in (0_u64..).zip(readings) {
        let span = Span { from: Duration::from_secs(second), to: Duration::from_secs(second) };
        verdict = proof.add(span, &[reading]);
        if !matches!(verdict, Verdict::Waiting(_)) {
            break;
        }
    }
    verdict
}

const RULES: Rules = Rules { samples: 3, grace: Duration::ZERO, stall: Duration::from_secs(5), redelivery: Duration::ZERO };

#[test]
fn three_rounds_in_a_row_are_a_proof_and_two_are_none() {
    let waiting = Verdict::Waiting(WaitingFor::Samples);
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7)]), waiting);
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7), reading(0, 7)]), Verdict::Proven);
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7), reading(1, 7), reading(0, 7), reading(0, 7)]), waiting);
    let unknown = || Reading { ends: BTreeMap::new(), ..Reading::unknown("no answer") };
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7), unknown(), reading(0, 7)]), waiting);
}

#[test]
fn the_row_is_longer_than_the_time_of_redelivery_and_the_grace_period_is_over() {
    let rules = Rules { redelivery: Duration::from_secs(4), ..RULES };
    let empty = |count: usize| (0..count).map(|_| reading(0, 7)).collect::<Vec<_>>();
    assert_eq!(verdict(rules, empty(5)), Verdict::Waiting(WaitingFor::Samples));
    assert_eq!(verdict(rules, empty(6)), Verdict::Proven);
    let rules = Rules { grace: Duration::from_secs(9), ..RULES };
    assert_eq!(verdict(rules, empty(9)), Verdict::Waiting(WaitingFor::Grace));
    assert_eq!(verdict(rules, empty(10)), Verdict::Proven);
}

#[test]
fn what_does_not_go_on_is_named() {
    let same = |left: u64, end: u64| (0..8).map(move |_| reading(left, end)).collect::<Vec<_>>();
    let after = Duration::from_secs(5);
    let stalled = Verdict::Stalled { source: "orders".to_owned(), left: 3, largest: Vec::new(), is_intake: false, after };
    assert_eq!(verdict(RULES, same(3, 7)), stalled);
    let growing = (0..8).map(|round| reading(3 + round, 7)).collect();
    assert!(matches!(verdict(RULES, growing), Verdict::Stalled { left: 9, .. }));
    let shrinking = (0..8).map(|round| reading(9 - round, 7)).collect();
    assert_eq!(verdict(RULES, shrinking), Verdict::Waiting(WaitingFor::Backlog));
    let unreadable = Verdict::Unreadable { source: "orders".to_owned(), why: "no leader".to_owned() };
    assert_eq!(verdict(RULES, (0..8).map(|_| Reading::unknown("no leader")).collect()), unreadable);
    // Silence in between is no progress.
    let silent = || Reading { ends: BTreeMap::new(), ..Reading::unknown("no answer") };
    let flapping = (0..20).map(|round| if round % 2 == 0 { reading(3, 7) } else { silent() }).collect();
    assert!(matches!(verdict(RULES, flapping), Verdict::Stalled { left: 3, .. } | Verdict::Unreadable { .. }));
    let hopeless = Reading { hopeless: Some("durable d is offline".to_owned()), ..reading(3, 7) };
    let expected = Verdict::Hopeless { source: "orders".to_owned(), why: "durable d is offline".to_owned() };
    assert_eq!(verdict(RULES, vec![hopeless]), expected);
}

#[test]
fn who_still_publishes_is_named() {
    let expected = Verdict::Moved {
        source: "orders".to_owned(),
        position: "orders/0".to_owned(),
        publishers: vec!["client shop".to_owned()],
    };
    // After everything was empty, whether or not the message is there to be seen.
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7), reading(1, 8)]), expected);
    assert_eq!(verdict(RULES, vec![reading(0, 7), reading(0, 7), reading(0, 8)]), expected);
    // All the time, by a publisher whose consumer keeps up.
    assert_eq!(verdict(RULES, (0..8).map(|round| reading(0, round)).collect()), expected);
    assert_eq!(verdict(RULES, (0..8).map(|round| reading(1, round)).collect()), expected);
    // What consumers of one queue publish to the next one is no intake.
    let flows = vec![reading(2, 7), reading(1, 8), reading(0, 9), reading(0, 9), reading(0, 9)];
    assert_eq!(verdict(RULES, flows), Verdict::Proven);
}

#[test]
fn nothing_counts_before_the_intake_is_closed() {
    let sources =
        [("intake", true), ("orders", false)].map(|(name, is_intake)| Watched { name: name.to_owned(), is_intake });
    let mut proof = Proof::new(Rules { grace: Duration::from_secs(2), ..RULES }, sources.to_vec());
    let mut second = 0;
    let mut add = |pods: u64, left: u64| {
        second += 1;
        let span = Span { from: Duration::from_secs(second), to: Duration::from_secs(second) };
        let verdict = proof.add(span, &[Reading { ends: BTreeMap::new(), ..reading(pods, 0) }, reading(left, 7)]);
        (verdict, proof.closed())
    };
    assert_eq!(add(2, 0), (Verdict::Waiting(WaitingFor::Intake), None));
    assert_eq!(add(1, 0), (Verdict::Waiting(WaitingFor::Intake), None));
    let closed = Some(Duration::from_secs(3));
    assert_eq!(add(0, 0), (Verdict::Waiting(WaitingFor::Samples), closed));
    assert_eq!(add(0, 0), (Verdict::Waiting(WaitingFor::Samples), closed));
    assert_eq!(add(0, 0), (Verdict::Waiting(WaitingFor::Samples), closed));
    assert_eq!(add(0, 0), (Verdict::Proven, closed));
}

#[test]
fn without_a_source_the_grace_period_passes() {
    let mut proof = Proof::new(Rules { grace: Duration::from_secs(2), ..RULES }, Vec::new());
    let mut add = |second: u64| {
        let at = Duration::from_secs(second);
        proof.add(Span { from: at, to: at }, &[])
    };
    assert_eq!([0, 1].map(&mut add), [WaitingFor::Samples, WaitingFor::Samples].map(Verdict::Waiting));
    assert_eq!(add(2), Verdict::Proven);
}

#[test]
fn rounds_are_slower_while_something_is_left_and_the_last_one_comes_in_time() {
    let seconds = Duration::from_secs;
    let rules = Rules { redelivery: seconds(12), grace: seconds(60), ..RULES };
    let mut proof = Proof::new(rules, vec![Watched { name: "orders".to_owned(), is_intake: false }]);
    let mut next = |at: Duration, left: u64| {
        proof.add(Span { from: at, to: at }, &[reading(left, 7)]);
        let next = proof.next(at, seconds(5), seconds(10));
        (next, proof.may_end(next))
    };
    assert_eq!(next(seconds(0), 3), (seconds(10), false));
    // Over the time of redelivery, by the interval and then in even steps.
    assert_eq!(next(seconds(10), 0), (seconds(15), false));
    let (third, _) = next(seconds(15), 0);
    assert!(third > seconds(18) && third < seconds(19), "{third:?}");
    let (fourth, may_end) = next(third, 0);
    assert_eq!((fourth, may_end), (seconds(22) + Duration::from_millis(1), false));
    // Only the grace period is left.
    let (fifth, _) = next(fourth, 0);
    assert!(fifth > fourth + seconds(5), "{fifth:?}");
    let mut last = (fifth, false);
    while !last.1 {
        last = next(last.0, 0);
    }
    assert_eq!(last.0, seconds(60));
}

fn published(at: u64, is_last: bool) -> Sentinel {
    let [id, readers] = ["run", "consumer worker"].map(str::to_owned);
    Sentinel::Published(Published { id, positions: serde_json::json!({"orders": at}), readers, is_passed: true, is_last })
}

/// A consumer that forwards what it does not know, or another drain.
#[test]
fn who_publishes_behind_each_sentinel_is_told_and_gets_no_more_of_them() {
    let names = ["a", "b"].map(|name| Watched { name: name.to_owned(), is_intake: false });
    let mut proof = Proof::new(RULES, names.to_vec());
    let (mut orders, mut end, mut last) = (0, 5, Verdict::Proven);
    for second in 1..200 {
        let at = Duration::from_secs(second);
        let due = proof.sentinels_due();
        assert!(due.is_empty() || due == [1], "only the queue where something came gets another one: {due:?}");
        let is_due = second == 1 || !due.is_empty();
        if is_due {
            orders += 1;
            // The sentinel, and what is published for it before the reading.
            end += 2;
        }
        let Sentinel::Published(behind) = published(end - 2, false) else { unreachable!() };
        let behind = Sentinel::Published(Published { id: format!("run/{orders}"), ..behind });
        let quiet = Reading { sentinel: Some(published(1, true)), ..reading(0, 2) };
        last = proof.add(Span { from: at, to: at }, &[quiet, Reading { sentinel: Some(behind), ..reading(0, end) }]);
        if !matches!(last, Verdict::Waiting(_)) {
            break;
        }
    }
    assert!(last.message().starts_with("b: messages came behind each of 4 sentinels: "), "{last:?}");
    assert_eq!(orders, 4);
}

/// A sentinel has its own time: what was left before is none of it.
#[test]
fn stragglers_that_end_are_waited_for_with_another_sentinel_each() {
    let rules = Rules { redelivery: Duration::from_secs(5), ..RULES };
    let mut proof = Proof::new(rules, vec![Watched { name: "orders".to_owned(), is_intake: false }]);
    let (mut end, mut sentinel, mut left, mut id) = (6, 5, 1, 1);
    for second in 1..60 {
        if !proof.sentinels_due().is_empty() {
            (sentinel, end, left, id) = (end, end + 1, 1, id + 1);
        }
        // Old connections send two messages, each when the queue seems to be done.
        if second == 3 || second == 7 {
            end += 1;
        }
        let Sentinel::Published(one) = published(sentinel, end == sentinel + 1) else { unreachable!() };
        let one = Sentinel::Published(Published { id: id.to_string(), is_passed: left == 0, ..one });
        let at = Duration::from_secs(second);
        let verdict = proof.add(Span { from: at, to: at }, &[Reading { sentinel: Some(one), ..reading(left, end) }]);
        left = 0;
        match verdict {
            Verdict::Proven => return assert!(second > 15 && id == 3, "{second} {id}"),
            Verdict::Waiting(_) => {}
            other => panic!("{second}: {other:?}"),
        }
    }
    panic!("it is never proven");
}

/// Connections that were open when a Service was redirected go on for a while.
#[test]
fn a_sentinel_that_is_not_the_last_message_proves_nothing_and_another_one_is_due() {
    let mut proof = Proof::new(RULES, vec![Watched { name: "orders".to_owned(), is_intake: false }]);
    let mut second = 0;
    let mut add = |end: u64, sentinel: Sentinel| {
        second += 1;
        let at = Duration::from_secs(second);
        let verdict = proof.add(Span { from: at, to: at }, &[Reading { sentinel: Some(sentinel), ..reading(0, end) }]);
        (verdict, !proof.sentinels_due().is_empty())
    };
    let waiting = Verdict::Waiting;
    assert_eq!(add(6, published(5, true)), (waiting(WaitingFor::Samples), false));
    // While the end moves another one would be overtaken, too.
    assert_eq!(add(8, published(5, false)), (waiting(WaitingFor::Sentinel), false));
    assert_eq!(add(8, published(5, false)), (waiting(WaitingFor::Sentinel), true));
    // The row begins with the new one.
    assert_eq!(add(9, published(8, true)), (waiting(WaitingFor::Samples), false));
    assert_eq!(add(9, published(8, true)), (waiting(WaitingFor::Samples), false));
    assert_eq!(add(9, published(8, true)), (Verdict::Proven, false));
    // In a row it shows a publisher.
    assert!(matches!(add(10, published(8, false)).0, Verdict::Moved { .. }));
}

/// The stream was full, so the sentinel comes late.
#[test]
fn the_end_that_moves_for_a_sentinel_shows_no_publisher() {
    let rules = Rules { samples: 3, grace: Duration::ZERO, stall: Duration::from_secs(30), redelivery: Duration::ZERO };
    let verdict = |sentinel: Option<Sentinel>| {
        let mut proof = Proof::new(rules, vec![Watched { name: "orders".to_owned(), is_intake: false }]);
        let mut add = |second: u64, end: u64, sentinel: Option<Sentinel>| {
            let at = Duration::from_secs(second);
            let ends = BTreeMap::from([("orders".to_owned(), end)]);
            proof.add(Span { from: at, to: at }, &[Reading { ends, sentinel, ..Reading::new(Left::Some(1)) }])
        };
        add(0, 5, None);
        add(31, 6, sentinel)
    };
    assert!(matches!(verdict(None), Verdict::Moved { .. }));
    assert_eq!(verdict(Some(published(5, true))), Verdict::Waiting(WaitingFor::Backlog));
    let refused = verdict(Some(Sentinel::Refused("it is full".to_owned())));
    assert_eq!(refused.message(), "orders: the sentinel cannot be published: it is full");
}
