//! What the tables hold: which runs there were, and from what each can be undone.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_sql::session::Texts;
use serde_json::Value;

use crate::place::Place;
use crate::record::{COLUMNS, Record, evidence_names, snapshot_names};
use crate::tables::{CHUNK, TICKET};

/// Every ticket of the release, the oldest first.
pub(crate) async fn records(place: &Place) -> Result<Vec<Record>, Obstacle> {
    let (table, of_release) = (place.tables.name(TICKET), place.of_release());
    let statement = format!("select {COLUMNS} from {table} where {of_release} order by sequence");
    Ok(place.read("read the tickets", &statement).await?.iter().filter_map(Record::read).collect())
}

/// The ticket of a run, if it is there.
pub(crate) async fn find(place: &Place, name: &str) -> Result<Option<Record>, Obstacle> {
    let Some(sequence) = place.sequence_of(name) else { return Ok(None) };
    let (table, of_run) = (place.tables.name(TICKET), place.of_run(sequence));
    let rows = place.read("read a ticket", &format!("select {COLUMNS} from {table} where {of_run}")).await?;
    Ok(rows.first().and_then(Record::read))
}

/// The ticket of a run.
///
/// # Errors
///
/// [`Obstacle::Damaged`] when it is not there.
pub(crate) async fn record(place: &Place, name: &str) -> Result<Record, Obstacle> {
    find(place, name).await?.ok_or_else(|| place.damaged(name, "it is not there"))
}

/// Chunks of a run, by name, as they are stored: these, or all.
pub(crate) async fn chunks(
    place: &Place,
    sequence: u64,
    names: Option<&[String]>,
) -> Result<BTreeMap<String, String>, Obstacle> {
    let texts = |names: &[String]| names.iter().map(|name| place.tables.text(name)).collect::<Vec<_>>().join(", ");
    let which = match names {
        Some([]) => return Ok(BTreeMap::new()),
        Some(names) => format!(" and name in ({})", texts(names)),
        None => String::new(),
    };
    let (table, of_run) = (place.tables.name(CHUNK), place.of_run(sequence));
    let rows = place.read("read the chunks", &format!("select name, content from {table} where {of_run}{which}")).await?;
    Ok(rows.into_iter().filter_map(pair).collect())
}

fn pair(row: Texts) -> Option<(String, String)> {
    let mut texts = row.into_iter();
    Some((texts.next()??, texts.next()??))
}

/// What a run has recorded.
pub(crate) async fn reopen(place: &Place, record: &Record) -> Result<Reopened, Obstacle> {
    let names = snapshot_names(&record.ticket(place)?.snapshot);
    record.reopen(place, &chunks(place, record.sequence, Some(&names)).await?)
}

/// The evidence of a run.
pub(crate) async fn evidence(place: &Place, run: &RecordedRun) -> Result<Option<Value>, Obstacle> {
    let Some(manifest) = &run.progress.evidence else { return Ok(None) };
    let record = record(place, &run.name).await?;
    let chunks = chunks(place, run.sequence, Some(&evidence_names(manifest))).await?;
    record.evidence(place, &chunks, manifest).map(Some)
}

/// Chunks that are not there, and tickets that cannot be read.
pub(crate) async fn damages(place: &Place, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle> {
    let statement = format!("select sequence, name from {} where {}", place.tables.name(CHUNK), place.of_release());
    let there = place.read("list the chunks", &statement).await?;
    let there: BTreeSet<(String, String)> = there.into_iter().filter_map(pair).collect();
    let records: BTreeMap<u64, Record> = records(place).await?.into_iter().map(|record| (record.sequence, record)).collect();
    let mut damages = Vec::new();
    let matters = |run: &&RecordedRun| !matches!(run.phase(), Phase::Planned | Phase::RolledBack);
    for run in runs.iter().filter(matters) {
        let Some(record) = records.get(&run.sequence) else {
            damages.push(place.damaged(&run.name, "it is not there"));
            continue;
        };
        let (ticket, progress) = match record.ticket(place).and_then(|ticket| Ok((ticket, record.progress(place)?))) {
            Ok(read) => read,
            Err(obstacle) => {
                damages.push(obstacle);
                continue;
            }
        };
        let missing = |chunk: &String| !there.contains(&(run.sequence.to_string(), chunk.clone()));
        let lost = |chunk: String, what: String| place.damaged(&record.chunk_name(place, &chunk), what);
        let snapshot = snapshot_names(&ticket.snapshot).into_iter().filter(missing);
        damages.extend(snapshot.map(|chunk| lost(chunk, "it is not there".to_owned())));
        let evidence = progress.evidence.map(|manifest| evidence_names(&manifest)).unwrap_or_default();
        let what = format!("it is not there; without it the evidence of run {} ({}) is lost", run.sequence, run.step);
        damages.extend(evidence.into_iter().filter(missing).map(|chunk| lost(chunk, what.clone())));
    }
    Ok(damages)
}

/// The releases that have tickets in these tables.
pub(crate) async fn releases(place: &Place) -> Result<BTreeSet<String>, Obstacle> {
    let statement = format!("select distinct release_name from {}", place.tables.name(TICKET));
    let rows = place.read("list the releases", &statement).await?;
    Ok(rows.into_iter().flatten().flatten().collect())
}
