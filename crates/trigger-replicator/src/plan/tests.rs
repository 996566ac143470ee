//! From objects to the plan, without a cluster.

use clap::Parser as _;
use fairlead_migration::change::Action;
use fairlead_observe::kind::Asked;
use fairlead_observe::manifests::Manifests;
use fairlead_observe::source::Source;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::args::{Args, Command};
use crate::replicas::REPLICATED_FROM;

fn subscription(name: &str) -> Value {
    json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "orders", "name": name},
        "spec": {"source_id": "shop", "event_type": "order.created", "event_type_version": "v1", "endpoint": "http://mail.orders:8080/in"},
    })
}

pub(crate) fn edited(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
    object.pointer_mut(parent).expect(pointer)[field.replace("~1", "/")] = value;
    object
}

fn plan_of(objects: &[Value]) -> Plan {
    plan_with(objects, &[])
}

/// With Brokers where these tests have Subscriptions.
fn plan_with(objects: &[Value], args: &[&str]) -> Plan {
    let brokers = ["orders", "going"].map(|namespace| {
        json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": namespace, "name": "default"}})
    });
    plan_from([objects, &brokers].concat(), args)
}

pub(crate) fn plan_from(objects: Vec<Value>, args: &[&str]) -> Plan {
    try_plan(objects, args).expect("objects that a server could have")
}

/// What is wrong with the input, or with what it asks for, is an error. Files are read without waiting for anything, so any
/// runtime will do.
fn try_plan(objects: Vec<Value>, args: &[&str]) -> Result<Plan, String> {
    let args = Args::try_parse_from(["trigger-replicator", "plan", "--release", "shop"].iter().chain(args)).expect("flags");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let Command::Plan(plan) = &args.command else { panic!("it plans") };
    let mut manifests = Manifests::new(Asked::Only(&crate::older::READ), plan.knative_version.as_str());
    for (document, object) in objects.into_iter().enumerate() {
        manifests.add(&"f.yaml".into(), document, object)?;
    }
    let manifests = manifests.sorted();
    runtime.block_on(crate::make::make_plan(&Source::Manifests(&manifests), &args)).map_err(|error| format!("{error:?}"))
}

pub(crate) fn created(plan: &Plan) -> Vec<Value> {
    plan.changes().filter(|change| change.action() == Action::Create).filter_map(|change| change.after().cloned()).collect()
}

pub(crate) fn refusals(plan: &Plan) -> Vec<(&str, &str)> {
    plan.refusals().iter().map(|refusal| (&*refusal.code, refusal.target.name.as_str())).collect()
}

pub(crate) fn warnings(plan: &Plan) -> Vec<&str> {
    plan.warnings().iter().map(|warning| &*warning.code).collect()
}

/// The Trigger that the plan for `objects` creates, as the server would store it.
fn replica(objects: &[Value]) -> Value {
    created(&plan_of(objects)).first().cloned().expect("one Trigger is created")
}

#[test]
fn a_subscription_becomes_a_trigger() {
    let labelled = edited(subscription("mail"), "/metadata/labels", json!({"function": "mail", "helm.sh/chart": "shop-1"}));
    let trigger = replica(&[labelled]);
    assert_eq!(trigger["metadata"]["labels"], json!({"function": "mail", "eventing.knative.dev/broker": "default"}));
    assert_eq!(trigger["metadata"]["annotations"], json!({"fairlead.dev/replicated-from": "orders/mail"}));
    assert_eq!(
        trigger["spec"],
        json!({
            "broker": "default",
            "filter": {"attributes": {"source": "shop", "type": "order.created", "eventtypeversion": "v1"}},
            "subscriber": {"uri": "http://mail.orders:8080/in"},
        })
    );
}

