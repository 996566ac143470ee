//! Shows over new connections that a redirect leads to the new side: sends its event until the expected answer comes.

use std::time::{Duration, SystemTime};

use fairlead_backlog::event::{Event, Expected};
use fairlead_job::codes::{drain_waiter as codes, shared};
use fairlead_job::redact;
use fairlead_job::watch::Watch;
use fairlead_migration::change::Target;
use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_observe::source::Source;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::configuration::Drain;
use crate::entry::Intake;
use crate::sources::Place;
use crate::surroundings::is_absent;

/// How long one answer is waited for. A connection to a pod that has just gone hangs, and the next one does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// kube-proxy follows after 0.2 s, or at its next sync: about once in a second. Each try is an event for whoever gets it.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// So many expected answers in a row: kube-proxy chooses among the endpoints that it knows, and one answer may be chance.
pub(crate) const IN_A_ROW: u32 = 3;

/// A Service whose new connections have been shown to lead to the new side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reached {
    /// The Service.
    pub(crate) service: Target,
    /// Where the event was sent.
    pub(crate) url: String,
    /// What the event carried, before the number of the try.
    pub(crate) id: String,
    /// Status of the answer.
    pub(crate) status: u16,
    /// What was expected, in words.
    pub(crate) expected: String,
    /// How often it was sent, each time over a new connection.
    pub(crate) tries: u32,
    /// How many of the last answers were as expected.
    pub(crate) in_a_row: u32,
    /// When the last answer came; RFC 3339.
    pub(crate) at: String,
    /// How long that took.
    pub(crate) took_millis: u64,
}

/// Sends the event of every redirect that has one, where its Service is there.
pub(crate) async fn reach(drain: &Drain, place: Place<'_>, id: &str, watch: &Watch) -> Result<Vec<Reached>, Obstacle> {
    let (source, mut all) = (Source::Cluster(place.cluster, place.discovery), Vec::new());
    for intake in &drain.intake {
        let Intake::Redirect(redirect) = intake else { continue };
        let Some(event) = &redirect.event else { continue };
        if !is_absent(&source, intake).await? {
            all.push(reach_one(intake.target(), event, place, id, watch).await?);
        }
    }
    Ok(all)
}

async fn reach_one(service: Target, event: &Event, place: Place<'_>, id: &str, watch: &Watch) -> Result<Reached, Obstacle> {
    let verdict =
        |message: String| Obstacle::Verdict { code: codes::NOT_REACHED.id.into(), message: redact::text(&message) };
    let ready = event.prepare(&place).await.map_err(|error| verdict(format!("{service}: its event: {}", chain(&error))))?;
    let (began, url, [mut pause, longest]) = (Instant::now(), event.url(), PAUSES);
    let left = || event.patience().saturating_sub(began.elapsed());
    let (mut tries, mut in_a_row, mut expected) = (0, 0, 0);
    loop {
        tries += 1;
        let timeout = left().clamp(PAUSES[0], ANSWER_TIMEOUT);
        let sent = watch.guard(async { Ok::<_, Obstacle>(ready.send(id, timeout).await) }).await;
        let why = match sent {
            Ok(Ok(_)) if in_a_row + 1 < IN_A_ROW => {
                (in_a_row, expected) = (in_a_row + 1, expected + 1);
                sleep(PAUSES[0].min(watch.time_left())).await;
                continue;
            }
            Ok(Ok(Expected { status, wanted })) => {
                tracing::info!(%service, url = redact::text(url), status, tries, "a new connection leads to the new side");
                return Ok(Reached {
                    service,
                    url: redact::text(url),
                    id: id.to_owned(),
                    status,
                    expected: wanted,
                    tries,
                    in_a_row: IN_A_ROW,
                    at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                    took_millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
            Ok(Err(why)) => why,
            Err(Obstacle::Stopped(Stop::DeadlinePassed)) => {
                let what = format!("no answer of the new side of {service} had come from {url}");
                let message = redact::text(&format!("the deadline of the run has passed: {what}"));
                return Err(Obstacle::OutOfTime { code: shared::DEADLINE.id.into(), message });
            }
            Err(obstacle) => return Err(obstacle),
        };
        in_a_row = 0;
        if tries == 1 {
            tracing::info!(%service, "not the new side yet, sending the event again: {}", redact::text(&format!("{url} {why}")));
        }
        if left() <= pause {
            let (wanted, patience) = (event.wanted(), humantime::format_duration(event.patience()));
            let events = if tries == 1 { "1 event".to_owned() } else { format!("{tries} events") };
            let got = if expected == 0 {
                "did not get it".to_owned()
            } else {
                format!("got it {expected} times, never {IN_A_ROW} times in a row")
            };
            return Err(verdict(format!(
                "{service}: {url} {why}; expected is {wanted}, and {events} over new connections within {patience} {got}"
            )));
        }
        sleep(pause.min(watch.time_left())).await;
        pause = (pause * 2).min(longest);
    }
}
