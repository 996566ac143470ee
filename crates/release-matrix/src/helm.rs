//! The plan as commands for Helm.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix as codes;
use fairlead_job::failure::Failure;

use crate::document::{Chart, Condition};
use crate::plan::{Plan, Step};

/// What stands for a chart that the matrix does not name.
const UNKNOWN: &str = "CHART";

/// A word as a shell takes it.
pub(crate) fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// The command of one upgrade.
///
/// `--reuse-values` would leave out defaults that the newer chart has and the older one had not; `--wait` makes Helm return when the new pods
/// are ready and the old ones are gone, which contractions rely on.
pub(crate) fn upgrade(chart: &Chart, matrix: &str, version: &str) -> String {
    let Chart { release, reference, namespace } = chart;
    let release = word(release.as_deref().unwrap_or(matrix));
    let reference = reference.as_deref().map_or_else(|| UNKNOWN.to_owned(), word);
    let namespace = namespace.as_deref().map(|it| format!(" -n {}", word(it))).unwrap_or_default();
    format!("helm upgrade {release} {reference}{namespace} --version {version} --reset-then-reuse-values --wait")
}

/// The commands, and as comments what has to be done by hand between them.
///
/// # Errors
///
/// `RM106` where the matrix does not name the chart.
pub fn render(plan: &Plan) -> Result<String, Failure> {
    let Plan { release, from, to, steps, .. } = plan;
    if steps.iter().any(|step| !step.is_complete) {
        let message = "spec.chart.reference is missing, so no command would be complete";
        return Err(Failure::new(&codes::NO_CHART, message));
    }
    let count = steps.len();
    let mut out = format!("# {release} from {from} to {to}: {}.\n", crate::text::counted(count, "upgrade"));
    if count > 0 {
        out.push_str("# Do what the comments say before you run the next command: this is no script.\n");
    }
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "\n# {} of {count}: {} -> {}", index + 1, step.from, step.to);
        out.extend(before(step).iter().map(|line| format!("# Before: {line}\n")));
        out.extend([&step.command, "\n"]);
        out.extend(after(step).iter().map(|line| format!("# After: {line}\n")));
    }
    Ok(out)
}

/// What a person does before an upgrade, a line each.
pub(crate) fn before(step: &Step) -> Vec<String> {
    let mut lines = Vec::new();
    for asked in &step.conditions {
        let question = match &asked.when {
            Condition::Sql(query) => format!("SQL `{query}`: go on only if the answer is 0, false or NULL"),
            Condition::Http(address) => format!("`curl -f {address}`: go on only if it succeeds"),
            Condition::Promql(query) => format!("PromQL `{query}`: go on only if the result is empty or 0"),
        };
        lines.push(format!("check by hand: {question}; reason: {}", asked.reason));
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
