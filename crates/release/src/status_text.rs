//! A status as text: what a person needs at three in the morning, on one screen. JSON and YAML have all of it.

use comfy_table::{Table, presets};
use fairlead_job::redact;
use fairlead_migration::obstacle::{self, chain};
use fairlead_migration::progress::{FirstPart, Phase, WhyBack};
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::store::Holder;
use textwrap::Options;

use crate::helm::HelmRecords;
use crate::holder::process;
use crate::known::Next;
use crate::place::Place;
use crate::status_facts::Overview;

/// Columns of a screen. Commands are not broken: they are pasted.
const WIDTH: usize = 100;

/// So many endings are shown, the newest in full.
const ENDINGS_SHOWN: usize = 5;

/// Stands for a blank at which no line is broken.
const KEPT: &str = "\u{a0}";

/// Stands for a hyphen at which no line is broken.
const JOINED: &str = "\u{2011}";

/// What stands below a line belongs to it.
const INDENT: &str = "   ";

pub(crate) fn text(status: &Overview<'_>) -> String {
    let Overview {
        place: Place { namespace, release, .. },
        runs,
        missing,
        damages,
        endings,
        helm,
        stuck,
        leads_nowhere,
        left_over,
        is_armed,
        next,
        ..
    } = status;
    let mut out = if runs.is_empty() {
        format!("Release {release} has no runs in namespace {namespace}.\n")
    } else {
        format!("Release {release} in namespace {namespace}\n\n{}", table(runs, helm))
    };
    if let Some(holder) = &status.at_work {
        out.extend(["\n", &wrapped(&format!("At work: {}", held(holder)))]);
    }
    if runs.iter().any(|run| run.phase() == Phase::Background) {
        let watches = status.watches.as_ref().map_or_else(|| "nobody watches".to_owned(), held);
        out.extend(["\n", &wrapped(&format!("In the background: {watches}"))]);
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let what = "MISSING: somebody has deleted tickets; what those runs changed cannot be taken back from here";
        out.extend(["\n", what, ": ", &missing.join(", "), "\n"]);
    }
    if !damages.is_empty() {
        out.push_str("\nDAMAGED: what these Secrets record can be used for nothing:\n");
    }
    for damage in damages {
        out.push_str(&wrapped(&format!("  {}", few_lines(&redact::text(&chain(damage))))));
    }
    if let Some(newest) = helm.revisions.last().filter(|newest| newest.status != "deployed") {
        out.extend(["\nHelm: revision ", &newest.number.to_string(), " of release ", &helm.release, " is "]);
        out.extend([newest.status.as_str(), ".\n"]);
    }
    if let (Some(false), Some(revision)) = (is_armed, status.state.way_back()) {
        let what =
            format!("\nNot armed: revision {revision} has no rollback hooks, `helm rollback` alone takes nothing back.");
        out.extend([what.as_str(), "\n"]);
    }
    if !stuck.is_empty() {
        out.push_str("\nJobs that do not run:\n");
    }
    for stuck in stuck {
        out.push_str(&wrapped(&format!("  {}: {}", stuck.job, redact::text(&stuck.why))));
    }
    if !leads_nowhere.is_empty() {
        out.push_str("\nREFUSED: whoever publishes through these Services is refused now, until they lead back or the new side is there:\n");
    }
    for nowhere in leads_nowhere {
        out.push_str(&wrapped(&format!("  {}", nowhere.in_words())));
    }
    if !left_over.is_empty() {
        out.push_str("\nLeft of the old side:\n");
    }
    for left in left_over {
        out.push_str(&wrapped(&format!("  {}", left.in_words(status.place))));
    }
    if !endings.is_empty() {
        out.push_str("\nLast outcomes:\n");
    }
    let shown = &endings[endings.len().saturating_sub(ENDINGS_SHOWN)..];
    for (position, ending) in shown.iter().enumerate() {
        let Ending { time, step, command, exit, summary, .. } = ending;
        let code = ending.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        let line = format!("  {time}  {step} {command}, exit {exit}: {code}{}", few_lines(&redact::text(summary)));
        let is_newest = position + 1 == shown.len();
        out.push_str(&if is_newest { wrapped(&line) } else { cut(&line, WIDTH) + "\n" });
    }
    out.push_str("\nNext:\n");
    for Next { command, what } in next {
        out.extend(["  ", command, "\n"]);
        out.push_str(&textwrap::fill(what, Options::new(WIDTH).initial_indent("      ").subsequent_indent("      ")));
        out.push('\n');
    }
    out
}

/// Where its process runs, when it was last heard of, and how far it is: what tells one that is at work from one that has died.
fn held(holder: &Holder) -> String {
    let how_far = holder.how_far.as_ref().map(|how_far| format!("; {}", redact::text(how_far))).unwrap_or_default();
    format!("{}, last heard of at {}{how_far}", process(&holder.name), seconds(&holder.renewed))
}

