//! What goes to stdout, and the last word in the termination log.

mod github;
mod junit;

use std::io::Write as _;

use anyhow::Context as _;
use fairlead_migration::plan::Plan;
use serde_json::Value;

use crate::args::Output;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::outcome::Ended;
use crate::{manifests, redact};

/// Kubernetes shows the content of this file as the message of the terminated container. It is there in a pod only.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Kubernetes cuts after this many bytes.
const TERMINATION_LOG_SIZE: usize = 4096;

/// Writes to stdout what would happen. Colours only on a terminal.
pub fn print_plan(output: Output, plan: &Plan) -> anyhow::Result<()> {
    print(&match output {
        Output::Text => redact::plan(plan).text(),
        Output::Json | Output::Yaml => document(output, plan.document().context("failed to write the plan")?)?,
        Output::Junit => junit::render(&redact::plan(plan), None).context("failed to write the plan as JUnit")?,
        Output::Github => github::render(&redact::plan(plan), &plan.digest(), None),
    })
}

/// Writes to stdout what has happened. In text the plan has been printed before, because the pod may not live to do it now,
/// and a failure is told once, with its cause, by [`conclude`].
pub fn print_end(output: Output, plan: &Plan, ended: &Ended, release: &str) -> anyhow::Result<()> {
    print(&match output {
        Output::Text if ended.failure.is_some() => return Ok(()),
        Output::Text => ended.text(),
        Output::Json | Output::Yaml => {
            document(output, ended.document(release, plan).context("failed to write the report")?)?
        }
        Output::Junit => junit::render(&redact::plan(plan), Some(ended)).context("failed to write the report as JUnit")?,
        Output::Github => github::render(&redact::plan(plan), &plan.digest(), Some(ended)),
    })
}

fn document(output: Output, mut document: Value) -> anyhow::Result<String> {
    redact::value(&mut document);
    if output == Output::Yaml {
        return manifests::to_yaml(&document).context("failed to write the report as YAML");
    }
    Ok(serde_json::to_string_pretty(&document).context("failed to write the report as JSON")? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    match anstream::stdout().write_all(text.as_bytes()) {
        // `plan | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("failed to write the report to stdout"),
    }
}

/// Leaves the last word where `kubectl describe pod` finds it.
pub fn terminate(message: &str) {
    let end = (0..=message.len().min(TERMINATION_LOG_SIZE)).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    // Without `create`: outside a pod there is no such file and none is made. Nothing can be done about a failure here.
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(TERMINATION_LOG) {
        let _ = file.write_all(&message.as_bytes()[..end]);
    }
}

/// Turns the end of `run` into an exit status; an error is printed here and nowhere else.
#[must_use]
pub fn conclude(result: anyhow::Result<ExitStatus>) -> ExitStatus {
    let error = match result {
        Ok(status) => return status,
        Err(error) => error,
    };
    let (message, status) = match error.downcast_ref::<Failure>() {
        Some(failure) => {
            let (code, after) = (failure.code, failure.aftermath());
            (format!("error {}: {error:#}\n{after}{}\n", code.id, code.next), failure.status)
        }
        None => (format!("error: {error:#}\n"), ExitStatus::Failed),
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
    use crate::code;
    use fairlead_migration::change::{Change, Images, Target};
    use fairlead_migration::plan::{Stage, StageKind, Unchanged, UndoAt};
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
        Plan {
            step: "trigger-replicator".into(),
            stages: vec![Stage {
                name: "Triggers".into(),
                kind: StageKind::Expand,
                undo_at: UndoAt::PostRollback,
                concurrency: 8,
            }],
            changes: vec![Change {
                stage: 0,
                target: target("mail"),
                images: Images::Create(image),
                reason: "replicates Subscription orders/mail".into(),
            }],
            refusals: vec![code::DRIFT.finding(target("odd"), format!("{uri} | <b> is odd"))],
            warnings: vec![code::INPUT.finding(target("twice"), "may deliver twice")],
            unchanged: vec![Unchanged { target: target("kept"), reason: "made by others".into() }],
        }
    }

    #[test]
    fn every_format_tells_the_plan_and_none_a_password() {
        let mut all = String::new();
        let junit = junit::render(&redact::plan(&plan()), None).expect("plain data");
        // The time of the report is the only thing that changes.
        let junit = junit.lines().map(|line| line.split(" uuid=").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let github = github::render(&redact::plan(&plan()), &plan().digest(), None);
        let text = anstream::adapter::strip_str(&redact::plan(&plan()).text()).to_string();
        for (name, text) in [("text", text), ("junit", junit), ("github", github)] {
            assert!(!text.contains("pass@"), "{text}");
            all.extend(["=== ", name, "\n", &text, "\n"]);
        }
        let json = document(Output::Json, plan().document().expect("plain data")).expect("plain data");
        assert!(!json.contains("pass@") && json.contains(&plan().digest()), "{json}");
        insta::assert_snapshot!(all);
    }
}
