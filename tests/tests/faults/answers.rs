//! Every wrong answer, once at each kind of write, forward and back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fairlead_tests::proxy::{Answer, Asked, Fault, Moment};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::scenario::{Ends, Method, Order, SHORT, Stage, at_once, clusters, free_lease, kind};

/// What goes wrong. A delay is longer than a request may take in a [`SHORT`] run.
fn faults() -> Vec<(&'static str, Fault)> {
    let instead = |status, reason| Fault::Instead(Answer::new(status, reason));
    vec![
        ("401 instead", instead(401, "Unauthorized")),
        ("403 instead", instead(403, "Forbidden")),
        ("409 instead", instead(409, "Conflict")),
        ("410 instead", instead(410, "Gone")),
        ("422 instead", instead(422, "Invalid")),
        ("429 instead", Fault::Instead(Answer { retry_after: Some(1), ..Answer::new(429, "TooManyRequests") })),
        ("500 after the commit", Fault::AfterCommit(Answer::new(500, "InternalError"))),
        ("503 instead", instead(503, "ServiceUnavailable")),
        ("504 after the commit", Fault::AfterCommit(Answer::new(504, "Timeout"))),
        ("reset before it is sent", Fault::Reset(Moment::BeforeSent)),
        ("reset after the commit", Fault::Reset(Moment::AfterCommit)),
        ("half of the answer", Fault::Cut),
        ("no answer in time", Fault::Delay(Duration::from_millis(1200))),
    ]
}

fn kinds(stage: &Stage, order: Order) -> BTreeSet<String> {
    let (ended, proxy) = stage.run(order, &[], |_| None);
    ended.expect(0);
    proxy.asked().iter().filter(|asked| asked.write.is_some()).map(kind).filter(|kind| kind != "renew lease").collect()
}

/// An answer that is wrong once: the run does its work all the same, or takes back what it did, or says that it is to be run
/// again, and then does its work.
fn meet(stage: &Stage, order: Order, at: &'static str, fault: &Fault, ends: &Ends) -> Result<(), String> {
    let first = (0..10).find_map(|_| {
        stage.reset();
        if order == Order::Rollback {
            stage.run_to_the_end(Order::Apply).expect(0);
        }
        let more: &[&str] = if matches!(fault, Fault::Delay(_)) { &SHORT } else { &[] };
        let (fault, has_come) = (fault.clone(), AtomicBool::new(false));
        let (first, proxy) = stage.run(order, more, move |asked| {
            (kind(asked) == at && !has_come.swap(true, Ordering::SeqCst)).then(|| fault.clone())
        });
        // On a machine that is slow a run may lose its lease before.
        proxy.asked().iter().any(|asked| kind(asked) == at).then_some(first)
    });
    let first = first.ok_or_else(|| format!("{at} does not come"))?;
    let mut said = first.output();
    let mut status = first.status;
    if matches!(status, Some(5 | 75)) {
        // It may have been kept from giving it back.
        free_lease(&stage.api, &stage.name);
        let again = stage.run_to_the_end(order);
        said = format!("{said}\n--- again\n{}", again.output());
        status = again.status;
    }
    let (expected, which) = match (order, status) {
        (Order::Apply, Some(0)) => (&ends.new, "new"),
        (Order::Apply, Some(1 | 4 | 6)) | (Order::Rollback, Some(0)) => (&ends.old, "old"),
        // What it could not take back it names; once the cause is gone the same command does it.
        (Order::Rollback, Some(1 | 3 | 4 | 6)) => {
            let again = stage.run_to_the_end(order);
            said = format!("{said}\n--- again\n{}", again.output());
            (&ends.old, "old")
        }
        _ => return Err(format!("it ended with {status:?}\n{said}")),
    };
    let differences = differences(expected, &stage.state());
    if differences.is_empty() { Ok(()) } else { Err(format!("not {which}: {}\n{said}", differences.join("\n"))) }
}

#[test]
fn any_wrong_answer_to_any_kind_of_write_ends_fully_new_or_exactly_old() {
    let clusters = clusters();
    let stage = Stage::new(&clusters[0], "answers");
    stage.reset();
    let [forward, back] = [Order::Apply, Order::Rollback].map(|order| (order, kinds(&stage, order)));
    // Ticket and lease are written the same way in both directions.
    let back = (back.0, back.1.difference(&forward.1).cloned().collect());
    let faults = faults();
    let mut points = Vec::new();
    for (order, kinds) in [&forward, &back] {
        for kind in kinds {
            // The scenario ends with the process.
            let kind: &'static str = Box::leak(kind.clone().into_boxed_str());
            points.extend((0..faults.len()).map(|fault| (*order, kind, faults[fault].0, fault)));
        }
    }
    let done = at_once(clusters, "answers", points, |stage, (order, kind, _, fault), ends| {
        meet(stage, order, kind, &faults[fault].1, ends)
    });
    println!(
        "{done} wrong answers: {} at each of {} kinds of write forward and {} more back",
        faults.len(),
        forward.1.len(),
        back.1.len()
    );
}

