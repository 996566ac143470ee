//! One partition, and what a group has left in it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::Uncommitted;

/// One partition.
pub(super) struct Partition {
    pub(super) topic: Rc<str>,
    /// Of the topic; a topic that is made again has another one. Zero where the brokers do not say it.
    pub(super) id: u128,
    pub(super) index: i32,
    /// Id of the broker that leads it.
    pub(super) leader: i32,
    /// Since which election it does; an answer of an earlier or a later time is none.
    pub(super) epoch: i32,
    /// The group's offset; none when it has none.
    pub(super) committed: Option<u64>,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Only markers of transactions follow the group's offset, or what does not count with them.
    pub(super) has_only_markers: bool,
    /// Only records of aborted transactions follow, and markers.
    pub(super) has_only_aborted: bool,
    /// Whether what follows the group's offset was looked at.
    is_tail_seen: bool,
}

/// A partition as it was when the group last had an offset there.
pub(super) struct Known {
    id: u128,
    left: u64,
    end: u64,
}

/// A partition whose offset has gone, or which has gone itself, with what was left there.
pub(super) fn gone(known: &BTreeMap<String, Known>, partitions: &[Partition], group: &str) -> Option<String> {
    known.iter().find_map(|(name, Known { id, left, end })| {
        let now = partitions.iter().find(|one| one.name() == *name);
        let same = now.filter(|one| one.id == *id);
        let came = same.map_or(0, |one| one.end.saturating_sub(*end));
        let what = match now {
            None => format!("{name} is gone"),
            Some(now) if now.id != *id => format!("{name} was made again"),
            Some(now) if now.committed.is_none() => format!("group {group} has no offset in {name} any more"),
            Some(now) if now.end < *end => format!("{name} was made again, or cut off"),
            Some(_) => return None,
        };
        (left + came > 0)
            .then(|| format!("{what}: {left} records were left there when it was last seen, and {came} have come since"))
    })
}

impl Partition {
    pub(super) fn new(topic: Rc<str>, id: u128, index: i32, leader: i32, epoch: i32) -> Self {
        Self {
            topic,
            id,
            index,
            leader,
            epoch,
            committed: None,
            start: 0,
            end: 0,
            has_only_markers: false,
            has_only_aborted: false,
            is_tail_seen: false,
        }
    }

    /// Sets the group's offset.
    pub(super) fn commit(&mut self, committed: Option<u64>) {
        if committed != self.committed {
            self.committed = committed;
            self.see_tail(false, false, false);
        }
    }

    /// Sets where it ends.
    pub(super) fn end_at(&mut self, end: u64) {
        if end != self.end {
            self.end = end;
            self.see_tail(false, false, false);
        }
    }

    /// Whether records follow the group's offset that may be markers only, and nobody has looked at them.
    pub(super) fn has_unseen_tail(&self, longest: u64) -> bool {
        let is_short = |from: u64| from >= self.start && from < self.end && self.end - from <= longest;
        !self.is_tail_seen && self.committed.is_some_and(is_short)
    }

