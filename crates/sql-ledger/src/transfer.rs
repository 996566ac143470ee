//! Tickets as documents, and back: a backup of the tables, or their way to another database.

use std::collections::BTreeMap;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::{Ending, RecordedRun, Reopened};
use fairlead_migration::transfer::{Exported, Imported};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::history;
use crate::place::Place;
use crate::record::Record;
use crate::register;
use crate::tables::{CHUNK, TICKET};

/// A file that is of something else.
const INPUT: &str = "FL005";

/// A run of the same number is there.
const ANOTHER_RUN: &str = "FL045";

const API_VERSION: &str = "fairlead.dev/v1";

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// A run with all that it holds.
    Ticket,
    /// What else the tables know of a release.
    Register,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TicketDocument {
    release: String,
    sequence: u64,
    created: String,
    step: String,
    digest: String,
    ticket: Value,
    progress: Value,
    chunks: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterDocument {
    release: String,
    pruned: Vec<u64>,
    endings: Vec<Ending>,
}

/// A run as it is stored, with its chunks.
struct Whole {
    record: Record,
    chunks: BTreeMap<String, String>,
}

impl Whole {
    /// The run. Every digest is checked, also that of its evidence.
    fn read(&self, place: &Place) -> Result<(RecordedRun, Reopened), Obstacle> {
        let Self { record, chunks } = self;
        let reopened = record.reopen(place, chunks)?;
        if let Some(manifest) = &reopened.progress.evidence {
            record.evidence(place, chunks, manifest)?;
        }
        Ok((record.run(place), reopened))
    }

    fn document(&self, place: &Place) -> Result<Value, serde_json::Error> {
        let Self { record, chunks } = self;
        let document = TicketDocument {
            release: place.release.clone(),
            sequence: record.sequence,
            created: record.created.clone(),
            step: record.step.clone(),
            digest: record.digest.clone(),
            ticket: serde_json::from_str(&record.ticket)?,
            progress: serde_json::from_str(&record.progress)?,
            chunks: chunks.clone(),
        };
        written(Kind::Ticket, &place.name(record.sequence), document)
    }
}

fn written(kind: Kind, name: &str, content: impl Serialize) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(content)?;
    document["apiVersion"] = API_VERSION.into();
    document["kind"] = serde_json::to_value(kind)?;
    document["metadata"] = json!({ "name": name });
    Ok(document)
}

/// Every ticket with all that it holds, but for those that are not whole.
pub(crate) async fn export(place: &Place) -> Result<Exported, Obstacle> {
    let failed = |error: serde_json::Error| Obstacle::Refused {
        operation: place.operation("export the tickets"),
        source: error.into(),
    };
    let gone = |sequence| place.damaged(&place.name(sequence), "it is not there: somebody has deleted it");
    let mut damages: Vec<Obstacle> = register::missing(place).await?.into_iter().map(gone).collect();
    let mut documents = Vec::new();
    for record in history::records(place).await? {
        let whole = Whole { chunks: history::chunks(place, record.sequence, None).await?, record };
        match whole.read(place) {
            Ok(_) => documents.push(whole.document(place).map_err(failed)?),
            // Such a run has not changed anything: it may be about to write its chunks, or has died before that.
            Err(_) if is_unbegun(&whole.record.run(place)) => {}
            Err(obstacle) => damages.push(obstacle),
        }
    }
    let (pruned, endings) = (register::pruned(place).await?, register::endings(place).await?);
    if !pruned.is_empty() || !endings.is_empty() {
        let release = place.release.clone();
        let register = RegisterDocument { release, pruned, endings };
        documents.push(written(Kind::Register, &place.release, register).map_err(failed)?);
    }
    Ok(Exported { documents, damages })
}

fn is_unbegun(run: &RecordedRun) -> bool {
    run.progress.begun == 0 && matches!(run.phase(), Phase::Planned | Phase::RolledBack)
}

/// The documents of this release among these.
///
/// # Errors
///
/// `FL005` when all are of other releases.
fn ours(place: &Place, documents: &[Value]) -> Result<(Vec<Whole>, Vec<RegisterDocument>), Obstacle> {
    let (mut tickets, mut registers, mut other) = (Vec::new(), Vec::new(), None);
    for document in documents.iter().filter(|document| document["apiVersion"] == API_VERSION) {
        let Ok(kind) = Kind::deserialize(&document["kind"]) else { continue };
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        if document["release"] != *place.release {
            other = Some((name, document["release"].as_str().unwrap_or_default()));
            continue;
        }
        match kind {
            Kind::Ticket => tickets.push(ticket(document).map_err(|error| place.damaged(name, error))?),
            Kind::Register => {
                registers.push(RegisterDocument::deserialize(document).map_err(|error| place.damaged(name, error))?);
            }
        }
    }
    if let (true, true, Some((name, release))) = (tickets.is_empty(), registers.is_empty(), other) {
        let message = format!("{name} is of release {release}, and not of release {}: import it there", place.release);
        return Err(Obstacle::Verdict { code: INPUT.into(), message });
    }
    tickets.sort_by_key(|whole| whole.record.sequence);
    Ok((tickets, registers))
}

