//! What goes to stdout, and the last word in the termination log.

mod document;
mod github;
mod junit;
mod text;

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anstream::adapter::StripBytes;
use anyhow::Context as _;
use fairlead_migration::finding::Unchanged;
use fairlead_migration::obstacle::chain;
use fairlead_migration::plan::Plan;
use quick_junit::TestSuite;
use serde::Serialize;

use self::document::{PlanDocument, ReportDocument};

use crate::args::Output;
use crate::codes::shared;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::outcome::Ended;
use crate::{manifests, redact};

/// Kubernetes shows the content of this file as the message of the terminated container. It is there in a pod only.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Whether the process has written a report of a run.
static HAS_REPORT: AtomicBool = AtomicBool::new(false);

/// The runs that have ended, as far as they are one JUnit file.
static SUITES: Mutex<Vec<TestSuite>> = Mutex::new(Vec::new());

/// What is written at once.
const OUTPUT_BUFFER: usize = 64 * 1024;

/// Kubernetes cuts after this many bytes.
const TERMINATION_LOG_SIZE: usize = 4096;

/// Writes a text to stdout; returns whether anybody still reads it. Who has stopped, as in `status | head`, has seen what they wanted.
pub fn say(text: &str) -> Result<bool, Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::caused(&shared::OUTPUT, "failed to write to stdout", error)),
    }
}

/// Writes to stdout what would happen. Colours only on a terminal.
pub fn print_plan(output: Output, plan: &Plan) -> Result<(), Failure> {
    // Text has escaped all that would have to be stripped, and may be long.
    print(output != Output::Text, |out, colours| write(out, colours, output, plan, None))
        .map_err(|error| Failure::new(&shared::OUTPUT, format!("failed to write the plan to stdout: {error:#}")))
}

/// Writes to stdout what has happened. In text the plan has been printed before, because the pod may not live to do it now,
/// and a failure is told once, with its cause, by [`conclude`]. A rollback ends several runs: of documents each follows the other, as
/// their format has it, and what has to be one file is written by [`conclude`].
pub fn print_end(output: Output, plan: &Plan, ended: &Ended, release: &str) -> anyhow::Result<()> {
    if output == Output::Junit {
        SUITES.lock().unwrap_or_else(PoisonError::into_inner).push(junit::suite(plan, Some(ended)));
        return Ok(());
    }
    let is_first = !HAS_REPORT.swap(true, Ordering::Relaxed);
    if output == Output::Yaml && !is_first {
        say("---\n")?;
    }
    print(true, |out, colours| write(out, colours, output, plan, Some((ended, release))))
        .context("failed to write the report to stdout")
}

fn write(
    out: &mut dyn Write,
    colours: Colours,
    output: Output,
    plan: &Plan,
    end: Option<(&Ended, &str)>,
) -> anyhow::Result<()> {
    match (output, end) {
        (Output::Text, None) => text::write(out, colours, plan)?,
        (Output::Text, Some((ended, _))) if ended.failure.is_some() => {}
        (Output::Text, Some((ended, _))) => out.write_all(ended.text().as_bytes())?,
        (Output::Json | Output::Yaml, None) => write_document(out, output, &PlanDocument(plan))?,
        (Output::Json | Output::Yaml, Some((ended, release))) => {
            write_document(out, output, &ReportDocument { plan, ended, release })?;
        }
        (Output::Junit, end) => {
            let suite = junit::suite(plan, end.map(|(ended, _)| ended));
            out.write_all(junit::render(vec![suite])?.as_bytes())?;
        }
        (Output::Github, end) => out.write_all(github::render(plan, end.map(|(ended, _)| ended))?.as_bytes())?,
    }
    Ok(())
}

fn write_document(out: &mut dyn Write, output: Output, document: &impl Serialize) -> anyhow::Result<()> {
    if output == Output::Yaml {
        return Ok(manifests::write_yaml(out, document)?);
    }
    serde_json::to_writer_pretty(&mut *out, document)?;
    Ok(writeln!(out)?)
}

/// The objects that a plan leaves as they are, as every format may show them: a reason may repeat what an object says of itself.
fn unchanged(plan: &Plan) -> impl Iterator<Item = Unchanged> {
    plan.unchanged().iter().map(|it| Unchanged { reason: redact::text(&it.reason), ..it })
}