    /// Notes what follows the group's offset.
    pub(super) fn see_tail(&mut self, is_seen: bool, has_only_markers: bool, has_only_aborted: bool) {
        self.is_tail_seen = is_seen;
        self.has_only_markers = has_only_markers;
        self.has_only_aborted = has_only_aborted;
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.topic, self.index)
    }

    /// How much is left, or why nobody knows.
    pub(super) fn left(&self, uncommitted: Uncommitted) -> Result<u64, String> {
        let all = self.end.saturating_sub(self.start);
        match (self.committed, uncommitted) {
            // It has never had a record.
            (None, _) if self.end == 0 => Ok(0),
            (None, Uncommitted::Earliest) => Ok(all),
            (None, Uncommitted::Empty) => Ok(0),
            (None, Uncommitted::Unknown) => Err(format!(
                "the group has no offset for {}, which ends at {}; set uncommitted to earliest or empty",
                self.name(),
                self.end
            )),
            (Some(committed), _) if committed > self.end => {
                let (name, end) = (self.name(), self.end);
                Err(format!(
                    "the group's offset in {name} is {committed}, and it ends at {end}: it was made again, or cut off"
                ))
            }
            (Some(_), _) if self.has_only_markers => Ok(0),
            (Some(committed), _) => Ok(self.end - committed.max(self.start).min(self.end)),
        }
    }

    /// Records that were deleted before the group had read them.
    pub(super) fn lost(&self) -> u64 {
        self.committed.map_or(0, |committed| self.start.saturating_sub(committed))
    }

    /// Keeps how it is now for later; not in place of what has gone.
    pub(super) fn remember(&self, known: &mut BTreeMap<String, Known>) {
        let (name, end) = (self.name(), self.end);
        let is_lost = known.get(&name).is_some_and(|before| (self.id != before.id || end < before.end) && before.left > 0);
        if let (Some(_), Ok(left), false) = (self.committed, self.left(Uncommitted::Unknown), is_lost) {
            known.insert(name, Known { id: self.id, left, end });
        }
    }

    /// How much is left, in words.
    pub(super) fn in_words(&self, uncommitted: Uncommitted) -> (u64, String) {
        let (name, left) = (self.name(), self.left(uncommitted).unwrap_or_default());
        let hint = if self.has_only_aborted && !self.has_only_markers {
            ", all of aborted transactions: set isolation: readCommitted if the group reads so"
        } else {
            ""
        };
        (left, format!("{name}: {left}{hint}"))
    }

    pub(super) fn evidence(&self) -> Value {
        json!({"committed": self.committed, "start": self.start, "end": self.end, "onlyMarkers": self.has_only_markers,
            "onlyAborted": self.has_only_aborted})
    }
}

/// What these batches, the first of which may begin earlier, hold from `from` up to `end`: nothing but markers of transactions; and nothing
/// but these and records of aborted transactions. Of those each producer is named with the offset where its transaction began.
pub(super) fn tail(records: &[u8], aborted: &[(i64, u64)], from: u64, end: u64) -> (bool, bool) {
    let (mut rest, mut next) = (records, from);
    let (mut has_only_markers, mut has_only_aborted) = (true, true);
    let mut aborted = aborted.to_vec();
    let mut is_aborting = BTreeSet::new();
    while next < end {
        let Some(batch) = Batch::read(rest) else { return (false, false) };
        aborted.retain(|(producer, first)| {
            let has_begun = *first <= batch.last;
            if has_begun {
                is_aborting.insert(*producer);
            }
            !has_begun
        });
        let is_of_aborted = batch.is_transactional && is_aborting.contains(&batch.producer);
        if batch.is_control {
            is_aborting.remove(&batch.producer);
        }
        if batch.last >= next {
            let is_marker = batch.is_control && batch.first <= next;
            has_only_markers &= is_marker;
            has_only_aborted &= is_marker || is_of_aborted && batch.first <= next;
            if !has_only_aborted {
                return (false, false);
            }
        }
        next = next.max(batch.last + 1);
        rest = &rest[batch.length..];
    }
    (has_only_markers, has_only_aborted)
}

/// The head of a batch of records.
struct Batch {
    first: u64,
    last: u64,
    /// All of its bytes.
    length: usize,
    is_control: bool,
    is_transactional: bool,
    producer: i64,
}

