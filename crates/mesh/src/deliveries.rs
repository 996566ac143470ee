//! The deliveries that Triggers carry out, by the rule of equality that decides about replicas, too. Of each only a digest is kept:
//! a cluster may have 100,000 of them.

use std::collections::{BTreeMap, HashMap};

use fairlead_apis::delivery::Delivery;
use fairlead_apis::object;
use fairlead_apis::status::Status;
use fairlead_apis::trigger::{DEFAULT_BROKER, Trigger};
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::made_by;
use fairlead_observe::source::Source;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kinds;

/// Digest of a delivery. Not a hash of 64 bits: what is taken for replicated is deleted.
type Key = [u8; 16];

/// The deliveries that Triggers carry out.
#[derive(Default)]
pub struct Deliveries {
    /// Why one that is carried out does not work, if so.
    carried: HashMap<Key, Option<Box<str>>>,
    /// How many of the Triggers runs have made, by the namespace of the ledger and the release.
    makers: BTreeMap<(String, String), usize>,
}

/// Whether a delivery is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// A Trigger that is Ready carries the delivery out.
    Ready,
    /// A Trigger that is not Ready carries it out; which, and why.
    NotReady(&'a str),
    /// No Trigger carries it out.
    Missing,
}

impl Deliveries {
    /// Reads the Triggers.
    pub async fn of(source: &Source<'_>) -> Result<Self, Obstacle> {
        source.fold(&kinds::TRIGGER, Self::default, |deliveries, object| deliveries.add(&object)).await
    }

    /// Adds what a Trigger delivers.
    pub fn add(&mut self, object: &Value) {
        let trigger = Trigger::read(object);
        if trigger.is_terminating || trigger.broker != DEFAULT_BROKER {
            return;
        }
        let Some(delivery) = trigger.delivery() else { return };
        if let Some((namespace, release)) = made_by(object) {
            *self.makers.entry((namespace.to_owned(), release.to_owned())).or_default() += 1;
        }
        let why = match Status::of(object) {
            Status::Current => None,
            Status::InProgress(cause) | Status::Failed(cause) => Some(cause.to_string()),
            Status::Terminating => return,
        };
        let why = why.map(|why| format!("Trigger {}/{}: {why}", object::namespace(object), object::name(object)).into());
        let entry = self.carried.entry(key(&delivery)).or_insert_with(|| why.clone());
        // One Trigger that is Ready is enough; of several that are not, the first by name is reported.
        *entry = match (entry.take(), why) {
            (Some(one), Some(other)) => Some(one.min(other)),
            _ => None,
        };
    }

    /// How many of the Triggers runs have made, by the namespace of the ledger and the release.
    pub fn makers(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.makers.iter().map(|((namespace, release), count)| (namespace.as_str(), release.as_str(), *count))
    }

    /// Whether a Trigger carries the delivery out.
    #[must_use]
    pub fn get(&self, delivery: &Delivery) -> Carried<'_> {
        match self.carried.get(&key(delivery)) {
            Some(None) => Carried::Ready,
            Some(Some(why)) => Carried::NotReady(why),
            None => Carried::Missing,
        }
    }
}

fn key(delivery: &Delivery) -> Key {
    let mut digest = Sha256::new();
    for part in delivery.key() {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(&digest.finalize()[..size_of::<Key>()]);
    key
}
