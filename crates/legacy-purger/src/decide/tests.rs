use fairlead_observe::kind::Asked;
use fairlead_observe::manifests::Manifests;
use fairlead_observe::source::Source;
use serde_json::json;

use super::*;

fn kind() -> PurgedKind {
    serde_json::from_value(json!({"group": subscription::GROUP, "kind": subscription::KIND})).expect("valid")
}

fn legacy() -> Value {
    json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"namespace": "orders", "name": "a"},
        "spec": {"source_id": "shop", "event_type": "paid", "event_type_version": "v1", "endpoint": "http://mail.orders:80/"},
    })
}

fn trigger(ready: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"namespace": "orders", "name": "t"},
        "spec": {"broker": "default", "subscriber": {"uri": "http://mail.orders.svc.cluster.local"},
            "filter": {"attributes": {"source": "shop", "type": "paid", "eventtypeversion": "v1"}}},
        "status": {"conditions": [{"type": "BrokerReady", "status": ready, "message": "no broker"}, {"type": "Ready", "status": ready}]},
    })
}

/// An EventActivation, and the whole way of the events that it lets in.
fn way() -> Vec<Value> {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let object = |api_version: &str, kind: &str, namespace: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}, "status": ready});
    let mut activation = object("applicationconnector.kyma-project.io/v1alpha1", "EventActivation", "orders", "id");
    activation["spec"]["sourceId"] = "shop".into();
    let mut channel = object("messaging.knative.dev/v1", "Channel", "kyma-integration", "shop");
    channel["metadata"]["labels"] = json!({"application-name": "shop"});
    let mut link = object("messaging.knative.dev/v1", "Subscription", "kyma-integration", "link");
    link["metadata"]["labels"] = json!({"application-name": "shop", "broker-namespace": "orders"});
    link["spec"] =
        json!({"channel": {"kind": "Channel", "name": "shop"}, "subscriber": {"uri": "http://broker/orders/default"}});
    let mut broker = object("eventing.knative.dev/v1", "Broker", "orders", "default");
    broker["status"]["address"]["url"] = "http://broker/orders/default".into();
    vec![activation, channel, link, broker]
}

/// The mesh of these objects, read as from files.
fn mesh(objects: &[Value]) -> Mesh {
    let mut manifests = Manifests::new(Asked::AtLeast(&[]), "v1");
    for (position, object) in objects.iter().enumerate() {
        manifests.add(&"mesh.yaml".into(), position + 1, object.clone()).expect("an object");
    }
    let manifests = manifests.sorted();
    let source = Source::Manifests(&manifests);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(crate::observe::mesh::observe(&source)).expect("files are read")
}

/// The code and message of what is refused or warned of, or why it goes or stays.
fn verdict(object: &Value, triggers: &[Value], allowed: &[&str]) -> String {
    verdict_of(object, &kind(), triggers, allowed)
}

fn verdict_of(object: &Value, kind: &PurgedKind, triggers: &[Value], allowed: &[&str]) -> String {
    let mesh = mesh(&[triggers, &way()].concat());
    let allowed: HashSet<String> = allowed.iter().copied().map(str::to_owned).collect();
    let known = Known { release: "shop", mesh: &mesh, unreplicated: &allowed, helm_releases: &allowed };
    match decide(object, kind, &known) {
        Verdict::Purge { reason, warnings, is_helm_owned } => {
            let codes: Vec<&str> = warnings.iter().map(|finding| finding.code.as_ref()).collect();
            format!("goes {codes:?} {is_helm_owned}: {reason}")
        }
        Verdict::Keep(reason) | Verdict::NotSelected(reason) => reason,
        Verdict::Refuse(finding) => format!("{}: {}", finding.code, finding.message),
    }
}

