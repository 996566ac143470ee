//! The plan for people: reads like a diff, ends with a line of counts. With ANSI colours, which are stripped for a pipe.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use fairlead_migration::change::{Action, Change, Images};
use fairlead_migration::fields;
use fairlead_migration::finding::{Blocked, Finding};
use fairlead_migration::plan::Plan;
use fairlead_migration::stage::StageKind;
use serde_json::Value;

use crate::redact;

const CREATE: Style = AnsiColor::Green.on_default();
const UPDATE: Style = AnsiColor::Yellow.on_default();
const DELETE: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// What the line of the change says already.
const NAMED_ABOVE: [&str; 4] = ["apiVersion", "kind", "metadata.namespace", "metadata.name"];

pub(super) fn write(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    if let Some(Blocked { code, message, hint }) = plan.blocked() {
        line(out, BOLD, format_args!("BLOCKED {code}: {}", redact::text(message)))?;
        line(out, FAINT, format_args!("    {hint}"))?;
        writeln!(out)?;
    }
    let used: Vec<usize> = (0..plan.stages().len()).filter(|stage| !plan.positions(*stage).is_empty()).collect();
    let mut changes = plan.changes().map(redact::change).peekable();
    for (number, index) in used.iter().copied().enumerate() {
        let stage = &plan.stages()[index];
        let kind = format!("{:?}", stage.kind).to_lowercase();
        line(out, BOLD, format_args!("Stage {} of {}: {} ({kind})", number + 1, used.len(), stage.name))?;
        if stage.kind == StageKind::Contract {
            let destroyed = destroyed(plan, index);
            match plan.blocked() {
                Some(_) => line(out, FAINT, format_args!("Would delete {destroyed} if the plan were not blocked"))?,
                None => line(out, DELETE, format_args!("DESTROYS {destroyed}"))?,
            }
        }
        writeln!(out)?;
        while let Some(change) = changes.next_if(|change| change.stage == index) {
            write_change(out, &change)?;
        }
    }
    findings(out, DELETE, "refused", plan.refusals())?;
    findings(out, UPDATE, "warning", plan.warnings())?;
    for unchanged in plan.unchanged().iter() {
        line(out, FAINT, format_args!("= {}: {}", unchanged.target, unchanged.reason))?;
    }
    if !plan.unchanged().is_empty() {
        writeln!(out)?;
    }
    line(out, BOLD, format_args!("Plan: {}", plan.counts()))
}

/// How many objects of each kind a stage deletes; what it only changes, it does not destroy.
fn destroyed(plan: &Plan, stage: usize) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let changes = plan.changes_rev(plan.positions(stage)).map(|(_, change)| change);
    changes
        .filter(|change| change.action() == Action::Delete)
        .for_each(|change| *counts.entry(change.target.kind).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
}

fn write_change(out: &mut dyn Write, change: &Change) -> io::Result<()> {
    let (style, sign) = match change.action() {
        Action::Create => (CREATE, '+'),
        Action::Update | Action::Sweep => (UPDATE, '~'),
        Action::Delete => (DELETE, '-'),
    };
    line(out, style, format_args!("{sign} {} {}", change.action(), change.target))?;
    line(out, FAINT, format_args!("    # {}", change.reason))?;
    if let Images::Sweep(from, to) = &change.images {
        line(out, DELETE, format_args!("    - stored as: {from}"))?;
        line(out, CREATE, format_args!("    + stored as: {to}"))?;
    }
    match (change.before(), change.after()) {
        (None, Some(after)) => values(out, CREATE, '+', after)?,
        (Some(before), Some(after)) => {
            for (path, new) in fields::diff(before, after).iter().flat_map(fields::leaves) {
                if let Some(old) = at(before, &path) {
                    line(out, DELETE, format_args!("    - {path}: {}", scalar(old)))?;
                }
                if !new.is_null() {
                    line(out, CREATE, format_args!("    + {path}: {}", scalar(new)))?;
                }
            }
        }
        _ => {}
    }
    writeln!(out)
}

fn values(out: &mut dyn Write, style: Style, sign: char, image: &Value) -> io::Result<()> {
    for (path, value) in fields::leaves(image) {
        if !NAMED_ABOVE.contains(&path.as_str()) {
            line(out, style, format_args!("    {sign} {path}: {}", scalar(value)))?;
        }
    }
    Ok(())
}

fn findings(out: &mut dyn Write, style: Style, what: &str, findings: &[Finding]) -> io::Result<()> {
    // Said once is enough, where many objects have the same trouble.
    let mut said = HashSet::new();
    for Finding { code, target, message, hint } in findings {
        line(out, style, format_args!("! {what} {code} {target}: {message}"))?;
        if said.insert((code, hint)) {
            line(out, FAINT, format_args!("    {hint}"))?;
        }
    }
    if findings.is_empty() { Ok(()) } else { writeln!(out) }
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
fn line(out: &mut dyn Write, style: Style, text: impl Display) -> io::Result<()> {
    let mut text = text.to_string();
    if text.contains(char::is_control) {
        let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
        text = text.chars().map(escape).collect();
    }
    writeln!(out, "{style}{text}{style:#}")
}
