//! What is known of each legacy Subscription, sorted by the Trigger that it asks for, and compressed: as text, 100,000 of them take 25 MB.
//!
//! A server lists namespace by namespace, so each is sorted for itself as soon as it is complete. Files may have any order: then all are
//! sorted again at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead_migration::packed::Frame;

/// A block is compressed when it has so many bytes. One is held as text at a time.
const BLOCK_SIZE: usize = 128 * 1024;

/// A Subscription that can be replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) namespace: String,
    /// Name of the Trigger.
    pub(crate) trigger: String,
    /// Name of the Subscription.
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What a Subscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) source: String,
    pub(crate) event_type: String,
    pub(crate) event_type_version: String,
    pub(crate) endpoint: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Records in groups: those of one Trigger, sorted by name.
///
/// A record is a line: namespace, slash and name of the Trigger, name of the Subscription, and a JSON array of all else, with tabs between
/// them. None of the names has one, and a tab is before every other character: so the lines have the order of targets.
#[derive(Default)]
pub(crate) struct Records {
    blocks: Vec<Block>,
    /// Lines of the last namespace, in the order in which they came.
    open: String,
    /// Lines that are sorted, and in no block yet.
    sorted: String,
    /// How many lines have been sorted.
    len: u32,
    /// Where each group begins, counted in lines. A group may end in another block.
    begins: Vec<u32>,
    /// The last line that was sorted.
    last: String,
    /// Whether a namespace came that belongs before another one.
    is_mixed: bool,
    /// The block that was read last, with its number.
    read: Mutex<Option<(usize, Arc<Lines>)>>,
}

struct Block {
    /// The number of its first line.
    begin: u32,
    /// The address of that.
    first: Box<str>,
    frame: Frame,
}

/// A block as text.
struct Lines {
    text: String,
    /// Where each line begins.
    begins: Vec<u32>,
}

impl Lines {
    fn of(text: String) -> Self {
        let begins = text.match_indices('\n').scan(0, |begin, (end, _)| Some(std::mem::replace(begin, end + 1)));
        let begins = begins.map(|begin| u32::try_from(begin).expect("a block is small")).collect();
        Self { text, begins }
    }

    fn get(&self, line: usize) -> &str {
        self.text[self.begins[line] as usize..].lines().next().unwrap_or_default()
    }
}

/// Where the Trigger of a line is.
fn address(line: &str) -> &str {
    line.split_once('\t').map_or(line, |(address, _)| address)
}

fn namespace(line: &str) -> &str {
    line.split_once('/').map_or(line, |(namespace, _)| namespace)
}

fn parse(line: &str) -> Record {
    let mut parts = line.splitn(3, '\t');
    let [address, name, content] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let (namespace, trigger) = address.split_once('/').unwrap_or_default();
    let (source, event_type, event_type_version, endpoint, labels) =
        serde_json::from_str(content).expect("written by Record::line");
    let content = Content { source, event_type, event_type_version, endpoint, labels };
    Record { namespace: namespace.to_owned(), trigger: trigger.to_owned(), name: name.to_owned(), content }
}

impl Record {
    /// As it is kept.
    pub(crate) fn line(&self) -> String {
        let Self { namespace, trigger, name, content } = self;
        let Content { source, event_type, event_type_version, endpoint, labels } = content;
        let content = (source, event_type, event_type_version, endpoint, labels);
        let content = serde_json::to_string(&content).expect("plain data can be written to memory");
        format!("{namespace}/{trigger}\t{name}\t{content}")
    }
}

impl Records {
    /// Adds the line of a record.
    pub(crate) fn add(&mut self, line: &str) {
        if !self.open.is_empty() && namespace(&self.open) != namespace(line) {
            self.close();
        }
        self.open.push_str(line);
        self.open.push('\n');
    }

    /// All records have been added.
    pub(crate) fn finish(&mut self) {
        self.close();
        self.flush();
        if self.is_mixed {
            let mut all = Self::default();
            for block in std::mem::take(&mut self.blocks) {
                all.open += &text(&block.frame);
            }
            all.close();
            all.flush();
            *self = all;
        }
        (self.open, self.sorted, self.last) = Default::default();
        self.begins.shrink_to_fit();
    }

    /// How many groups there are.
    pub(crate) fn groups(&self) -> usize {
        self.begins.len()
    }

