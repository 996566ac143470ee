//! From objects to the plan of flows, without a cluster.

use fairlead_migration::change::{Action, Change};
use fairlead_migration::plan::Plan;
use serde_json::{Value, json};

use crate::plan::tests::{created, edited, plan_from, refusals, warnings};

#[expect(clippy::needless_pass_by_value, reason = "it is made where it is passed")]
fn object(api_version: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn connector(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    object("applicationconnector.kyma-project.io/v1alpha1", kind, namespace, name, spec)
}

/// Application `shop` with the service `orders-id`, mapped and activated in namespace `orders`.
pub(crate) fn activated() -> Vec<Value> {
    let services = json!({"services": [{"id": "orders-id", "entries": [{"type": "Events"}]}]});
    vec![
        connector("Application", "", "shop", services),
        connector("ApplicationMapping", "orders", "shop", json!({})),
        connector("EventActivation", "orders", "orders-id", json!({"sourceId": "shop"})),
    ]
}

fn channel(name: &str) -> Value {
    labelled(
        object("messaging.knative.dev/v1", "Channel", "kyma-integration", name, json!({})),
        json!({"application-name": "shop"}),
    )
}

fn labelled(object: Value, labels: Value) -> Value {
    edited(object, "/metadata/labels", labels)
}

fn broker(address: Option<&str>) -> Value {
    let broker = object("eventing.knative.dev/v1", "Broker", "orders", "default", json!({}));
    match address {
        Some(url) => edited(broker, "/status", json!({"address": {"url": url}})),
        None => broker,
    }
}

/// One of each kind that flows are made of.
pub(crate) fn whole_flow() -> Vec<Value> {
    let carrying = brokersub("carries", "shop", "http://old.orders/");
    [activated(), vec![channel("shop"), broker(Some("http://new.orders/")), carrying, instance("it")]].concat()
}

/// As Kyma's application-broker made them.
fn brokersub(name: &str, channel: &str, uri: &str) -> Value {
    let spec = json!({"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": channel}, "subscriber": {"uri": uri}});
    let subscription = object("messaging.knative.dev/v1", "Subscription", "kyma-integration", name, spec);
    labelled(subscription, json!({"broker-namespace": "orders", "application-name": "shop"}))
}

fn instance(name: &str) -> Value {
    object(
        "servicecatalog.k8s.io/v1beta1",
        "ServiceInstance",
        "orders",
        name,
        json!({"serviceClassRef": {"name": "orders-id"}}),
    )
}

fn terminating(object: Value) -> Value {
    edited(object, "/metadata/deletionTimestamp", json!("2020-03-31T00:00:00Z"))
}

fn plan(more: &[Value]) -> Plan {
    plan_with(more, &[])
}

fn plan_with(more: &[Value], args: &[&str]) -> Plan {
    plan_from([activated().as_slice(), more].concat(), args)
}

fn kinds(plan: &Plan) -> Vec<String> {
    plan.changes().map(|change| format!("{} {}", change.action(), change.target)).collect()
}

const INGRESS: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/orders/default";

