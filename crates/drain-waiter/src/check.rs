//! `check`: reads every source once.

use std::io::Write as _;

use fairlead_backlog::reading::Left;
use fairlead_job::args::Output;
use fairlead_job::codes::{drain_waiter as codes, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, redact, report};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::configuration::Drain;
use crate::progress::{line, said};
use crate::readers::readers;
use crate::sources::{Place, Reader, code};

/// Prints how much is left. Whether the intake is closed is said, and does not count: `apply` closes it.
pub(crate) async fn run(drain: &Drain, place: Place<'_>, output: Output) -> anyhow::Result<ExitStatus> {
    let mut readers = readers(drain, place);
    let opened = join_all(readers.iter_mut().map(Reader::open)).await;
    // What `apply` would refuse, and not wait for.
    let refused = opened.into_iter().find_map(Result::err).map(|error| code(&error));
    let readings = join_all(readers.iter_mut().map(Reader::read)).await;
    let sources: Vec<_> = readers.iter().map(|reader| &reader.watched).zip(&readings).collect();
    let mut out = Vec::new();
    match output {
        Output::Text => {
            for (source, reading) in &sources {
                let line = line(source, reading, &[]);
                // Where nothing is known for the same reason, it is said once.
                let hopeless = reading.hopeless.as_ref().filter(|why| !line.ends_with(*why));
                writeln!(out, "{line}{}", hopeless.map_or_else(String::new, |why| format!("; {why}")))?;
            }
        }
        Output::Json | Output::Yaml => {
            let listed = sources
                .iter()
                .map(|(source, reading)| json!({"name": source.name, "isIntake": source.is_intake, "reading": reading}));
            let document =
                json!({"apiVersion": "fairlead.dev/v1", "kind": "Backlog", "sources": listed.collect::<Vec<Value>>()});
            if output == Output::Json {
                serde_json::to_writer_pretty(&mut out, &document)?;
                out.push(b'\n');
            } else {
                manifests::write_yaml(&mut out, &document)?;
            }
        }
        Output::Junit | Output::Github => {
            return Err(Failure::new(&shared::NO_SUCH_FORM, "a backlog comes as text, json or yaml").into());
        }
    }
    let text = redact::text(&String::from_utf8_lossy(&out));
    report::say(&text)?;
    let left: Vec<String> = sources
        .iter()
        .filter(|(source, reading)| !source.is_intake && (reading.left != Left::Empty || reading.hopeless.is_some()))
        .map(|(source, reading)| format!("{}: {}", source.name, said(&reading.left, &[])))
        .collect();
    if left.is_empty() {
        Ok(ExitStatus::Done)
    } else {
        Err(Failure::new(refused.unwrap_or(&codes::NOT_EMPTY), left.join("; ")).into())
    }
}
