//! Markdown for a comment on a pull request: what a reviewer must know first, the whole plan folded away.

use std::fmt::Write as _;

use fairlead_migration::plan::{Finding, Plan};

use crate::outcome::Ended;

/// GitHub refuses comments of more than 65,536 characters; the rest is for everything but the folded plan.
const MAX_PLAN: usize = 50_000;

/// `digest` is that of the plan before anything in it was hidden.
pub(super) fn render(plan: &Plan, digest: &str, ended: Option<&Ended>) -> String {
    let mut out = format!("### {}: {}\n\n", plan.step, plan.counts());
    if let Some(ended) = ended {
        line(&mut out, format_args!("**{}**\n", ended.text().trim_end().replace('\n', "  \n")));
    }
    findings(&mut out, "Refused", &plan.refusals);
    findings(&mut out, "Warnings", &plan.warnings);
    let text = anstream::adapter::strip_str(&plan.text()).to_string();
    let end = (0..=text.len().min(MAX_PLAN)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let cut = if end < text.len() { "\n[cut: GitHub takes no more; -o text prints it all]" } else { "" };
    line(&mut out, format_args!("<details><summary>The whole plan, <code>{digest}</code></summary>\n"));
    // Longer than anything in the text, so that an object cannot end it.
    let fence = "`".repeat(text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(3) + 1);
    line(&mut out, format_args!("{fence}diff\n{}{cut}\n{fence}\n\n</details>", text[..end].trim_end()));
    out
}

fn findings(out: &mut String, title: &str, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    line(out, format_args!("| {title} | Object | What | What to do |\n|---|---|---|---|"));
    for Finding { code, target, message, hint } in findings {
        let [target, message] = [target.to_string(), message.clone()].map(|text| cell(&text));
        line(out, format_args!("| {code} | {target} | {message} | {hint} |"));
    }
    out.push('\n');
}

/// What an object contains must not end the cell, or become markup.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "\\`").replace(['\n', '\r'], " ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
