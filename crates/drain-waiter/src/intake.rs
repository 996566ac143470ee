//! What closing an intake makes of its object. Pure.

use fairlead_job::codes::drain_waiter as codes;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::finding::Finding;
use fairlead_observe::address::other_release;
use serde_json::{Value, json};

use crate::entry::{Intake, Setting};

/// What becomes of an object of the intake.
#[derive(Debug, PartialEq)]
pub(crate) enum Closing {
    /// It is changed into this.
    After(Image),
    /// It is closed already.
    Already(String),
    /// It cannot be closed.
    Refused(Finding),
}

impl Closing {
    fn of(after: Image, before: &Image, already: &str) -> Self {
        if after == *before { Self::Already(already.to_owned()) } else { Self::After(after) }
    }
}

/// Helm looks for it at the object in the cluster before it deletes what its release does not name any more.
const KEEP: [&str; 3] = ["metadata", "annotations", "helm.sh/resource-policy"];

impl Intake {
    /// What closes it, of an object that exists. Whether its kind has a scale is known elsewhere.
    pub(crate) fn close(&self, image: &Image, has_scale: bool, release: &str) -> Closing {
        let target = self.target();
        let refused = |what: &str| Closing::Refused(codes::NOT_CLOSABLE.finding(target.clone(), what));
        if let Some(other) = other_release(image, release) {
            return Closing::Refused(codes::OTHER_RELEASE.finding(target, format!("it was made by release {other}")));
        }
        let changed = |field: &[&str], value: Value, already: &str| match with(image, field, value) {
            None => refused(&format!("its field {} is in something that is no map", field.join("."))),
            Some(after) => Closing::of(after, image, already),
        };
        match self {
            Self::Scale(_) if !has_scale => refused("its kind has no scale"),
            Self::Scale(_) => changed(&["spec", "replicas"], json!(0), "stands still already, with 0 replicas"),
            Self::Suspend(_) => changed(&["spec", "suspend"], json!(true), "is suspended already"),
            Self::Redirect(_) if image["spec"]["type"] == "ExternalName" => refused("it is of type ExternalName"),
            Self::Redirect(_) if !has_entries(&image["spec"]["selector"]) => {
                refused("it has no selector: its endpoints are made by somebody else")
            }
            Self::Redirect(redirect) => {
                let mut after = image.clone();
                after["spec"]["selector"] = Value::Object(redirect.selector.clone());
                let kept = if redirect.keep { with(&after, &KEEP, json!("keep")) } else { Some(after) };
                kept.map_or_else(
                    || refused("its annotations are no map"),
                    |after| Closing::of(after, image, "leads there already"),
                )
            }
            Self::Set(setting) => {
                let path: Vec<&str> = setting.field.iter().map(String::as_str).collect();
                changed(&path, setting.value.clone(), "has that value already")
            }
        }
    }

    /// The values that close it, as a merge patch.
    pub(crate) fn fields(&self) -> Value {
        match self {
            Self::Scale(_) => json!({"spec": {"replicas": 0}}),
            Self::Suspend(_) => json!({"spec": {"suspend": true}}),
            Self::Redirect(redirect) => {
                let selector = json!({"spec": {"selector": redirect.selector}});
                redirect.keep.then(|| with(&selector, &KEEP, json!("keep"))).flatten().unwrap_or(selector)
            }
            Self::Set(Setting { field, value, .. }) => {
                field.iter().rev().fold(value.clone(), |inner, name| json!({ name: inner }))
            }
        }
    }

    /// Whether it stays when the upgrade is over.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self, Self::Redirect(_))
    }

    /// For people.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Scale(_) => "it takes messages, and stops for the upgrade",
            Self::Suspend(_) => "its Jobs make messages, and none starts during the upgrade",
            Self::Redirect(_) => "new connections lead to the new side from now on",
            Self::Set(_) => "this closes the intake for the upgrade",
        }
    }
}

fn has_entries(value: &Value) -> bool {
    value.as_object().is_some_and(|entries| !entries.is_empty())
}