/// Whoever takes back the rest goes by what the ledger says of the first part.
#[test]
fn neither_part_of_a_rollback_is_done_before_the_ledger_says_so() {
    let stage = Stage::new(&clusters()[0], "first-part");
    stage.reset();
    let old = stage.state();
    stage.run_to_the_end(Order::Apply).expect(0);
    let (denied, writes) = (Fault::Instead(Answer::new(403, "Forbidden")), AtomicUsize::new(0));
    let (ended, _) = stage.run(Order::BeforeHelm, &[], move |asked| {
        let is_end = kind(asked) == "patch ticket, phase RollingBack" && writes.fetch_add(1, Ordering::SeqCst) > 0;
        is_end.then(|| denied.clone())
    });
    assert!(ended.status != Some(0) && ended.stderr.contains("Ended before it was done"), "{}", ended.output());
    stage.run_to_the_end(Order::Apply).expect(4);
    stage.run_to_the_end(Order::BeforeHelm).expect(0);
    // Nor is the rest: the next upgrade would be refused.
    let denied = Fault::Instead(Answer::new(403, "Forbidden"));
    let at_end = move |asked: &Asked| (kind(asked) == "patch ticket, phase RolledBack").then(|| denied.clone());
    let (ended, _) = stage.run(Order::AfterHelm, &[], at_end);
    assert!(ended.status != Some(0) && ended.stderr.contains("Ended before it was done"), "{}", ended.output());
    stage.run_to_the_end(Order::AfterHelm).expect(0);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// A cluster may allow nobody to ask what he may, and then nobody knows.
#[test]
fn who_may_not_ask_for_permissions_is_told_which_rule_is_missing() {
    let stage = Stage::new(&clusters()[1], "unasked");
    stage.reset();
    let old = stage.state();
    let deny = |asked: &Asked| {
        let is_asked = asked.path.contains("/selfsubjectaccessreviews");
        is_asked.then(|| Fault::Instead(Answer::new(403, "Forbidden")))
    };
    let (refused, _) = stage.run(Order::Apply, &[], deny);
    let refused = refused.expect(4).stderr;
    assert!(refused.contains("error FL002: ") && refused.contains("create selfsubjectaccessreviews"), "{refused}");
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
    let answers = stage.ask_through(&["check", "--without-helm"], deny).expect(0).stdout;
    assert!(answers.contains("?   permissions: you may not ask what you may"), "{answers}");
}

/// What the server does not accept it repeats: 290 KB, more than an annotation holds.
#[test]
fn an_answer_that_repeats_a_large_object_is_recorded_in_short() {
    let stage = Stage::new(&clusters()[1], "long-answer");
    stage.reset();
    let old = stage.state();
    let variables: Vec<Value> = (0..30).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(9_700)})).collect();
    let containers = json!([{"name": "it", "image": "none", "env": variables}]);
    let spec = json!({"template": {"spec": {"restartPolicy": "Never", "containers": containers}}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "large"}, "spec": spec});
    stage.api.expect(&Method::POST, &stage.path("/apis/batch/v1", "jobs"), &job);
    let target = |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "namespace": "long-answer", "name": name});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "first", "namespace": "long-answer"}});
    let wanted = json!([
        {"target": target("v1", "ConfigMap", "first"), "object": map},
        {"target": target("batch/v1", "Job", "large"), "patch": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}},
    ]);
    stage.wish(&json!([{"name": "all", "kind": "expand", "undoAt": "post-rollback", "concurrency": 1, "wanted": wanted}]));
    for run in 1..=3 {
        let failed = stage.run_to_the_end(Order::Apply).expect(1).stderr;
        for word in ["failed to patch Job long-answer/large: ", "…", "field is immutable", "everything is as before"] {
            assert!(failed.contains(word), "{word}\n{failed}");
        }
        assert!(failed.len() < 10_000 && !failed.contains("the ledger lags behind"), "{failed}");
        assert_eq!(stage.phases()[&format!("fairlead.v1.long-answer.{run}")], "RolledBack");
    }
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
    let status = stage.ask(&["status"]).expect(0).stdout;
    assert!(status.contains("field is immutable") && status.lines().count() < 60, "{status}");
    assert!(status.lines().all(|line| line.len() < 700), "{status}");
    let endings = stage.ask(&["status", "-o", "json"]).expect(0).json()["outcomes"].clone();
    assert_eq!(endings.as_array().map(Vec::len), Some(3), "{endings}");
}
