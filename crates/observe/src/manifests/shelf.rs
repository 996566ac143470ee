//! The objects of one kind, in little memory: a dump of a cluster is larger than a pod.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use fairlead_apis::object;
use fairlead_migration::packed::Packed;
use serde_json::Value;
use serde_json::value::RawValue;

/// So many bytes of objects are brought into order at once, at most and at least; what is read later is merged with them when all are asked
/// for. A dump has many kinds of a few objects: of each only a part is not compressed.
const RUN: std::ops::RangeInclusive<usize> = 256 * 1024..=4 * 1024 * 1024;

/// Up to here every whole number is a decimal, too: 2^53.
const LARGE: f64 = 9_007_199_254_740_992.0;

/// So many objects go from one thread to the other at once.
const BATCH: usize = 256;

/// Where an object was read.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) document: usize,
}

/// Namespace and name, which is the order in etcd, and the object.
type Keyed = (String, Box<RawValue>);

/// The objects of one kind.
#[derive(Default)]
pub(super) struct Shelf {
    /// Each in order.
    runs: Vec<Packed<Keyed>>,
    /// What will be the next of them.
    open: Vec<Keyed>,
    /// Bytes of that.
    size: usize,
    /// Bytes of all before it.
    ordered: usize,
    /// Where objects were read.
    files: Vec<Arc<str>>,
    /// What was read, by the digest of its key, as long as objects are added.
    entries: HashMap<u128, Entry>,
}

struct Entry {
    /// Position in the files.
    file: u32,
    document: u32,
    /// Of what two files must agree about.
    digest: u64,
}

impl Shelf {
    /// Adds an object; says who says otherwise.
    pub(super) fn add(&mut self, object: &Value, place: Place) -> Result<(), String> {
        let key = format!("{}/{}", object::namespace(object), object::name(object));
        let (short, digest) = (short(&key), digest(object));
        if let Some(known) = self.entries.get(&short) {
            let (file, document) = (&self.files[known.file as usize], known.document);
            return if known.digest == digest {
                Ok(())
            } else {
                Err(format!("document {document} of {file} says otherwise; leave one of them out"))
            };
        }
        if self.files.last() != Some(&place.file) {
            self.files.push(place.file);
        }
        let (file, document) = (number(self.files.len() - 1), number(place.document));
        self.entries.insert(short, Entry { file, document, digest });
        let raw = serde_json::value::to_raw_value(object).map_err(|error| error.to_string())?;
        self.size += raw.get().len();
        self.open.push((key, raw));
        if self.size >= (self.ordered / 4).clamp(*RUN.start(), *RUN.end()) {
            self.end_run();
        }
        Ok(())
    }

    fn end_run(&mut self) {
        self.ordered += std::mem::take(&mut self.size);
        self.open.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut run = Packed::passing();
        run.extend(self.open.drain(..));
        self.runs.push(run);
    }

    /// Ends the adding, and forgets what only that needs.
    pub(super) fn sort(&mut self) {
        self.end_run();
        (self.open, self.entries) = (Vec::new(), HashMap::new());
    }

    /// Takes what `make` makes of each object, in the order of [`Self::objects`]. Of many objects, a second thread makes every other batch.
    pub(super) fn each<T: Send>(&self, make: impl Fn(Value) -> T + Sync, mut take: impl FnMut(T)) {
        if self.ordered < *RUN.end() {
            return self.objects().map(make).for_each(take);
        }
        let make = &|batch: Vec<Box<RawValue>>| batch.iter().map(|raw| make(read(raw))).collect::<Vec<T>>();
        let mut texts = self.texts();
        let mut next = || texts.by_ref().take(BATCH).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let ((to_other, others), (sender, theirs)) = (sync_channel(1), sync_channel(1));
            scope.spawn(move || others.iter().all(|batch| sender.send(make(batch)).is_ok()));
            loop {
                let (ours, other) = (next(), next());
                if ours.is_empty() || to_other.send(other).is_err() {
                    break;
                }
                make(ours).into_iter().chain(theirs.recv().into_iter().flatten()).for_each(&mut take);
            }
        });
    }

    /// In the order of their keys in etcd, once they are [sorted](Self::sort).
    pub(super) fn objects(&self) -> impl Iterator<Item = Value> + use<'_> {
        self.texts().map(|raw| read(&raw))
    }

    fn texts(&self) -> impl Iterator<Item = Box<RawValue>> + use<'_> {
        let mut runs: Vec<_> = self.runs.iter().map(Packed::iter).collect();
        let mut firsts: Vec<Option<Box<RawValue>>> = Vec::new();
        let mut keys = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            let (key, raw) = run.next().unzip();
            keys.extend(key.map(|key: String| Reverse((key, index))));
            firsts.push(raw);
        }
        std::iter::from_fn(move || {
            let Reverse((_, index)) = keys.pop()?;
            let (key, next) = runs[index].next().unzip();
            keys.extend(key.map(|key| Reverse((key, index))));
            std::mem::replace(&mut firsts[index], next)
        })
    }
}

fn read(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("it was written in here")
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("less than four thousand million objects of a kind")
}

/// Of a key, of which there are too many to be kept: that two have the same does not happen.
fn short(key: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, key).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// Of everything but what the server counts, and the version in which it was asked for.
fn digest(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, value) in object.as_object().into_iter().flatten().filter(|(key, _)| *key != "apiVersion") {
        let is_book_keeping = key == "metadata" || key == "status";
        if value.is_null() || key == "status" && is_empty(value) {
            continue;
        }
        key.hash(&mut hasher);
        match value.as_object().filter(|_| is_book_keeping) {
            Some(entries) => {
                let is_said = |key: &str, value: &Value| !["resourceVersion", "selfLink"].contains(&key) && !is_empty(value);
                for (key, value) in entries.iter().filter(|(key, value)| is_said(key, value)) {
                    key.hash(&mut hasher);
                    add(value, &mut hasher);
                }
            }
            None => add(value, &mut hasher),
        }
    }
    hasher.finish()
}

/// Adds a value to a digest, however its writer puts it: a field that is null is none, and `1.0` is `1`.
fn add(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(entries) => {
            let entries = || entries.iter().filter(|(_, value)| !value.is_null());
            ('{', entries().count()).hash(hasher);
            for (key, value) in entries() {
                key.hash(hasher);
                add(value, hasher);
            }
        }
        Value::Array(items) => {
            ('[', items.len()).hash(hasher);
            for item in items {
                add(item, hasher);
            }
        }
        // Whole numbers are written by others as decimals; large ones are no decimals without a loss.
        Value::Number(number) => match number.as_f64().filter(|decimal| number.is_f64() || decimal.abs() < LARGE) {
            Some(decimal) => decimal.to_bits().hash(hasher),
            None => number.hash(hasher),
        },
        other => other.hash(hasher),
    }
}

/// Whether metadata or a status that has this says no more than without it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(entries) => entries.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
