//! The plan for people at a terminal.

use std::fmt::Write as _;

use crate::document::Kind;
use crate::plan::{Entry, Migration, Plan, PointKind, Step};

/// What a line of a terminal holds.
const WIDTH: usize = 100;

/// Column in which what is said of a step begins.
const MARGIN: &str = "             ";

/// `1 upgrade`, `2 upgrades`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The plan as text.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let Plan { release, from, to, steps, stops, .. } = plan;
    if steps.is_empty() {
        return format!("{release} runs {to} already: nothing to do.\n");
    }
    let mut out = format!("{release} from {from} to {to}: {}\n", counted(steps.len(), "upgrade"));
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "\n{}. {} -> {}", index + 1, step.from, step.to);
        lines(&mut out, step);
    }
    if !stops.is_empty() {
        out.push_str("\nWhy no stop can be left out:\n");
        for stop in stops {
            wrap(&mut out, &format!("{}: {}", stop.release, stop.refused.line()), "  ", "    ");
        }
    }
    out
}

fn lines(out: &mut String, step: &Step) {
    for entry in &step.entries {
        let Entry { release, breaking, changes } = entry;
        for line in breaking {
            field(out, "breaking", &format!("{release}: {line}"));
        }
        for line in changes {
            field(out, "change", &format!("{release}: {line}"));
        }
    }
    for line in crate::helm::before(step) {
        field(out, "before", &line);
    }
    for migration in &step.before_rollout {
        field(out, word(migration.kind), &format!("{}, before the new pods start", said(migration)));
    }
    // Whole, so that it can be copied.
    let _ = writeln!(out, "   upgrade   {}", step.command);
    for migration in &step.after_rollout {
        field(out, word(migration.kind), &format!("{}, when the last pod of {} is gone", said(migration), step.from));
    }
    for opened in &step.opens {
        field(out, "open", &format!("{}, when the last pod of {} is gone", opened.name(), step.from));
    }
    if step.points_of_no_return.is_empty() {
        field(out, "way back", "at any time");
    }
    for point in &step.points_of_no_return {
        let kind = kind(point.kind);
        field(out, "way back", &format!("until {}: {} (point of no return: {kind})", point.until, point.reason));
    }
}

/// The word for a point of no return.
pub(crate) fn kind(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Schema => "schema",
        PointKind::Data => "data",
        PointKind::Client => "client",
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Expand => "expand",
        Kind::Contract => "contract",
    }
}

/// What a migration is, and what it asks.
pub(crate) fn said(migration: &Migration) -> String {
    let Migration { kind, schema, name, backfill, requires, drops } = migration;
    let mut said = format!("schema {schema}");
    if let Some(name) = name {
        let _ = write!(said, " ({name})");
    }
    if !requires.is_empty() {
        let _ = write!(said, ", which requires {}", requires.join(", "));
    }
    if !drops.is_empty() {
        let _ = write!(said, ", which drops {}", drops.join(", "));
    }
    if !backfill.is_empty() {
        let when = if *kind == Kind::Contract { "first fills the rows" } else { "then fills the rows" };
        let _ = write!(said, "; {when} without {}", backfill.join(", "));
    }
    said
}

fn field(out: &mut String, name: &str, text: &str) {
    wrap(out, text, &format!("   {name:<10}"), MARGIN);
}

fn wrap(out: &mut String, text: &str, first: &str, rest: &str) {
    let options = textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(rest).break_words(false);
    out.push_str(&textwrap::fill(text, options));
    out.push('\n');
}