fn ticket(document: &Value) -> Result<Whole, serde_json::Error> {
    let TicketDocument { sequence, created, step, digest, ticket, progress, chunks, .. } =
        TicketDocument::deserialize(document)?;
    let (ticket, progress) = (ticket.to_string(), progress.to_string());
    Ok(Whole { record: Record { sequence, version: 1, created, step, digest, ticket, progress }, chunks })
}

/// What exported tickets hold, the oldest first, whether or not they are here.
pub(crate) fn read_exported(place: &Place, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle> {
    ours(place, documents)?.0.iter().map(|whole| whole.read(place)).collect()
}

/// Creates what is not there. Nothing is created unless every ticket is whole, and what is there already has the same content.
pub(crate) async fn import(place: &Place, documents: &[Value]) -> Result<Vec<Imported>, Obstacle> {
    let (tickets, registers) = ours(place, documents)?;
    let mut imported = Vec::new();
    for whole in &tickets {
        whole.read(place)?;
        let Record { sequence, .. } = whole.record;
        imported.push(match history::find(place, &place.name(sequence)).await? {
            None => Imported::Created(place.name(sequence)),
            Some(live) => found(place, whole, &live, &history::chunks(place, sequence, None).await?)?,
        });
    }
    for whole in &tickets {
        insert(place, whole).await?;
    }
    let has_endings = !register::endings(place).await?.is_empty();
    for RegisterDocument { pruned, endings, .. } in registers {
        for sequence in pruned {
            let given = register::given(place, sequence, true, None);
            place.write(&place.link, "import the register", &[given]).await?;
        }
        // Endings go on; those that are there are newer.
        for ending in endings.iter().filter(|_| !has_endings) {
            register::note(place, ending, Some(&ending.time)).await?;
        }
    }
    Ok(imported)
}

/// What is said of a ticket of the file that is there.
fn found(place: &Place, whole: &Whole, live: &Record, chunks: &BTreeMap<String, String>) -> Result<Imported, Obstacle> {
    let (file, name) = (&whole.record, place.name(live.sequence));
    if file.created != live.created || file.digest != live.digest {
        let message = format!(
            "run {} of the file ({}, begun {}) is not run {} of release {} ({}, begun {}): the tables were lost, and their numbers have begun \
             anew",
            file.sequence, file.step, file.created, live.sequence, place.release, live.step, live.created
        );
        return Err(Obstacle::Verdict { code: ANOTHER_RUN.into(), message });
    }
    if let Some((chunk, _)) =
        whole.chunks.iter().find(|(chunk, content)| chunks.get(*chunk).is_some_and(|it| it != *content))
    {
        let what = "there is another one of this name, with other content";
        return Err(place.damaged(&live.chunk_name(place, chunk), what));
    }
    let [in_file, there] = [file, live].map(|record| serde_json::from_str::<Value>(&record.progress).ok());
    if in_file == there {
        return Ok(Imported::Same(name));
    }
    let [in_file, there] = [in_file, there].map(|progress| {
        let phase = progress.as_ref().and_then(|progress| progress["phase"].as_str());
        phase.unwrap_or("none that can be read").to_owned()
    });
    let what = if in_file == there {
        format!("its progress is another one; the phase is {there} in both")
    } else {
        format!("its phase is {there}, in the file {in_file}")
    };
    let delete = format!("delete from {} where {}", place.tables.name(TICKET), place.of_run(live.sequence));
    Ok(Imported::Differs { name, what, remove: format!("in {}: {delete};", place.link.address) })
}

/// Rows that are there stay as they are.
async fn insert(place: &Place, Whole { record, chunks }: &Whole) -> Result<(), Obstacle> {
    let tables = &place.tables;
    let run = format!("{}, {}", tables.text(&place.release), record.sequence);
    let Record { created, step, digest, ticket, progress, .. } = record;
    let texts = [created, step, digest, ticket, progress].map(|text| tables.text(text)).join(", ");
    let row = format!(
        "insert into {} (release_name, sequence, version, created, step, digest, ticket, progress) values ({run}, 1, {texts}) {}",
        tables.name(TICKET),
        tables.or_nothing()
    );
    let given = register::given(place, record.sequence, false, None);
    place.write(&place.link, "import a ticket", &[given, row]).await?;
    for (name, content) in chunks {
        let [name, content] = [name, content].map(|text| tables.text(text));
        let row = format!(
            "insert into {} (release_name, sequence, name, content) values ({run}, {name}, {content}) {}",
            tables.name(CHUNK),
            tables.or_nothing()
        );
        place.write(&place.link, "import a chunk of a ticket", &[row]).await?;
    }
    Ok(())
}