impl Batch {
    fn read(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize, length: usize| {
            let bytes = bytes.get(at..at + length)?;
            Some(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
        };
        let (first, length) = (field(0, 8)?, usize::try_from(field(8, 4)?).ok()? + 12);
        let (magic, attributes, delta) = (field(16, 1)?, field(21, 2)?, field(23, 4)?);
        let is_whole = magic == 2 && length <= bytes.len() && delta <= u64::from(u32::MAX >> 1);
        let producer = i64::from_be_bytes(field(43, 8)?.to_be_bytes());
        let (is_control, is_transactional) = (attributes & 0x20 != 0, attributes & 0x10 != 0);
        is_whole.then_some(Self { first, last: first + delta, length, is_control, is_transactional, producer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: u64, count: u32, is_control: bool) -> Vec<u8> {
        let mut bytes = first.to_be_bytes().to_vec();
        bytes.extend(49_u32.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 2, 0, 0, 0, 0]);
        bytes.extend([0, if is_control { 0x30 } else { 0x10 }]);
        bytes.extend((count - 1).to_be_bytes());
        bytes.resize(61, 0);
        bytes
    }

    #[test]
    fn markers_are_told_from_records() {
        let all = |batches: &[Vec<u8>]| batches.concat();
        let are_only_markers = |records: &[u8], from, end| tail(records, &[], from, end).0;
        assert!(are_only_markers(&all(&[batch(10, 1, true)]), 10, 11));
        assert!(are_only_markers(&all(&[batch(0, 10, false), batch(10, 1, true), batch(11, 1, true)]), 10, 12));
        assert!(!are_only_markers(&all(&[batch(10, 1, true), batch(11, 1, false)]), 10, 12));
        assert!(!are_only_markers(&all(&[batch(0, 11, false), batch(11, 1, true)]), 10, 12));
        // Not everything was sent.
        assert!(!are_only_markers(&all(&[batch(10, 1, true)]), 10, 12));
        assert!(!are_only_markers(&batch(10, 1, true)[..60], 10, 11));
        assert!(!are_only_markers(&[], 10, 11));
    }

    #[test]
    fn records_of_aborted_transactions_are_told_from_others() {
        // The producer of each batch is 0.
        let all = [batch(10, 3, false), batch(13, 1, true)].concat();
        assert_eq!(tail(&all, &[(0, 10)], 10, 14), (false, true));
        assert_eq!(tail(&all, &[(0, 10)], 13, 14), (true, true));
        assert_eq!(tail(&all, &[(1, 10)], 10, 14), (false, false));
        assert_eq!(tail(&all, &[(0, 14)], 10, 14), (false, false));
        // The next transaction of the same producer is another one.
        let more = [all.clone(), batch(14, 2, false), batch(16, 1, true)].concat();
        assert_eq!(tail(&more, &[(0, 10)], 10, 17), (false, false));
        assert_eq!(tail(&more, &[(0, 10), (0, 14)], 10, 17), (false, true));
        assert_eq!(tail(&more, &[(0, 10), (0, 14)], 10, 18), (false, false));
    }

    #[test]
    fn what_goes_with_records_that_were_left_is_told_for_ever() {
        let new = |id| Partition::new("t".into(), id, 0, 1, 0);
        let partition = |committed, end| Partition { committed, end, ..new(1) };
        let mut known = BTreeMap::new();
        let mut said = |now: Option<Partition>| {
            let all: Vec<_> = now.into_iter().collect();
            let gone = gone(&known, &all, "g").map(|why| why.split(':').next().unwrap_or_default().to_owned());
            for one in &all {
                one.remember(&mut known);
            }
            gone
        };
        // It was done.
        assert_eq!(said(Some(partition(Some(5), 5))), None);
        assert_eq!(said(None), None);
        assert_eq!(said(Some(partition(None, 5))), None);
        assert_eq!(said(Some(partition(None, 6))).as_deref(), Some("group g has no offset in t/0 any more"));
        assert_eq!(said(Some(partition(Some(2), 5))), None);
        assert_eq!(said(None).as_deref(), Some("t/0 is gone"));
        let made_again = Some("t/0 was made again, or cut off");
        assert_eq!(said(Some(partition(Some(0), 0))).as_deref(), made_again);
        assert_eq!(said(Some(partition(Some(1), 1))).as_deref(), made_again);
        // Also where the new one has as many records.
        assert_eq!(said(Some(Partition { committed: Some(9), end: 9, ..new(2) })).as_deref(), Some("t/0 was made again"));
    }

    #[test]
    fn an_offset_that_is_missing_or_too_large_is_no_zero() {
        let new = || Partition::new("t".into(), 0, 0, 1, 0);
        let partition = |committed, start, end| Partition { committed, start, end, ..new() };
        let left = |partition: Partition| partition.left(Uncommitted::Unknown).ok();
        assert_eq!(left(partition(None, 0, 0)), Some(0));
        assert_eq!(left(partition(None, 0, 5)), None);
        assert_eq!(left(partition(None, 5, 5)), None);
        assert_eq!(partition(None, 2, 5).left(Uncommitted::Earliest), Ok(3));
        assert_eq!(partition(None, 2, 5).left(Uncommitted::Empty), Ok(0));
        assert_eq!(left(partition(Some(3), 0, 5)), Some(2));
        assert_eq!(left(partition(Some(6), 0, 5)), None);
        assert_eq!((left(partition(Some(1), 4, 5)), partition(Some(1), 4, 5).lost()), (Some(1), 3));
    }
}
