//! The plan for people: reads like a diff, ends with a line of counts. With ANSI colours, which are stripped for a pipe.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::mpsc::sync_channel;

use anstyle::{AnsiColor, Style};
use fairlead_migration::change::{Action, Change, Images};
use fairlead_migration::fields;
use fairlead_migration::finding::{Blocked, Finding};
use fairlead_migration::plan::Plan;
use fairlead_migration::stage::StageKind;
use serde_json::Value;

use super::Colours;
use crate::redact;

const CREATE: Style = AnsiColor::Green.on_default();
const UPDATE: Style = AnsiColor::Yellow.on_default();
const DELETE: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// So many changes are rendered at once: about a block of the plan.
const CHUNK: usize = 256;

/// What the line of the change says already.
const NAMED_ABOVE: [&str; 4] = ["apiVersion", "kind", "metadata.namespace", "metadata.name"];

pub(super) fn write(out: &mut dyn Write, colours: Colours, plan: &Plan) -> io::Result<()> {
    let out = &mut Lines { out, colours, text: String::new() };
    if let Some(Blocked { code, message, hint }) = plan.blocked() {
        out.line(BOLD, format_args!("BLOCKED {code}: {}", redact::text(message)))?;
        out.line(FAINT, format_args!("    {hint}"))?;
        out.empty()?;
    }
    let used: Vec<usize> = (0..plan.stages().len()).filter(|stage| !plan.positions(*stage).is_empty()).collect();
    for (number, index) in used.iter().enumerate() {
        out.stage(plan, number + 1, used.len(), *index)?;
        out.changes(plan, plan.positions(*index))?;
    }
    findings(out, DELETE, "refused", plan.refusals())?;
    findings(out, UPDATE, "warning", plan.warnings())?;
    for unchanged in super::unchanged(plan) {
        out.line(FAINT, format_args!("= {}: {}", unchanged.target, unchanged.reason))?;
    }
    if !plan.unchanged().is_empty() {
        out.empty()?;
    }
    out.line(BOLD, format_args!("Plan: {}", plan.counts()))
}

/// What a change of a database sends to it; none for an object of a cluster. The rest of its images is for whoever takes it back.
fn statements(change: &Change) -> Option<Vec<String>> {
    let swept = match &change.images {
        Images::Sweep(_, to) => serde_json::from_str::<Value>(to).ok().filter(|to| !to["database"].is_null()),
        _ => None,
    };
    if let Some(rows) = swept {
        let backfill = &rows["backfill"];
        let value = fields::leaves(&backfill["value"]);
        let value: Vec<String> = value.into_iter().map(|(path, value)| format!("{path}: {}", scalar(value))).collect();
        return Some(vec![format!("fill {} where it is null, from {}", scalar(&backfill["column"]), value.join(", "))]);
    }
    let (image, field) = match (change.before(), change.after()) {
        (_, Some(after)) => (after, "to"),
        (before, None) => (before?, "away"),
    };
    if change.target.api_version != "fairlead.dev/v1" {
        return None;
    }
    image.get("database")?;
    let statements = image[field].as_array()?.iter().filter_map(|statement| statement["sql"].as_str());
    Some(statements.map(|sql| scalar(&Value::from(sql)).into_owned() + ";").collect())
}

/// What writes line by line.
struct Lines<'a> {
    out: &'a mut dyn Write,
    colours: Colours,
    /// The line that is being written.
    text: String,
}