/// The image with this value in this field; none where the way to it leads through something that is no map.
fn with(image: &Image, field: &[&str], value: Value) -> Option<Image> {
    let mut after = image.clone();
    let mut place = &mut after;
    for name in field {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(*name).or_insert(Value::Null);
    }
    *place = value;
    Some(after)
}

/// Who else may write the fields of an object: its controller, and whoever applies it. Findings for the plan.
pub(crate) fn rivals(target: &Target, image: &Image) -> Vec<Finding> {
    let metadata = &image["metadata"];
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let controller = owners.into_iter().find(|owner| owner["controller"] == true);
    let owned = controller.map(|owner| {
        let [kind, name] = ["kind", "name"].map(|field| owner[field].as_str().unwrap_or_default());
        codes::OWNED.finding(target.clone(), format!("{kind} {name} owns it, and may write it again"))
    });
    let marks = [
        ("labels", "argocd.argoproj.io/instance", "Argo CD"),
        ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ];
    let synced = marks.iter().find_map(|(part, key, who)| {
        let application = metadata[*part][*key].as_str()?;
        Some(codes::SYNCED.finding(target.clone(), format!("{who} applies it, by {key}: {application}")))
    });
    owned.into_iter().chain(synced).collect()
}

/// A Service that another Helm release applies: it writes the selector whenever it does.
pub(crate) fn in_other_release(target: &Target, image: &Image, release: &str) -> Option<Finding> {
    let annotation = |key: &str| image["metadata"]["annotations"][key].as_str();
    let name = annotation("meta.helm.sh/release-name").filter(|name| *name != release)?;
    if annotation("helm.sh/resource-policy") == Some("keep") {
        return None;
    }
    let namespace = annotation("meta.helm.sh/release-namespace").unwrap_or_default();
    Some(codes::OF_A_RELEASE.finding(target.clone(), format!("release {name} in namespace {namespace} applies it")))
}

/// Ways to the pods of a Service on which a redirect is not all: clients that know the addresses of pods, and nodes that lead only to pods
/// of their own.
pub(crate) fn ways_around(target: &Target, image: &Image) -> Vec<Finding> {
    let spec = &image["spec"];
    let headless = (spec["clusterIP"] == "None").then(|| {
        codes::HEADLESS.finding(
            target.clone(),
            "its clusterIP is None: its clients connect to addresses of pods that they have looked up",
        )
    });
    let policies = ["internalTrafficPolicy", "externalTrafficPolicy"].into_iter().filter(|field| spec[*field] == "Local");
    let local = policies.map(|field| {
        codes::LOCAL.finding(
            target.clone(),
            format!("its {field} is Local: a node without a ready pod of the new side leads nowhere"),
        )
    });
    headless.into_iter().chain(local).collect()
}

#[cfg(test)]
mod tests {
    use fairlead_migration::fields;

    use super::*;

    fn intake(document: Value) -> Intake {
        serde_json::from_value(document).expect("valid")
    }