#[test]
fn no_tracking_label_is_carried_over() {
    let tracking = json!({
        "app.kubernetes.io/instance": "argo", "app.kubernetes.io/managed-by": "Helm", "argocd.argoproj.io/instance": "argo",
        "kustomize.toolkit.fluxcd.io/name": "apps", "helm.toolkit.fluxcd.io/name": "apps", "helm.sh/chart": "shop-1",
        "heritage": "Helm", "applyset.kubernetes.io/part-of": "x", "app.kubernetes.io/name": "kept",
    });
    let trigger = replica(&[edited(subscription("mail"), "/metadata/labels", tracking)]);
    assert_eq!(
        trigger["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "kept", "eventing.knative.dev/broker": "default"})
    );
}

#[test]
fn the_second_run_has_nothing_to_do() {
    let subscriptions = [subscription("mail"), edited(subscription("paid"), "/spec/event_type", json!("order.paid"))];
    let first = plan_of(&subscriptions);
    let all: Vec<Value> = subscriptions.into_iter().chain(created(&first)).collect();
    let second = plan_of(&all);
    assert_eq!((first.len(), second.len(), second.unchanged().len()), (2, 0, 2));
    assert!(second.warnings().is_empty() && second.refusals().is_empty());
}

#[test]
fn identical_deliveries_share_one_trigger() {
    let same = |name, endpoint: &str| edited(subscription(name), "/spec/endpoint", json!(endpoint));
    let subscriptions = [
        same("b", "http://mail.orders.svc.cluster.local:8080/in"),
        same("a", "http://mail.orders.svc:8080/in"),
        same("c", "http://mail.orders:8080/in"),
    ];
    let trigger = replica(&subscriptions);
    assert_eq!(created(&plan_of(&subscriptions)).len(), 1);
    assert_eq!(trigger["metadata"]["annotations"][REPLICATED_FROM], "orders/a,orders/b,orders/c");
    assert_eq!(trigger["spec"]["subscriber"]["uri"], "http://mail.orders.svc:8080/in");
    assert_eq!(trigger["metadata"]["name"], replica(&[subscription("z")])["metadata"]["name"]);
}

#[test]
fn different_labels_of_one_delivery_are_told() {
    let labelled = |name, value: &str| edited(subscription(name), "/metadata/labels", json!({"function": value}));
    let plan = plan_of(&[labelled("b", "second"), labelled("a", "first")]);
    assert_eq!(created(&plan)[0]["metadata"]["labels"]["function"], "first");
    assert_eq!(warnings(&plan), ["TR203"]);
}

#[test]
fn a_replica_learns_of_another_subscription() {
    let trigger = replica(&[subscription("a")]);
    let plan = plan_of(&[subscription("a"), subscription("b"), trigger.clone()]);
    let change = plan.changes().next().expect("it has one");
    assert_eq!(plan.len(), 1);
    assert_eq!(change.action(), Action::Update);
    let after = change.after().expect("an update has an after");
    assert_eq!(after["metadata"]["annotations"][REPLICATED_FROM], "orders/a,orders/b");
    assert_eq!(after["spec"], trigger["spec"]);
}

#[test]
fn a_replica_of_another_release_is_not_changed() {
    let of = |release: &str| {
        let ticket = json!(format!("default/fairlead.v1.{release}.7"));
        let trigger = edited(replica(&[subscription("a")]), "/metadata/annotations/fairlead.dev~1ticket", ticket);
        plan_of(&[subscription("a"), subscription("b"), trigger])
    };
    assert_eq!((of("shop").len(), refusals(&of("shop"))), (1, vec![]));
    let other = of("billing.eu");
    assert_eq!((other.len(), refusals(&other)[0].0), (0, "TR109"));
    assert!(other.refusals()[0].message.starts_with("release billing.eu has made it"), "{}", other.refusals()[0].message);
}

#[test]
fn a_replica_for_which_no_subscription_asks_is_warned_of() {
    let typed = |name: &str| edited(subscription(name), "/spec/event_type", json!(name));
    let replicas: Vec<Value> = ["a", "b", "c", "d"].iter().flat_map(|name| created(&plan_of(&[typed(name)]))).collect();
    let with = |subscriptions: &[Value], args: &[&str]| plan_with(&[subscriptions, &replicas].concat(), args);
    let plan = with(&[typed("a"), subscription("other")], &[]);
    assert_eq!((warnings(&plan), plan.unchanged().len()), (vec!["TR214"], 1));
    let name = |index: usize| replicas[index]["metadata"]["name"].as_str().expect("text");
    assert_eq!(
        plan.warnings()[0].message,
        format!(
            "it delivers to http://mail.orders:8080/in although Subscription orders/b is gone or asks for something else \
             (kubectl delete triggers.eventing.knative.dev {} -n orders); so does orders/{} to http://mail.orders:8080/in; \
             so does orders/{} to http://mail.orders:8080/in",
            name(1),
            name(2),
            name(3),
        )
    );
    assert_eq!(plan.warnings()[0].target.name, name(1));
    let none = with(&[subscription("other")], &[]);
    assert!(none.warnings()[0].message.ends_with("; and 1 more"), "{}", none.warnings()[0].message);
    // One that was edited asks for something else; one that is refused may ask for it again.
    let paid = edited(subscription("a"), "/spec/event_type", json!("order.paid"));
    assert_eq!(warnings(&with(&[paid, typed("b"), typed("c"), typed("d")], &[])), ["TR214"]);
    let broken = edited(typed("a"), "/spec/endpoint", json!("ftp://x"));
    assert_eq!(warnings(&with(&[broken, typed("b"), typed("c"), typed("d")], &[])), Vec::<&str>::new());
    assert_eq!(warnings(&with(&[subscription("other")], &["--exclude-namespace", "orders"])), Vec::<&str>::new());
    let leaving: Vec<Value> =
        replicas.iter().map(|it| edited(it.clone(), "/metadata/deletionTimestamp", json!("2020-03-31T00:00:00Z"))).collect();
    assert_eq!(warnings(&plan_of(&[leaving, vec![subscription("other")]].concat())), Vec::<&str>::new());
    // A purge has removed the kind: the Triggers have taken the place of the Subscriptions.
    assert_eq!(warnings(&with(&[], &[])), Vec::<&str>::new());
}

#[test]
fn an_equal_trigger_of_others_is_left_as_it_is() {
    let mut trigger = edited(replica(&[subscription("a")]), "/metadata/name", json!("by-hand"));
    trigger["metadata"]["annotations"] = json!({});
    let plan = plan_of(&[subscription("a"), trigger]);
    assert_eq!((plan.len(), plan.unchanged().len()), (0, 1));
    assert!(plan.unchanged().iter().all(|it| it.reason.contains("made by others")), "{:?}", plan.unchanged());
}

#[test]
fn a_trigger_that_may_deliver_twice_is_warned_of() {
    let replica = replica(&[subscription("a")]);
    let mut wider = edited(replica.clone(), "/metadata/name", json!("wider"));
    wider["spec"]["filter"] = json!({});
    let reference = json!({"ref": {"apiVersion": "v1", "kind": "Service", "name": "mail"}});
    let by_reference = edited(edited(replica.clone(), "/metadata/name", json!("ref")), "/spec/subscriber", reference);
    let twice = edited(replica.clone(), "/metadata/name", json!("twice"));
    let plan = plan_of(&[subscription("a"), wider, by_reference]);
    assert_eq!((created(&plan).len(), warnings(&plan)), (1, vec!["TR201"]));
    assert!(plan.warnings()[0].message.ends_with("as Trigger ref, wider"), "{}", plan.warnings()[0].message);
    let plan = plan_of(&[subscription("a"), replica, twice]);
    assert_eq!((plan.len(), warnings(&plan)), (0, vec!["TR201"]));
}

#[test]
fn a_name_taken_by_a_foreign_trigger_is_refused() {
    let foreign = edited(replica(&[subscription("a")]), "/spec/subscriber", json!({"uri": "http://elsewhere.orders/"}));
    let other = edited(subscription("b"), "/spec/event_type", json!("order.paid"));
    let plan = plan_of(&[subscription("a"), other, foreign.clone()]);
    assert_eq!((refusals(&plan)[0].0, created(&plan).len()), ("TR107", 1));
    let terminating = edited(replica(&[subscription("a")]), "/metadata/deletionTimestamp", json!("2020-03-31T00:00:00Z"));
    assert_eq!(refusals(&plan_of(&[subscription("a"), terminating]))[0].0, "TR108");
}

#[test]
fn what_cannot_be_replicated_is_refused_and_stops_nobody() {
    let with = |name: &str, pointer: &str, value: Value| edited(subscription(name), pointer, value);
    let plan = plan_of(&[
        with("no-endpoint", "/spec/endpoint", Value::Null),
        with("ftp", "/spec/endpoint", json!("ftp://mail.orders/in")),
        with("relative", "/spec/endpoint", json!("mail.orders/in")),
        with("empty", "/spec/source_id", json!("")),
        with("number", "/spec/event_type_version", json!(1)),
        with("strange", "/spec", json!({"topic": "x"})),
        with("leaving", "/metadata/deletionTimestamp", json!("2020-03-31T00:00:00Z")),
        with("in-a-leaving-namespace", "/metadata/namespace", json!("going")),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}, "status": {"phase": "Terminating"}}),
        subscription("good"),
    ]);
    let mut found = refusals(&plan);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("TR101", "no-endpoint"),
            ("TR102", "ftp"),
            ("TR102", "relative"),
            ("TR103", "empty"),
            ("TR103", "number"),
            ("TR104", "strange"),
            ("TR105", "in-a-leaving-namespace"),
            ("TR106", "leaving"),
        ]
    );
    assert_eq!(created(&plan).len(), 1);
    assert!(plan.refusals().iter().all(|refusal| !refusal.hint.is_empty()));
}