/// Whether text has colours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Some,
    None,
}

fn print(may_have_escapes: bool, write: impl FnOnce(&mut dyn Write, Colours) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let stdout = std::io::stdout().lock();
    let colours = match anstream::AutoStream::choice(&stdout) {
        anstream::ColorChoice::Never => Colours::None,
        _ => Colours::Some,
    };
    // Standard output itself writes line by line.
    let buffer = BufWriter::with_capacity(OUTPUT_BUFFER, stdout);
    let strip = (colours == Colours::None && may_have_escapes).then(StripBytes::new);
    let mut out = Stdout { buffer, strip };
    match write(&mut out, colours).and_then(|()| Ok(out.flush()?)) {
        // `plan | head` is no failure.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

/// Standard output, where there is no terminal without colours and other sequences.
struct Stdout {
    buffer: BufWriter<StdoutLock<'static>>,
    strip: Option<StripBytes>,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Self { buffer, strip } = self;
        match strip {
            Some(strip) => strip.strip_next(bytes).try_for_each(|printable| buffer.write_all(printable))?,
            None => buffer.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.buffer.flush()
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        json.or_else(|| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind)) == Some(ErrorKind::BrokenPipe)
    })
}

/// Leaves the last word where `kubectl describe pod` finds it.
pub fn terminate(message: &str) {
    terminate_at(Path::new(TERMINATION_LOG), message);
}

fn terminate_at(path: &Path, message: &str) {
    let message = redact::text(message);
    // Without `create`: outside a pod there is no such file and none is made. Nothing can be done about a failure here.
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(path) {
        let _ = file.write_all(cut(&message, TERMINATION_LOG_SIZE).as_bytes());
    }
}

/// The beginning of a text, at most `size` bytes, without half a character.
fn cut(text: &str, size: usize) -> &str {
    &text[..text.floor_char_boundary(size)]
}

