//! Certificates that hold, and what is found in those that do not.

use std::collections::BTreeMap;

use fairlead_backlog::sentinel::Published;
use serde_json::json;

use super::*;

const RULES: Rules =
    Rules { samples: 3, grace: Duration::from_secs(1), stall: Duration::from_secs(30), redelivery: Duration::from_secs(2) };

fn certificate(sources: &[Watched]) -> Value {
    let mut proof = Proof::new(RULES, sources.to_vec());
    let rests_on = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "a", "name": "b", "fields": {"spec": {"replicas": 0}}}]);
    let mut evidence = Evidence::begin(RULES, serde_json::from_value(rests_on).expect("valid"), Vec::new(), sources);
    for second in 0..9 {
        let at = Duration::from_secs(second);
        let left = if second == 0 { Left::Some(3) } else { Left::Empty };
        let ends = BTreeMap::from([("orders/0".to_owned(), 7)]);
        let reading = Reading { left, ends, redelivery: Some(Duration::from_secs(1)), ..Reading::unknown("") };
        let readings: Vec<Reading> = sources.iter().map(|_| reading.clone()).collect();
        let span = Span { from: at, to: at };
        let verdict = proof.add(span, &readings);
        evidence.add(&proof, span, &verdict, readings);
        if verdict == Verdict::Proven {
            break;
        }
    }
    sign(&serde_json::to_value(&evidence).expect("plain data"))
}

fn sign(seen: &Value) -> Value {
    let mut document =
        json!({"apiVersion": "fairlead.dev/v1", "kind": "Certificate", "phase": "Committed", "evidence": seen});
    document["digest"] = evidence::digest(&document).into();
    document
}