#[test]
fn an_activation_gets_a_broker_and_a_subscription() {
    let plan = plan(&[channel("shop-channel")]);
    let [broker, subscription] = created(&plan).try_into().expect("two objects");
    assert_eq!(
        (&broker["kind"], &broker["metadata"]),
        (&json!("Broker"), &json!({"namespace": "orders", "name": "default"}))
    );
    assert_eq!(subscription["metadata"]["namespace"], "kyma-integration");
    let labels = json!({"broker-namespace": "orders", "application-name": "shop", "application-service-id": "orders-id"});
    assert_eq!(subscription["metadata"]["labels"], labels);
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "shop-channel"});
    assert_eq!(subscription["spec"], json!({"channel": channel, "subscriber": {"uri": INGRESS}}));
    assert!(warnings(&plan).is_empty() && refusals(&plan).is_empty(), "{plan:?}");
    assert_eq!(plan.changes().map(|change| change.stage).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_second_run_has_nothing_to_do() {
    let first = plan(&[channel("shop")]);
    let second = plan(&[&[channel("shop")], created(&first).as_slice()].concat());
    assert_eq!((second.len(), second.unchanged().len()), (0, 2));
}

#[test]
fn a_way_that_is_there_and_not_ready_says_so_with_the_first_cause() {
    let unready = |object: Value, why: &str| {
        let ready = json!({"type": "Ready", "status": "False", "reason": "Broken", "message": why});
        let mut object = object;
        object["status"]["conditions"] = json!([ready]);
        object
    };
    let (bare, subscription) = (broker(Some("http://new.orders/")), brokersub("it", "shop", "http://new.orders/"));
    let carries = "Subscription kyma-integration/it: already carries the events of shop to orders";
    let is_there = "Broker orders/default: is there";
    for (more, expected) in [
        (vec![channel("shop"), bare.clone(), subscription.clone()], [is_there.to_owned(), carries.to_owned()]),
        (
            vec![channel("shop"), bare.clone(), unready(subscription.clone(), "not bound")],
            [is_there.to_owned(), format!("{carries}, but is not Ready: Ready: Broken: not bound")],
        ),
        (
            vec![unready(channel("shop"), "no backend"), bare.clone(), unready(subscription.clone(), "follows")],
            [
                is_there.to_owned(),
                format!("{carries}, but Channel kyma-integration/shop is not Ready: Ready: Broken: no backend"),
            ],
        ),
        (
            vec![unready(bare.clone(), "no ingress"), channel("shop"), subscription.clone()],
            [
                format!("{is_there}, but is not Ready: Ready: Broken: no ingress"),
                format!("{carries}, but Broker orders/default is not Ready: Ready: Broken: no ingress"),
            ],
        ),
        (
            vec![bare, subscription],
            [is_there.to_owned(), format!("{carries}, but Channel kyma-integration/shop is missing")],
        ),
    ] {
        let plan = plan(&more);
        let said: Vec<String> = plan.unchanged().iter().map(|it| format!("{}: {}", it.target, it.reason)).collect();
        assert_eq!((said, warnings(&plan).len()), (expected.to_vec(), 0));
    }
}

/// kyma-project/kyma#7193: provisioning failed for good, because the Channel was not there yet.
#[test]
fn a_channel_that_is_not_there_yet_is_named_like_its_application() {
    let subscription = created(&plan(&[broker(Some("http://broker.example/orders"))])).remove(0);
    assert_eq!(subscription["spec"]["channel"]["name"], "shop");
    let reasons: Vec<String> = plan(&[]).changes().map(|change| change.reason).collect();
    let missing = "carries the events of shop to orders, once Channel kyma-integration/shop is there: it is missing";
    assert!(reasons.iter().any(|reason| reason == missing), "{reasons:?}");
    assert_eq!(subscription["spec"]["subscriber"]["uri"], "http://broker.example/orders");
}

/// kyma-project/kyma#6342: a deprovisioning raced with a provisioning, and the namespace had no flow.
#[test]
fn a_deprovisioning_that_races_with_a_provisioning_does_not_take_the_flow() {
    let mut racing = activated();
    racing[2] = terminating(racing[2].clone());
    let stale = terminating(brokersub("brokersub-x", "shop", INGRESS));
    let plan_of =
        |more: &[Value]| plan_from([racing.as_slice(), &[channel("shop"), broker(None), stale.clone()], more].concat(), &[]);
    let with = plan_of(&[instance("stays"), terminating(instance("goes"))]);
    assert_eq!((created(&with).len(), warnings(&with)), (1, vec!["TR209"]));
    assert!(
        with.warnings()[0].message.ends_with("ServiceInstance stays asks for the same service"),
        "{:?}",
        with.warnings()
    );
    let without = plan_of(&[terminating(instance("goes"))]);
    assert_eq!((without.len(), refusals(&without), without.unchanged().len()), (0, vec![], 1));
}

#[test]
fn a_subscription_of_kymas_own_is_kept_and_only_a_wrong_address_is_corrected() {
    let here = "http://default-broker.orders.svc.cluster.local/";
    let same =
        plan(&[channel("shop"), broker(Some(here)), brokersub("brokersub-x", "shop", "http://default-broker.orders")]);
    assert_eq!((same.len(), same.unchanged().len()), (0, 2));
    let moved =
        plan(&[channel("shop"), broker(Some(INGRESS)), brokersub("brokersub-x", "shop", "http://default-broker.orders")]);
    let changes: Vec<Change> = moved.changes().collect();
    assert_eq!((changes.len(), changes[0].action(), changes[0].target.name.as_str()), (1, Action::Update, "brokersub-x"));
    assert_eq!(changes[0].after().expect("an update")["spec"]["subscriber"]["uri"], INGRESS);
    let foreign = edited(
        brokersub("brokersub-x", "shop", "http://default-broker.orders"),
        "/metadata/annotations",
        json!({"fairlead.dev/ticket": "billing/fairlead.v1.billing.1"}),
    );
    assert_eq!(refusals(&plan(&[channel("shop"), broker(Some(INGRESS)), foreign])), [("TR109", "brokersub-x")]);
}

#[test]
fn what_cannot_be_decided_is_refused() {
    let two = plan(&[channel("b"), channel("a")]);
    assert_eq!(refusals(&two), [("TR112", "orders-id")]);
    assert!(two.refusals()[0].message.ends_with("more than one Channel: a, b"), "{:?}", two.refusals());
    assert_eq!(refusals(&plan(&[channel("shop"), brokersub("x", "other", INGRESS)])), [("TR113", "x")]);
    assert_eq!(refusals(&plan(&[channel("shop"), terminating(broker(None))])), [("TR108", "default")]);

    let disabled =
        labelled(object("v1", "Namespace", "", "orders", json!({})), json!({"eventing.knative.dev/injection": "disabled"}));
    assert_eq!(refusals(&plan(&[channel("shop"), disabled.clone()])), [("TR114", "orders-id")]);
    assert_eq!(refusals(&plan(&[channel("shop"), disabled, broker(None)])), []);

    let activation = |source: Value| connector("EventActivation", "orders", "x", source);
    assert_eq!(refusals(&plan_from(vec![activation(json!({}))], &[])), [("TR110", "x")]);
    assert_eq!(refusals(&plan_from(vec![activation(json!({"sourceId": "gone"}))], &[])), [("TR111", "x")]);
    // Whoever sends to a Channel without an Application, it can be carried.
    let orphan = plan_from(vec![activation(json!({"sourceId": "shop"})), channel("shop")], &[]);
    assert_eq!((refusals(&orphan), created(&orphan).len()), (vec![], 2));

    let name = created(&plan(&[channel("shop")]))[1]["metadata"]["name"].clone();
    let taken = edited(labelled(brokersub("x", "shop", INGRESS), json!({})), "/metadata/name", name);
    assert_eq!(refusals(&plan(&[channel("shop"), taken.clone()]))[0].0, "TR107");
    assert_eq!(refusals(&plan(&[channel("shop"), terminating(taken)]))[0].0, "TR108");
    let odd = plan_from(vec![connector("EventActivation", "a b", "x", json!({"sourceId": "shop"})), channel("shop")], &[]);
    assert_eq!(refusals(&odd)[0].0, "TR115");
}

#[test]
fn several_services_of_an_application_share_a_flow() {
    let more = connector("EventActivation", "orders", "a-second-id", json!({"sourceId": "shop"}));
    let plan = plan(&[channel("shop"), more]);
    assert_eq!(created(&plan).len(), 2);
    assert_eq!(created(&plan)[1]["metadata"]["labels"]["application-service-id"], "a-second-id");
}

#[test]
fn what_is_odd_is_told() {
    let both = plan(&[channel("shop"), broker(None), brokersub("a", "shop", INGRESS), brokersub("b", "shop", INGRESS)]);
    assert_eq!((warnings(&both), both.len()), (vec!["TR208"], 0));
    let mapped = plan_from(activated().into_iter().skip(2).chain([channel("shop")]).collect(), &[]);
    assert_eq!(warnings(&mapped), ["TR206"]);
    let never = activated().into_iter().take(2).chain([instance("never")]);
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"},
        "spec": {"group": "applicationconnector.kyma-project.io", "names": {"kind": "EventActivation"}, "versions": [{"name": "v1alpha1"}]}});
    let never = plan_from(never.chain([definition]).collect(), &[]);
    assert_eq!((warnings(&never), never.len()), (vec!["TR207"], 0));
}

