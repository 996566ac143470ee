//! Reads what purged objects own, and whether it has other owners.

use std::collections::HashSet;

use fairlead_migration::change::owners;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use super::served;
use crate::configuration::Owned as Scope;
use crate::definitions::Definition;
use crate::options::Options;
use crate::owned::{Fate, Owned};

/// What is found of one kind.
#[derive(Default)]
struct Seen {
    going: HashSet<Box<str>>,
    /// Objects that a purged object owns, and their other owners.
    others: Vec<(Value, Value)>,
    is_owned: bool,
}

/// The kinds, beside those that are purged, whose objects may go with an owner; with their group and version.
pub(super) async fn kinds(
    source: &Source<'_>,
    options: &Options<'_>,
    definitions: &[Definition],
) -> Result<Vec<(String, Kind)>, Obstacle> {
    let mut kinds: Vec<Kind> = options.dependents().collect();
    if options.purge.owned == Some(Scope::All) && !definitions.is_empty() {
        kinds.extend(source.kinds().await?);
    }
    kinds.retain(|kind| !definitions.iter().any(|it| it.entry.group == kind.group && it.entry.kind == kind.kind));
    Ok(served(source, kinds.into_iter()))
}

/// Adds what objects that go own in turn, until there is no more of it. Of `kinds` those stay that have such objects.
pub(super) async fn follow(
    source: &Source<'_>,
    owned: &mut Owned,
    definitions: &[&Definition],
    kinds: &mut Vec<(String, Kind)>,
) -> Result<(), Obstacle> {
    let mut asked: HashSet<Box<str>> = HashSet::new();
    let mut with_owned: HashSet<(String, String)> = HashSet::new();
    loop {
        let before = (owned.going.len(), owned.living.len(), asked.len());
        let purged = definitions.iter().map(|it| (&it.api_version, &it.kind));
        for (api_version, kind) in purged.chain(kinds.iter().map(|(api_version, kind)| (api_version, kind))) {
            let seen =
                source.fold(kind, Seen::default, |seen: &mut Seen, object| look(seen, owned, &asked, &object)).await?;
            if seen.is_owned {
                with_owned.insert((api_version.clone(), kind.kind.to_string()));
            }
            owned.going.extend(seen.going);
            for (object, owner) in seen.others {
                let uid: Box<str> = owner["uid"].as_str().unwrap_or_default().into();
                if asked.insert(uid.clone()) && is_living(source, &object, &owner).await? {
                    owned.living.insert(uid);
                }
            }
        }
        owned.living.retain(|uid| !owned.going.contains(uid));
        if before == (owned.going.len(), owned.living.len(), asked.len()) {
            kinds.retain(|(api_version, kind)| with_owned.contains(&(api_version.clone(), kind.kind.to_string())));
            return Ok(());
        }
    }
}

fn look(seen: &mut Seen, owned: &Owned, asked: &HashSet<Box<str>>, object: &Value) {
    let fate = owned.fate(object);
    seen.is_owned |= fate != Fate::Stays;
    if fate != Fate::Goes {
        return;
    }
    let is_new = |owner: &&Value| !owned.goes(owner) && owner["uid"].as_str().is_some_and(|uid| !asked.contains(uid));
    let mut others = owners(object).filter(is_new).peekable();
    if others.peek().is_none() {
        seen.going.extend(object["metadata"]["uid"].as_str().map(Box::from));
    }
    let slim = serde_json::json!({"metadata": {"namespace": object["metadata"]["namespace"]}});
    seen.others.extend(others.map(|owner| (slim.clone(), owner.clone())));
}

/// Whether an owner is there, and stays. Of files one is believed whose kind they do not hold.
async fn is_living(source: &Source<'_>, object: &Value, owner: &Value) -> Result<bool, Obstacle> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let exact = Kind::named(group, text("kind")).in_version(version);
    let mut kind = served_version(exact, |kind| source.api_version(kind).is_some());
    kind.is_namespaced = source.is_namespaced(&kind);
    let namespace = object["metadata"]["namespace"].as_str().filter(|_| kind.is_namespaced).unwrap_or_default();
    Ok(match (source.get(&kind, namespace, text("name")).await?, source) {
        (Some(live), _) => live["metadata"]["uid"] == owner["uid"] && live["metadata"]["deletionTimestamp"].is_null(),
        (None, Source::Manifests(_)) => source.first(&kind).await?.is_none(),
        (None, Source::Cluster(..)) => false,
    })
}

/// References are older than some versions, which are not served any more: the owner is there all the same, in another one.
fn served_version(exact: Kind, is_served: impl Fn(&Kind) -> bool) -> Kind {
    if is_served(&exact) { exact } else { Kind { exact: None, ..exact } }
}

#[cfg(test)]
mod tests {
    use fairlead_observe::kind::Asked;
    use fairlead_observe::manifests::Manifests;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_owner_is_looked_for_in_a_version_that_is_served() {
        let old = || Kind::named("a.b", "Thing").in_version("v1beta1");
        assert_eq!(served_version(old(), |_| true), old());
        assert_eq!(served_version(old(), |kind| kind.exact.is_none()), Kind::named("a.b", "Thing"));
    }

    #[test]
    fn an_owner_keeps_an_object_while_it_is_there_and_stays() {
        let thing = |name: &str, uid: &str, deleted: Value| {
            json!({"apiVersion": "a.b/v1", "kind": "Thing",
                "metadata": {"namespace": "n", "name": name, "uid": uid, "deletionTimestamp": deleted}})
        };
        let mut manifests = Manifests::new(Asked::AtLeast(&[]), "v1");
        let things = [thing("stays", "s", Value::Null), thing("leaves", "l", "2026-01-01T00:00:00Z".into())];
        for (position, thing) in things.into_iter().enumerate() {
            manifests.add(&"things.yaml".into(), position + 1, thing).expect("an object");
        }
        let (manifests, object) = (manifests.sorted(), json!({"metadata": {"namespace": "n"}}));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let keeps = |name: &str, uid: &str| {
            let owner = json!({"apiVersion": "a.b/v1", "kind": "Thing", "name": name, "uid": uid});
            runtime.block_on(is_living(&Source::Manifests(&manifests), &object, &owner)).expect("files are read")
        };
        assert!(keeps("stays", "s"));
        // Another one of that name, one that is on its way out, and none.
        assert!(!keeps("stays", "other") && !keeps("leaves", "l") && !keeps("nobody", "s"));
    }
}
