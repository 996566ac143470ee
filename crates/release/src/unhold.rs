//! `unhold`: ends holds after the upgrade. What was held gets back what it was. Where something was removed since, what is unchanged cannot
//! live without what is gone, or would take messages that nobody gets: it stays held, and is named. A hold that has ended is recorded as
//! ended: what somebody stops later on purpose stays stopped.
//!
//! When a later step of the same upgrade fails, its holds and switches end, too, and those of earlier upgrades that have not come so far:
//! intake opens again, but never onto a bus that is gone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::SystemTime;

use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{redact, report};
use fairlead_kube_client::cluster::FIELD_MANAGER;
use fairlead_kube_client::objects::{Objects, writable};
use fairlead_kube_client::writer::Writer;
use fairlead_migration::change::{Change, Image, Images, Target};
use fairlead_migration::executor::{Task, Watcher as _, World};
use fairlead_migration::fields;
use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_migration::progress::{OnDrift, Phase};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::{Stage, StageKind};
use fairlead_migration::ticket::KUBERNETES;

use crate::exclusive::{Exclusive, Waiting};
use crate::executors::Work;
use crate::helm::HelmRecords;
use crate::place::Place;
use crate::session::Session;
use crate::status::{require_known, require_text};

/// How a hold stands.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// The workload is gone.
    Gone,
    /// Somebody has written what was held.
    Ended,
    /// It has back what was held, and the fields are still ours: an earlier process died before it gave them back.
    Half,
    /// It was changed, and may run again.
    Changed,
    /// It is what it was.
    Unchanged,
}

/// When holds end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// After the upgrade. Unchanged ones stay where something is gone since.
    Upgraded {
        /// Whether this run or a later one has removed something.
        is_something_gone: bool,
    },
    /// A later step has failed. Switches end, too.
    Failed,
}

/// Ends the holds of all runs in force.
pub async fn run(session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    require_text(session.common.output.output)?;
    let work = async |exclusive: &Exclusive<'_>| {
        let runs = session.watch.guard(session.store.runs()).await.map_err(Failure::from)?;
        let Session { cluster, place, .. } = session;
        let helm = session.watch.guard(HelmRecords::of(cluster, *place)).await.map_err(Failure::from)?;
        if runs.is_empty() && session.common.release.helm_revision.is_none() {
            require_known(cluster, &*session.store, *place, &helm).await?;
        }
        // Where somebody deletes the Job of a hook, Helm 3 goes on as if it had succeeded (helm/helm#8146).
        let revision = session.common.release.helm_revision;
        // A gate may go on in the background.
        let is_open = |run: &&RecordedRun| run.is_unfinished() && !run.is_in_force() && run.phase() != Phase::Background;
        let is_of_upgrade = |run: &RecordedRun| helm.is_of_upgrade(run, revision);
        let is_ours = |run: &&RecordedRun| revision.is_some() && is_of_upgrade(run) || run.holds;
        if let Some(run) = runs.iter().filter(is_open).find(is_ours) {
            let of = match run.helm_revision {
                None => String::new(),
                Some(_) if is_of_upgrade(run) => " of this upgrade".to_owned(),
                Some(its) => format!(" of revision {its}"),
            };
            let (phase, closed) = (run.phase().as_str(), if run.holds { ", and may hold what it has closed" } else { "" });
            let message = format!(
                "run {} ({}){of} is in phase {phase}{closed}, and nobody is at it; `{}` has the way back",
                run.sequence,
                run.step,
                session.place.command("status")
            );
            return Err(session.fail(session.place.binary, Failure::new(&shared::UNFINISHED, message)).await.into());
        }
        let (mut lines, mut failure) = (Vec::new(), None);
        for run in runs.iter().filter(|run| run.is_in_force() && run.holds) {
            let is_something_gone = is_something_gone_since(session, &runs, run.sequence).await?;
            let when = When::Upgraded { is_something_gone };
            let first = end(session, run, exclusive, when, &mut lines).await?;
            // What an earlier upgrade has left, and this one's account may not look at, is no failure of this one.
            failure = failure.or(first.filter(|_| is_of_upgrade(run)));
        }
        if lines.is_empty() {
            lines.push("No run in force holds a workload.".to_owned());
        }
        report::say(&(lines.join("\n") + "\n"))?;
        match failure {
            Some(obstacle) => Err(session.fail(session.place.binary, obstacle.into()).await.into()),
            None => Ok(ExitStatus::Done),
        }
    };
    session.exclusively(Waiting::UntilDeadline, work).await?
}