#[test]
fn namespaces_that_do_not_take_part_get_no_flow() {
    let going =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "orders"}, "status": {"phase": "Terminating"}});
    assert_eq!(refusals(&plan(&[channel("shop"), going])), [("TR105", "orders-id")]);
    let excluded = plan_with(&[channel("shop"), instance("x")], &["--exclude-namespace", "orders"]);
    assert_eq!((excluded.len(), excluded.unchanged().len()), (0, 1));
}

/// Without EventActivation the legacy bus delivered nothing.
#[test]
fn a_trigger_without_an_activation_is_made_and_told() {
    let subscription = object(
        "eventing.kyma-project.io/v1alpha1",
        "Subscription",
        "orders",
        "mail",
        json!({"source_id": "crm",
        "event_type": "a", "event_type_version": "v1", "endpoint": "http://mail.orders/"}),
    );
    let plan = plan(&[channel("shop"), subscription]);
    assert_eq!(created(&plan).iter().map(|it| &it["kind"]).collect::<Vec<_>>(), ["Broker", "Trigger", "Subscription"]);
    assert_eq!(warnings(&plan), ["TR205"]);
    assert_eq!(plan.warnings()[0].message, "no EventActivation lets its events into orders, so 1 Trigger delivers nothing");
}

#[test]
fn policies_and_sources_are_made_where_their_kinds_are_served() {
    let served = [
        object("authentication.istio.io/v1alpha1", "Policy", "elsewhere", "x", json!({})),
        object("sources.kyma-project.io/v1alpha1", "HTTPSource", "kyma-integration", "crm", json!({})),
    ];
    let first = plan(&[&[channel("shop")], served.as_slice()].concat());
    let [policy, _, source, _] = created(&first).try_into().expect("four objects");
    assert_eq!(policy["metadata"]["name"], "orders-broker");
    assert_eq!(policy["spec"]["peers"], json!([{"mtls": {"mode": "PERMISSIVE"}}]));
    assert_eq!((&source["metadata"]["name"], &source["spec"]), (&json!("shop"), &json!({"source": "shop"})));
    let second = plan(&[&[channel("shop")], served.as_slice(), created(&first).as_slice()].concat());
    assert_eq!((second.len(), second.unchanged().len()), (0, 4));
}