impl Lines<'_> {
    fn stage(&mut self, plan: &Plan, number: usize, of: usize, index: usize) -> io::Result<()> {
        let stage = &plan.stages()[index];
        let kind = format!("{:?}", stage.kind).to_lowercase();
        self.line(BOLD, format_args!("Stage {number} of {of}: {} ({kind})", stage.name))?;
        if stage.kind == StageKind::Contract {
            let destroyed = destroyed(plan, index);
            match plan.blocked() {
                Some(_) => self.line(FAINT, format_args!("Would delete {destroyed} if the plan were not blocked"))?,
                None => self.line(DELETE, format_args!("DESTROYS {destroyed}"))?,
            }
        }
        self.empty()
    }

    /// Renders changes in two threads, and writes them in their order.
    fn changes(&mut self, plan: &Plan, positions: Range<usize>) -> io::Result<()> {
        let colours = self.colours;
        let begins = positions.clone().step_by(CHUNK);
        let chunks: Vec<_> = begins.map(|begin| begin..positions.end.min(begin + CHUNK)).collect();
        let render = |chunk: &Range<usize>| render(plan, colours, chunk.clone());
        std::thread::scope(|scope| {
            let (sender, rendered) = sync_channel(1);
            let mut others = chunks.iter().skip(1).step_by(2);
            if others.len() > 0 {
                // It ends early where nobody reads any more.
                scope.spawn(move || others.all(|chunk| sender.send(render(chunk)).is_ok()));
            }
            for pair in chunks.chunks(2) {
                self.out.write_all(&render(&pair[0])?)?;
                if pair.len() == 2 {
                    self.out.write_all(&rendered.recv().map_err(io::Error::other)??)?;
                }
            }
            Ok(())
        })
    }

    fn change(&mut self, change: &Change) -> io::Result<()> {
        let (style, sign) = match change.action() {
            Action::Create => (CREATE, '+'),
            Action::Update | Action::Sweep => (UPDATE, '~'),
            Action::Delete => (DELETE, '-'),
        };
        self.line(style, format_args!("{sign} {} {}", change.action(), change.target))?;
        self.line(FAINT, format_args!("    # {}", change.reason))?;
        if let Some(statements) = statements(change) {
            for statement in statements {
                self.line(style, format_args!("    {statement}"))?;
            }
            return self.empty();
        }
        if let Images::Sweep(from, to) = &change.images {
            self.line(DELETE, format_args!("    - stored as: {from}"))?;
            self.line(CREATE, format_args!("    + stored as: {to}"))?;
        }
        match (change.before(), change.after()) {
            (None, Some(after)) => self.values(CREATE, '+', after)?,
            (Some(before), Some(after)) => {
                for (path, new) in fields::diff(before, after).iter().flat_map(fields::leaves) {
                    if let Some(old) = at(before, &path) {
                        self.line(DELETE, format_args!("    - {path}: {}", scalar(old)))?;
                    }
                    if !new.is_null() {
                        self.line(CREATE, format_args!("    + {path}: {}", scalar(new)))?;
                    }
                }
            }
            _ => {}
        }
        self.empty()
    }

    fn values(&mut self, style: Style, sign: char, image: &Value) -> io::Result<()> {
        fields::each_leaf(image, |path, value| {
            if NAMED_ABOVE.contains(&path) {
                return Ok(());
            }
            self.line(style, format_args!("    {sign} {path}: {}", scalar(value)))
        })
    }

    /// One line, whatever an object contains: control characters would fake lines of their own, or colour the terminal.
    fn line(&mut self, style: Style, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.text);
        line.clear();
        // Writing to a String cannot fail.
        let _ = line.write_fmt(text);
        // Nearly every line is plain ASCII, which is known faster.
        if line.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) && line.contains(char::is_control) {
            let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
            line = line.chars().map(escape).collect();
        }
        line.push('\n');
        let written = match self.colours {
            Colours::None => self.out.write_all(line.as_bytes()),
            Colours::Some => writeln!(self.out, "{style}{}{style:#}", line.trim_end_matches('\n')),
        };
        self.text = line;
        written
    }

    fn empty(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }
}

/// The text of the changes at these positions. A plan is read backwards where it is not read from its beginning.
fn render(plan: &Plan, colours: Colours, positions: Range<usize>) -> io::Result<Vec<u8>> {
    let mut texts = Vec::with_capacity(positions.len());
    let mut line = String::new();
    for (_, change) in plan.changes_rev(positions) {
        let mut text = Vec::new();
        let mut lines = Lines { out: &mut text, colours, text: line };
        lines.change(&redact::change(change))?;
        line = lines.text;
        texts.push(text);
    }
    texts.reverse();
    Ok(texts.concat())
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

fn findings(out: &mut Lines<'_>, style: Style, what: &str, findings: &[Finding]) -> io::Result<()> {
    // Said once is enough, where many objects have the same trouble.
    let mut said = HashSet::new();
    for Finding { code, target, message, hint } in findings {
        out.line(style, format_args!("! {what} {code} {target}: {message}"))?;
        if said.insert((code, hint)) {
            out.line(FAINT, format_args!("    {hint}"))?;
        }
    }
    if findings.is_empty() { Ok(()) } else { out.empty() }
}

/// Strings without quotes, as in YAML; everything else as JSON.
fn scalar(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

/// The value at a path of [`fields::leaves`]. Keys may contain dots, so every split is tried.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    if let Some(found) = object.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| at(object.get(&path[..dot])?, &path[dot + 1..]))
}
