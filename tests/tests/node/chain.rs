//! The whole way from Kyma's legacy event bus to the event mesh, and back, while events are published; every one of them is counted.
//!
//! - `scene`: Kyma before the migration, each component in a release of its own
//! - `load`: the publishers, and the loss meter's verdict
//! - `ways`: the other ways through it, and `beside`: ours beside that of the proposal; they take minutes

mod beside;
mod load;
mod scene;
mod ways;

use std::time::Instant;

use fairlead_tests::cluster::node;
use fairlead_tests::program::becomes;
use serde_json::json;

use self::scene::Kyma;

const MIGRATE: [&str; 2] = ["--set", "kyma=migrate"];

/// Publishers go on through the upgrade, the removal of the old components, and all the way back.
#[test]
fn a_whole_chain_and_its_way_back_lose_no_event() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    let (load, began) = (kyma.load(), Instant::now());
    let say = |what: &str| println!("chain: {what} after {:?}", began.elapsed());
    kyma.essentials(&["upgrade"], &MIGRATE).expect(0);
    say("migrated");
    assert_eq!(kyma.legacy_kinds(), Vec::<String>::new());
    // The next component versions are without the legacy bus: Helm takes it away.
    kyma.components("false");
    say("without the legacy bus");
    kyma.essentials(&["upgrade"], &MIGRATE).expect(0);
    say("upgraded once more");
    for component in kyma.components_back() {
        component.expect(0);
    }
    kyma.helm(&["rollback", "cluster-essentials", "1"]).expect(0);
    say("back");
    assert!(cluster.list("triggers.eventing.knative.dev").is_empty());
    let verdict = load.end();
    println!("chain: {:#}", verdict.shown());
    verdict.assert_clean();
    assert!(verdict.accepted() > 2000, "{}", verdict.accepted());

    // The meter would have seen it: what waits for a subscriber goes with its durable, when nobody drains.
    kyma.answer("stock", &json!({"status": 503}));
    let load = kyma.load();
    cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-A", "--all"]).expect(0);
    kyma.answer("stock", &json!({}));
    assert!(load.end().missing() > 0);
}

/// Each failure leaves the old side as it was, and no event is lost.
#[test]
fn whatever_fails_on_the_way_no_event_is_lost() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    let (load, began) = (kyma.load(), Instant::now());
    let say = |what: &str| println!("chain: {what} after {:?}", began.elapsed());

    // Nobody takes the events of a Subscription: the drain does not come to its end.
    kyma.answer("stock", &json!({"status": 503}));
    let stalled =
        kyma.essentials(&["upgrade"], &[&MIGRATE[..], &["--set", "drainWaiter.args={--interval=1s,--stall=8s}"]].concat());
    assert_ne!(stalled.status, Some(0), "{stalled:?}");
    kyma.answer("stock", &json!({}));
    say("stalled");
    kyma.assert_old_side_serves();

    // A Subscription that cannot be replicated: the purge is refused after the drain.
    kyma.odd(true);
    let refused = kyma.essentials(&["upgrade"], &MIGRATE);
    assert_ne!(refused.status, Some(0), "{refused:?}");
    kyma.odd(false);
    say("refused");
    kyma.assert_old_side_serves();

    // The drain's pod is killed while it waits; the next one goes on.
    let killed = std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| kyma.essentials(&["upgrade"], &MIGRATE));
        let labels = ["get", "pods", "-n", "kyma-system", "-l", "app.kubernetes.io/name=drain-waiter", "-o", "json"];
        let is_closed = || {
            let service = cluster.get("service", "kyma-system", "event-publish-service");
            service["spec"]["selector"]["app.kubernetes.io/name"] == "compatibility-layer"
        };
        assert!(becomes(is_closed), "the Service is not redirected");
        let pods = cluster.kubectl(&labels).expect(0).json();
        let names: Vec<&str> =
            pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let kill = [&["delete", "pods", "-n", "kyma-system", "--grace-period=0", "--force"], &names[..]].concat();
        cluster.kubectl(&kill).expect(0);
        upgrade.join().expect("it ends")
    });
    killed.expect(0);
    say("killed and gone on");
    assert_eq!(kyma.legacy_kinds(), Vec::<String>::new());
    let verdict = load.end();
    println!("chain: {:#}", verdict.shown());
    assert_eq!((verdict.missing(), verdict.doubled()), (0, 0), "{:#}", verdict.shown());
}

/// Of many Triggers only a part becomes ready while a hook has time. The rest goes on behind the upgrade, and the next one drains and purges.
#[test]
fn a_large_installation_goes_over_in_two_upgrades() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    kyma.subscribe(large());
    let (load, began) = (kyma.load(), Instant::now());
    let say = |what: &str| println!("chain: {what} after {:?}", began.elapsed());
    let short = "kyma=replicate,triggerReplicator.runTimeout=40s,triggerReplicator.args={--ready-timeout,10m}";
    kyma.essentials(&["upgrade"], &["--set", short]).expect(0);
    say("replicated, as far as there was time");
    let background = ["-l", "app.kubernetes.io/name=background"];
    let complete = ["wait", "-n", "kyma-system", "--for=condition=Complete", "job", "--timeout=60m"];
    cluster.kubectl(&[&complete[..], &background].concat()).expect(0);
    say("all are ready");
    kyma.essentials(&["upgrade"], &MIGRATE).expect(0);
    say("migrated");
    assert_eq!(kyma.legacy_kinds(), Vec::<String>::new());
    let verdict = load.end();
    println!("chain: {:#}", verdict.shown());
    // Knative that makes so many Triggers ready is too busy here to answer each publisher in time; who has no answer sends again.
    assert_eq!((verdict.missing(), verdict.doubled()), (0, 0), "{:#}", verdict.shown());
}

/// How many Subscriptions nobody sends events to: `make soak` says 2000.
fn large() -> usize {
    std::env::var_os("SUBSCRIPTIONS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(200)
}