/// Turns the end of `run` into an exit status; an error is printed here and nowhere else.
#[must_use]
pub fn conclude(result: anyhow::Result<ExitStatus>) -> ExitStatus {
    let suites = std::mem::take(&mut *SUITES.lock().unwrap_or_else(PoisonError::into_inner));
    if !suites.is_empty() {
        let written = junit::render(suites).map_err(anyhow::Error::from).and_then(|text| Ok(say(&text)?));
        if let Err(error) = written {
            tracing::warn!(error = format!("{error:#}"), "the report is lost");
        }
    }
    let error = match result {
        Ok(status) => return status,
        Err(error) => error,
    };
    let (message, status) = match error.downcast_ref::<Failure>() {
        Some(failure) => {
            let (code, after) = (failure.code, failure.aftermath());
            (format!("error {}: {}\n{after}{}\n", code.id, chain(&*error), code.next), failure.status())
        }
        None => (format!("error: {}\n", chain(&*error)), ExitStatus::Failed),
    };
    let message = redact::text(&message);
    // Nothing can be done when even stderr is closed.
    let _ = anstream::stderr().write_all(message.as_bytes());
    terminate(&message);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_migration::change::{Change, Images, Target};
    use fairlead_migration::plan::PlanBuilder;
    use fairlead_migration::stage::{Stage, StageKind, UndoAt};
    use serde_json::json;

    fn plan() -> Plan {
        let target = |name: &str| Target {
            api_version: "eventing.knative.dev/v1".into(),
            kind: "Trigger".into(),
            namespace: Some("orders".into()),
            name: name.into(),
        };
        let uri = "http://me:pass@mail.orders/";
        let image =
            json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "spec": {"subscriber": {"uri": uri}}});
        let stage = Stage::new("Triggers", StageKind::Expand, UndoAt::PostRollback, 8);
        let mut plan = PlanBuilder::new("trigger-replicator", vec![stage]);
        let (images, reason) = (Images::Create(image), "replicates Subscription orders/mail".into());
        plan.push(&Change { stage: 0, target: target("mail"), images, reason });
        plan.refuse(shared::DRIFT.finding(target("odd"), format!("{uri} | <b> is odd")));
        plan.warn(shared::INPUT.finding(target("twice"), "may deliver twice"));
        plan.keep(&Unchanged { target: target("kept"), reason: "made by others".into() });
        plan.build()
    }

    fn written(output: Output, plan: &Plan) -> String {
        let mut out = Vec::new();
        write(&mut out, Colours::None, output, plan, None).expect("plain data");
        String::from_utf8(out).expect("all of it is text")
    }

    /// Passwords as people write them, and what an error of others says of them.
    const ADDRESSES: [&str; 6] = [
        "http://me:hunter2/x@a.b/",
        "http://me:hunter2 x@a.b/",
        "me:hunter2@a.b",
        "http://me:'hunter2'@a.b/",
        "http://me:x@hunter2@a.b/",
        "http://a.b/?code=hunter2",
    ];

    #[test]
    fn no_report_tells_a_password_whatever_it_is_about() {
        use fairlead_migration::executor::Outcome;
        use fairlead_migration::obstacle::{Obstacle, chain};
        for address in ADDRESSES {
            let target = || Target { api_version: "v1".into(), kind: "A".into(), namespace: None, name: "a".into() };
            let mut builder = PlanBuilder::new("step", plan().stages().to_vec());
            let image = json!({"spec": {"endpoint": address, "args": ["--to", address]}});
            let images = Images::Update(image, json!({"spec": {"uri": address}}));
            builder.push(&Change { stage: 0, target: target(), images, reason: format!("from {address:?}") });
            builder.refuse(shared::DRIFT.finding(target(), format!("spec.endpoint {address:?} is no URL")));
            builder.warn(shared::INPUT.finding(target(), format!("may deliver to {address}")));
            builder.keep(&Unchanged { target: target(), reason: format!("is not Ready (cannot resolve {address:?})") });
            let plan = builder.build();
            let obstacle =
                || Obstacle::Refused { operation: format!("create {address:?}"), source: format!("not {address:?}").into() };
            let ended = Ended::of(Outcome::Dirty { cause: obstacle(), left: vec![(target(), obstacle())] }, &plan, "a/b");
            let mut all = ended.text();
            for output in [Output::Text, Output::Json, Output::Yaml, Output::Junit, Output::Github] {
                for end in [None, Some((&ended, "shop"))] {
                    let mut out = Vec::new();
                    write(&mut out, Colours::None, output, &plan, end).expect("plain data");
                    all += &String::from_utf8_lossy(&out);
                }
            }
            let failure = Failure::from(obstacle()).with_aftermath(ended.text());
            all.extend([failure.to_string(), chain(&failure), failure.aftermath().to_owned(), format!("{failure:?}")]);
            assert!(!all.contains("hunter"), "{address}\n{all}");
        }
    }

    #[test]
    fn every_format_tells_the_plan_and_none_a_password() {
        let mut all = String::new();
        for output in [Output::Text, Output::Json, Output::Yaml, Output::Junit, Output::Github] {
            // Time and identity of a JUnit report are the only things that change.
            let text = written(output, &plan());
            let text = text.lines().map(|line| line.split(" uuid=").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
            assert!(!text.contains("pass@"), "{text}");
            all.extend([&format!("=== {output:?}\n"), text.as_str(), "\n"]);
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_long_plan_is_written_in_its_order() {
        let stage = |name| Stage::new(name, StageKind::Expand, UndoAt::PostRollback, 8);
        let mut builder = PlanBuilder::new("step", vec![stage("First"), stage("Second")]);
        let change = plan().changes().next().expect("it has one");
        let named = |stage, number: usize| Change {
            stage,
            target: Target { name: format!("n{number:04}"), ..change.target.clone() },
            ..change.clone()
        };
        (0..3_000).map(|number| named(0, number)).chain([named(1, 0)]).for_each(|change| builder.push(&change));
        let text = written(Output::Text, &builder.build());
        let lines = text.lines().filter(|line| line.starts_with(['+', 'S'])).map(str::to_owned);
        let expected = (0..3_000).map(|number| format!("+ create Trigger orders/n{number:04}"));
        let [first, second] = ["Stage 1 of 2: First (expand)", "Stage 2 of 2: Second (expand)"].map(str::to_owned);
        let expected = std::iter::once(first).chain(expected).chain([second, "+ create Trigger orders/n0000".to_owned()]);
        assert!(lines.eq(expected), "{}", text.len());
    }

    #[test]
    fn every_format_says_first_that_nothing_would_be_done() {
        let stage = Stage::new("Triggers", StageKind::Contract, UndoAt::PreRollback, 8);
        let mut blocked = PlanBuilder::new("step", vec![stage]);
        let change = plan().changes().next().expect("it has one");
        blocked.push(&change.inverse());
        blocked.block(shared::DRIFT.blocked("1 object of http://me:pass@mail.orders/ is refused"));
        let blocked = blocked.build();
        for output in [Output::Text, Output::Json, Output::Yaml, Output::Junit, Output::Github] {
            let text = written(output, &blocked);
            let position = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}\n{text}"));
            let said = if matches!(output, Output::Json | Output::Yaml) { "blocked" } else { "BLOCKED" };
            assert!(position(said) < position("Trigger"), "{text}");
            assert!(text.contains(shared::DRIFT.id) && text.contains("is refused"), "{text}");
            assert!(!text.contains("DESTROY") && !text.contains("pass@"), "{text}");
        }
        assert!(written(Output::Text, &blocked).starts_with("BLOCKED FL"));
    }

    #[test]
    fn a_comment_is_never_longer_than_github_takes() {
        let target =
            |name: String| Target { api_version: "v1".into(), kind: "A".into(), namespace: Some("shop".into()), name };
        let long = [("a", 100), ("|<\\`", 1_000), ("`", 70_000), ("ü", 40_000), ("x\n", 70_000)];
        for (what, times) in long {
            let mut builder = PlanBuilder::new("step", plan().stages().to_vec());
            for number in 0..400 {
                let message = if number == 0 { what.repeat(times) } else { format!("{number} {}", what.repeat(10)) };
                builder.refuse(shared::DRIFT.finding(target(format!("refused-{number}")), message.as_str()));
                builder.warn(shared::INPUT.finding(target(format!("warned-{number}")), message.as_str()));
                let images = Images::Create(json!({"data": {"a": message}}));
                let reason = String::new();
                builder.push(&Change { stage: 0, target: target(format!("n{number:03}")), images, reason });
            }
            let plan = builder.build();
            let left = (0..400).map(|number| (target(format!("left-{number}")), what.repeat(times / 10))).collect();
            let ended = Ended { left, ..Ended::unchanged(&plan) };
            for end in [None, Some((&ended, "shop"))] {
                let mut out = Vec::new();
                write(&mut out, Colours::None, Output::Github, &plan, end).expect("plain data");
                let text = String::from_utf8(out).expect("text");
                assert!(text.chars().count() <= 65_536, "{what}: {}", text.chars().count());
                assert!(text.contains("more | [cut: GitHub takes no more") && text.trim_end().ends_with("</details>"));
            }
        }
    }

    #[test]
    fn the_last_word_fits_into_the_termination_log_and_keeps_its_beginning() {
        let long = "failed: ".to_owned() + &"ü".repeat(3000);
        let word = cut(&long, TERMINATION_LOG_SIZE);
        assert!(word.starts_with("failed: ü") && word.ends_with('ü') && word.len() == TERMINATION_LOG_SIZE);
        assert_eq!(cut(&long[1..], TERMINATION_LOG_SIZE).len(), TERMINATION_LOG_SIZE - 1);
        assert_eq!(cut("short", TERMINATION_LOG_SIZE), "short");
    }

    #[test]
    fn a_later_last_word_leaves_nothing_of_an_earlier_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        terminate_at(&path, "there is none");
        assert!(!path.exists());
        std::fs::write(&path, "").expect("written");
        for message in ["a long one, with http://me:hunter2@a.b/", "short"] {
            terminate_at(&path, message);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "short");
    }

    #[test]
    fn what_an_object_contains_cannot_fake_a_line() {
        let mut plan = PlanBuilder::new("step", plan().stages().to_vec());
        let target = Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: None, name: "it".into() };
        let images = Images::Create(json!({"data": {"a": "x\nPlan: 0 to create\u{1b}[2J"}}));
        plan.push(&Change { stage: 0, target, images, reason: String::new() });
        let text = written(Output::Text, &plan.build());
        assert!(text.contains(r"data.a: x\nPlan: 0 to create\u{1b}[2J"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("Plan: 0")).count(), 1);
    }
}
