//! An API server that is slow, overloaded or forgetful.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, job, run};
use fairlead_tests::proxy::{Answer, Asked, Fault, Proxy};
use serde_json::json;

use crate::fixtures::{subscription, tickets};

fn apply_through(proxy: &Proxy, more: &[&str]) -> Ended {
    let mut command = job("trigger-replicator");
    command.args(["apply", "-o", "json", "--ledger-namespace", "default", "--kubeconfig"]).arg(proxy.kubeconfig());
    run(command.args(more), "")
}

fn subscriptions(cluster: &Cluster, count: usize) {
    cluster.create((0..count).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
}

fn is_creation(asked: &Asked) -> bool {
    asked.method == "POST" && asked.path.contains("/triggers")
}

/// A continue token lives as long as etcd keeps that state: five to ten minutes.
#[test]
fn a_list_that_expires_on_the_way_is_read_again_and_nothing_is_done_twice() {
    let cluster = lease();
    subscriptions(&cluster, 510);
    // The second page of the Subscriptions has gone, once.
    let proxy = Proxy::start(&cluster.account("trigger-replicator"), |asked| {
        let is_second_page =
            asked.path.contains("/subscriptions?") && asked.path.contains("continue=") && asked.earlier == 0;
        is_second_page.then_some(Fault::Instead(Answer::new(410, "Expired")))
    });
    let ended = apply_through(&proxy, &[]).expect(0);
    assert!(ended.stderr.contains("the list has expired, reading it again"), "{}", ended.stderr);
    assert_eq!(ended.json()["plan"]["changes"].as_array().map(Vec::len), Some(510));
    assert_eq!(proxy.asked().iter().filter(|asked| is_creation(asked)).count(), 510);
    assert_eq!(cluster.list("triggers").len(), 510);
}

#[test]
fn a_list_that_always_expires_is_given_up_before_anything_is_written() {
    let cluster = lease();
    subscriptions(&cluster, 510);
    let proxy = Proxy::start(&cluster.account("trigger-replicator"), |asked| {
        asked.path.contains("continue=").then_some(Fault::Instead(Answer::new(410, "Expired")))
    });
    let ended = apply_through(&proxy, &[]);
    assert!(ended.status == Some(1) && ended.stderr.contains("list subscriptions.eventing"), "{}", ended.output());
    assert!(tickets(&cluster).is_empty() && cluster.list("triggers").is_empty());
}

#[test]
fn an_overloaded_server_is_asked_again_as_it_says_and_with_less_at_once() {
    let cluster = lease();
    subscriptions(&cluster, 120);
    // From the 40th creation on, every one is refused once.
    let creations = std::sync::atomic::AtomicUsize::new(0);
    let proxy = Proxy::start(&cluster.account("trigger-replicator"), move |asked| {
        if !is_creation(asked) {
            return None;
        }
        let before = creations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (40..60)
            .contains(&before)
            .then_some(Fault::Instead(Answer { retry_after: Some(1), ..Answer::new(429, "TooManyRequests") }))
    });
    let ended = apply_through(&proxy, &["--concurrency", "16"]).expect(0);
    assert!(ended.stderr.contains("trying again") && ended.stderr.contains("pause=1s"), "{}", ended.stderr);
    assert_eq!(cluster.list("triggers").len(), 120);
    assert_eq!(proxy.asked().iter().filter(|asked| is_creation(asked)).count(), 140);
    assert!(proxy.most_in_flight() <= 16, "{}", proxy.most_in_flight());
    assert_eq!(ended.json()["outcome"], json!("Committed"));
}

#[test]
fn a_server_that_stays_overloaded_ends_the_run_which_can_be_resumed() {
    let cluster = lease();
    subscriptions(&cluster, 5);
    let proxy = Proxy::start(&cluster.account("trigger-replicator"), |asked| {
        is_creation(asked).then_some(Fault::Instead(Answer::new(429, "TooManyRequests")))
    });
    let ended = apply_through(&proxy, &["--request-timeout", "500ms"]).expect(75);
    assert!(ended.stderr.contains("error FL001"), "{}", ended.stderr);
    let mut again = cluster.job("trigger-replicator", &["apply", "--ledger-namespace", "default"]);
    run(&mut again, "").expect(0);
    assert_eq!(cluster.list("triggers").len(), 5);
}