#[test]
fn a_subscription_goes_when_an_equal_trigger_is_ready() {
    assert_eq!(verdict(&legacy(), &[trigger("True")], &[]), "goes [] false: a Trigger that is Ready delivers the same");
    assert_eq!(verdict(&legacy(), &[trigger("False")], &[]), "LP102: Trigger orders/t: BrokerReady: no broker");
    let missing = "LP101: no Trigger delivers paid v1 of shop to http://mail.orders:80/";
    assert_eq!(verdict(&legacy(), &[], &[]), missing);
    // One of several is enough, whatever the order.
    for ready in [["True", "False"], ["False", "True"]] {
        let mut triggers = ready.map(trigger);
        triggers[1]["metadata"]["name"] = "u".into();
        assert!(verdict(&legacy(), &triggers, &[]).starts_with("goes"));
    }
    let mut other = trigger("True");
    for (path, value) in [("/spec/broker", "other"), ("/metadata/deletionTimestamp", "now"), ("/metadata/namespace", "else")]
    {
        let before = other.clone();
        let (parent, key) = path.rsplit_once('/').expect("a pointer");
        other.pointer_mut(parent).expect("it is there")[key] = value.into();
        assert_eq!(verdict(&legacy(), &[other], &[]), missing, "{path}");
        other = before;
    }
}

#[test]
fn what_cannot_be_replicated_goes_only_by_name() {
    for (field, value, expected) in [
        ("endpoint", json!(null), "LP101: spec.endpoint is missing"),
        ("endpoint", json!("ftp://x/"), "LP101: spec.endpoint \"ftp://x/\" is neither http nor https but ftp"),
        ("source_id", json!(""), "LP101: spec.source_id is empty"),
    ] {
        let mut object = legacy();
        object["spec"][field] = value;
        assert_eq!(verdict(&object, &[trigger("True")], &["orders/b"]), expected);
        assert_eq!(verdict(&object, &[trigger("True")], &["orders/a"]), "goes [\"LP201\"] false: allowed by name");
    }
    let mut unknown = legacy();
    unknown["spec"] = json!({"sink": "x"});
    assert_eq!(verdict(&unknown, &[], &[]), "LP109: spec has none of the known shapes");
    assert!(verdict(&unknown, &[], &["orders/a"]).starts_with("goes [\"LP201\"]"));
}

#[test]
fn a_later_shape_stays_whatever_else_is_said() {
    let mut later = legacy();
    later["spec"] = json!({"sink": "http://x", "filter": {}});
    assert_eq!(verdict(&later, &[], &["orders/a"]), "left alone, it is not of the legacy bus but of later Kyma");
}

#[test]
fn what_others_own_or_delete_is_refused() {
    let annotated = |key: &str, value: &str| {
        let mut object = legacy();
        object["metadata"]["annotations"] = json!({key: value});
        verdict(&object, &[trigger("True")], &["mine"])
    };
    assert_eq!(annotated(HELM_RELEASE, "theirs"), "LP105: it belongs to Helm release theirs in namespace ");
    assert_eq!(annotated(HELM_RELEASE, "mine"), "goes [\"LP209\"] true: a Trigger that is Ready delivers the same");
    assert_eq!(
        annotated(fairlead_kube_client::objects::TICKET_ANNOTATION, "ns/fairlead.v1.other.3"),
        "LP110: release other has made it"
    );
    assert!(annotated(fairlead_kube_client::objects::TICKET_ANNOTATION, "ns/fairlead.v1.shop.3").starts_with("goes"));
    let mut going = legacy();
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    going["metadata"]["finalizers"] = json!(["f"]);
    assert_eq!(verdict(&going, &[trigger("True")], &["orders/a"]), "LP108: it is being deleted; finalizers: [\"f\"]");
}

#[test]
fn what_old_helm_has_installed_is_known_by_its_labels() {
    let labelled = |labels: Value, allowed: &[&str]| {
        let mut object = legacy();
        object["metadata"]["labels"] = labels;
        verdict(&object, &[trigger("True")], allowed)
    };
    let refused = "LP105: it belongs to Helm release crm by its labels, as Helm 2 and Helm 3.0 leave them";
    for by in ["Tiller", "Helm"] {
        assert_eq!(labelled(json!({"heritage": by, "release": "crm"}), &[]), refused);
        let newer = json!({"app.kubernetes.io/managed-by": by, "app.kubernetes.io/instance": "crm"});
        assert_eq!(labelled(newer, &["mine"]), refused);
    }
    for allowed in ["crm", "orders/crm"] {
        let said = labelled(json!({"heritage": "Tiller", "release": "crm"}), &[allowed]);
        assert_eq!(said, "goes [\"LP209\"] true: a Trigger that is Ready delivers the same");
    }
    for others in
        [json!({"release": "crm"}), json!({"heritage": "Tiller"}), json!({"heritage": "hand", "release": "crm"}), json!([])]
    {
        assert!(labelled(others.clone(), &[]).starts_with("goes []"), "{others}");
    }
}

