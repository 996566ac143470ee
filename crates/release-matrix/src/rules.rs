//! What speaks against an upgrade from one release to a newer one.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use crate::document::{Contracts, Kind};
use crate::interface::{Interface, overlap, without};
use crate::matrix::{Blocked, Matrix, SchemaVersion};
use crate::tolerance::{Tolerance, tolerance};

/// What speaks against an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Fault {
    /// Both serve an interface, and no version of it in common.
    NoCommonVersion = 1,
    /// The old pods would run on a schema that they do not tolerate.
    OldPods = 1 << 1,
    /// The new pods would start on a schema that they do not tolerate.
    NewPods = 1 << 2,
    /// A contraction would come before an expansion.
    ExpandAfterContract = 1 << 3,
    /// A required stop is skipped.
    StopSkipped = 1 << 4,
    /// The matrix blocks it.
    Blocked = 1 << 5,
    /// The newer release brings an older schema.
    OlderSchema = 1 << 6,
    /// The old release does not run on the schema of the new one.
    NoWayBack = 1 << 7,
    /// A migration loses data.
    DataLost = 1 << 8,
}

/// All faults, in the order in which they are told.
const ALL: [Fault; 9] = [
    Fault::NoCommonVersion,
    Fault::OldPods,
    Fault::NewPods,
    Fault::ExpandAfterContract,
    Fault::StopSkipped,
    Fault::Blocked,
    Fault::OlderSchema,
    Fault::NoWayBack,
    Fault::DataLost,
];

/// A set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u16);

impl Faults {
    fn add(&mut self, fault: Fault, is_so: bool) {
        if is_so {
            self.0 |= fault as u16;
        }
    }

    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        ALL.into_iter().filter(move |fault| self.0 & *fault as u16 != 0)
    }

    /// Those that are accepted with a point of no return, left out.
    #[must_use]
    pub fn without_ways_back(self) -> Self {
        Self(self.0 & !(Fault::NoWayBack as u16 | Fault::DataLost as u16))
    }
}

/// What an upgrade does to the interfaces of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Interfaces without a common version.
    pub broken: Vec<Interface>,
    /// Versions that go: their clients are drained before.
    pub closed: Vec<(Interface, Vec<String>)>,
    /// Versions that come: clients may use them after the last old pod is gone.
    pub opened: Vec<(Interface, Vec<String>)>,
}

/// Whether an interface breaks, and how many versions go and come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) is_broken: bool,
    pub(crate) closed: usize,
    pub(crate) opened: usize,
}

/// The rules, with everything that is needed to ask them often.
pub struct Rules<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    tolerances: Vec<Tolerance>,
    /// The first contraction at or after each schema version, and the last expansion at or before it.
    next_contract: Vec<usize>,
    last_expand: Vec<usize>,
    /// How many migrations up to each schema version lose data.
    losses: Vec<usize>,
    /// Releases that serve the same have the same number.
    offers: Vec<usize>,
    /// How many such numbers there are.
    width: usize,
    /// For each pair of those numbers, as far as it was asked for.
    counts: RefCell<Vec<Option<Counts>>>,
    /// For each new release the entries that are about it, with the old release.
    blocked: Vec<Vec<(usize, usize)>>,
    /// For each release the first required stop after it.
    next_stop: Vec<usize>,
}

impl<'a> Rules<'a> {
    /// The rules for a matrix.
    #[must_use]
    pub fn new(matrix: &'a Matrix) -> Self {
        let count = matrix.schema.len();
        let mut next_contract = vec![count; count + 1];
        for index in (1..count).rev() {
            let is_contract = matrix.schema[index].kind == Kind::Contract;
            next_contract[index] = if is_contract { index } else { next_contract[index + 1] };
        }
        let mut last_expand = vec![0; count.max(1)];
        for index in 1..count {
            let is_expand = matrix.schema[index].kind == Kind::Expand;
            last_expand[index] = if is_expand { index } else { last_expand[index - 1] };
        }
        let is_lossy = |schema: &SchemaVersion| usize::from(schema.irreversible.is_some());
        let losses = matrix.schema.iter().scan(0, |sum, schema| {
            *sum += is_lossy(schema);
            Some(*sum)
        });
        let losses = losses.collect();
        let mut kinds: Vec<usize> = Vec::new();
        let mut offers = Vec::new();
        for (index, release) in matrix.releases.iter().enumerate() {
            let kind = kinds.iter().position(|other| matrix.releases[*other].serves == release.serves);
            offers.push(kind.unwrap_or(kinds.len()));
            if kind.is_none() {
                kinds.push(index);
            }
        }
        let releases = matrix.releases.len();
        let mut blocked: Vec<Vec<(usize, usize)>> = vec![Vec::new(); releases];
        for (index, block) in matrix.blocked.iter().enumerate() {
            let older = (0..block.to).filter(|from| block.is_about(&matrix.releases[*from]));
            older.for_each(|from| blocked[block.to].push((from, index)));
        }
        let first_stop = |release: usize| matrix.stops.iter().map(|stop| stop.release).filter(|stop| *stop > release).min();
        let next_stop = (0..releases).map(|release| first_stop(release).unwrap_or(releases)).collect();
        let counts = RefCell::new(vec![None; kinds.len() * kinds.len()]);
        let tolerances = matrix.releases.iter().map(|release| tolerance(matrix, release)).collect();
        Self {
            matrix,
            tolerances,
            next_contract,
            last_expand,
            losses,
            offers,
            width: kinds.len(),
            counts,
            blocked,
            next_stop,
        }
    }

