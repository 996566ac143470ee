//! What is said of a step, the same in every form of a plan.

use crate::document::{Condition, Kind};
use crate::plan::{Migration, PointKind, Step};

/// What a plan with several upgrades means for a rollback.
pub(crate) const WAY_BACK: &str = "Go back one upgrade at a time, the newest first.";

/// `1 upgrade`, `2 upgrades`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The word for a point of no return.
pub(crate) fn kind(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Schema => "schema",
        PointKind::Data => "data",
        PointKind::Client => "client",
    }
}

/// The word for a kind of migration.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Expand => "expand",
        Kind::Contract => "contract",
    }
}

/// What a migration leads to, when it runs, and what it does.
pub(crate) fn said(migration: &Migration, when: &str) -> String {
    let Migration { kind, schema, name, backfill, requires, drops } = migration;
    let name = name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let list = |verb: &str, columns: &[String]| (!columns.is_empty()).then(|| format!("{verb} {}", columns.join(", ")));
    let filled = (!backfill.is_empty()).then(|| format!("fill {} in old rows", backfill.join(", ")));
    let (before, after) = if *kind == Kind::Contract { (filled, None) } else { (None, filled) };
    let steps = [before, list("require", requires), list("drop", drops), after];
    let steps: Vec<String> = steps.into_iter().flatten().collect();
    let steps = if steps.is_empty() { String::new() } else { format!(": {}", steps.join(", then ")) };
    format!("schema {schema}{name}, {when}{steps}")
}

/// What a person does before an upgrade, a line each.
pub(crate) fn before(step: &Step) -> Vec<String> {
    let mut lines = Vec::new();
    // In one line each, whatever somebody has written.
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for asked in &step.conditions {
        let question = match &asked.when {
            Condition::Sql(query) => format!("SQL `{}`: go on only if the answer is 0, false or NULL", folded(query)),
            Condition::Http(address) => format!("`curl -f {address}`: go on only if it succeeds"),
            Condition::Promql(query) => {
                format!("PromQL `{}`: go on only if the result is empty or 0", folded(query))
            }
        };
        lines.push(format!("check by hand: {question}; reason: {}", folded(&asked.reason)));
    }
    for drain in &step.drains {
        if drain.is_stored() {
            lines.push(format!("store every object of {} in another version, and stop its clients", drain.name()));
        } else {
            lines.push(format!("drain {}: no client uses it any more, and nothing that it began is open", drain.name()));
        }
    }
    lines
}

/// What a person does after an upgrade, a line each.
pub(crate) fn after(step: &Step) -> Vec<String> {
    let mut lines = Vec::new();
    for migration in &step.after_rollout {
        let filled = match migration.backfill.as_slice() {
            [] => String::new(),
            columns => format!("{} is filled in every row, and ", columns.join(", ")),
        };
        lines.push(format!("see that {filled}the contraction to {} is done", migration.schema));
    }
    lines.extend(step.opens.iter().map(|opened| format!("open {}", opened.name())));
    lines
}
