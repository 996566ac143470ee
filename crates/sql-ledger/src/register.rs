//! Which sequences there have been, so that a ticket is missed that somebody deleted; and how the last runs ended.

use fairlead_migration::obstacle::{LONGEST, Obstacle, cut};
use fairlead_migration::run::Ending;
use uuid::Uuid;

use crate::place::Place;
use crate::tables::{ENDING, LEASE, REGISTER, TICKET};

/// How many endings are kept.
const KEPT: usize = 50;

/// The sequences of tickets that were created, and are not there, though nobody has pruned them.
pub(crate) async fn missing(place: &Place) -> Result<Vec<u64>, Obstacle> {
    let [register, ticket] = [REGISTER, TICKET].map(|table| place.tables.name(table));
    let statement = format!(
        "select r.sequence from {register} r left join {ticket} t on t.release_name = r.release_name and t.sequence = r.sequence \
         where r.{} and r.is_pruned = 0 and t.sequence is null order by r.sequence",
        place.of_release()
    );
    numbers(place, &statement).await
}

/// The sequences whose tickets were deleted on purpose.
pub(crate) async fn pruned(place: &Place) -> Result<Vec<u64>, Obstacle> {
    let (register, of_release) = (place.tables.name(REGISTER), place.of_release());
    numbers(place, &format!("select sequence from {register} where {of_release} and is_pruned = 1 order by sequence")).await
}

/// The largest sequence that was ever given; 0 for none.
pub(crate) async fn last(place: &Place) -> Result<u64, Obstacle> {
    let of_release = place.of_release();
    let largest = |table| format!("select max(sequence) as sequence from {} where {of_release}", place.tables.name(table));
    let statement = format!("select max(sequence) from ({} union all {}) both_tables", largest(TICKET), largest(REGISTER));
    Ok(numbers(place, &statement).await?.into_iter().max().unwrap_or(0))
}

async fn numbers(place: &Place, statement: &str) -> Result<Vec<u64>, Obstacle> {
    let rows = place.read("read the register", statement).await?;
    Ok(rows.into_iter().flatten().flatten().filter_map(|text| text.parse().ok()).collect())
}

/// Says of a sequence that it was given, and whether its ticket was deleted on purpose; only while somebody holds the lease, if that is named.
pub(crate) fn given(place: &Place, sequence: u64, is_pruned: bool, held: Option<&str>) -> String {
    let Place { tables, release, .. } = place;
    let values = format!("{}, {sequence}, {}", tables.text(release), u8::from(is_pruned));
    let source = held.map_or_else(
        || format!("values ({values})"),
        |held| format!("select {values} from {} where {held}", tables.name(LEASE)),
    );
    let (table, or_pruned) = (tables.name(REGISTER), tables.or_pruned(is_pruned));
    format!("insert into {table} (release_name, sequence, is_pruned) {source} {or_pruned}")
}

/// How the last runs ended, the oldest first. One that a later version wrote otherwise is left out: this is for people to read.
pub(crate) async fn endings(place: &Place) -> Result<Vec<Ending>, Obstacle> {
    let (table, of_release) = (place.tables.name(ENDING), place.of_release());
    let statement = format!("select content from {table} where {of_release} order by noted, id");
    let rows = place.read("read how the runs ended", &statement).await?;
    let endings: Vec<Ending> = rows.iter().flatten().flatten().filter_map(|text| serde_json::from_str(text).ok()).collect();
    Ok(endings[endings.len().saturating_sub(KEPT)..].to_vec())
}

/// Adds how a run ended, and forgets the oldest. `noted` is when; the time of the server if it is not given.
pub(crate) async fn note(place: &Place, ending: &Ending, noted: Option<&str>) -> Result<(), Obstacle> {
    let (tables, table, of_release) = (&place.tables, place.tables.name(ENDING), place.of_release());
    let failed = |error: serde_json::Error| Obstacle::Refused {
        operation: place.operation("write how a run ended"),
        source: error.into(),
    };
    let short = Ending { summary: cut(&ending.summary, LONGEST).into_owned(), ..ending.clone() };
    let content = tables.text(&serde_json::to_string(&short).map_err(failed)?);
    // With a name of its own: sent again, it is the same.
    let id = tables.text(&Uuid::new_v4().to_string());
    let noted = noted.map_or_else(|| tables.written(tables.now(), true), |time| tables.text(time));
    let insert = format!(
        "insert into {table} (release_name, id, noted, content) values ({}, {id}, {noted}, {content}) {}",
        tables.text(&place.release),
        tables.or_nothing()
    );
    let select = format!("select id from {table} where {of_release} order by noted desc, id desc");
    let ids = place.write(&place.link, "write how a run ended", &[insert, select]).await?;
    let old: Vec<String> = ids.into_iter().flatten().flatten().skip(KEPT).map(|id| tables.text(&id)).collect();
    if !old.is_empty() {
        let delete = format!("delete from {table} where {of_release} and id in ({})", old.join(", "));
        place.write(&place.link, "forget how old runs ended", &[delete]).await?;
    }
    Ok(())
}