/// Ends the holds and switches of this upgrade, because a later step of it has failed. Those stay after which a run in force has removed something.
/// Returns a line for each.
pub async fn end_of_failed_upgrade(session: &Session<'_>) -> Result<Vec<String>, Failure> {
    let Some(revision) = session.common.release.helm_revision else { return Ok(Vec::new()) };
    let is_ours = |run: &RecordedRun| {
        // A hold never outlives its upgrade. That of an earlier one was finished by this one, if somebody killed it.
        run.is_in_force() && run.holds && run.helm_revision.is_some_and(|its| its <= revision)
    };
    if !session.runs().await?.iter().any(is_ours) {
        return Ok(Vec::new());
    }
    let work = async |exclusive: &Exclusive<'_>| {
        let runs = session.runs().await?;
        let helm = session.watch.guard_patiently(HelmRecords::of(session.cluster, session.place)).await?;
        let mut lines = Vec::new();
        for run in runs.iter().rev().filter(|run| is_ours(run)) {
            if is_something_gone_since(session, &runs, run.sequence).await? {
                continue;
            }
            // Where an earlier upgrade has led a Service, it stays.
            let is_this_one = helm.is_of_upgrade(run, Some(revision));
            let when = if is_this_one { When::Failed } else { When::Upgraded { is_something_gone: false } };
            // What cannot be opened is in the lines.
            end(session, run, exclusive, when, &mut lines).await?;
        }
        Ok(lines)
    };
    session.exclusively(Waiting::Patient, work).await?
}

/// What earlier steps hold, which were run by hand as this one: nobody but a person knows whether they belong to it. A line for each run.
pub async fn still_held(session: &Session<'_>) -> Vec<String> {
    let runs = session.runs().await.unwrap_or_default();
    let holds = |run: &&RecordedRun| run.helm_revision.is_none() && run.is_in_force() && run.holds && !run.has_ended();
    let line = |run: &RecordedRun| {
        let next = session.place.command("unhold");
        let back = session.place.command("rollback --last");
        format!(
            "Run {} ({}) still holds what it has closed. `{next}` opens it; where a Service was redirected, `{back}` leads it back, too.",
            run.sequence, run.step
        )
    };
    let mut lines = Vec::new();
    for run in runs.iter().filter(holds) {
        // What stays held after a purge is told of by `unhold`.
        if !is_something_gone_since(session, &runs, run.sequence).await.unwrap_or(false) {
            lines.push(line(run));
        }
    }
    lines
}

