//! Prometheus, which scrapes a page of the test every second.

use fairlead_tests::program::becomes;
use fairlead_tests::servers::document::Document;
use fairlead_tests::servers::process::closed_port;
use fairlead_tests::servers::prometheus::Prometheus;
use serde_json::{Value, json};

use crate::scene::{Opened, Secret, refused, try_open};

const ORDERS: &str = "lag{group=\"orders\"}";

fn query(server: &Prometheus, query: &str) -> Value {
    json!({"prometheus": {"url": server.url(), "query": query, "maxAge": "10m"}})
}

/// Opens it when the first sample is there.
fn opened(configuration: &Value) -> Opened {
    let mut opened = None;
    let is = becomes(|| {
        opened = try_open(configuration, &Secret::default()).ok();
        opened.is_some()
    });
    assert!(is, "{configuration} never has a series");
    opened.expect("it is there")
}

#[test]
fn values_are_added_up_and_what_is_gone_is_unknown() {
    let page = |orders: &str, other: &str| {
        format!("lag{{group=\"orders\",partition=\"0\"}} {orders}\nlag{{group=\"orders\",partition=\"1\"}} {other}\n")
    };
    let target = Document::start(&page("40", "2"));
    let server = Prometheus::start(target.port());
    let mut source = opened(&query(&server, ORDERS));
    let mut derived = query(&server, "sum(last_over_time(lag{group=\"orders\"}[1h]))");
    derived["prometheus"]["samples"] = json!(ORDERS);
    let mut derived = opened(&derived);
    let reading = source.becomes_left(42);
    assert!(reading.server.is_some_and(|server| server.starts_with("prometheus 2.")));
    derived.becomes_left(42);

    target.set(&page("0", "0"));
    source.becomes_empty();
    derived.becomes_empty();
    target.set(&page("NaN", "0"));
    source.becomes_unknown_after("is NaN");
    target.set(&page("-1", "0"));
    source.becomes_unknown_after("is -1");
    // Exporters say -2 of what they do not know, and a sum would make nothing of it and of two messages.
    target.set(&page("-2", "2"));
    derived.becomes_unknown_after("partition=\"0\"} is -2");

    // One series of two has gone: what is left of the other says nothing about it.
    target.set("lag{group=\"orders\",partition=\"0\"} 0\n");
    let gone = "partition=\"1\"} is gone";
    source.becomes_unknown_after(gone);
    // Such a query keeps the last value.
    derived.becomes_unknown_after(gone);
    target.set(&page("0", "0"));
    source.becomes_empty();

    // All have gone, as when the exporter is down.
    target.set_status(500);
    source.becomes_unknown_after("is gone");
    derived.becomes_unknown_after("is gone");
}

#[test]
fn a_series_of_the_result_that_goes_takes_its_backlog_along() {
    let page = |consumed: &str| format!("produced{{q=\"a\"}} 5\nproduced{{q=\"b\"}} 60\nconsumed{{q=\"a\"}} 5\n{consumed}");
    let target = Document::start(&page("consumed{q=\"b\"} 0\n"));
    let server = Prometheus::start(target.port());
    let mut difference = query(&server, "produced - consumed");
    difference["prometheus"]["samples"] = json!("produced");
    let mut source = opened(&difference);
    source.becomes_left(60);
    // Its exporter is gone with its consumer.
    target.set(&page(""));
    source.becomes_unknown("the series {instance=");
}

#[test]
fn an_answer_of_a_part_of_the_stores_is_not_whole() {
    let target = Document::start("lag 0\n");
    let server = Prometheus::start(target.port());
    opened(&query(&server, "lag"));
    let partial = Prometheus::start_with_remote(target.port(), closed_port());
    assert!(becomes(
        || refused(&query(&partial, "lag"), &Secret::default()).contains("the answer is not whole: remote_read: ")
    ));
}

#[test]
fn a_label_that_goes_with_a_consumer_is_left_out() {
    let page = |consumer: &str, left: u64| format!("lag{{partition=\"0\",consumer=\"{consumer}\"}} {left}\n");
    let target = Document::start(&page("c-1", 3));
    let server = Prometheus::start(target.port());
    let mut sum = query(&server, "sum by (partition) (lag)");
    sum["prometheus"]["samples"] = json!("lag");
    let mut strict = opened(&sum);
    sum["prometheus"]["by"] = json!(["partition"]);
    let mut source = opened(&sum);
    source.becomes_left(3);
    target.set(&page("", 0));
    source.becomes_empty();
    strict.becomes_unknown_after("consumer=\"c-1\"");
    target.set("other 0\n");
    source.becomes_unknown_after("partition=\"0\"} is gone");
}

#[test]
fn a_value_that_nobody_scrapes_any_more_is_old() {
    let target = Document::start("lag 0\n");
    let server = Prometheus::start(target.port());
    let mut configuration = query(&server, "lag");
    opened(&configuration);
    // Every sample is older than that.
    configuration["prometheus"]["maxAge"] = json!("1us");
    // But for one of this very moment.
    let mut source = opened(&configuration);
    source.becomes_unknown_after("nobody scrapes it");
}

#[test]
fn what_is_wrong_is_said_at_the_start() {
    let target = Document::start("lag 0\n");
    let server = Prometheus::start(target.port());
    opened(&query(&server, "lag"));
    let refusal = |of: &str| refused(&query(&server, of), &Secret::default());
    assert!(refusal("nope").contains("nope has no series"), "{}", refusal("nope"));
    assert!(
        refusal("sum(lag)").contains("\"sum(lag)\" is more than a selector; name under samples"),
        "{}",
        refusal("sum(lag)")
    );
    assert!(refusal("lag{").contains("more than a selector"), "{}", refusal("lag{"));
    assert!(refusal("lag{group=1}").contains("parse error"), "{}", refusal("lag{group=1}"));
    for (of, why) in
        [("sum(lag) or vector(0)", "vector(…), which answers where nothing is known"), ("sum(lag offset 1h)", "offset")]
    {
        let mut invented = query(&server, of);
        invented["prometheus"]["samples"] = json!("lag");
        let refusal = refused(&invented, &Secret::default());
        assert!(refusal.contains(why), "{refusal}");
    }
    let mut samples = query(&server, "sum(lag)");
    samples["prometheus"]["samples"] = json!("nope");
    let refusal = refused(&samples, &Secret::default());
    assert!(refusal.starts_with("nope has no series"), "{refusal}");
    samples["prometheus"]["maxAge"] = json!("0s");
    assert!(refused(&samples, &Secret::default()).contains("maxAge is 0"));
    let mut scalar = query(&server, "scalar(lag)");
    scalar["prometheus"]["samples"] = json!("lag");
    let refusal = refused(&scalar, &Secret::default());
    assert!(refusal.contains("the result is no vector"), "{refusal}");
    let mut more = query(&server, "lag");
    more["prometheus"]["series"] = json!(2);
    opened(&more).becomes_unknown("lag has 1 series, and at least 2 are expected");
    let other = json!({"prometheus": {"url": format!("http://127.0.0.1:{}", target.port()), "query": "lag"}});
    let refusal = refused(&other, &Secret::default());
    assert!(refusal.contains("answers something else than expected"), "{refusal}");
}
