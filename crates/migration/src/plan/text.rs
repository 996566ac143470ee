//! The plan for people.

use std::fmt::{Display, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::{Finding, Plan};
use crate::change::{Action, Change};
use crate::fields;

const CREATE: Style = AnsiColor::Green.on_default();
const UPDATE: Style = AnsiColor::Yellow.on_default();
const DELETE: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// What the line of the change says already.
const NAMED_ABOVE: [&str; 4] = ["apiVersion", "kind", "metadata.namespace", "metadata.name"];

pub(super) fn render(plan: &Plan) -> String {
    let mut out = String::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let mut changes = plan.changes.iter().filter(|change| change.stage == index).peekable();
        if changes.peek().is_none() {
            continue;
        }
        let kind = format!("{:?}", stage.kind).to_lowercase();
        line(&mut out, BOLD, format_args!("Stage {} of {}: {} ({kind})", index + 1, plan.stages.len(), stage.name));
        out.push('\n');
        for change in changes {
            render_change(&mut out, change);
        }
    }
    findings(&mut out, DELETE, "refused", &plan.refusals);
    findings(&mut out, UPDATE, "warning", &plan.warnings);
    for unchanged in &plan.unchanged {
        line(&mut out, FAINT, format_args!("= {}: {}", unchanged.target, unchanged.reason));
    }
    if !plan.unchanged.is_empty() {
        out.push('\n');
    }
    line(&mut out, BOLD, format_args!("Plan: {}", plan.counts()));
    out
}

fn render_change(out: &mut String, change: &Change) {
    let (style, sign) = match change.action() {
        Action::Create => (CREATE, '+'),
        Action::Update => (UPDATE, '~'),
        Action::Delete => (DELETE, '-'),
    };
    line(out, style, format_args!("{sign} {} {}", change.action(), change.target));
    line(out, FAINT, format_args!("    # {}", change.reason));
    match (change.before(), change.after()) {
        (None, Some(after)) => values(out, CREATE, '+', after),
        (Some(before), Some(after)) => {
            for (path, new) in fields::diff(before, after).iter().flat_map(fields::leaves) {
                if let Some(old) = at(before, &path) {
                    line(out, DELETE, format_args!("    - {path}: {}", scalar(old)));
                }
                if !new.is_null() {
                    line(out, CREATE, format_args!("    + {path}: {}", scalar(new)));
                }
            }
        }
        _ => {}
    }
    out.push('\n');
}

fn values(out: &mut String, style: Style, sign: char, image: &Value) {
    for (path, value) in fields::leaves(image) {
        if !NAMED_ABOVE.contains(&path.as_str()) {
            line(out, style, format_args!("    {sign} {path}: {}", scalar(value)));
        }
    }
}

fn findings(out: &mut String, style: Style, what: &str, findings: &[Finding]) {
    for Finding { code, target, message, hint } in findings {
        line(out, style, format_args!("! {what} {code} {target}: {message}"));
        line(out, FAINT, format_args!("    {hint}"));
        out.push('\n');
    }
}

/// Strings without quotes, as in YAML; everything else as JSON.
fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The value at a path of [`fields::leaves`]. Keys may contain dots, so every split is tried.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    if let Some(found) = object.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| at(object.get(&path[..dot])?, &path[dot + 1..]))
}

/// One line, whatever an object contains: control characters would fake lines of their own, or colour the terminal.
fn line(out: &mut String, style: Style, text: impl Display) {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    let text: String = text.to_string().chars().map(escape).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{style}{text}{style:#}");
}
