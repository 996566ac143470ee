//! What becomes of objects whose owners the purge deletes: the garbage collector deletes those that have no other owner left. Pure.

use std::collections::HashSet;

use fairlead_apis::object;
use fairlead_migration::change::owners;
use serde_json::Value;

use crate::configuration::{Named, is_built_in};

/// The fate of an object that the purge itself does not delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of the purge owns the object.
    Stays,
    /// Another owner keeps it; its references to purged owners go.
    Released,
    /// The garbage collector deletes it with its last owner.
    Goes,
}

/// Owners, by uid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owned {
    /// Objects that go, also those that go with others.
    pub(crate) going: HashSet<Box<str>>,
    /// Other owners of what these own, that stay.
    pub(crate) living: HashSet<Box<str>>,
    /// Kinds whose objects go with an owner also where a controller of Kubernetes would make them again.
    pub(crate) named: Vec<Named>,
}

impl Owned {
    /// The fate of an object, as far as the owners are known.
    pub(crate) fn fate(&self, object: &Value) -> Fate {
        if object::is_terminating(object) || !owners(object).any(|owner| self.goes(owner)) || self.is_made_again(object) {
            return Fate::Stays;
        }
        let is_living = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| self.living.contains(uid));
        if owners(object).any(is_living) { Fate::Released } else { Fate::Goes }
    }

    /// Whether an owner goes.
    pub(crate) fn goes(&self, owner: &Value) -> bool {
        owner["uid"].as_str().is_some_and(|uid| self.going.contains(uid))
    }

    /// Whether a controller of Kubernetes itself makes the object anew when its owner is back: the Pods of a `ReplicaSet`, say.
    fn is_made_again(&self, object: &Value) -> bool {
        let is_controller = |owner: &Value| {
            let group = owner["apiVersion"].as_str().and_then(|it| it.split_once('/')).map_or("", |(group, _)| group);
            owner["controller"] == true && is_built_in(group)
        };
        let is_named = |named: &Named| named.group == object::group(object) && named.kind == object::kind(object);
        owners(object).any(is_controller) && !self.named.iter().any(is_named)
    }

    /// The image without its references to what goes.
    pub(crate) fn released(&self, image: &Value) -> Value {
        let mut image = image.clone();
        if let Some(owners) = image.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
            owners.retain(|owner| !self.goes(owner));
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(by: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "ownerReferences": by}})
    }

    #[test]
    fn an_object_goes_with_its_last_owner() {
        let set = |uid: &str| HashSet::from([Box::from(uid)]);
        let known = Owned { going: set("g"), living: set("l"), named: Vec::new() };
        let fate = |uids: &[&str]| {
            known.fate(&owned(&uids.iter().map(|uid| json!({"apiVersion": "a.b/v1", "uid": uid})).collect()))
        };
        assert_eq!(fate(&[]), Fate::Stays);
        assert_eq!(fate(&["l"]), Fate::Stays);
        assert_eq!(fate(&["g"]), Fate::Goes);
        // One that is nowhere keeps nothing.
        assert_eq!(fate(&["g", "x"]), Fate::Goes);
        assert_eq!(fate(&["l", "g", "x"]), Fate::Released);
        let both = owned(&json!([{"uid": "l"}, {"uid": "g"}]));
        assert_eq!(known.released(&both)["metadata"]["ownerReferences"], json!([{"uid": "l"}]));
    }

    #[test]
    fn what_a_controller_of_kubernetes_makes_again_goes_only_by_name() {
        let by = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "uid": "g", "controller": true}]);
        let mut set = owned(&by);
        (set["apiVersion"], set["kind"]) = ("apps/v1".into(), "ReplicaSet".into());
        let mut known = Owned { going: HashSet::from(["g".into()]), ..Owned::default() };
        assert_eq!(known.fate(&set), Fate::Stays);
        known.named.push(Named { group: "apps".into(), kind: "ReplicaSet".into() });
        assert_eq!(known.fate(&set), Fate::Goes);
    }
}
