//! Markdown for a comment on a pull request: what a reviewer must know first, the whole plan folded away.

use std::fmt::Write as _;
use std::io;

use fairlead_migration::finding::Finding;
use fairlead_migration::plan::Plan;

use super::{Colours, text};
use crate::outcome::Ended;
use crate::redact;

/// GitHub refuses comments of more than 65,536 characters. Bytes are counted here, of which there are at least as many.
const MAX: usize = 65_000;

/// How the room is shared; the plan has what is left of it.
const MAX_VERDICT: usize = 10_000;
const MAX_TABLE: usize = 15_000;
const MAX_CELL: usize = 1_000;

/// For what is around the plan.
const FRAME: usize = 500;

/// A longer run of backticks is none of ours.
const MAX_FENCE: usize = 50;

const CUT: &str = "[cut: GitHub takes no more; -o text prints it all]";

pub(super) fn render(plan: &Plan, ended: Option<&Ended>) -> io::Result<String> {
    let mut out = format!("### {}: {}\n\n", plan.step(), plan.counts());
    if let Some(blocked) = plan.blocked().filter(|_| ended.is_none()) {
        let message = cell(&redact::text(&blocked.message));
        line(&mut out, format_args!("**BLOCKED {}: {message}.** {}\n", blocked.code, blocked.hint));
    }
    if let Some(ended) = ended {
        let verdict = cut(ended.text().trim_end(), MAX_VERDICT);
        line(&mut out, format_args!("**{}**\n", verdict.replace('\n', "  \n")));
    }
    findings(&mut out, "Refused", plan.refusals());
    findings(&mut out, "Warnings", plan.warnings());
    let mut text = Limited { text: Vec::new(), room: MAX.saturating_sub(out.len() + FRAME), is_cut: false };
    text::write(&mut text, Colours::None, plan)?;
    let cut = if text.is_cut { format!("\n{CUT}") } else { String::new() };
    let mut text = String::from_utf8_lossy(&text.text).into_owned();
    let digest = plan.digest();
    line(&mut out, format_args!("<details><summary>The whole plan, <code>{digest}</code></summary>\n"));
    // Longer than anything in the text, so that an object cannot end it.
    let mut longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest > MAX_FENCE {
        text = text.replace('`', "'");
        longest = 0;
    }
    let fence = "`".repeat(longest.max(3) + 1);
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
    room: usize,
    is_cut: bool,
}

impl io::Write for Limited {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let room = self.room - self.text.len();
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
    let begin = out.len();
    for (index, Finding { code, target, message, hint }) in findings.iter().enumerate() {
        let [target, message] = [&target.to_string(), message].map(|text| cell(text));
        let row = format!("| {code} | {target} | {message} | {hint} |");
        if out.len() + row.len() > begin + MAX_TABLE {
            line(out, format_args!("| | {} more | {CUT} | |", findings.len() - index));
            break;
        }
        line(out, format_args!("{row}"));
    }
    out.push('\n');
}

fn cut(text: &str, most: usize) -> String {
    match text.floor_char_boundary(most) {
        end if end < text.len() => format!("{}… {CUT}", &text[..end]),
        _ => text.to_owned(),
    }
}

/// What an object contains must not end the cell, or become markup.
fn cell(text: &str) -> String {
    cut(text, MAX_CELL)
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('`', "\\`")
        .replace(['\n', '\r'], " ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
