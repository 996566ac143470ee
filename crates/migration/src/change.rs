//! One mutation of one object, as a pair of images.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The whole object at one moment, as JSON.
pub type Image = Value;

/// The references of an object to those that own it.
pub fn owners(image: &Image) -> impl Iterator<Item = &Value> {
    image["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

/// The address of one object. Those of one kind are in the order in which an API server lists them, by `namespace/name`, so that
/// a plan can be made from a list while it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Group and version, `v1` or `eventing.knative.dev/v1`.
    pub api_version: String,
    /// Kind, `Trigger`.
    pub kind: String,
    /// Namespace; none for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Target {
    /// Its hash: for sets of many targets, in little memory, where a mistake in 2^64 does no harm.
    #[must_use]
    pub fn short(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A set of many targets, in little memory: their hashes.
#[derive(Clone, Debug, Default)]
pub struct Targets(HashSet<u64>);

impl Targets {
    /// Adds a target.
    pub fn insert(&mut self, target: &Target) {
        self.0.insert(target.short());
    }

    /// Whether the target was added.
    #[must_use]
    pub fn contains(&self, target: &Target) -> bool {
        self.0.contains(&target.short())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a Target> for Targets {
    fn from_iter<I: IntoIterator<Item = &'a Target>>(targets: I) -> Self {
        Self(targets.into_iter().map(Target::short).collect())
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> Ordering {
        fn path(target: &Target) -> impl Iterator<Item = u8> {
            target.namespace.iter().flat_map(|namespace| namespace.bytes().chain([b'/'])).chain(target.name.bytes())
        }
        (&self.api_version, &self.kind)
            .cmp(&(&other.api_version, &other.kind))
            .then_with(|| self.namespace.is_some().cmp(&other.namespace.is_some()))
            .then_with(|| path(self).cmp(path(other)))
    }
}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What a change does to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// There is no object before.
    Create,
    /// There is an object before and after.
    Update,
    /// There is no object after.
    Delete,
    /// Every object of a kind is stored in another version.
    Sweep,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Sweep => "sweep",
        })
    }
}

/// The two images of a change. A pair of nothing and nothing cannot be expressed.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// Nothing becomes this.
    Create(Image),
    /// The first becomes the second.
    Update(Image, Image),
    /// This becomes nothing.
    Delete(Image),
    /// Every object of the target's kind, also one that is made meanwhile, is stored as the second version instead of the first. The
    /// target names the kind; its name is `*`.
    Sweep(String, String),
}

/// One mutation of one object, or of the stored form of a whole kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Document")]
pub struct Change {
    /// Index of the stage in [`crate::plan::Plan::stages`].
    pub stage: usize,
    /// The object.
    pub target: Target,
    /// The object before and after.
    pub images: Images,
    /// Why, for people.
    pub reason: String,
}

impl Change {
    /// What the change does.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.images {
            Images::Create(_) => Action::Create,
            Images::Update(..) => Action::Update,
            Images::Delete(_) => Action::Delete,
            Images::Sweep(..) => Action::Sweep,
        }
    }

    /// The object before.
    #[must_use]
    pub fn before(&self) -> Option<&Image> {
        match &self.images {
            Images::Create(_) | Images::Sweep(..) => None,
            Images::Update(before, _) | Images::Delete(before) => Some(before),
        }
    }

    /// The object after.
    #[must_use]
    pub fn after(&self) -> Option<&Image> {
        match &self.images {
            Images::Create(after) | Images::Update(_, after) => Some(after),
            Images::Delete(_) | Images::Sweep(..) => None,
        }
    }

    /// The change that takes this one back: the images swapped.
    #[must_use]
    pub fn inverse(self) -> Self {
        let images = match self.images {
            Images::Create(after) => Images::Delete(after),
            Images::Update(before, after) => Images::Update(after, before),
            Images::Delete(before) => Images::Create(before),
            Images::Sweep(from, to) => Images::Sweep(to, from),
        };
        Self { images, ..self }
    }
}

/// How a change is written down: in `plan -o json` and in the ledger.
#[derive(Deserialize)]
struct Document {
    action: Action,
    stage: usize,
    target: Target,
    before: Option<Image>,
    after: Option<Image>,
    reason: String,
}

impl Serialize for Change {
    /// As a document, without a copy of the images.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Change", 6)?;
        document.serialize_field("action", &self.action())?;
        document.serialize_field("stage", &self.stage)?;
        document.serialize_field("target", &self.target)?;
        if let Images::Sweep(from, to) = &self.images {
            document.serialize_field("before", from)?;
            document.serialize_field("after", to)?;
        } else {
            document.serialize_field("before", &self.before())?;
            document.serialize_field("after", &self.after())?;
        }
        document.serialize_field("reason", &self.reason)?;
        document.end()
    }
}

impl TryFrom<Document> for Change {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let Document { action, stage, target, before, after, reason } = document;
        let images = match (action, before, after) {
            (Action::Create, None, Some(after)) => Images::Create(after),
            (Action::Update, Some(before), Some(after)) => Images::Update(before, after),
            (Action::Delete, Some(before), None) => Images::Delete(before),
            (Action::Sweep, Some(Value::String(from)), Some(Value::String(to))) => Images::Sweep(from, to),
            _ => return Err(format!("the images of {target} do not fit the action {action}")),
        };
        Ok(Self { stage, target, images, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(images: Images) -> Change {
        let target =
            Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some("a".into()), name: "b".into() };
        Change { stage: 0, target, images, reason: String::new() }
    }

    #[test]
    fn targets_are_in_the_order_in_which_a_server_lists_them() {
        let target = |namespace: &str, name: &str| Target {
            namespace: Some(namespace.into()),
            name: name.into(),
            ..change(Images::Create(json!({}))).target
        };
        let listed = [target("a", "x"), target("a", "x-y"), target("a", "x.y")];
        assert!(listed.is_sorted());
        // A key is /registry/configmaps/a-b/c, and a hyphen comes before a slash.
        assert!(target("a-b", "c") < target("a", "c"));
        assert!(target("a", "c") < target("a0", "c"));
    }

    #[test]
    fn undo_of_undo_is_the_change_itself() {
        for images in [
            Images::Create(json!({"a": 1})),
            Images::Update(json!({"a": 1}), json!({"a": 2})),
            Images::Delete(json!({"a": 1})),
            Images::Sweep("v1".into(), "v2".into()),
        ] {
            let change = change(images);
            assert_eq!(change.clone().inverse().inverse(), change);
            assert_ne!(change.clone().inverse(), change);
        }
    }

    #[test]
    fn a_change_is_read_back_as_it_was_written() {
        let (update, sweep) = (Images::Update(json!({"a": 1}), json!({"a": 2})), Images::Sweep("v1".into(), "v2".into()));
        for (images, action) in [(update, "update"), (sweep, "sweep")] {
            let change = change(images);
            let document = serde_json::to_value(&change).expect("a change is plain data");
            assert_eq!(document["action"], action);
            assert_eq!(serde_json::from_value::<Change>(document).expect("written by us"), change);
        }
    }

    #[test]
    fn images_that_do_not_fit_the_action_are_refused() {
        let mut document = serde_json::to_value(change(Images::Create(json!({})))).expect("a change is plain data");
        document["action"] = "delete".into();
        let error = serde_json::from_value::<Change>(document).expect_err("a delete needs a before");
        assert!(error.to_string().contains("ConfigMap a/b"), "{error}");
    }
}