    #[test]
    fn each_way_to_close_an_intake_writes_its_field_and_no_other() {
        let address = json!({"namespace": "a", "name": "b"});
        let redirect = json!({"namespace": "a", "name": "b", "selector": {"app": "new"}});
        let set = json!({"apiVersion": "example.com/v1", "kind": "Queue", "name": "b", "field": ["spec", "intake", "open"], "value": false});
        let mut keep = redirect.clone();
        keep["keep"] = true.into();
        for (document, image, expected) in [
            (json!({"scale": address}), json!({"spec": {"replicas": 3, "x": 1}}), json!({"spec": {"replicas": 0, "x": 1}})),
            (json!({"scale": address}), json!({"spec": {}}), json!({"spec": {"replicas": 0}})),
            (json!({"suspend": address}), json!({"spec": {"suspend": false}}), json!({"spec": {"suspend": true}})),
            (
                json!({"redirect": redirect}),
                json!({"spec": {"selector": {"app": "old", "tier": "x"}}}),
                json!({"spec": {"selector": {"app": "new"}}}),
            ),
            (
                json!({"redirect": keep}),
                json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"selector": {"app": "old"}}}),
                json!({"metadata": {"annotations": {"a": "b", "helm.sh/resource-policy": "keep"}}, "spec": {"selector": {"app": "new"}}}),
            ),
            (json!({"set": set}), json!({"spec": {"a": 1}}), json!({"spec": {"a": 1, "intake": {"open": false}}})),
        ] {
            let intake = intake(document);
            assert_eq!(intake.close(&image, true, "shop"), Closing::After(expected.clone()));
            assert!(matches!(intake.close(&expected, true, "shop"), Closing::Already(_)));
            assert!(fields::holds(&intake.fields(), &expected) && !fields::holds(&intake.fields(), &image));
        }
    }

    #[test]
    fn a_service_of_another_release_is_named_unless_helm_is_to_leave_it() {
        let target = intake(json!({"scale": {"namespace": "a", "name": "b"}})).target();
        let found =
            |annotations: Value| in_other_release(&target, &json!({"metadata": {"annotations": annotations}}), "shop");
        let bus = json!({"meta.helm.sh/release-name": "bus", "meta.helm.sh/release-namespace": "kyma"});
        assert_eq!(found(bus.clone()).expect("named").message, "release bus in namespace kyma applies it");
        let mut kept = bus;
        kept["helm.sh/resource-policy"] = "keep".into();
        assert_eq!([found(kept), found(json!({"meta.helm.sh/release-name": "shop"})), found(json!({}))], [None, None, None]);
    }

    #[test]
    fn what_cannot_be_closed_is_refused() {
        let address = json!({"namespace": "a", "name": "b"});
        let redirect = json!({"redirect": {"namespace": "a", "name": "b", "selector": {"app": "new"}}});
        let set = json!({"set": {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "field": ["data", "a", "b"], "value": "x"}});
        let other = json!({"metadata": {"annotations": {"fairlead.dev/ticket": "n/fairlead.v1.crm.1"}}, "spec": {}});
        for (document, image, has_scale, code) in [
            (json!({"scale": address}), json!({"spec": {}}), false, "DW106"),
            (json!({"scale": address}), other, true, "DW118"),
            (redirect.clone(), json!({"spec": {"type": "ExternalName"}}), true, "DW106"),
            (redirect, json!({"spec": {"ports": []}}), true, "DW106"),
            (set, json!({"data": {"a": "text"}}), true, "DW106"),
        ] {
            let Closing::Refused(finding) = intake(document.clone()).close(&image, has_scale, "shop") else {
                panic!("{document} is not refused");
            };
            assert_eq!(finding.code, code);
        }
    }

    #[test]
    fn a_redirect_that_not_every_client_follows_is_warned_of() {
        let target = intake(json!({"scale": {"namespace": "a", "name": "b"}})).target();
        let said = |spec: Value| -> Vec<(String, String)> {
            let found = ways_around(&target, &json!({"spec": spec})).into_iter();
            found.map(|finding| (finding.code.into_owned(), finding.message)).collect()
        };
        assert_eq!(said(json!({"clusterIP": "10.0.0.1", "internalTrafficPolicy": "Cluster"})), []);
        assert_eq!(said(json!({"clusterIP": "None"}))[0].0, "DW217");
        let local = said(json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}));
        assert!(local[0].0 == "DW218" && local[0].1.starts_with("its internalTrafficPolicy is Local"), "{local:?}");
        assert!(local[1].1.starts_with("its externalTrafficPolicy is Local"), "{local:?}");
    }

    #[test]
    fn who_may_open_it_again_is_seen() {
        let target = intake(json!({"scale": {"namespace": "a", "name": "b"}})).target();
        let codes = |metadata: Value| -> Vec<String> {
            rivals(&target, &json!({"metadata": metadata})).into_iter().map(|finding| finding.code.into_owned()).collect()
        };
        assert_eq!(codes(json!({})), Vec::<String>::new());
        assert_eq!(codes(json!({"ownerReferences": [{"kind": "Kafka", "name": "k", "controller": true}]})), ["DW203"]);
        assert_eq!(codes(json!({"ownerReferences": [{"kind": "Kafka", "name": "k"}]})), Vec::<String>::new());
        assert_eq!(codes(json!({"labels": {"argocd.argoproj.io/instance": "shop"}})), ["DW204"]);
        assert_eq!(codes(json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}})), ["DW204"]);
    }
}
