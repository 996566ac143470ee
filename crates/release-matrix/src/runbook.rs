//! The plan as a runbook: Markdown with check boxes, to be copied into a ticket and ticked off.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix::DOUBTFUL;

use crate::command::word;
use crate::plan::{Plan, Request, Step, Versions};
use crate::words::{WAY_BACK, after, before, counted, kind, said};

/// The runbook.
#[must_use]
pub fn render(plan: &Plan, request: &Request) -> String {
    let Plan { release, namespace, from, to, steps, stops, doubts } = plan;
    let place = namespace.as_deref().map(|it| format!(" -n {}", word(it))).unwrap_or_default();
    let mut out = format!("# {release} from {from} to {to}\n\n{}, made by:\n\n", counted(steps.len(), "upgrade"));
    let _ = writeln!(out, "```\n{} -o markdown\n```\n", request.command());
    if steps.is_empty() {
        out.push_str("Nothing to do.\n");
        return out;
    }
    out.push_str("## Before the first upgrade\n\n");
    for doubt in doubts {
        let _ = writeln!(out, "- [ ] Correct the matrix, and plan again: {} {doubt}.", DOUBTFUL.id);
    }
    let _ = writeln!(out, "- [ ] Try these steps on a staging cluster.");
    let _ = writeln!(
        out,
        "- [ ] Back up every database. Write down where the backup is, and the command that restores it: `____`"
    );
    for opened in steps.iter().flat_map(|step| &step.opens) {
        let _ = writeln!(out, "- [ ] Tell clients that {} comes, and when.", opened.name());
    }
    for closed in steps.iter().flat_map(|step| &step.drains) {
        let _ = writeln!(out, "- [ ] Tell clients of {} that it goes, and when.", closed.name());
    }
    let _ = writeln!(out, "- [ ] Write down the revision that runs, and see whether there is a way back:\n");
    let _ = writeln!(out, "  ```\n  helm history {}{place}\n  kubectl fairlead check {0}{place}\n  ```", word(release));
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "\n## {} of {}: {} -> {}\n", index + 1, steps.len(), step.from, step.to);
        one_step(&mut out, step, release, &place);
    }
    let _ = writeln!(out, "\n## Going back\n\n{WAY_BACK}");
    if !stops.is_empty() {
        out.push_str("\n## Why no stop can be left out\n\n");
        for stop in stops {
            let _ = writeln!(out, "- {}: {}", stop.release, stop.refused.line());
        }
    }
    out
}

fn one_step(out: &mut String, step: &Step, release: &str, place: &str) {
    for entry in &step.entries {
        out.extend(entry.breaking.iter().map(|line| format!("- **BREAKING** {}: {line}\n", entry.release)));
        out.extend(entry.changes.iter().map(|line| format!("- {}: {line}\n", entry.release)));
    }
    if step.entries.iter().any(|entry| !(entry.breaking.is_empty() && entry.changes.is_empty())) {
        out.push('\n');
    }
    for drain in &step.drains {
        closed(out, drain);
    }
    for line in before(step).iter().filter(|line| !line.starts_with("drain API")) {
        let _ = writeln!(out, "- [ ] {}.", capital(line));
    }
    out.push_str("- [ ] Upgrade:\n\n");
    let _ = writeln!(out, "  ```\n  {}\n  ```\n", step.command);
    for migration in &step.before_rollout {
        let _ = writeln!(out, "  - expand: {}", said(migration, "before the new pods start"));
    }
    let gone = format!("when the last pod of {} is gone", step.from);
    for migration in &step.after_rollout {
        let _ = writeln!(out, "  - contract: {}", said(migration, &gone));
    }
    if step.schema.is_some() {
        out.push('\n');
    }
    for line in after(step).iter().filter(|line| line.starts_with("see ")) {
        let _ = writeln!(out, "- [ ] {}.", capital(line));
    }
    let _ = writeln!(out, "- [ ] See that no pod of {} runs any more, and that clients get no errors.", step.from);
    for opened in &step.opens {
        let _ = writeln!(out, "- [ ] Open {} at the gateway.", opened.name());
    }
    let (back, none) = (format!("`helm rollback {} REVISION{place}`", word(release)), step.points_of_no_return.is_empty());
    if none {
        let _ = writeln!(out, "\nBack to {}: {back}, at any time.", step.from);
    }
    for point in &step.points_of_no_return {
        let kind = kind(point.kind);
        let _ =
            writeln!(out, "\nBack to {}: {back}, until {}. Then not: {} ({kind}).", step.from, point.until, point.reason);
    }
}

fn closed(out: &mut String, drain: &Versions) {
    let Versions { close, bound, source, .. } = drain;
    if drain.is_stored() {
        return;
    }
    let default = format!("Close {} at the gateway.", drain.name());
    let _ = writeln!(out, "- [ ] {}", close.as_deref().unwrap_or(&default));
    let bound = bound.as_ref().map(|bound| format!(": {bound}")).unwrap_or_default();
    let _ = writeln!(out, "- [ ] Wait until nothing is in flight that {} began{bound}.", drain.name());
    if let Some(source) = source {
        let source =
            serde_json::json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": {"sources": [source]}});
        let text = serde_json::to_string_pretty(&source).unwrap_or_default().replace('\n', "\n  ");
        let _ = writeln!(
            out,
            "\n  ```\n  drain-waiter check --config drain.json\n  ```\n\n  with `drain.json`:\n\n  ```json\n  {text}\n  ```\n"
        );
    }
}

/// The text with a capital letter in front.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