/// A time without its fraction.
fn seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// A line per run; what the phase means stands at its end where there is room, else below.
fn table(runs: &[RecordedRun], helm: &HelmRecords) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["#", "STEP", "PHASE", "CHANGES", "REVISION", "BEGAN"]);
    for run in runs {
        let revision = run.helm_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let changes = match run.phase() {
            Phase::Applying => format!("up to {} of {}", run.progress.begun.min(run.changes), run.changes),
            _ => run.changes.to_string(),
        };
        table.add_row([&run.sequence.to_string(), &run.step, run.phase().as_str(), &changes, &revision, &run.created]);
    }
    let text = table.to_string();
    let mut lines = text.lines();
    // Columns are filled up with blanks, the last one, too.
    let mut out = lines.next().unwrap_or_default().trim_end().to_owned() + "\n";
    for (line, run) in lines.zip(runs) {
        let earlier = if helm.is_ours(run) { "" } else { ", of an earlier installation or another release" };
        let remark = remark(run) + earlier;
        if line.chars().count() + 1 + remark.chars().count() <= WIDTH {
            out.extend([line, " ", &remark, "\n"]);
        } else {
            out.extend([line.trim_end(), "\n", &wrapped(&format!("{INDENT}{remark}"))]);
        }
    }
    out
}

/// Broken between words, and not in a command, which is pasted.
fn wrapped(line: &str) -> String {
    let is_command = |position: usize| position % 2 == 1;
    let parts = line.split('`').enumerate();
    let whole = |part: &str| part.replace(' ', KEPT).replace('-', JOINED);
    let kept: Vec<String> =
        parts.map(|(position, part)| if is_command(position) { whole(part) } else { part.to_owned() }).collect();
    let options = Options::new(WIDTH).subsequent_indent("      ").break_words(false);
    textwrap::fill(&kept.join("`"), options).replace(KEPT, " ").replace(JOINED, "-") + "\n"
}

/// JSON has all of it.
fn few_lines(text: &str) -> String {
    obstacle::cut(text, 6 * WIDTH).into_owned()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// What the phase means for the person who reads it.
fn remark(run: &RecordedRun) -> String {
    let cause = run.progress.cause().map(|cause| few_lines(&redact::text(&cause.message)));
    let why = cause.map(|cause| format!(", because it failed: {cause}")).unwrap_or_default();
    match run.phase() {
        Phase::Committed if run.changes == 0 => "verified, and changed nothing".to_owned(),
        Phase::Committed if run.has_ended() => "done; what it held is open again".to_owned(),
        Phase::Committed => "in force".to_owned(),
        Phase::Background => "in force; what follows from it goes on in the background".to_owned(),
        Phase::Dirty => format!("NOT as before: a human must look{why}"),
        Phase::RolledBack if run.progress.begun == 0 => "nothing was changed".to_owned(),
        Phase::RolledBack if run.progress.why_back == Some(WhyBack::Planned) => "taken back, as planned".to_owned(),
        Phase::RolledBack if run.progress.kept > 0 => {
            let kept = if run.progress.kept == 1 { "1 object".to_owned() } else { format!("{} objects", run.progress.kept) };
            format!("taken back, but for {kept} that others have changed, or that these may need{why}")
        }
        Phase::RolledBack => format!("taken back{why}"),
        Phase::RollingBack if run.progress.is_undone_before_helm() => {
            "taken back as far as it is before Helm's manifests; the rest follows them".to_owned()
        }
        Phase::RollingBack if run.progress.first_part == FirstPart::Begun => {
            "being taken back before Helm's manifests, or its process died".to_owned()
        }
        Phase::RollingBack => format!("being taken back, or its process died{why}"),
        Phase::Planned | Phase::Applying | Phase::Verifying => "under way, or its process died".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use fairlead_migration::progress::{Cause, Progress};

    use super::*;
    use crate::testing::run;

    #[test]
    fn a_command_in_a_sentence_stays_on_one_line() {
        let command = "`helm rollback shop 1 -n shop --kubeconfig /home/somebody/of/the/shop/kubeconfig --no-hooks`";
        let text =
            wrapped(&format!("the manifests of revision 1 are not there: {command} brings them (without the flag, too)"));
        assert!(text.contains(command) && text.lines().count() > 1, "{text}");
        let command = "`kubectl -n kyma-system delete channel.messaging.knative.dev created-by-a-controller-x7k2p`";
        let text = wrapped(&format!("it is there, and may be broken in front of the command and behind it: {command}"));
        assert!(text.contains(command) && text.lines().count() > 1, "{text}");
    }

    #[test]
    fn a_long_remark_stands_below_its_run_and_no_line_is_wider_than_a_screen() {
        let message = "failed to create Trigger orders/created: ".to_owned() + &"a policy says no, ".repeat(40);
        let why_back = Some(WhyBack::Failed(Cause { code: None, message }));
        let failed = Progress { phase: Phase::RolledBack, why_back, begun: 3, ..Progress::planned() };
        let runs = [run(1, Phase::Committed), RecordedRun { progress: failed, ..run(2, Phase::RolledBack) }];
        let table = table(&runs, &HelmRecords::default());
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].ends_with(" in force"), "{table}");
        assert!(lines[3].starts_with("   taken back, because it failed: failed to create") && lines.len() > 7, "{table}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{table}");
    }
}
