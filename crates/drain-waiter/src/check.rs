//! `check`: reads every source once.

use std::io::Write as _;

use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::source::OpenError;
use fairlead_job::args::Output;
use fairlead_job::codes::{drain_waiter as codes, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, redact, report};
use fairlead_migration::obstacle::chain;
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
    let refused =
        |(reader, opened): (&Reader<'_>, Result<(), OpenError>)| Some((reader.watched.name.clone(), opened.err()?));
    let refused: Vec<_> = readers.iter().zip(opened).filter_map(refused).collect();
    let readings = join_all(readers.iter_mut().map(Reader::read)).await;
    let sources: Vec<_> = readers.iter().map(|reader| &reader.watched).zip(&readings).collect();
    let mut out = Vec::new();
    match output {
        Output::Text => {
            for (source, reading) in &sources {
                let line = line(source, reading, &[]);
                // Where nothing is known for the same reason, it is said once.
                let hopeless = reading.hopeless.as_ref().filter(|why| !line.ends_with(*why));
                let more: String =
                    reading.largest.iter().chain(hopeless).chain(&reading.warnings).flat_map(|what| ["; ", what]).collect();
                writeln!(out, "{line}{more}")?;
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
    // The lines above say everything of every source.
    if let Some((first, more)) = refused.split_first() {
        let (name, error) = first;
        let more = if more.is_empty() { String::new() } else { format!("; and {} more cannot be read", more.len()) };
        return Err(Failure::new(code(error), redact::text(&format!("{name}: {}{more}", chain(error)))).into());
    }
    if let Some((source, why)) = sources.iter().find_map(|(source, reading)| Some((source, reading.hopeless.as_ref()?))) {
        return Err(Failure::new(&codes::HOPELESS, redact::text(&format!("{}: {why}", source.name))).into());
    }
    let is_left = |reading: &Reading| reading.left != Left::Empty;
    let left: Vec<String> = sources
        .iter()
        .filter(|(source, reading)| !source.is_intake && is_left(reading))
        .map(|(source, reading)| format!("{}: {}", source.name, said(&reading.left, &[])))
        .collect();
    if left.is_empty() { Ok(ExitStatus::Done) } else { Err(Failure::new(&codes::NOT_EMPTY, left.join("; ")).into()) }
}