/// Before v1 Knative made Brokers itself, where a label asked for one.
#[test]
fn an_old_knative_is_asked_with_a_label() {
    for version in ["v1alpha1", "v1beta1"] {
        let namespace = object("v1", "Namespace", "", "orders", json!({}));
        let plan_of = |namespace: &Value| plan_with(&[channel("shop"), namespace.clone()], &[]);
        let old = |namespace: &Value| {
            let definitions = ["Broker", "Trigger"].map(|kind| definition("eventing.knative.dev", kind, version));
            let more = ["Channel", "Subscription"].map(|kind| definition("messaging.knative.dev", kind, version));
            plan_with(&[[channel("shop"), namespace.clone()].as_slice(), &definitions, &more].concat(), &[])
        };
        let first = old(&namespace);
        let changes: Vec<Change> = first.changes().collect();
        assert_eq!(kinds(&first)[0], "update Namespace orders");
        let after = changes[0].after().expect("an update").clone();
        assert_eq!(after["metadata"]["labels"], json!({"knative-eventing-injection": "enabled"}));
        let subscription = changes[1].after().expect("a creation");
        assert_eq!(subscription["apiVersion"], format!("messaging.knative.dev/{version}"));
        assert_eq!(subscription["spec"]["subscriber"]["uri"], "http://default-broker.orders.svc.cluster.local");
        assert_eq!(kinds(&old(&after)).len(), 1, "a namespace that asks already is not asked again");
        assert!(kinds(&plan_of(&namespace))[0].starts_with("create Broker"));
    }
}

fn definition(group: &str, kind: &str, version: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{kind}.{group}")},
        "spec": {"group": group, "names": {"kind": kind}, "versions": [{"name": version, "served": true}]}})
}

#[test]
fn a_flow_whose_labels_the_server_would_refuse_is_refused() {
    let long = "x".repeat(64);
    let by_hand = connector("EventActivation", "orders", &long, json!({"sourceId": "shop"}));
    let plan_of_one = |activation: Value, application: Value| plan_from(vec![activation, application, channel("shop")], &[]);
    let application = connector("Application", "", "shop", json!({}));
    let plan = plan_of_one(by_hand, application);
    assert_eq!(refusals(&plan), [("TR115", long.as_str())]);
    let message = &plan.refusals()[0].message;
    assert!(
        message.starts_with("metadata.labels.application-service-id would have 64 characters, and may have 63"),
        "{message}"
    );
    let activation = connector("EventActivation", "orders", "id", json!({"sourceId": long}));
    let plan = plan_of_one(activation, connector("Application", "", &long, json!({})));
    assert_eq!(refusals(&plan), [("TR115", "id")]);
}
