//! The other ways through a migration, one after the other, while events are published. They take minutes: `make soak` runs them.

use std::thread;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::node;
use fairlead_tests::program::{Ended, becomes};
use serde_json::json;

use super::MIGRATE;
use super::scene::Kyma;

/// Back to the armed revision.
fn back(kyma: &Kyma<'_>) {
    kyma.helm(&["rollback", "cluster-essentials", "1"]).expect(0);
    kyma.assert_old_side_serves();
}

fn migrate(kyma: &Kyma<'_>, more: &[&str]) -> Ended {
    kyma.essentials(&["upgrade"], &[&MIGRATE[..], more].concat())
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn whichever_way_it_goes_no_event_is_lost() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    let (load, began) = (kyma.load(), Instant::now());
    let say = |what: &str| println!("chain: {what} after {:?}", began.elapsed());

    // Slower than its events come: they wait in its durable.
    kyma.answer("stock", &json!({"afterMillis": 60}));
    migrate(&kyma, &[]).expect(0);
    kyma.answer("stock", &json!({}));
    back(&kyma);
    say("with a slow subscriber, and back");

    // Down for 20 seconds.
    kyma.answer("payments", &json!({"status": 503}));
    let patient = ["--set", "drainWaiter.args={--interval=1s,--stall=2m}"];
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| migrate(&kyma, &patient));
        wait(Duration::from_secs(20));
        kyma.answer("payments", &json!({}));
        upgrade.join().expect("it ends").expect(0);
    });
    back(&kyma);
    say("with a subscriber that was down, and back");

    // Down for longer than the drain may take.
    kyma.answer("payments", &json!({"status": 503}));
    let late = migrate(&kyma, &["--set", "drainWaiter.args={--interval=1s,--stall=10m},drainWaiter.runTimeout=40s"]);
    assert_ne!(late.status, Some(0), "{late:?}");
    kyma.answer("payments", &json!({}));
    kyma.assert_old_side_serves();
    say("over the deadline");

    // Helm goes back by itself, after the drain.
    kyma.odd(true);
    let refused = migrate(&kyma, &["--rollback-on-failure", "--timeout=10m"]);
    assert_ne!(refused.status, Some(0), "{refused:?}");
    kyma.odd(false);
    kyma.assert_old_side_serves();
    say("gone back by itself");

    // Helm is killed while the drain waits; its Jobs go on.
    kyma.kill_helm_when(&MIGRATE, || {
        let service = cluster.get("service", "kyma-system", "event-publish-service");
        service["spec"]["selector"]["app.kubernetes.io/name"] == "compatibility-layer"
    });
    let has_ended = || {
        cluster
            .kubectl(&[
                "get",
                "jobs",
                "-n",
                "kyma-system",
                "cluster-essentials-drain-waiter",
                "-o",
                "jsonpath={.status.conditions[*].type}",
            ])
            .stdout
            .contains("Complete")
    };
    assert!(becomes(has_ended), "the drain does not come to its end");
    back(&kyma);
    say("after Helm was killed");

    let verdict = load.end();
    println!("chain: {:#}", verdict.shown());
    assert_eq!((verdict.missing(), verdict.doubled()), (0, 0), "{:#}", verdict.shown());
}

/// Upgrades, failed upgrades and rollbacks, again and again.
#[test]
#[ignore = "takes an hour: `make soak` runs it"]
fn of_a_million_events_none_is_lost() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    let count = std::env::var_os("EVENTS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(1_000_000);
    let (load, began) = (kyma.load_times(3), Instant::now());
    while load.accepted() < count {
        kyma.odd(true);
        assert_ne!(migrate(&kyma, &[]).status, Some(0));
        kyma.odd(false);
        migrate(&kyma, &[]).expect(0);
        back(&kyma);
        println!("chain: {} events after {:?}", load.accepted(), began.elapsed());
    }
    let verdict = load.end();
    println!("chain: {:#}", verdict.shown());
    assert_eq!((verdict.missing(), verdict.doubled()), (0, 0), "{:#}", verdict.shown());
}

#[expect(clippy::disallowed_methods, reason = "so long the subscriber is down")]
fn wait(time: Duration) {
    thread::sleep(time);
}