#[test]
fn without_a_broker_that_is_said_and_not_that_nobody_has_looked_at_the_trigger() {
    let mut unseen = trigger("False");
    unseen["status"] = json!({});
    let mut objects = way();
    objects.remove(BROKER);
    objects.push(unseen);
    let mesh = mesh(&objects);
    let none = HashSet::new();
    let known = Known { release: "shop", mesh: &mesh, unreplicated: &none, helm_releases: &none };
    let Verdict::Refuse(finding) = decide(&legacy(), &kind(), &known) else { panic!("it goes") };
    assert_eq!((finding.code.as_ref(), finding.message.as_str()), ("LP116", "namespace orders has no Broker default"));
}

#[test]
fn the_configuration_narrows_down_what_goes() {
    let kind = |extra: Value| {
        let mut kind = json!({"group": "a.b", "kind": "Thing"});
        kind.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        serde_json::from_value::<PurgedKind>(kind).expect("valid")
    };
    let thing = json!({"apiVersion": "a.b/v1", "kind": "Thing", "metadata": {"namespace": "n", "name": "x", "labels": {"old": "yes"}}});
    let verdict = |kind: PurgedKind| verdict_of(&thing, &kind, &[], &[]);
    assert_eq!(verdict(kind(json!({}))), "goes [] false: its kind goes");
    assert_eq!(verdict(kind(json!({"namespaces": ["m"]}))), "left alone, the configuration does not name n");
    // The kind may stay.
    for narrowed in
        [json!({"selector": {"matchLabels": {"old": "yes"}}}), json!({"namespaces": ["n"]}), json!({"keepDefinition": true})]
    {
        assert_eq!(verdict(kind(narrowed)), "goes [] false: the configuration selects it");
    }
    let other = kind(json!({"selector": {"matchLabels": {"old": "no"}}}));
    assert_eq!(verdict(other), "left alone, its labels are not selected");
}

/// The verdict about the Subscription where the way of its events was changed.
fn verdict_on(change: impl Fn(&mut Vec<Value>), allowed: &[&str]) -> String {
    let mut objects = way();
    change(&mut objects);
    objects.push(trigger("True"));
    let mesh = mesh(&objects);
    let allowed: HashSet<String> = allowed.iter().copied().map(str::to_owned).collect();
    let known = Known { release: "shop", mesh: &mesh, unreplicated: &allowed, helm_releases: &allowed };
    match decide(&legacy(), &kind(), &known) {
        Verdict::Purge { reason, warnings, .. } => {
            let warnings: Vec<String> = warnings.iter().map(|it| format!("{}: {}", it.code, it.message)).collect();
            format!("goes {warnings:?}: {reason}")
        }
        Verdict::Refuse(finding) => format!("{}: {}", finding.code, finding.message),
        Verdict::Keep(reason) | Verdict::NotSelected(reason) => reason,
    }
}

/// Where [`way`] has each of its objects.
const ACTIVATION: usize = 0;
const CHANNEL: usize = 1;
const LINK: usize = 2;
const BROKER: usize = 3;

