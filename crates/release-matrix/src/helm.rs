//! The plan as commands for Helm.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix as codes;
use fairlead_job::failure::Failure;

use crate::plan::Plan;
use crate::words::{after, before, counted};

/// The commands, and as comments what has to be done by hand between them.
///
/// # Errors
///
/// `RM106` where the matrix does not name the chart.
pub fn render(plan: &Plan) -> Result<String, Failure> {
    let Plan { release, from, to, steps, doubts, .. } = plan;
    if steps.iter().any(|step| !step.is_complete) {
        let message = "spec.chart.reference is missing, so no command would be complete";
        return Err(Failure::new(&codes::NO_CHART, message));
    }
    let count = steps.len();
    let mut out = format!("# {release} from {from} to {to}: {}.\n", counted(count, "upgrade"));
    out.extend(doubts.iter().map(|doubt| format!("# {} {doubt}\n", codes::DOUBTFUL.id)));
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
