//! All upgrades, as text or as a picture.

use std::fmt::Write as _;

use crate::interface::Interface;
use crate::matrix::Matrix;
use crate::reason::refused;
use crate::rules::{Faults, Rules};

/// Up to so many releases a picture can be read.
const READABLE: usize = 40;

/// Each upgrade on a line: whether it is allowed, and what speaks against it.
#[must_use]
pub fn text(matrix: &Matrix) -> String {
    let rules = Rules::new(matrix);
    let mut out = String::new();
    for (from, to, faults) in edges(&rules) {
        let refused = refused(&rules, from, to, faults);
        let word = if faults.is_empty() {
            "ok"
        } else if faults.without_ways_back().is_empty() {
            "one-way"
        } else {
            "no"
        };
        let line = if faults.is_empty() { format!("{} -> {}", refused.from, refused.to) } else { refused.line() };
        let _ = writeln!(out, "{word:<8} {line}");
    }
    out
}

/// The upgrades that are allowed, as Mermaid draws them; a dotted line has no way back. A line that other lines replace is left out
/// where there are many releases.
#[must_use]
pub fn mermaid(matrix: &Matrix) -> String {
    let rules = Rules::new(matrix);
    let mut out = "graph LR\n".to_owned();
    for (index, release) in matrix.releases.iter().enumerate() {
        let mut label = vec![matrix.version(index)];
        if matrix.has_schema() {
            label.push(format!("schema {}", matrix.schema[release.schema].version));
        }
        label.extend(release.serves.iter().map(|(interface, versions)| interface.with(versions)));
        let _ = writeln!(out, "  r{index}[\"{}\"]", label.join("<br/>").replace('"', "#quot;"));
    }
    let is_large = matrix.releases.len() > READABLE;
    for (from, to, faults) in edges(&rules) {
        if !faults.without_ways_back().is_empty() || (is_large && to > from + 1) {
            continue;
        }
        let line = if faults.is_empty() { "-->" } else { "-.->" };
        let closed: Vec<String> = rules.moves(from, to).closed.iter().map(|(it, versions)| gate(it, versions)).collect();
        let label = if closed.is_empty() { String::new() } else { format!("|\"{}\"|", closed.join(", ")) };
        let _ = writeln!(out, "  r{from} {line}{label} r{to}");
    }
    out
}

fn gate(interface: &Interface, versions: &[String]) -> String {
    format!("drain {}", interface.with(versions))
}

/// Every upgrade, with what speaks against it.
fn edges<'a>(rules: &'a Rules<'_>) -> impl Iterator<Item = (usize, usize, Faults)> + 'a {
    let count = rules.matrix.releases.len();
    (0..count).flat_map(move |from| (from + 1..count).map(move |to| (from, to, rules.faults(from, to))))
}
