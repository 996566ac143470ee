//! Waits until what was created is ready.
//!
//! # Decision: waiting goes by progress
//!
//! Situation: at its default limits Knative makes about one Trigger ready per second, whatever we do (measured), so that no fixed time is
//! right for 5 and for 5,000. Decision: it fails when *nothing* has become ready for so long. What is not ready when the run has to end goes
//! on in the background: it is made, the legacy bus delivers still, and a purge is refused until all is ready.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fairlead_apis::status::{Cause, Status};
use fairlead_apis::{messaging, object};
use fairlead_job::codes::shared;
use fairlead_job::watch::Watch;
use fairlead_mesh::broker::{BROKER, broker};
use fairlead_mesh::kinds;
use fairlead_migration::change::{Target, Targets};
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

/// Knative makes a Trigger ready in about half a second; asking more often than this only costs.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// An operator who waits wants to know for what.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// What is left of the run when it has to end: enough to say why, and to write that down.
pub(crate) const BEFORE_DEADLINE: Duration = Duration::from_secs(2);

/// The kinds that have a `Ready` condition, the causes before what follows from them.
const KINDS: [&Kind; 4] = [&kinds::HTTP_SOURCE, &kinds::BROKER, &kinds::SUBSCRIPTION, &kinds::TRIGGER];

/// The objects that a run waits for.
#[derive(Default)]
pub(crate) struct Awaited {
    targets: Targets,
    /// Namespaces in which Knative makes a Broker, because a label asks it to.
    labelled: Vec<String>,
    /// Whether an object of each of [`KINDS`] is awaited.
    has: [bool; KINDS.len()],
}

impl Awaited {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(crate) fn add(&mut self, target: &Target) {
        if let Some(index) = KINDS.iter().position(|kind| is_of(kind, target)) {
            self.has[index] = true;
            self.targets.insert(target);
        }
    }

    pub(crate) fn add_broker_of(&mut self, namespace: &str) {
        self.has[1] = true;
        self.labelled.push(namespace.to_owned());
    }
}

/// Whether objects of this kind say that they are ready.
pub(crate) fn has_condition(kind: &Kind) -> bool {
    KINDS.contains(&kind)
}

pub(crate) fn is_of(kind: &Kind, target: &Target) -> bool {
    target.kind == kind.kind && target.api_version.split_once('/').is_some_and(|(group, _)| group == kind.group)
}

/// The readiness of everything that is waited for, at one moment.
#[derive(Default)]
struct Readiness {
    /// Awaited objects that exist.
    present: Targets,
    /// The number of objects that are not ready.
    unready: usize,
    /// The first of those.
    first: Option<(Target, Status)>,
}

impl Readiness {
    fn add(&mut self, target: Target, status: Status) {
        if status != Status::Current {
            self.unready += 1;
            self.first.get_or_insert((target, status));
        }
    }
}

/// How waiting ended.
pub(crate) enum Wait {
    /// Everything is ready.
    Ready,
    /// An awaited object does not exist any more.
    Gone,
    /// The run has to end, and things have become ready until now: what is left, in words.
    Behind(String),
}

/// How long is waited.
pub(crate) struct Patience<'a> {
    /// How long nothing may become ready.
    pub(crate) timeout: Duration,
    /// Since when nothing has, at most.
    pub(crate) since: Instant,
    /// Tells how much time the run has left.
    pub(crate) watch: &'a Watch,
    /// How much of it is for something else.
    pub(crate) reserve: Duration,
    /// So many may be left unready; 0 where all are waited for.
    pub(crate) enough: usize,
}