#[test]
fn a_certificate_holds_and_whatever_is_changed_in_it_is_found() {
    let sources = [("intake Deployment a/b", true), ("orders", false)];
    let sources = sources.map(|(name, is_intake)| Watched { name: name.to_owned(), is_intake });
    let good = certificate(&sources);
    assert!(
        verify(&good).expect("it holds").contains("orders was empty in 4 rounds in a row, over 3s, longer than the 2s of"),
        "{good}"
    );
    let said = verify(&good).expect("it holds");
    assert!(said.contains("; no end position moved from the first of them to the last; from "), "{said}");
    let mut changed = good.clone();
    changed["evidence"]["rules"]["samples"] = json!(1);
    assert!(verify(&changed).expect_err("changed").contains("it was changed"));
    let mut opened = good.clone();
    opened["openAgain"] = json!(["Deployment a/b: spec.replicas is 2, and was 0"]);
    opened["digest"] = evidence::digest(&opened).into();
    assert!(
        verify(&opened)
            .expect("it holds")
            .ends_with("; since then open again: Deployment a/b: spec.replicas is 2, and was 0")
    );
    let mut undone = good.clone();
    undone["phase"] = "RolledBack".into();
    assert!(verify(&undone).expect_err("changed").contains("it was changed"));
    undone["digest"] = evidence::digest(&undone).into();
    assert!(verify(&undone).expect_err("open again").contains("RolledBack"));
    // Signed anew, it still has to meet its rules.
    let cases: [(&str, Value, &str); 8] = [
        ("/isProven", json!(false), "it says itself"),
        ("/sources/1/end/left", json!({"some": 1}), "source orders was not empty"),
        ("/sources/1/end/ends", json!({"orders/0": 8}), "the end position orders/0 moved"),
        ("/sources/1/row/redelivery", json!({"secs": 60, "nanos": 0}), "not longer than the time of redelivery of 60s"),
        ("/sources/1/row", Value::Null, "source orders was not read"),
        ("/row", json!([{"fromMillis": 9000, "toMillis": 9000}]), "1 rounds are too few"),
        ("/closedAfterMillis", json!(4000), "before the intake was closed"),
        ("/rules/gracePeriodMillis", json!(60_000), "the grace period was not over"),
    ];
    for (pointer, value, expected) in cases {
        let mut seen = good["evidence"].clone();
        *seen.pointer_mut(pointer).expect(pointer) = value;
        let error = verify(&sign(&seen)).expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// A source with a sentinel and one without, behind a Service that was redirected.
fn with_sentinel() -> Value {
    let names = ["orders", "pods"];
    let sources = names.map(|name| Watched { name: name.to_owned(), is_intake: false });
    let mut proof = Proof::new(RULES, sources.to_vec());
    let service = json!({"apiVersion": "v1", "kind": "Service", "namespace": "a", "name": "front"});
    let mut rests_on = service.clone();
    rests_on["fields"] = json!({"spec": {"selector": {"app": "new"}}});
    let reached = json!([{"service": service, "url": "http://front", "id": "run", "status": 202, "expected": "HTTP 2xx",
        "tries": 3, "at": "2026-01-01T00:00:00.000Z", "tookMillis": 900}]);
    let read = |document: Value| serde_json::from_value(document).expect("valid");
    let reached = serde_json::from_value(reached).expect("valid");
    let mut evidence = Evidence::begin(RULES, vec![read(rests_on)], reached, &sources);
    for second in 0..9 {
        let at = Duration::from_secs(second);
        let (left, end) = if second < 2 { (Left::Some(1), 7) } else { (Left::Empty, 7) };
        let published = Published {
            id: "run".to_owned(),
            positions: json!({"orders/0": 6}),
            readers: "group workers".to_owned(),
            is_passed: second >= 2,
            is_last: true,
        };
        let orders = Reading {
            ends: BTreeMap::from([("orders/0".to_owned(), end)]),
            sentinel: Some(Sentinel::Published(published)),
            ..Reading::new(left)
        };
        let readings = vec![orders, Reading::new(Left::Empty)];
        let span = Span { from: at, to: at };
        let verdict = proof.add(span, &readings);
        evidence.add(&proof, span, &verdict, readings);
        if verdict == Verdict::Proven {
            break;
        }
    }
    evidence.began = "2026-01-01T00:00:01.000Z".to_owned();
    serde_json::to_value(&evidence).expect("plain data")
}

#[test]
fn a_certificate_says_what_a_sentinel_proves_and_where_new_connections_lead() {
    let seen = with_sentinel();
    let said = verify(&sign(&seen)).expect("it holds");
    let expected = "; orders: proven by a sentinel, published at 2026-01-01T00:00:01.000Z as orders/0 6, passed by group workers at \
                    2026-01-01T00:00:03.000Z; only observed: pods; new connections to Service a/front: http://front answered HTTP 202 \
                    at 2026-01-01T00:00:00.000Z after 3 tries, and HTTP 2xx was expected";
    assert!(said.ends_with(expected), "{said}");
    for (pointer, value, expected) in [
        ("/sources/0/end/sentinel/published/isPassed", json!(false), "source orders: group workers had not come past"),
        ("/sources/0/row/sentinel/published/positions", json!({"orders/0": 5}), "had not come past the sentinel"),
        ("/sources/0/sentinel", Value::Null, "source orders: its certificate does not say when"),
        ("/sources/0/sentinel/passedAfterMillis", Value::Null, "had not come past the sentinel"),
        ("/closedAfterMillis", json!(1500), "the sentinel was published before the intake was closed"),
        ("/reached/0/service/name", json!("back"), "through Service a/back, which was not redirected"),
        ("/reached/0/tries", json!(0), "the event through Service a/front was not answered"),
    ] {
        let mut seen = seen.clone();
        *seen.pointer_mut(pointer).expect(pointer) = value;
        let error = verify(&sign(&seen)).expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn time_alone_is_no_proof() {
    let none = certificate(&[]);
    assert!(verify(&none).expect_err("nothing was read").contains("nothing is proven"), "{none}");
}
