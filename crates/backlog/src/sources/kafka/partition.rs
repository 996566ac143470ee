//! One partition, and what a group has left in it.

use serde_json::{Value, json};

use super::Uncommitted;

/// One partition.
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) index: i32,
    /// Id of the broker that leads it.
    pub(super) leader: i32,
    /// The group's offset; none when it has none.
    pub(super) committed: Option<u64>,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Only markers of transactions follow the group's offset.
    pub(super) has_only_markers: bool,
}

impl Partition {
    pub(super) fn new(topic: String, index: i32, leader: i32) -> Self {
        Self { topic, index, leader, committed: None, start: 0, end: 0, has_only_markers: false }
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

    pub(super) fn evidence(&self) -> Value {
        json!({"committed": self.committed, "start": self.start, "end": self.end, "onlyMarkers": self.has_only_markers})
    }
}

/// Whether these batches, the first of which may begin earlier, hold nothing but markers of transactions from `from` up to `end`.
pub(super) fn are_only_markers(records: &[u8], from: u64, end: u64) -> bool {
    let (mut rest, mut next) = (records, from);
    while next < end {
        let Some(batch) = Batch::read(rest) else { return false };
        let is_older = batch.last < next;
        if !is_older && (!batch.is_control || batch.first > next) {
            return false;
        }
        next = next.max(batch.last + 1);
        rest = &rest[batch.length..];
    }
    true
}

/// The head of a batch of records.
struct Batch {
    first: u64,
    last: u64,
    /// All of its bytes.
    length: usize,
    is_control: bool,
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
        is_whole.then_some(Self { first, last: first + delta, length, is_control: attributes & 0x20 != 0 })
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
    fn an_offset_that_is_missing_or_too_large_is_no_zero() {
        let partition = |committed, start, end| Partition { committed, start, end, ..Partition::new("t".to_owned(), 0, 1) };
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
