//! Markdown for a comment on a pull request: what a reviewer must know first, the whole plan folded away.

use std::fmt::Write as _;
use std::io;

use fairlead_migration::finding::Finding;
use fairlead_migration::plan::Plan;

use super::text;
use crate::outcome::Ended;
use crate::redact;

/// GitHub refuses comments of more than 65,536 characters; the rest is for everything but the folded plan.
const MAX_PLAN: usize = 50_000;

pub(super) fn render(plan: &Plan, ended: Option<&Ended>) -> io::Result<String> {
    let mut out = format!("### {}: {}\n\n", plan.step(), plan.counts());
    if let Some(blocked) = plan.blocked().filter(|_| ended.is_none()) {
        let message = cell(&redact::text(&blocked.message));
        line(&mut out, format_args!("**BLOCKED {}: {message}.** {}\n", blocked.code, blocked.hint));
    }
    if let Some(ended) = ended {
        line(&mut out, format_args!("**{}**\n", ended.text().trim_end().replace('\n', "  \n")));
    }
    findings(&mut out, "Refused", plan.refusals());
    findings(&mut out, "Warnings", plan.warnings());
    let mut text = Limited { text: Vec::new(), is_cut: false };
    text::write(&mut text, plan)?;
    let cut = if text.is_cut { "\n[cut: GitHub takes no more; -o text prints it all]" } else { "" };
    let text = anstream::adapter::strip_str(&String::from_utf8_lossy(&text.text)).to_string();
    let digest = plan.digest();
    line(&mut out, format_args!("<details><summary>The whole plan, <code>{digest}</code></summary>\n"));
    // Longer than anything in the text, so that an object cannot end it.
    let fence = "`".repeat(text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(3) + 1);
    line(
        &mut out,
        format_args!(
            "{fence}diff\n{}{cut}\n{fence}\n\n</details>",
            text.trim_end_matches(char::REPLACEMENT_CHARACTER).trim_end()
        ),
    );
    Ok(out)
}

/// Takes so much and forgets the rest.
struct Limited {
    text: Vec<u8>,
    is_cut: bool,
}

impl io::Write for Limited {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let room = MAX_PLAN - self.text.len();
        self.text.extend_from_slice(&more[..more.len().min(room)]);
        self.is_cut |= more.len() > room;
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn findings(out: &mut String, title: &str, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    line(out, format_args!("| {title} | Object | What | What to do |\n|---|---|---|---|"));
    for Finding { code, target, message, hint } in findings {
        let [target, message] = [&target.to_string(), message].map(|text| cell(text));
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
