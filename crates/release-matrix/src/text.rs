//! The plan for people at a terminal.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix::DOUBTFUL;

use crate::plan::{Entry, Plan, Step};
use crate::words::{WAY_BACK, before, counted, kind, said, word};

/// What a line of a terminal holds.
const WIDTH: usize = 100;

/// Column in which what is said of a step begins.
const MARGIN: &str = "             ";

/// The plan as text.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let Plan { release, from, to, steps, stops, doubts, .. } = plan;
    if steps.is_empty() {
        return format!("{release} runs {to} already: nothing to do.\n");
    }
    let mut out = format!("{release} from {from} to {to}: {}\n", counted(steps.len(), "upgrade"));
    for doubt in doubts {
        wrap(&mut out, &format!("{} {doubt}", DOUBTFUL.id), "", "  ");
    }
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "\n{}. {} -> {}", index + 1, step.from, step.to);
        lines(&mut out, step);
    }
    let _ = writeln!(out, "\n{WAY_BACK}");
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
    for line in before(step) {
        field(out, "before", &line);
    }
    for migration in &step.before_rollout {
        field(out, word(migration.kind), &said(migration, "before the new pods start"));
    }
    // Whole, so that it can be copied.
    let _ = writeln!(out, "   upgrade   {}", step.command);
    let gone = format!("when the last pod of {} is gone", step.from);
    for migration in &step.after_rollout {
        field(out, word(migration.kind), &said(migration, &gone));
    }
    for opened in &step.opens {
        field(out, "open", &format!("{}, {gone}", opened.name()));
    }
    if step.points_of_no_return.is_empty() {
        field(out, "way back", "at any time");
    }
    for point in &step.points_of_no_return {
        let kind = kind(point.kind);
        field(out, "way back", &format!("until {}: {} (point of no return: {kind})", point.until, point.reason));
    }
}

fn field(out: &mut String, name: &str, text: &str) {
    wrap(out, text, &format!("   {name:<10}"), MARGIN);
}

fn wrap(out: &mut String, text: &str, first: &str, rest: &str) {
    let options = textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(rest).break_words(false);
    out.push_str(&textwrap::fill(text, options));
    out.push('\n');
}
