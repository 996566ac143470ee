//! Which sequences there have been: a ticket that somebody deleted is noticed. Kept as annotations of the Secret with the endings.

use std::collections::BTreeSet;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::store::Lock;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::endings::{self, ENDINGS_TYPE};
use super::{Ledger, RELEASE_LABEL, is_taken};

const SEQUENCE_ANNOTATION: &str = "fairlead.dev/sequence";
const PRUNED_ANNOTATION: &str = "fairlead.dev/pruned";

/// Others note how they ended in the same Secret.
const ATTEMPTS: u32 = 10;

/// What the ledger knows of its own tickets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Register {
    /// The last one that was given; 0 for none, and in ledgers of versions that did not note it.
    pub(super) sequence: u64,
    /// Those whose tickets were deleted on purpose.
    pruned: BTreeSet<u64>,
}

impl Register {
    fn read(secret: &Value) -> Self {
        let annotation = |key: &str| secret["metadata"]["annotations"][key].as_str();
        let sequence = annotation(SEQUENCE_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or_default();
        Self { sequence, pruned: parse(annotation(PRUNED_ANNOTATION).unwrap_or_default()) }
    }

    /// The sequences of tickets that should be there and are not.
    pub(super) fn missing(&self, there: &BTreeSet<u64>) -> Vec<u64> {
        (1..=self.sequence).filter(|sequence| !there.contains(sequence) && !self.pruned.contains(sequence)).collect()
    }
}

impl Ledger<'_> {
    pub(super) async fn register(&self) -> Result<Register, Obstacle> {
        Ok(self.get(&endings::name(self.release)).await?.as_ref().map(Register::read).unwrap_or_default())
    }

    /// The sequences of the tickets that are there.
    pub(super) async fn sequences(&self) -> Result<BTreeSet<u64>, Obstacle> {
        Ok(self.list_runs().await?.into_iter().map(|run| run.sequence).collect())
    }

    /// Notes that a ticket was created.
    pub(super) async fn register_sequence(&self, sequence: u64, lock: &dyn Lock) -> Result<(), Obstacle> {
        let there = self.sequences().await?;
        self.change_register(lock, |register| {
            if register.sequence == 0 {
                // One that begins now knows nothing of what came before it.
                register.pruned.extend((1..sequence).filter(|earlier| !there.contains(earlier)));
            }
            register.sequence = register.sequence.max(sequence);
        })
        .await
    }

    /// Notes that nobody asks any more for tickets that somebody has deleted.
    pub(super) async fn register_forgotten(&self, missing: &[u64], lock: &dyn Lock) -> Result<(), Obstacle> {
        if missing.is_empty() {
            return Ok(());
        }
        self.change_register(lock, |register| register.pruned.extend(missing)).await
    }

    /// Notes that a ticket is about to be deleted.
    pub(super) async fn register_pruned(&self, sequence: u64, lock: &dyn Lock) -> Result<(), Obstacle> {
        self.change_register(lock, |register| {
            register.pruned.insert(sequence);
        })
        .await
    }

    async fn change_register(&self, lock: &dyn Lock, change: impl Fn(&mut Register)) -> Result<(), Obstacle> {
        let name = endings::name(self.release);
        for _ in 0..ATTEMPTS {
            let live = self.get(&name).await?;
            let before = live.as_ref().map(Register::read).unwrap_or_default();
            let mut register = before.clone();
            change(&mut register);
            if register == before {
                return Ok(());
            }
            let annotations =
                json!({SEQUENCE_ANNOTATION: register.sequence.to_string(), PRUNED_ANNOTATION: written(&register.pruned)});
            let request = if let Some(live) = live {
                let version = &live["metadata"]["resourceVersion"];
                let patch = json!({"metadata": {"resourceVersion": version, "annotations": annotations}});
                self.requests().patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            } else {
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": ENDINGS_TYPE,
                    "metadata": {"name": name, "namespace": self.namespace, "labels": {RELEASE_LABEL: self.release},
                        "annotations": annotations}});
                self.requests().create(&PostParams::default(), secret.to_string().into_bytes())
            };
            let request = request.map_err(|error| self.cannot_ask("patch", &name, error))?;
            match self.cluster.write(request, lock).await {
                Ok(_) => return Ok(()),
                Err(error) if is_taken(&error) || error.status().is_some_and(kube::core::Status::is_conflict) => {}
                Err(error) => return Err(self.cluster.obstacle(self.operation("patch", Some(&name)), error).await),
            }
        }
        let source = "others write to it all the time".into();
        Err(Obstacle::Refused { operation: self.operation("patch", Some(&name)).to_string(), source })
    }
}

/// `1-3,5` as its numbers. What a later version wrote otherwise is left out.
fn parse(text: &str) -> BTreeSet<u64> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u64>().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Numbers as `1-3,5`.
fn written(numbers: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range = |(first, last): (u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_that_nobody_has_pruned_is_missed() {
        let annotations = json!({SEQUENCE_ANNOTATION: "9", PRUNED_ANNOTATION: "1-3,5"});
        let register = Register::read(&json!({"metadata": {"annotations": annotations}}));
        assert_eq!(register.missing(&BTreeSet::from([6, 8, 9, 10])), [4, 7]);
        assert_eq!(written(&register.pruned), "1-3,5");
        assert_eq!(Register::read(&json!({})).missing(&BTreeSet::new()), Vec::<u64>::new());
        assert_eq!(parse("x,7-,2"), BTreeSet::from([2]));
    }
}
