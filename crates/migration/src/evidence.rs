//! What a gate has seen, as it is stored beside its ticket: zstd-compressed JSON, cut into chunks like a snapshot.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::Target;
use crate::digest;
use crate::fields;
use crate::snapshot::{CHUNK_SIZE, Chunks, Error, Manifest, check};

/// Compresses evidence, and says what its ticket has to remember.
pub fn pack(evidence: &Value) -> Result<(Vec<Vec<u8>>, Manifest), Error> {
    let packed = zstd::bulk::compress(evidence.to_string().as_bytes(), 0)?;
    let chunks: Vec<Vec<u8>> = packed.chunks(CHUNK_SIZE).map(<[u8]>::to_vec).collect();
    let manifest = Manifest { chunks: chunks.iter().map(|chunk| digest::of(chunk)).collect(), whole: digest::of(&packed) };
    Ok((chunks, manifest))
}

/// Reads evidence back; every digest is checked first.
pub fn unpack(chunks: &[Vec<u8>], manifest: &Manifest) -> Result<Value, Error> {
    check(chunks, manifest)?;
    Ok(serde_json::from_reader(zstd::Decoder::new(Chunks::of(chunks))?)?)
}

/// What later steps read of evidence; all the rest of it is its maker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim {
    /// Whether it proves what its gate waited for; none where the gate does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_proven: Option<bool>,
    /// What it rests on: when one of them is not so any more, it says nothing of now.
    pub rests_on: Vec<Condition>,
}

/// An object, with values that it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The object.
    #[serde(flatten)]
    pub target: Target,
    /// Values by field, `{"spec": {"replicas": 0}}`.
    pub fields: Value,
    /// Its `metadata.generation` when it had them, where that counts how often somebody has written its `spec`: who has opened it and closed
    /// it again leaves no other trace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<i64>,
}

impl Claim {
    /// Reads it from evidence.
    pub fn of(evidence: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(evidence)
    }
}

impl Condition {
    /// What an object is to keep. Only of workloads the generation counts: that of a Service there is not, and a custom resource may
    /// have another one for its status.
    #[must_use]
    pub fn of(target: Target, fields: Value, live: &Value) -> Self {
        let is_workload = ["apps/", "batch/"].iter().any(|group| target.api_version.starts_with(group));
        let generation = live["metadata"]["generation"].as_i64().filter(|_| is_workload);
        Self { target, fields, generation }
    }

    /// What is not so, in words: `Deployment a/b: spec.replicas is 2, and was 0`.
    #[must_use]
    pub fn broken(&self, live: Option<&Value>) -> Option<String> {
        let Self { target, fields, generation } = self;
        let Some(live) = live else { return Some(format!("{target} is gone")) };
        if fields::holds(fields, live) {
            let now = live["metadata"]["generation"].as_i64().unwrap_or_default();
            let is_other = generation.filter(|generation| *generation != now);
            return is_other.map(|was| {
                format!(
                    "{target}: its spec has been written since, and may have been another (generation {now}, and was {was})"
                )
            });
        }
        let mut others = Vec::new();
        differences("", fields, live, &mut others);
        Some(format!("{target}: {}", others.join(", ")))
    }
}

/// Each value that is another one: `spec.replicas is 2, and was 0`.
fn differences(path: &str, wanted: &Value, found: &Value, out: &mut Vec<String>) {
    match wanted {
        Value::Object(fields) => fields.iter().for_each(|(name, wanted)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            differences(&path, wanted, found.get(name).unwrap_or(&Value::Null), out);
        }),
        wanted if wanted != found => out.push(format!("{path} is {found}, and was {wanted}")),
        _ => {}
    }
}

/// `sha256:` and hex over a document as JSON with sorted keys, its own field `digest` left out: whether a copy is what was written.
#[must_use]
pub fn digest(document: &Value) -> String {
    // serde_json sorts keys, so equal values have equal texts.
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("digest");
    }
    digest::of(document.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn evidence_comes_back_as_it_was_and_a_changed_bit_is_found() {
        let evidence = json!({"readings": [{"source": "stan", "left": 0}]});
        let (mut chunks, manifest) = pack(&evidence).expect("plain data");
        assert_eq!(unpack(&chunks, &manifest).expect("just written"), evidence);
        chunks[0][3] ^= 1;
        assert!(matches!(unpack(&chunks, &manifest), Err(Error::Damaged { index: 0, .. })));
    }

    #[test]
    fn a_condition_says_what_is_not_so_any_more() {
        let evidence = json!({"isProven": true, "sources": 7, "restsOn": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "a", "name": "b", "fields": {"spec": {"replicas": 0}}},
        ]});
        let claim = Claim::of(&evidence).expect("it is one");
        assert_eq!(claim.is_proven, Some(true));
        let broken = |live: Option<Value>| claim.rests_on[0].broken(live.as_ref());
        assert_eq!(broken(Some(json!({"spec": {"replicas": 0, "paused": true}}))), None);
        let open = broken(Some(json!({"spec": {"replicas": 2}})));
        assert_eq!(open.as_deref(), Some("Deployment a/b: spec.replicas is 2, and was 0"));
        assert_eq!(broken(None).as_deref(), Some("Deployment a/b is gone"));
        let document = json!({"apiVersion": "v1", "kind": "Service", "name": "s",
            "fields": {"spec": {"selector": {"app.kubernetes.io/name": "new", "tier": null}}}});
        let selector: Condition = serde_json::from_value(document).expect("it is one");
        let back = json!({"spec": {"selector": {"app.kubernetes.io/name": "new", "tier": "old"}}});
        assert_eq!(selector.broken(Some(&back)).as_deref(), Some("Service s: spec.selector.tier is \"old\", and was null"));
        // A gate that claims nothing.
        assert_eq!(Claim::of(&json!({"seen": 3})).expect("it is one"), Claim::default());
    }

    #[test]
    fn who_opens_it_and_closes_it_again_is_seen_where_writes_are_counted() {
        let target = |api_version: &str, kind: &str| Target {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some("a".to_owned()),
            name: "b".to_owned(),
        };
        let live = |generation: i64| json!({"metadata": {"generation": generation}, "spec": {"replicas": 0}});
        let closed = |target| Condition::of(target, json!({"spec": {"replicas": 0}}), &live(4));
        let deployment = closed(target("apps/v1", "Deployment"));
        assert_eq!(deployment.broken(Some(&live(4))), None);
        let said = deployment.broken(Some(&live(6))).expect("it was written");
        assert!(said.ends_with("(generation 6, and was 4)"), "{said}");
        assert_eq!(closed(target("example.com/v1", "Queue")).broken(Some(&live(6))), None);
        // As it was stored before generations were.
        let mut stored = serde_json::to_value(&deployment).expect("plain data");
        stored.as_object_mut().expect("an object").remove("generation");
        let before: Condition = serde_json::from_value(stored).expect("it is one");
        assert_eq!(before.broken(Some(&live(6))), None);
    }

    #[test]
    fn a_digest_covers_every_field_but_itself() {
        let mut document = json!({"release": "shop", "evidence": {}});
        let written = digest(&document);
        document["digest"] = written.clone().into();
        assert_eq!(digest(&document), written);
        document["release"] = "other".into();
        assert_ne!(digest(&document), written);
    }
}
