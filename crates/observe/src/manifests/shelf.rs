//! The objects of one kind, in little memory: a dump of a cluster is larger than a pod.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use fairlead_apis::object;
use fairlead_migration::packed::Packed;
use serde_json::Value;
use serde_json::value::RawValue;

/// So many bytes are in memory at once while objects are brought into order.
const BATCH: usize = 4 * 1024 * 1024;

/// Where an object was read.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) document: usize,
}

/// The objects of one kind.
#[derive(Default)]
pub(super) struct Shelf {
    objects: Packed<Box<RawValue>>,
    /// Where objects were read.
    files: Vec<Arc<str>>,
    /// By namespace and name, as long as objects are added.
    entries: HashMap<Box<str>, Entry>,
    /// The last key, as long as they came in order.
    last: Option<Box<str>>,
    is_disordered: bool,
    /// Positions and sizes in order; empty where that is the order in which they were added.
    order: Vec<(u32, u32)>,
}

struct Entry {
    /// Position in the files.
    file: u32,
    document: u32,
    position: u32,
    size: u32,
    /// Of what two files must agree about.
    digest: u64,
}

impl Shelf {
    /// Adds an object; says who says otherwise.
    pub(super) fn add(&mut self, object: &Value, place: Place) -> Result<(), String> {
        let key = format!("{}/{}", object::namespace(object), object::name(object)).into_boxed_str();
        let digest = digest(object);
        if let Some(known) = self.entries.get(&key) {
            let (file, document) = (&self.files[known.file as usize], known.document);
            return if known.digest == digest {
                Ok(())
            } else {
                Err(format!("document {document} of {file} says otherwise; leave one of them out"))
            };
        }
        let raw = serde_json::value::to_raw_value(object).map_err(|error| error.to_string())?;
        let (position, size) = (number(self.objects.len()), number(raw.get().len()));
        self.objects.push(&raw);
        self.is_disordered |= self.last.as_ref().is_some_and(|last| *last > key);
        self.last = Some(key.clone());
        if self.files.last() != Some(&place.file) {
            self.files.push(place.file);
        }
        let (file, document) = (number(self.files.len() - 1), number(place.document));
        self.entries.insert(key, Entry { file, document, position, size, digest });
        Ok(())
    }

    /// Brings the objects into order, and forgets what only adding needs.
    pub(super) fn sort(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        if self.is_disordered {
            let entries = entries.into_iter().map(|(key, entry)| (key, (entry.position, entry.size)));
            let mut entries: Vec<(Box<str>, (u32, u32))> = entries.collect();
            entries.sort_unstable();
            self.order = entries.into_iter().map(|(_, place)| place).collect();
        }
    }

    /// In the order of their keys in etcd, once they are [sorted](Self::sort).
    pub(super) fn objects(&self) -> Box<dyn Iterator<Item = Value> + '_> {
        if self.order.is_empty() {
            return Box::new(self.objects.iter().map(|raw| read(&raw)));
        }
        Box::new(batches(&self.order).flat_map(|batch| self.pick(batch)))
    }

    /// The objects at these positions, in this order.
    fn pick(&self, batch: &[(u32, u32)]) -> impl Iterator<Item = Value> {
        let ranks: HashMap<u32, usize> = batch.iter().enumerate().map(|(rank, (position, _))| (*position, rank)).collect();
        let mut picked: Vec<Option<Box<RawValue>>> = std::iter::repeat_with(|| None).take(batch.len()).collect();
        for (position, raw) in self.objects.iter().enumerate() {
            if let Some(rank) = ranks.get(&number(position)) {
                picked[*rank] = Some(raw);
            }
        }
        picked.into_iter().flatten().map(|raw| read(&raw))
    }
}

fn batches(mut order: &[(u32, u32)]) -> impl Iterator<Item = &[(u32, u32)]> {
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = |(_, more): &&(u32, u32)| {
            size += *more as usize;
            size <= BATCH
        };
        let count = order.iter().take_while(fits).count().max(1).min(order.len());
        let (batch, rest) = order.split_at(count);
        order = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

fn read(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("it was written in here")
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("less than 4 GiB of objects of a kind")
}

/// Of everything but what the server counts, and the version in which it was asked for.
fn digest(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, value) in object.as_object().into_iter().flatten().filter(|(key, _)| *key != "apiVersion") {
        key.hash(&mut hasher);
        match value.as_object().filter(|_| key == "metadata") {
            Some(metadata) => {
                let said = metadata.iter().filter(|(key, _)| !["resourceVersion", "selfLink"].contains(&key.as_str()));
                said.for_each(|entry| entry.hash(&mut hasher));
            }
            None => value.hash(&mut hasher),
        }
    }
    hasher.finish()
}
