//! What goes to stdout, and the last word in the termination log.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::Value;

use crate::args::Output;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::manifests;

/// Kubernetes shows the content of this file as the message of the terminated container. It is there in a pod only.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Kubernetes cuts after this many bytes.
const TERMINATION_LOG_SIZE: usize = 4096;

/// Writes a report to stdout: `text` for people, otherwise `document`. Colours only on a terminal.
pub fn print(output: Output, document: &Value, text: &str) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => text.to_owned(),
        Output::Json => serde_json::to_string_pretty(document).context("failed to write the report as JSON")? + "\n",
        Output::Yaml => manifests::to_yaml(document).context("failed to write the report as YAML")?,
    };
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
    // Nothing can be done when even stderr is closed.
    let _ = anstream::stderr().write_all(message.as_bytes());
    terminate(&message);
    status
}