#[test]
fn system_and_excluded_namespaces_and_later_shapes_are_left_out() {
    let within = |namespace: &str| edited(subscription("a"), "/metadata/namespace", json!(namespace));
    let later = edited(subscription("later"), "/spec", json!({"sink": "http://a.orders.svc.cluster.local", "filter": {}}));
    let plan =
        plan_with(&[within("kyma-system"), within("natss"), within("sandbox"), later], &["--exclude-namespace", "sandbox"]);
    assert!(plan.is_empty() && plan.refusals().is_empty());
    assert_eq!(plan.unchanged().len(), 4);
}

#[test]
fn a_namespace_that_is_left_out_is_one_line() {
    let within = |name: &str| edited(subscription(name), "/metadata/namespace", json!("sandbox"));
    let activation = json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "EventActivation",
        "metadata": {"namespace": "sandbox", "name": "id"}, "spec": {"sourceId": "shop"}});
    let plan = plan_with(&[within("a"), within("b"), within("c"), activation], &["--exclude-namespace", "sandbox"]);
    let lines: Vec<String> = plan.unchanged().iter().map(|it| format!("{}: {}", it.target, it.reason)).collect();
    assert_eq!(lines, ["Namespace sandbox: left out, sandbox is excluded, with 3 Subscriptions and 1 EventActivation"]);
}

