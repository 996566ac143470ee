//! A long sequence that takes little memory: JSON lines in compressed blocks. As values the changes of a plan for 100,000
//! objects take some 400 MB.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A block is compressed when it has so many bytes. Whoever reads holds one block; larger ones hardly compress better.
const BLOCK_SIZE: usize = 256 * 1024;

/// A fifth smaller than at zstd's own default, for half a second of a processor at 100,000 objects (measured); higher levels cost seconds and
/// save hardly anything.
const COMPRESSION_LEVEL: i32 = 9;

/// For what is only read again: a third larger, in an eighth of the time (measured).
const PASSING_LEVEL: i32 = 1;

/// A sequence of plain data, written once from its beginning to its end, and read in either direction.
pub struct Packed<T> {
    blocks: Vec<Block>,
    /// Lines that are not compressed yet.
    open: Vec<u8>,
    len: usize,
    level: i32,
    items: PhantomData<fn() -> T>,
}

#[derive(Clone)]
struct Block {
    /// Position after its last item.
    end: usize,
    frame: Frame,
}

/// Bytes, compressed: one frame of zstd.
#[derive(Clone)]
pub struct Frame(Box<[u8]>);

impl Frame {
    /// Compresses, fast.
    ///
    /// # Panics
    ///
    /// Never: memory can be compressed to memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::at(PASSING_LEVEL, bytes)
    }

    fn at(level: i32, bytes: &[u8]) -> Self {
        Self(zstd::bulk::compress(bytes, level).expect("memory can be compressed to memory").into())
    }

    /// The bytes.
    ///
    /// # Panics
    ///
    /// Never: it was compressed in here.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        zstd::decode_all(&*self.0).expect("it was compressed in here")
    }
}

impl<T> Packed<T> {
    /// A sequence that is written fast, and forgotten when it has been read.
    #[must_use]
    pub fn passing() -> Self {
        Self { level: PASSING_LEVEL, ..Self::default() }
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frames of zstd that hold all lines; concatenated they are one stream.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let last = (!self.open.is_empty()).then(|| Cow::Owned(Frame::at(self.level, &self.open).0.into_vec()));
        self.blocks.iter().map(|block| Cow::Borrowed(&*block.frame.0)).chain(last)
    }

    /// Positions of the items of a block; the open one comes after all others.
    fn span(&self, index: usize) -> Range<usize> {
        let begin = index.checked_sub(1).map_or(0, |previous| self.blocks[previous].end);
        begin..self.blocks.get(index).map_or(self.len, |block| block.end)
    }

    fn lines(&self, index: usize) -> Cow<'_, [u8]> {
        self.blocks.get(index).map_or(Cow::Borrowed(&self.open), |block| Cow::Owned(block.frame.read()))
    }
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Adds an item at the end.
    ///
    /// # Panics
    ///
    /// When the item cannot be written as JSON: a map whose keys are not strings. No type of ours is like that.
    pub fn push(&mut self, item: &T) {
        serde_json::to_writer(&mut self.open, item).expect("plain data can be written to memory");
        self.end_line();
    }

    /// Adds an item that is a [`line()`] already.
    pub(crate) fn push_line(&mut self, line: &[u8]) {
        self.open.extend_from_slice(line);
        self.end_line();
    }

    fn end_line(&mut self) {
        self.open.push(b'\n');
        self.len += 1;
        if self.open.len() >= BLOCK_SIZE {
            self.blocks.push(Block { end: self.len, frame: Frame::at(self.level, &self.open) });
            self.open.clear();
        }
    }

    /// All items, each read when it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        (0..=self.blocks.len()).flat_map(|index| {
            let (lines, mut begin) = (self.lines(index), 0);
            std::iter::from_fn(move || {
                let length = lines[begin..].iter().position(|byte| *byte == b'\n')?;
                let item = read(&lines[begin..begin + length]);
                begin += length + 1;
                Some(item)
            })
        })
    }

    /// The items at these positions, each with its position, the last one first.
    pub fn iter_rev(&self, range: Range<usize>) -> impl Iterator<Item = (usize, T)> {
        let Range { start, end } = range;
        let holds = move |index: &usize| self.span(*index).start < end && start < self.span(*index).end;
        (0..=self.blocks.len()).rev().filter(holds).flat_map(move |index| {
            let lines = self.lines(index);
            let mut rest = lines.len();
            let position = self.span(index).rev();
            position
                .map(move |position| {
                    let begin = lines[..rest - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                    let line = begin..rest - 1;
                    rest = begin;
                    (position, if (start..end).contains(&position) { Some(read(&lines[line])) } else { None })
                })
                .filter_map(|(position, item)| Some((position, item?)))
        })
    }
}

/// An item as it is kept.
pub(crate) fn line(item: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(item).expect("plain data can be written to memory")
}

fn read<T: DeserializeOwned>(line: &[u8]) -> T {
    serde_json::from_slice(line).expect("it was written in here")
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), open: Vec::new(), len: 0, level: COMPRESSION_LEVEL, items: PhantomData }
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { blocks: self.blocks.clone(), open: self.open.clone(), len: self.len, level: self.level, items: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Serialize + DeserializeOwned> Extend<T> for Packed<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(&item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn everything_comes_back_from_both_ends(
            // Some of these fill several blocks, some none.
            items in proptest::collection::vec(("\\PC{0,9}", 0_usize..60_000), 0..60),
            (a, b) in (0_usize..70, 0_usize..70),
        ) {
            let items: Vec<String> = items.into_iter().map(|(text, times)| text + "\n" + &"x".repeat(times)).collect();
            let mut packed = Packed::default();
            packed.extend(items.iter().cloned());
            prop_assert_eq!(packed.len(), items.len());
            prop_assert!(packed.iter().eq(items.iter().cloned()));
            let expected = items.iter().cloned().enumerate().rev().filter(|(position, _)| (a..b).contains(position));
            prop_assert!(packed.iter_rev(a..b).eq(expected));
        }
    }
}
