//! The first look, before anything is closed: opens and reads every source, and says what cannot be proven, or never will be.

use std::collections::BTreeSet;
use std::time::Duration;

use fairlead_backlog::event::Event;
use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::Sentinel;
use fairlead_backlog::source::OpenError;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::redact;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::chain;
use fairlead_migration::plan::PlanBuilder;
use futures::future::join_all;
use tokio::time::sleep;

use crate::entry::Intake;
use crate::event::IN_A_ROW;
use crate::options::Options;
use crate::readers::readers;
use crate::sources::{Place, Reader, code, refusal, target};

/// A leader that is being elected is there a moment later.
const PAUSE: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 3;

/// How long the address of an event may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the plan knows of the intake by now.
pub(crate) struct Known {
    /// Objects that do not exist, and need not.
    pub(crate) absent: BTreeSet<Target>,
    /// Services whose old connections end in this run, because every old pod does.
    pub(crate) ending: BTreeSet<Target>,
}

/// Looks, where there is a cluster to look from: not for a plan from files. `time` is what the run has.
pub(crate) async fn add(
    plan: &mut PlanBuilder,
    options: &Options<'_>,
    known: &Known,
    place: Option<Place<'_>>,
    time: Option<Duration>,
) {
    add_what_is_missing(plan, options);
    add_events(plan, options, known, place).await;
    for source in &options.drain.sources {
        if let Some(message) = source.sentinel() {
            plan.warn(codes::SENDS.finding(target(&source.name), message));
        }
    }
    let (mut redelivery, mut shows_moves) = (options.rules.redelivery, false);
    if let Some(place) = place {
        let mut readers = readers(options.drain, place);
        let looks = join_all(readers.iter_mut().map(look)).await;
        for (reader, look) in readers.iter().zip(looks) {
            match look {
                Ok(reading) => {
                    redelivery = redelivery.max(reading.redelivery.unwrap_or_default());
                    shows_moves |= !reading.ends.is_empty();
                    for warning in &reading.warnings {
                        plan.warn(codes::NEARLY.finding(target(&reader.watched.name), warning.clone()));
                    }
                    match judge(reader, reading) {
                        Some(finding) if finding.code == codes::NOT_KNOWN_YET.id => plan.warn(finding),
                        Some(finding) => plan.refuse(finding),
                        None => {}
                    }
                }
                Err(finding) => plan.refuse(finding),
            }
        }
        let is_seen_to_close = |intake: &Intake| match intake {
            Intake::Scale(_) | Intake::Suspend(_) => true,
            Intake::Redirect(_) => known.ending.contains(&intake.target()) || known.absent.contains(&intake.target()),
            Intake::Set(_) => false,
        };
        if !shows_moves && !options.drain.sources.is_empty() && !options.drain.intake.iter().all(is_seen_to_close) {
            let what = if events(options).next().is_some() {
                "a redirect or a field does not end connections that are open; an event shows only where new ones lead"
            } else {
                "a redirect or a field does not end connections that are open"
            };
            plan.warn(codes::UNSEEN.finding(target("drain"), format!("no source has an end position, and {what}")));
        }
    }
    if let Some(finding) = time.and_then(|time| too_late(options, redelivery, time)) {
        plan.refuse(finding);
    }
}

/// The events of redirects, each with the Service.
fn events<'a>(options: &Options<'a>) -> impl Iterator<Item = (Target, &'a Event)> {
    options.drain.intake.iter().filter_map(|intake| match intake {
        Intake::Redirect(redirect) => Some((intake.target(), redirect.event.as_deref()?)),
        _ => None,
    })
}

/// What is sent through a Service, in words.
fn sends(event: &Event) -> String {
    let (url, wanted, within) = (redact::text(event.url()), event.wanted(), humantime::format_duration(event.patience()));
    format!("after the redirect an event goes to {url} until {IN_A_ROW} answers in a row are {wanted}, for {within} at most")
}