#[test]
fn subscriptions_of_the_older_group_are_mentioned() {
    assert_eq!(warnings(&plan_of(&[subscription("a")])), Vec::<&str>::new());
    let older = edited(subscription("b"), "/apiVersion", json!("eventing.kyma.cx/v1alpha1"));
    let plan = plan_of(&[subscription("a"), older]);
    assert_eq!(warnings(&plan), ["TR212"]);
    assert!(plan.warnings()[0].message.ends_with("eventing.kyma.cx are not read: 1"), "{}", plan.warnings()[0].message);
}

#[test]
fn a_trigger_with_exact_filters_is_no_double_but_the_one_that_is_needed() {
    let attributes = json!({"source": "shop", "type": "order.created", "eventtypeversion": "v1"});
    let by_hand = edited(replica(&[subscription("a")]), "/metadata", json!({"namespace": "orders", "name": "by-hand"}));
    let by_hand = edited(edited(by_hand, "/spec/filter", Value::Null), "/spec/filters", json!([{"exact": attributes}]));
    let plan = plan_of(&[subscription("a"), by_hand]);
    assert_eq!((plan.len(), warnings(&plan)), (0, vec![]));
}

#[test]
fn objects_without_a_namespace_are_all_in_the_default_one() {
    let nowhere = |object: Value| edited(object, "/metadata/namespace", Value::Null);
    let trigger = replica(&[nowhere(subscription("a"))]);
    assert_eq!(trigger["metadata"]["namespace"], "default");
    let plan = plan_of(&[nowhere(subscription("a")), nowhere(trigger)]);
    assert_eq!((plan.len(), plan.unchanged().len()), (0, 1));
}

