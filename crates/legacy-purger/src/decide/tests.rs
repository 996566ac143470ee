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

/// The code and message of what is refused or warned of, or why it goes or stays.
fn verdict(object: &Value, triggers: &[Value], allowed: &[&str]) -> String {
    verdict_of(object, &kind(), triggers, allowed)
}

fn verdict_of(object: &Value, kind: &PurgedKind, triggers: &[Value], allowed: &[&str]) -> String {
    let mut deliveries = Deliveries::default();
    for trigger in triggers {
        deliveries.add(trigger);
    }
    let allowed: HashSet<String> = allowed.iter().copied().map(str::to_owned).collect();
    let known = Known { release: "shop", deliveries: &deliveries, unreplicated: &allowed, helm_releases: &allowed };
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
    for triggers in [[trigger("True"), trigger("False")], [trigger("False"), trigger("True")]] {
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
    assert!(verdict(kind(json!({"selector": {"matchLabels": {"old": "yes"}}}))).starts_with("goes"));
    let other = kind(json!({"selector": {"matchLabels": {"old": "no"}}}));
    assert_eq!(verdict(other), "left alone, its labels are not selected");
}