/// Whether every event can be sent, and shows what it is to show. None is sent.
async fn add_events(plan: &mut PlanBuilder, options: &Options<'_>, known: &Known, place: Option<Place<'_>>) {
    for (service, event) in events(options).filter(|(service, _)| !known.absent.contains(service)) {
        if !event.tells_sides_apart() {
            let message = format!("the event expects {}, which the old side may answer as well", event.wanted());
            plan.warn(codes::SAME_ANSWER.finding(service.clone(), message));
        }
        plan.warn(codes::SENDS.finding(service.clone(), sends(event)));
        let Some(place) = place else { continue };
        // Nothing is sent: whether anybody listens there is to be known before the Service leads elsewhere.
        let tried = async { event.prepare(&place).await?.connect(CONNECT_TIMEOUT).await };
        let said = |error: OpenError| redact::text(&format!("its event: {}", chain(&error)));
        match tried.await {
            Ok(true) => {}
            // As long as the old side has no pod, nobody answers at the Service.
            Ok(false) => {
                let message = format!("its event: nobody listens at {} now", redact::text(event.url()));
                plan.warn(codes::NOBODY_LISTENS.finding(service, message));
            }
            Err(error) => plan.refuse(code(&error).finding(service, said(error))),
        }
    }
}

fn add_what_is_missing(plan: &mut PlanBuilder, options: &Options<'_>) {
    let drain = options.drain;
    let none = || target("drain");
    if drain.sources.is_empty() && options.requires_proof {
        plan.refuse(codes::PROOF_REQUIRED.finding(none(), "the section `drain` names no source"));
    } else if drain.sources.is_empty() {
        let grace = humantime::format_duration(options.rules.grace);
        plan.warn(
            codes::NOTHING_PROVEN.finding(none(), format!("no source is named; the run waits {grace}, and that is all")),
        );
    } else if drain.intake.is_empty() {
        plan.warn(codes::NO_INTAKE.finding(none(), "no intake is named"));
    }
}

/// Opens a source and reads it; again, while it cannot say how much is left.
async fn look(reader: &mut Reader<'_>) -> Result<Reading, Finding> {
    reader.open().await.map_err(|error| refusal(&reader.watched.name, &error))?;
    let mut reading = reader.read().await;
    for _ in 1..ATTEMPTS {
        if reading.hopeless.is_some() || !matches!(reading.left, Left::Unknown(_)) {
            break;
        }
        sleep(PAUSE).await;
        reading = reader.read().await;
    }
    Ok(reading)
}

/// What the first reading says against the drain.
fn judge(reader: &Reader<'_>, reading: Reading) -> Option<Finding> {
    let target = target(&reader.watched.name);
    if let Some(Sentinel::Refused(why)) = reading.sentinel {
        return Some(codes::NO_SENTINEL.finding(target, why));
    }
    match (reading.hopeless, reading.left) {
        (Some(why), _) => Some(codes::HOPELESS.finding(target, why)),
        (None, Left::Unknown(why)) if reader.may_know_later() => Some(codes::NOT_KNOWN_YET.finding(target, why)),
        (None, Left::Unknown(why)) => Some(codes::UNREADABLE.finding(target, why)),
        (None, Left::Empty | Left::Some(_)) => None,
    }
}

/// Whether the run ends before anything can be proven.
fn too_late(options: &Options<'_>, redelivery: Duration, time: Duration) -> Option<Finding> {
    let intervals = u32::try_from(options.rules.samples.saturating_sub(1)).unwrap_or(u32::MAX);
    let text = humantime::format_duration;
    let needs = [
        ("the grace period", options.rules.grace),
        ("the time after which the broker delivers again", redelivery),
        ("the rounds in a row", options.interval.saturating_mul(intervals)),
    ];
    let (what, longest) = needs.into_iter().max_by_key(|(_, needed)| *needed)?;
    let left = Duration::from_secs(time.as_secs());
    let message = format!("{what} takes {}, and the run has {} left", text(longest), text(left));
    (longest >= time).then(|| codes::TOO_LATE.finding(target("drain"), message))
}