/// Whether a run in force removes something, from this one on.
async fn is_something_gone_since(session: &Session<'_>, runs: &[RecordedRun], sequence: u64) -> Result<bool, Obstacle> {
    for run in runs.iter().filter(|run| run.sequence >= sequence && run.is_in_force()) {
        if session.watch.guard_patiently(session.store.read(&run.name)).await?.plan.has_contracts() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends the holds of one run, with a line for each. Returns the first reason why one of them could not be ended: the others do not wait for it.
async fn end(
    session: &Session<'_>,
    run: &RecordedRun,
    exclusive: &Exclusive<'_>,
    when: When,
    lines: &mut Vec<String>,
) -> Result<Option<Obstacle>, Failure> {
    let mut journal = session.store.journal(exclusive.lock());
    let reopened = session.watch.guard_patiently(journal.reopen(&run.name)).await?;
    let Reopened { mark, ticket, plan, mut progress } = reopened;
    if ticket.executor != KUBERNETES {
        // Its objects are none of a cluster: here they would only look as if they were gone.
        lines.push(format!(
            "What run {} ({}) holds stays held: it is of executor {}, which {} has.",
            run.sequence, run.step, ticket.executor, ticket.tool
        ));
        return Ok(None);
    }
    let executor = session.executor(&run.name, &ticket)?;
    let work = Work::back(&plan, &session.watch);
    let world = session.watch.guard_patiently(executor.world(work, exclusive.lock())).await?;
    let discovery = session.cluster.discover_for(&plan, &session.discovery).await?;
    let objects = Objects::new(session.cluster, discovery);
    // By stage: why it cannot be undone yet, once that was waited for.
    let (mut first, mut waited) = (None, BTreeMap::<usize, Option<String>>::new());
    // The last one first, as everything that goes back.
    for (position, change) in plan.changes_rev(0..plan.len()) {
        let stage = &plan.stages()[change.stage];
        let Images::Update(before, after) = &change.images else { continue };
        let is_meant = stage.kind == StageKind::Hold || stage.kind == StageKind::Switch && when == When::Failed;
        if !is_meant || progress.ended.contains(&position) {
            continue;
        }
        let live = match objects.get(&change.target).await {
            Ok(live) => live,
            // The purge has removed its kind.
            Err(_) if !objects.serves(&change.target) => None,
            Err(obstacle @ (Obstacle::Stopped(_) | Obstacle::Unreachable { .. })) => return Err(obstacle.into()),
            Err(obstacle) => {
                lines.push(format!("{} stays held: {}.", change.target, redact::text(&chain(&obstacle))));
                first.get_or_insert(obstacle);
                continue;
            }
        };
        let hold = hold(before, after, live.as_ref());
        let stays = hold == Hold::Unchanged && when == When::Upgraded { is_something_gone: true };
        let what = match hold {
            Hold::Gone => "is gone".to_owned(),
            Hold::Ended => {
                let by = writer(before, after, live.as_ref()).map_or_else(|| "somebody".to_owned(), |it| it.to_string());
                format!("is not held any more: {by} has written {}", written(before, after, live.as_ref()))
            }
            Hold::Unchanged if stays => stays_held(&change.target, before, session.place),
            Hold::Changed | Hold::Unchanged | Hold::Half => {
                if let Entry::Vacant(entry) = waited.entry(change.stage) {
                    match wait_before(&*world, stage, exclusive).await {
                        Ok(()) => drop(entry.insert(None)),
                        Err(obstacle @ (Obstacle::Stopped(_) | Obstacle::Unreachable { .. })) => return Err(obstacle.into()),
                        Err(obstacle) => {
                            entry.insert(Some(redact::text(&chain(&obstacle))));
                            first.get_or_insert(obstacle);
                        }
                    }
                }
                if let Some(Some(why)) = waited.get(&change.stage) {
                    lines.push(format!("{} stays held: {why}.", change.target));
                    continue;
                }
                let undo = Change { images: Images::Update(after.clone(), before.clone()), ..change.clone() };
                let task = Task { change: &undo, stage, mark: &mark, is_undo: true, on_drift: OnDrift::Stop };
                match world.bring(&task).await {
                    Ok(()) => {}
                    Err(obstacle @ (Obstacle::Stopped(_) | Obstacle::Unreachable { .. })) => return Err(obstacle.into()),
                    Err(obstacle) => {
                        lines.push(format!("{} stays held: {}.", change.target, redact::text(&chain(&obstacle))));
                        first.get_or_insert(obstacle);
                        continue;
                    }
                }
                let fields = held(after, before).join(", ");
                if hold == Hold::Changed {
                    format!("has changed, and has back what was held: {fields}")
                } else {
                    format!("has back what was held: {fields}")
                }
            }
        };
        if !stays {
            progress.ended.push(position);
            if stage.kind == StageKind::Switch {
                progress.begin_to_drain(&stage.undone_waits, SystemTime::now());
            }
            journal.record(&progress).await?;
        }
        lines.push(format!("{} {what}.", change.target));
    }
    Ok(first)
}

/// Waits for what must be so before a stage is undone: the old pods serve before a Service leads back to them. No deadline ends that,
/// because a step has failed.
async fn wait_before(world: &dyn World, stage: &Stage, exclusive: &Exclusive<'_>) -> Result<(), Obstacle> {
    let stop = || exclusive.stop().filter(|stop| *stop != Stop::DeadlinePassed);
    for wait in &stage.undo_waits {
        world.wait(wait, &stop).await?;
    }
    Ok(())
}

/// What stays held, why, and what whoever knows better does.
fn stays_held(target: &Target, before: &Image, place: Place<'_>) -> String {
    let what = "stays held: your upgrade has not changed it, and what it works with may be gone. Upgrade it or remove it";
    match (target.kind.as_str(), &target.namespace, before["spec"]["replicas"].as_u64()) {
        ("CronJob", Some(namespace), _) => {
            let patch = r#"{"spec":{"suspend":false}}"#;
            let command = place.kubectl_in(namespace, &format!("patch cronjob {} -p '{patch}'", target.name));
            format!("{what}; if it needs nothing of that, `{command}` starts it")
        }
        ("Deployment" | "StatefulSet" | "ReplicaSet", Some(namespace), Some(replicas)) => {
            let (kind, name) = (target.kind.to_lowercase(), &target.name);
            let command = place.kubectl_in(namespace, &format!("scale {kind} {name} --replicas={replicas}"));
            format!("{what}; if it needs nothing of that, `{command}` starts it")
        }
        _ => what.to_owned(),
    }
}

/// The fields that a hold writes, with what it makes of them: `spec.replicas 0`.
fn held(before: &Image, after: &Image) -> Vec<String> {
    let patch = fields::diff(&writable(before), &writable(after)).unwrap_or_default();
    fields::leaves(&patch).into_iter().map(|(path, value)| format!("{path} {value}")).collect()
}

/// What these fields are now: `spec.replicas 3`.
fn written(before: &Image, after: &Image, live: Option<&Image>) -> String {
    let ours = fields::diff(&writable(before), &writable(after)).unwrap_or_default();
    let live = live.map(writable).unwrap_or_default();
    let live: BTreeMap<String, String> =
        fields::leaves(&live).into_iter().map(|(path, value)| (path, value.to_string())).collect();
    let now = |path: String| match live.get(&path) {
        Some(value) => format!("{path} {value}"),
        None => format!("{path}, which is not there"),
    };
    fields::leaves(&ours).into_iter().map(|(path, _)| now(path)).collect::<Vec<_>>().join(", ")
}

/// Who has written the first of these fields, as far as the object says it.
fn writer(before: &Image, after: &Image, live: Option<&Image>) -> Option<Writer> {
    let ours = fields::diff(&writable(before), &writable(after))?;
    let (path, _) = fields::leaves(&ours).into_iter().next()?;
    // What a selector names may have dots.
    Writer::of(live?, &path.splitn(3, '.').collect::<Vec<_>>())
}

fn hold(before: &Image, after: &Image, live: Option<&Image>) -> Hold {
    let Some(live) = live else { return Hold::Gone };
    let [before, after] = [before, after].map(writable);
    let (Some(hold), Some(release)) = (fields::diff(&before, &after), fields::diff(&after, &before)) else {
        return Hold::Ended;
    };
    if !fields::holds(&hold, live) {
        let is_half = is_ours(live) && fields::holds(&release, live);
        return if is_half { Hold::Half } else { Hold::Ended };
    }
    let mut released = writable(live);
    fields::merge(&mut released, &release);
    // Of the metadata others write much that changes nothing.
    let content = |image: &Image| {
        let mut image = image.clone();
        if let Some(fields) = image.as_object_mut() {
            fields.retain(|name, _| name != "metadata" && name != "status");
        }
        image
    };
    if content(&released) == content(&before) { Hold::Unchanged } else { Hold::Changed }
}

/// Whether a field of it is ours: at rest none is.
fn is_ours(live: &Image) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    managers.into_iter().flatten().any(|entry| entry["manager"] == FIELD_MANAGER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hold_ends_when_the_workload_is_another_one() {
        let image = |replicas: u32, image: &str| json!({"spec": {"replicas": replicas, "template": {"image": image}}});
        let hold = |live: Option<Image>| hold(&image(2, "old"), &image(0, "old"), live.as_ref());
        assert_eq!(hold(None), Hold::Gone);
        assert_eq!(hold(Some(image(0, "old"))), Hold::Unchanged);
        assert_eq!(hold(Some(image(0, "new"))), Hold::Changed);
        assert_eq!(hold(Some(image(3, "old"))), Hold::Ended);
    }

    #[test]
    fn an_end_that_was_cut_off_in_the_middle_is_finished() {
        let image = |replicas: u32, manager: &str| json!({"metadata": {"managedFields": [{"manager": manager}]}, "spec": {"replicas": replicas}});
        let hold = |live: Image| hold(&image(2, "helm"), &image(0, "helm"), Some(&live));
        assert_eq!(hold(image(2, "fairlead")), Hold::Half);
        assert_eq!(hold(image(2, "kubectl")), Hold::Ended);
        assert_eq!(hold(image(3, "fairlead")), Hold::Ended);
    }

    #[test]
    fn a_cron_job_is_compared_in_what_its_hold_has_written() {
        let image = |suspend: bool, schedule: &str| json!({"spec": {"suspend": suspend, "schedule": schedule}});
        let hold = |live: Image| hold(&image(false, "1"), &image(true, "1"), Some(&live));
        assert_eq!(hold(image(true, "1")), Hold::Unchanged);
        assert_eq!(hold(image(true, "2")), Hold::Changed);
        assert_eq!(hold(image(false, "1")), Hold::Ended);
        assert_eq!(held(&image(false, "1"), &image(true, "1")), ["spec.suspend true"]);
    }
}