#[test]
fn every_link_of_the_way_must_be_there() {
    let without = |index: usize| verdict_on(|way| drop(way.remove(index)), &[]);
    assert_eq!(without(CHANNEL), "LP116: kyma-integration has no Channel of Application shop");
    assert_eq!(
        without(LINK),
        "LP116: no Knative Subscription carries the events of shop from Channel kyma-integration/shop to the Broker in orders"
    );
    assert_eq!(without(BROKER), "LP116: namespace orders has no Broker default");
    let set = |index: usize, path: &str, value: Value| {
        let change = |way: &mut Vec<Value>| *way[index].pointer_mut(path).expect(path) = value.clone();
        verdict_on(change, &[])
    };
    let two = verdict_on(
        |way| {
            let mut copy = way[CHANNEL].clone();
            copy["metadata"]["name"] = "shop-restored".into();
            way.push(copy);
        },
        &[],
    );
    assert_eq!(two, "LP116: Application shop has more than one Channel: shop, shop-restored");
    assert_eq!(
        set(LINK, "/spec/channel/name", json!("other")),
        "LP116: Knative Subscription kyma-integration/link carries from Channel other, and the Application's is shop"
    );
    assert_eq!(
        set(LINK, "/spec/subscriber/uri", json!("http://broker/else/default")),
        "LP116: Knative Subscription kyma-integration/link carries to http://broker/else/default, and the Broker's address is \
         http://broker/orders/default"
    );
    for (path, value) in [
        ("/metadata/labels/broker-namespace", json!("else")),
        ("/metadata/labels/application-name", json!("other")),
        ("/metadata/namespace", json!("orders")),
    ] {
        assert!(set(LINK, path, value).starts_with("LP116: no Knative Subscription carries"), "{path}");
    }
    for index in [LINK, BROKER] {
        let gone = verdict_on(|way| way[index]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), &[]);
        assert!(gone.starts_with("LP116"), "{gone}");
    }
    let reference = |namespace: &str, kind: &str| {
        let reference = json!({"ref": {"kind": kind, "name": "default", "namespace": namespace}});
        set(LINK, "/spec/subscriber", reference)
    };
    assert!(reference("orders", "Broker").starts_with("goes []"));
    for (namespace, kind) in [("else", "Broker"), ("orders", "Service")] {
        let said = reference(namespace, kind);
        assert_eq!(said, format!("LP116: Knative Subscription kyma-integration/link carries to {kind} {namespace}/default"));
    }
    // By name it goes all the same.
    let allowed = verdict_on(|way| drop(way.remove(LINK)), &["orders/a"]);
    assert!(allowed.starts_with("goes [\"LP201: allowed by name: no Knative Subscription carries"), "{allowed}");
}

#[test]
fn every_link_of_the_way_must_be_ready() {
    for (index, name) in [
        (CHANNEL, "Channel kyma-integration/shop"),
        (LINK, "Knative Subscription kyma-integration/link"),
        (BROKER, "Broker orders/default"),
    ] {
        let status = |status: Value| verdict_on(|way| way[index]["status"]["conditions"] = status.clone(), &[]);
        for ready in ["False", "Unknown"] {
            let said =
                status(json!([{"type": "Link", "status": ready, "message": "no way"}, {"type": "Ready", "status": ready}]));
            assert_eq!(said, format!("LP117: {name} is not Ready: Link: no way"));
        }
        let said = status(json!([]));
        assert_eq!(said, format!("LP117: {name} is not Ready: Ready: no controller has looked at it yet"));
    }
    // One Subscription that is Ready is enough.
    let beside = |way: &mut Vec<Value>| {
        for name in ["a-broken", "z-broken"] {
            let mut broken = way[LINK].clone();
            broken["metadata"]["name"] = name.into();
            broken["status"]["conditions"][0]["status"] = "False".into();
            way.push(broken);
        }
    };
    assert!(verdict_on(beside, &[]).starts_with("goes []"));
}

#[test]
fn a_subscription_that_gets_no_events_goes_with_a_warning() {
    let warned = "goes [\"LP210: no EventActivation lets the events of shop into orders, so it gets none today\"]: it gets no events today";
    assert_eq!(verdict_on(|way| drop(way.remove(ACTIVATION)), &[]), warned);
    assert_eq!(verdict_on(|way| way.truncate(0), &[]), warned);
    for (path, value) in [("/spec/sourceId", json!("other")), ("/metadata/namespace", json!("else"))] {
        let change = |way: &mut Vec<Value>| *way[ACTIVATION].pointer_mut(path).expect(path) = value.clone();
        assert_eq!(verdict_on(change, &[]), warned, "{path}");
    }
    let going = |way: &mut Vec<Value>| way[ACTIVATION]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(verdict_on(going, &[]), warned);
    // Its service has been asked for again.
    let asked = |way: &mut Vec<Value>| {
        going(way);
        way.remove(LINK);
        way.push(json!({"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance",
            "metadata": {"namespace": "orders", "name": "i"}, "spec": {"serviceClassRef": {"name": "id"}}}));
    };
    assert!(verdict_on(asked, &[]).starts_with("LP116"));
}
