//! The shortest way from one release to another, or the smallest step in the way.

use crate::rules::{Counts, Faults, Rules};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The release that runs, by its place.
    pub from: usize,
    /// The release that is to run; it is not older.
    pub to: usize,
    /// Whether no release is left out.
    pub every_release: bool,
    /// Whether the way may include upgrades that cannot be rolled back.
    pub may_lose_way_back: bool,
}

/// An upgrade that is refused, with what speaks against it.
pub type Obstacle = (usize, usize, Faults);

/// What a way costs; less is better, and the first number that differs decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// Upgrades that are refused, releases that they skip, and what speaks against them.
    refused: usize,
    skipped: usize,
    faults: usize,
    /// Upgrades.
    hops: usize,
    /// What somebody has to prove or wait for.
    gates: usize,
    /// Points of no return.
    points: usize,
    /// Releases on the way that are pre-releases: production runs them only if nothing else does.
    pre_releases: usize,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            refused: self.refused + other.refused,
            faults: self.faults + other.faults,
            skipped: self.skipped + other.skipped,
            hops: self.hops + other.hops,
            gates: self.gates + other.gates,
            points: self.points + other.points,
            pre_releases: self.pre_releases + other.pre_releases,
        }
    }
}

/// The releases of the way, the first and the last included. Of equal ways it is the one with fewer pre-releases, then the one
/// whose stops are newer.
///
/// # Errors
///
/// The fewest upgrades that are refused and that, if they were allowed, would open a way. Of equal sets it is the one that skips the fewest
/// releases.
pub fn shortest(rules: &Rules<'_>, question: Question) -> Result<Vec<usize>, Vec<Obstacle>> {
    let Question { from, to, every_release, may_lose_way_back } = question;
    // Of each release from the first one on: the best way to it, and the release before it.
    let mut best: Vec<(Cost, usize)> = vec![(Cost::default(), from)];
    for next in from + 1..=to {
        let earliest = if every_release { next - 1 } else { from };
        let ways = (earliest..next).map(|before| {
            let (cost, _) = best[before - from];
            (cost.plus(edge_cost(rules, before, next, may_lose_way_back)), before)
        });
        // The last of equal ones.
        let cheapest = ways.reduce(|a, b| if b.0 <= a.0 { b } else { a });
        best.extend(cheapest);
    }
    let mut stops = vec![to];
    let mut at = to;
    while at > from {
        at = best[at - from].1;
        stops.push(at);
    }
    stops.reverse();
    let obstacles = stops.windows(2).map(|pair| (pair[0], pair[1], counted(rules, pair[0], pair[1], may_lose_way_back)));
    let obstacles: Vec<Obstacle> = obstacles.filter(|(_, _, faults)| !faults.is_empty()).collect();
    if obstacles.is_empty() { Ok(stops) } else { Err(obstacles) }
}

/// What speaks against an upgrade for this question.
pub(crate) fn counted(rules: &Rules<'_>, from: usize, to: usize, may_lose_way_back: bool) -> Faults {
    let faults = rules.faults(from, to);
    if may_lose_way_back { faults.without_ways_back() } else { faults }
}

fn edge_cost(rules: &Rules<'_>, from: usize, to: usize, may_lose_way_back: bool) -> Cost {
    let all = rules.faults(from, to);
    let faults = if may_lose_way_back { all.without_ways_back() } else { all };
    let Counts { is_broken: _, closed, opened } = rules.counts(from, to);
    let lost = (all.count() - all.without_ways_back().count()) as usize;
    let gates = closed + usize::from(rules.has_contraction(from, to)) + rules.blocks(from, to).count();
    let skipped = if faults.is_empty() { 0 } else { to - from - 1 };
    Cost {
        refused: usize::from(!faults.is_empty()),
        faults: faults.count() as usize,
        skipped,
        hops: 1,
        gates,
        points: lost + usize::from(opened > 0),
        pre_releases: usize::from(!rules.matrix.releases[to].version.pre.is_empty()),
    }
}

#[cfg(test)]
mod tests;