    /// What a release runs on.
    #[must_use]
    pub fn tolerance(&self, release: usize) -> &Tolerance {
        &self.tolerances[release]
    }

    /// The newest schema version that is there while pods of the old release still run.
    #[must_use]
    pub fn expanded(&self, from: usize, to: usize) -> usize {
        let [old, new] = [from, to].map(|release| self.matrix.releases[release].schema);
        match self.matrix.contracts {
            Contracts::BeforeRollout => new,
            Contracts::AfterRollout => (self.next_contract.get(old + 1).map_or(new, |next| next - 1)).min(new),
        }
    }

    /// The schema versions that an upgrade leads to, by their places; empty where it changes none.
    #[must_use]
    pub fn migrations(&self, from: usize, to: usize) -> RangeInclusive<usize> {
        self.matrix.releases[from].schema + 1..=self.matrix.releases[to].schema
    }

    /// Whether an upgrade contracts the schema.
    #[must_use]
    pub fn has_contraction(&self, from: usize, to: usize) -> bool {
        let [old, new] = [from, to].map(|release| self.matrix.releases[release].schema);
        self.next_contract.get(old + 1).is_some_and(|next| *next <= new && *next < self.matrix.schema.len())
    }

    /// Everything that speaks against an upgrade, the points of no return included.
    #[must_use]
    pub fn faults(&self, from: usize, to: usize) -> Faults {
        let mut faults = Faults::default();
        let (old, new) = (self.matrix.releases[from].schema, self.matrix.releases[to].schema);
        let (old_pods, new_pods) = (&self.tolerances[from], &self.tolerances[to]);
        if new < old {
            faults.add(Fault::OlderSchema, true);
        } else {
            let expanded = self.expanded(from, to);
            let is_mixed = self.last_expand[new] > expanded;
            faults.add(Fault::ExpandAfterContract, is_mixed);
            faults.add(Fault::OldPods, old_pods.highest < expanded);
            faults.add(Fault::NewPods, !is_mixed && new_pods.lowest > expanded);
            faults.add(Fault::NoWayBack, !old_pods.includes(new));
            faults.add(Fault::DataLost, self.losses.get(old) < self.losses.get(new));
        }
        faults.add(Fault::NoCommonVersion, self.counts(from, to).is_broken);
        faults.add(Fault::StopSkipped, self.next_stop[from] < to);
        faults.add(Fault::Blocked, self.blocks(from, to).any(|block| block.when.is_empty()));
        faults
    }

    /// The entries of the matrix that block an upgrade, always or under a condition.
    pub fn blocks(&self, from: usize, to: usize) -> impl Iterator<Item = &'a Blocked> + use<'_, 'a> {
        let entries = self.blocked[to].iter().filter(move |(older, _)| *older == from);
        entries.map(|(_, index)| &self.matrix.blocked[*index])
    }

    /// What an upgrade does to interfaces.
    #[must_use]
    pub fn moves(&self, from: usize, to: usize) -> Moves {
        let [old, new] = [from, to].map(|release| &self.matrix.releases[release].serves);
        let mut moves = Moves::default();
        for (interface, versions) in old {
            let later = new.get(interface).map(Vec::as_slice).unwrap_or_default();
            // An interface that is gone altogether is drained like a version that goes.
            if !later.is_empty() && !overlap(versions, later) {
                moves.broken.push(interface.clone());
            }
            moves.closed.push((interface.clone(), without(versions, later)));
        }
        for (interface, versions) in new {
            let earlier = old.get(interface).map(Vec::as_slice).unwrap_or_default();
            moves.opened.push((interface.clone(), without(versions, earlier)));
        }
        moves.closed.retain(|(_, versions)| !versions.is_empty());
        moves.opened.retain(|(_, versions)| !versions.is_empty());
        moves
    }

    /// How much an upgrade does to interfaces.
    pub(crate) fn counts(&self, from: usize, to: usize) -> Counts {
        let (old, new) = (self.offers[from], self.offers[to]);
        if old == new {
            return Counts::default();
        }
        let width = self.width;
        let known = self.counts.borrow()[old * width + new];
        known.unwrap_or_else(|| {
            let moves = self.moves(from, to);
            let count = |list: &[(Interface, Vec<String>)]| list.iter().map(|(_, versions)| versions.len()).sum();
            let counts =
                Counts { is_broken: !moves.broken.is_empty(), closed: count(&moves.closed), opened: count(&moves.opened) };
            self.counts.borrow_mut()[old * width + new] = Some(counts);
            counts
        })
    }
}

#[cfg(test)]
mod tests;