    /// The records of a group, the first by name first.
    pub(crate) fn group(&self, index: usize) -> Vec<Record> {
        let end = self.begins.get(index + 1).copied().unwrap_or(self.len);
        (self.begins[index]..end).map(|line| self.with(line, parse)).collect()
    }

    /// The group of the Trigger with this address.
    pub(crate) fn position(&self, namespace: &str, trigger: &str) -> Option<usize> {
        let wanted = format!("{namespace}/{trigger}");
        // Only one block has to be read for that, or two: the first line of a block may go on with a group.
        let block = self.blocks.partition_point(|block| *block.first < *wanted).saturating_sub(1);
        let begin = self.blocks.get(block)?.begin;
        let end = self.blocks.get(block + 2).map_or(self.len, |block| block.begin);
        let [begin, end] = [begin, end].map(|line| self.begins.partition_point(|begin| *begin < line));
        let compare = |begin: &u32| self.with(*begin, |line| address(line).cmp(&wanted));
        self.begins[begin..end].binary_search_by(compare).ok().map(|index| begin + index)
    }

    fn with<T>(&self, line: u32, look: impl FnOnce(&str) -> T) -> T {
        let block = self.blocks.partition_point(|block| block.begin <= line) - 1;
        look(self.lines(block).get((line - self.blocks[block].begin) as usize))
    }

    fn lines(&self, block: usize) -> Arc<Lines> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lines)) = read.as_ref().filter(|(number, _)| *number == block) {
            return Arc::clone(lines);
        }
        let lines = Arc::new(Lines::of(text(&self.blocks[block].frame)));
        *read = Some((block, Arc::clone(&lines)));
        lines
    }

    /// Sorts what is open.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        let mut lines: Vec<&str> = open.lines().collect();
        lines.sort_unstable();
        self.is_mixed |= lines.first().is_some_and(|first| **first < *self.last);
        for line in lines {
            if address(line) != address(&self.last) {
                self.begins.push(self.len);
            }
            self.sorted.push_str(line);
            self.sorted.push('\n');
            line.clone_into(&mut self.last);
            self.len += 1;
            if self.sorted.len() >= BLOCK_SIZE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if let Some(first) = self.sorted.lines().next() {
            let first = address(first).into();
            let begin = self.len - u32::try_from(self.sorted.lines().count()).expect("a block is small");
            self.blocks.push(Block { begin, first, frame: Frame::of(self.sorted.as_bytes()) });
            self.sorted.clear();
        }
    }
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.read()).expect("compressed from text")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record((namespace, trigger, name): (u8, u8, u16)) -> Record {
        let content = Content {
            source: "shop".to_owned(),
            event_type: "a\tb".to_owned(),
            event_type_version: "v1".to_owned(),
            // Some blocks are filled by a few.
            endpoint: format!("http://mail.orders/{}", "x".repeat(usize::from(name) * 40)),
            labels: [("app".to_owned(), "mail".to_owned())].into(),
        };
        let namespace = ["a", "a-b", "a.b", "b"][usize::from(namespace)].to_owned();
        Record { namespace, trigger: format!("t{trigger}"), name: format!("s{name:04}"), content }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn records_are_found_by_trigger_in_any_order_of_the_input(
            keys in proptest::collection::btree_set((0_u8..4, 0_u8..20, 0_u16..600), 0..120),
            is_shuffled: bool,
        ) {
            let mut given: Vec<Record> = keys.into_iter().map(record).collect();
            if is_shuffled {
                given.sort_by_key(|record| record.name.clone());
            }
            let mut records = Records::default();
            for record in &given {
                records.add(&record.line());
            }
            records.finish();
            let mut expected: BTreeMap<String, Vec<Record>> = BTreeMap::new();
            for record in given {
                expected.entry(format!("{}/{}", record.namespace, record.trigger)).or_default().push(record);
            }
            prop_assert_eq!(records.groups(), expected.len());
            for (index, (address, mut group)) in expected.into_iter().enumerate() {
                group.sort_by_key(|record| record.name.clone());
                let (namespace, trigger) = address.split_once('/').expect("made above");
                prop_assert_eq!(records.position(namespace, trigger), Some(index));
                prop_assert_eq!(records.position(namespace, &format!("{trigger}x")), None);
                prop_assert_eq!(records.group(index), group);
            }
            prop_assert_eq!(records.position("zz", "t0"), None);
        }
    }
}