#[test]
fn a_namespace_without_a_broker_is_told_once() {
    let within = |name, namespace: &str| edited(subscription(name), "/metadata/namespace", json!(namespace));
    let other = edited(within("b", "shipping"), "/spec/event_type", json!("order.paid"));
    let plan = plan_of(&[within("a", "shipping"), other, subscription("c")]);
    assert_eq!((created(&plan).len(), warnings(&plan)), (3, vec!["TR204"]));
    assert_eq!(plan.warnings()[0].message, "pending: no Broker, so 2 Triggers deliver nothing yet");
}

#[test]
fn the_dead_header_field_is_told() {
    let plan = plan_of(&[edited(subscription("a"), "/spec/include_subscription_name_header", json!(true))]);
    assert_eq!((created(&plan).len(), warnings(&plan)), (1, vec!["TR202"]));
}

#[test]
fn what_the_server_would_refuse_is_refused_in_the_plan() {
    let long = edited(subscription("a"), "/metadata/labels", json!({"team": "x".repeat(64)}));
    let plan = plan_of(&[long]);
    assert_eq!(refusals(&plan).iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["TR115"]);
    let message = &plan.refusals()[0].message;
    assert_eq!(message, "metadata.labels.team would have 64 characters, and may have 63; Subscription orders/a asks for it");
    // Their names are in one annotation.
    let many: Vec<Value> = (0..1_200).map(|number| subscription(&format!("{number:0>240}"))).collect();
    let plan = plan_of(&many);
    assert!(plan.refusals()[0].message.starts_with("metadata.annotations would have "), "{}", plan.refusals()[0].message);
    assert!(plan.is_empty() && plan.refusals()[0].message.len() < 500);
}

