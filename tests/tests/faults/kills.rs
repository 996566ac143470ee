//! Killed at each write, at three moments.

use std::time::Duration;

use fairlead_tests::cluster::Cluster;
use fairlead_tests::proxy::{Fault, Moment};
use fairlead_tests::state::{State, differences, of_kinds};
use serde_json::Value;

use crate::scenario::{Ends, Order, SHORT, Stage, at_once, clusters, counted, kind};

const MOMENTS: [Moment; 3] = [Moment::BeforeSent, Moment::AfterCommit, Moment::AfterAnswer];

/// What is done after the kill.
#[derive(Clone, Copy, Debug)]
enum Then {
    Rerun,
    Rollback,
    RerunAndRollback,
    /// Killed again at this write of the rerun, then rerun.
    KilledAgain(usize, Moment),
}

/// One kill, and what is done then.
#[derive(Clone, Copy, Debug)]
struct Point {
    order: Order,
    write: usize,
    moment: Moment,
    then: Then,
}

/// Everything in namespaces that no scenario has.
fn elsewhere(cluster: &Cluster) -> State {
    let mut state = of_kinds(cluster, "configmaps,secrets,deployments.apps,widgets.example.com,leases");
    let is_elsewhere = |object: &Value| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        namespace == "default" || namespace.starts_with("kube-") && object["kind"] != "Lease"
    };
    state.retain(|_, object| is_elsewhere(object));
    state
}

fn killed_at(stage: &Stage, order: Order, write: usize, moment: Moment) -> bool {
    let (ended, proxy) = stage.run(order, &[], move |asked| (asked.write == Some(write)).then_some(Fault::Kill(moment)));
    // Killed after the last answer it ends by itself, in time.
    assert!(proxy.has_killed() == ended.status.is_none(), "{}", ended.output());
    ended.status.is_none()
}

fn meet(stage: &Stage, point: Point, ends: &Ends) -> Result<(), String> {
    stage.reset();
    if point.order != Order::Apply {
        stage.run_to_the_end(Order::Apply).expect(0);
    }
    if point.order == Order::AfterHelm {
        stage.run_to_the_end(Order::BeforeHelm).expect(0);
    }
    killed_at(stage, point.order, point.write, point.moment);
    let mut outputs = Vec::new();
    let mut run = |order: Order, may: &[i32]| {
        let ended = stage.run_to_the_end(order);
        let is_expected = ended.status.is_some_and(|status| may.contains(&status));
        outputs.push(ended.output());
        if is_expected { Ok(()) } else { Err(format!("{order:?} ended with {:?}", ended.status)) }
    };
    let expected = match (point.order, point.then) {
        (Order::Apply, Then::Rerun) => run(Order::Apply, &[0]).map(|()| &ends.new),
        // 4: it had not begun, so there is nothing to take back.
        (Order::Apply, Then::Rollback) => run(Order::Rollback, &[0, 4]).map(|()| &ends.old),
        (Order::Apply, Then::RerunAndRollback) => {
            run(Order::Apply, &[0]).and_then(|()| run(Order::Rollback, &[0])).map(|()| &ends.old)
        }
        (Order::Apply, Then::KilledAgain(write, moment)) => {
            killed_at(stage, Order::Apply, write, moment);
            run(Order::Apply, &[0]).map(|()| &ends.new)
        }
        // An apply finishes what the rollback has begun, and then does its own work.
        (Order::Rollback, Then::Rerun) => run(Order::Apply, &[0]).map(|()| &ends.new),
        (Order::Rollback, Then::KilledAgain(write, moment)) => {
            killed_at(stage, Order::Rollback, write, moment);
            run(Order::Rollback, &[0, 4]).map(|()| &ends.old)
        }
        (Order::Rollback, _) => run(Order::Rollback, &[0, 4]).map(|()| &ends.old),
        (Order::BeforeHelm, _) => {
            // A step that runs now must not finish it: the old manifests are not there. 0: it had not begun.
            let has_begun = stage.phases().values().any(|phase| phase == "RollingBack");
            run(Order::Apply, if has_begun { &[4] } else { &[0] })
                .and_then(|()| run(Order::BeforeHelm, &[0]))
                .and_then(|()| run(Order::AfterHelm, &[0]))
                .map(|()| &ends.old)
        }
        (Order::AfterHelm, _) => run(Order::AfterHelm, &[0]).map(|()| &ends.old),
    };
    let all = outputs.join("\n---\n");
    let differences = differences(expected.map_err(|error| format!("{error}\n{all}"))?, &stage.state());
    if !differences.is_empty() {
        return Err(format!("{}\n{all}", differences.join("\n")));
    }
    let unfinished: Vec<_> = stage
        .phases()
        .into_iter()
        .filter(|(_, phase)| !["Committed", "RolledBack", "Planned"].contains(&phase.as_str()))
        .collect();
    if unfinished.is_empty() { Ok(()) } else { Err(format!("tickets {unfinished:?}\n{all}")) }
}