/// Waits until everything is ready, or enough of it. Where nothing becomes ready any more: which object is not, which condition, and what lies behind.
pub(crate) async fn wait(source: &Source<'_>, awaited: &Awaited, patience: &mut Patience<'_>) -> Result<Wait, Obstacle> {
    // Objects that are ready at once are not worth a line.
    let (mut reported, mut fewest) = (Instant::now(), None);
    let mut has_progress = false;
    loop {
        let looked = Instant::now();
        let mut readiness = Readiness::default();
        for (kind, _) in KINDS.iter().zip(awaited.has).filter(|(_, has)| *has) {
            read(source, kind, awaited, &mut readiness).await?;
        }
        let missing = awaited.targets.len() - readiness.present.len();
        if missing > patience.enough {
            return Ok(Wait::Gone);
        }
        let unready = readiness.unready + missing;
        let Some((target, status)) = readiness.first.filter(|_| unready > patience.enough) else { return Ok(Wait::Ready) };
        if fewest.is_none_or(|fewest| unready < fewest) {
            has_progress |= fewest.is_some() || unready < awaited.targets.len();
            (fewest, patience.since) = (Some(unready), Instant::now());
        }
        let all = awaited.targets.len().max(unready);
        patience.watch.wait_for(&format!("{unready} of {all} are not ready yet, the first is {target}"));
        // The last look needs its time, too, and so does the explanation.
        let reserve = patience.reserve.max(looked.elapsed() * 3);
        let is_late = patience.since.elapsed() >= patience.timeout;
        if is_late || patience.watch.time_left() < reserve {
            let cause = explain(source, &target, &status, unready - 1).await?;
            if !is_late && (has_progress || patience.enough > 0) {
                return Ok(Wait::Behind(format!("{unready} of {all} are not ready yet, the first is {target}: {cause}")));
            }
            if is_late {
                let operation = format!("see {target} become ready, and nothing has for {:?}", patience.timeout);
                return Err(Obstacle::Late { operation, source: cause.into() });
            }
            let message = format!("the deadline of the run has passed, and {target} is not ready: {cause}");
            return Err(Obstacle::OutOfTime { code: shared::DEADLINE.id.into(), message });
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            let cause = explain(source, &target, &status, 0).await?;
            tracing::info!(open = unready, first = %target, cause, "waiting until everything is ready");
            reported = Instant::now();
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn read(source: &Source<'_>, kind: &Kind, awaited: &Awaited, readiness: &mut Readiness) -> Result<(), Obstacle> {
    let mut labelled: BTreeSet<&str> =
        if *kind == kinds::BROKER { awaited.labelled.iter().map(String::as_str).collect() } else { BTreeSet::new() };
    let found = source.list(kind, |object| {
        let target = target(&object);
        let is_made = *kind == kinds::BROKER
            && target.name == BROKER
            && awaited.labelled.iter().any(|it| target.namespace.as_ref() == Some(it));
        (is_made || awaited.targets.contains(&target)).then(|| (target, Status::of(&object)))
    });
    for (target, status) in found.await? {
        labelled.remove(target.namespace.as_deref().unwrap_or_default());
        if awaited.targets.contains(&target) {
            readiness.present.insert(&target);
        }
        readiness.add(target, status);
    }
    for namespace in labelled {
        let message = "the namespace asks for it, and Knative has not made it yet".to_owned();
        readiness.add(broker("", namespace), Status::InProgress(Cause { condition: "Ready".to_owned(), message }));
    }
    Ok(())
}

/// The condition that is not met, and what lies behind it.
async fn explain(source: &Source<'_>, target: &Target, status: &Status, others: usize) -> Result<String, Obstacle> {
    let mut text = match status {
        Status::Current => "it is ready now".to_owned(),
        Status::Terminating => "it is being deleted".to_owned(),
        Status::InProgress(cause) | Status::Failed(cause) => cause.to_string(),
    };
    // Writing to a String cannot fail.
    if let Some(cause) = deeper_cause(source, target).await? {
        let _ = write!(text, "; the cause is {cause}");
    }
    if others > 0 {
        let _ = write!(text, " (and {others} others are not ready)");
    }
    Ok(text)
}

/// The Broker of a Trigger or the Channel of a Subscription or an `HTTPSource`, if that is not ready either.
async fn deeper_cause(source: &Source<'_>, waiting: &Target) -> Result<Option<String>, Obstacle> {
    let namespace = waiting.namespace.as_deref().unwrap_or_default();
    let (kind, name) = if is_of(&kinds::TRIGGER, waiting) {
        (&kinds::BROKER, BROKER.to_owned())
    } else if is_of(&kinds::SUBSCRIPTION, waiting) {
        let channel = |object: Value| (target(&object) == *waiting).then(|| messaging::Subscription::read(&object).channel);
        let Some(channel) = source.list(&kinds::SUBSCRIPTION, channel).await?.pop() else { return Ok(None) };
        (&kinds::CHANNEL, channel)
    } else if is_of(&kinds::HTTP_SOURCE, waiting) {
        // Both have the name of the Application.
        (&kinds::CHANNEL, waiting.name.clone())
    } else {
        return Ok(None);
    };
    let status = |object: Value| {
        let is_it = object::name(&object) == name && object::namespace(&object) == namespace;
        is_it.then(|| Status::of(&object))
    };
    Ok(match source.list(kind, status).await?.pop() {
        Some(Status::InProgress(cause) | Status::Failed(cause)) => {
            Some(format!("{} {namespace}/{name}: {cause}", kind.kind))
        }
        Some(_) => None,
        None => Some(format!("{} {namespace}/{name}, which is not there", kind.kind)),
    })
}