proptest! {
    #[test]
    fn the_order_of_the_input_does_not_matter(seed in proptest::collection::vec(0_usize..12, 1..12).prop_shuffle()) {
        let objects: Vec<Value> = seed
            .iter()
            .map(|n| {
                let spelled = ["http://mail.orders:8080/in", "http://mail.orders.svc:8080/in", "ftp://x"][n % 3];
                let labelled = edited(subscription(&format!("s{n}")), "/metadata/labels", json!({"n": n.to_string()}));
                edited(labelled, "/spec/endpoint", json!(spelled))
            })
            .collect();
        let mut sorted = objects.clone();
        sorted.sort_by_key(Value::to_string);
        let (one, other) = (plan_of(&objects), plan_of(&sorted));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }

    #[test]
    fn whatever_a_file_says_there_is_a_plan_or_an_error(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
        knative in 0_usize..2,
    ) {
        let mut objects = crate::flows::tests::whole_flow();
        let trigger = json!({
            "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"namespace": "orders", "name": "by-hand", "uid": "00000000-0000-0000-0000-000000000001", "labels": {"a": "b"}},
            "spec": {"broker": "default", "filter": {"attributes": {"source": "shop", "type": "order.created"}},
                "filters": [{"exact": {"type": "order.created"}}], "subscriber": {"uri": "http://mail.orders:8080/in"}},
        });
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "orders", "labels": {"a": "b"}}, "status": {}});
        objects.extend([subscription("mail"), trigger, namespace]);
        for (at, value) in edits {
            let mut all = Value::from(objects);
            let paths = paths(&all);
            *all.pointer_mut(at.get::<String>(&paths)).expect("it was found") = value;
            objects = all.as_array().cloned().unwrap_or_default();
        }
        let args = ["--knative-version", ["v1", "v1alpha1"][knative], "--from", "-"];
        // Neither may panic.
        let _ = try_plan(objects, &args);
    }

    #[test]
    fn a_name_is_always_a_dns_label(event_type in "\\PC{1,80}", namespace in "[a-z]{1,63}") {
        prop_assume!(!event_type.trim().is_empty());
        let odd = edited(edited(subscription("a"), "/spec/event_type", json!(event_type)), "/metadata/namespace", json!(namespace));
        let plan = plan_of(&[odd]);
        let name = plan.changes().next().expect("it has one").target.name;
        prop_assert!(!name.is_empty() && name.len() <= 63, "{name}");
        prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        prop_assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!("")),
        Just(json!("default")),
        Just(json!("http://mail.orders:8080/in")),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// The places inside of a value, as JSON pointers.
fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, entry)| (key.replace('~', "~0").replace('/', "~1"), entry)).collect()
        }
        _ => Vec::new(),
    };
    let below = |(key, child): (String, &Value)| {
        [vec![format!("/{key}")], paths(child).into_iter().map(|path| format!("/{key}{path}")).collect()].concat()
    };
    children.into_iter().flat_map(below).collect()
}

#[test]
fn many_triggers_are_warned_of_where_they_are_waited_for() {
    let subscription = |number: usize| {
        json!({
            "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": "orders", "name": format!("s{number}")},
            "spec": {"source_id": "shop", "event_type": "a", "event_type_version": "v1", "endpoint": format!("http://s{number}.orders/")},
        })
    };
    let broker = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": "orders", "name": "default"}});
    let warned = |count: usize, with_broker: bool| {
        let objects = (0..count).map(subscription).chain(with_broker.then(|| broker.clone())).collect();
        let plan = plan_from(objects, &[]);
        plan.warnings().iter().find(|warning| warning.code == "TR213").map(|warning| warning.message.clone())
    };
    let told = "300 Triggers have to become ready, which takes Knative about 5 minutes at its defaults";
    assert_eq!(warned(300, true).as_deref(), Some(told));
    assert_eq!((warned(60, true), warned(300, false)), (None, None));
}

#[test]
fn triggers_that_are_made_are_delivered_to_as_it_is_said_and_those_that_are_there_keep_theirs() {
    let delivery = json!({"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"});
    let flags = ["--delivery", &delivery.to_string()];
    let made = created(&plan_with(&[subscription("a")], &flags));
    assert_eq!(made[0]["spec"]["delivery"], delivery);
    let without = created(&plan_with(&[subscription("a")], &[]));
    assert_eq!(without[0]["spec"].get("delivery"), None);
    let again = plan_with(&[subscription("a"), without[0].clone()], &flags);
    assert_eq!((again.changes().count(), again.unchanged().len()), (0, 1));
    let old = try_plan(
        vec![subscription("a")],
        &["--from", "f", "--delivery", &delivery.to_string(), "--knative-version", "v1alpha1"],
    );
    assert!(old.expect_err("no such field").contains("have no delivery"));
}