/// The writes of a run that nothing happens to, in words.
fn writes(stage: &Stage, order: Order) -> Vec<String> {
    let (ended, proxy) = stage.run(order, &[], |_| None);
    ended.expect(0);
    // Renewals come by the clock; they have a test of their own.
    proxy.asked().iter().filter(|asked| asked.write.is_some()).map(kind).filter(|kind| kind != "renew lease").collect()
}

#[test]
fn killed_at_any_write_it_ends_fully_new_or_exactly_old() {
    let clusters = clusters();
    let others = || -> Vec<State> { clusters.iter().map(elsewhere).collect() };
    let before = others();
    let first = Stage::new(&clusters[0], "kills");
    first.reset();
    let old = first.state();
    let forward = writes(&first, Order::Apply);
    let new = first.state();
    let back = writes(&first, Order::Rollback);
    assert_eq!(differences(&old, &first.state()), Vec::<String>::new());
    assert!(old.len() == 7 && new.len() == 6, "{} objects, then {}", old.len(), new.len());
    let done = at_once(clusters, "kills", points(forward.len(), back.len()), meet);
    for (before, after) in before.iter().zip(&others()) {
        assert_eq!(differences(before, after), Vec::<String>::new());
    }
    println!(
        "killed at {done} points: {} writes forward ({}), {} back ({})",
        forward.len(),
        counted(&forward),
        back.len(),
        counted(&back)
    );
}

/// As `helm rollback` goes back: one Job before Helm's manifests, another one after them.
#[test]
fn a_rollback_in_two_parts_that_is_killed_at_any_write_of_either_ends_exactly_old() {
    let first = Stage::new(&clusters()[0], "parts");
    first.reset();
    let old = first.state();
    writes(&first, Order::Apply);
    let [before, after] = [Order::BeforeHelm, Order::AfterHelm].map(|part| writes(&first, part));
    assert_eq!(differences(&old, &first.state()), Vec::<String>::new());
    let point = |order: Order, write: usize| {
        [Moment::BeforeSent, Moment::AfterCommit].map(|moment| Point { order, write, moment, then: Then::Rollback })
    };
    let points = (0..before.len()).flat_map(|write| point(Order::BeforeHelm, write));
    let points = points.chain((0..after.len()).flat_map(|write| point(Order::AfterHelm, write)));
    let done = at_once(clusters(), "parts", points.collect(), meet);
    println!(
        "a rollback in two parts killed at {done} points: {} writes before Helm's manifests ({}), {} after ({})",
        before.len(),
        counted(&before),
        after.len(),
        counted(&after)
    );
}

/// A lease is renewed by the clock: one write takes so long that it must be. And the next run takes over by the clock.
#[test]
fn killed_while_it_renews_its_lease_it_ends_fully_new_or_exactly_old() {
    let points = MOMENTS.into_iter().flat_map(|moment| [Then::Rerun, Then::Rollback].map(|then| (moment, then))).collect();
    let done = at_once(clusters(), "renewals", points, |stage, (moment, then): (Moment, Then), ends| {
        stage.reset();
        let (ended, proxy) = stage.run_for_its_lease(Order::Apply, &SHORT, move |asked| match kind(asked).as_str() {
            "renew lease" => Some(Fault::Kill(moment)),
            // Another kind of write than the first: it is under way when the lease is renewed.
            "create widgets" => Some(Fault::Delay(Duration::from_millis(1500))),
            _ => None,
        });
        assert!(ended.status.is_none() && proxy.has_killed(), "{}", ended.output());
        let (order, expected) =
            if matches!(then, Then::Rerun) { (Order::Apply, &ends.new) } else { (Order::Rollback, &ends.old) };
        let ended = stage.run_to_the_end(order);
        let differences = differences(expected, &stage.state());
        // 4: under load it was killed before it had begun.
        if matches!(ended.status, Some(0 | 4)) && differences.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\n{}", differences.join("\n"), ended.output()))
        }
    });
    println!("killed at {done} renewals of the lease");
}

fn points(forward: usize, back: usize) -> Vec<Point> {
    let mut points = Vec::new();
    for (order, writes, thens) in [
        (Order::Apply, forward, &[Then::Rerun, Then::Rollback, Then::RerunAndRollback][..]),
        (Order::Rollback, back, &[Then::Rollback, Then::Rerun]),
    ] {
        for write in 0..writes {
            for moment in MOMENTS {
                // After the answer is before the next write, but for what is then in memory only.
                let thens = if moment == Moment::AfterAnswer { &thens[..1] } else { thens };
                points.extend(thens.iter().map(|then| Point { order, write, moment, then: *then }));
            }
            // In the middle of its work, and again at each write of the run that goes on.
            let (moment, again) = (Moment::AfterCommit, Then::KilledAgain(write, Moment::AfterCommit));
            points.push(Point { order, write: writes / 2, moment, then: again });
        }
    }
    points
}
