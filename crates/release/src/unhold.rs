//! `unhold`: ends holds after the upgrade. A workload that has come back otherwise than it was gets back what was held. One that has come
//! back as it was cannot live without what is gone: it stays held, and is named. A hold that has ended is recorded as ended: what somebody
//! stops later on purpose stays stopped.

use std::io::Write as _;

use anyhow::Context as _;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::{Objects, writable};
use fairlead_migration::change::{Change, Image, Images};
use fairlead_migration::executor::Task;
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::OnDrift;
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::StageKind;

use crate::exclusive::{Exclusive, Waiting};
use crate::executors::{Way, Work};
use crate::session::Session;

/// How a hold stands.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// The workload is gone.
    Gone,
    /// Somebody has written what was held.
    Ended,
    /// It was changed, and may run again.
    Changed,
    /// It is what it was.
    Unchanged,
}

/// Ends the holds of all runs in force.
pub async fn run(session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let work = async |exclusive: &Exclusive<'_>| {
        let runs = session.watch.guard(session.store.runs()).await.map_err(Failure::from)?;
        // Where somebody deletes the Job of a hook, Helm 3 goes on as if it had succeeded (helm/helm#8146).
        let revision = session.common.release.helm_revision;
        let is_open = |run: &&RecordedRun| run.is_unfinished() && !run.is_in_force() && run.helm_revision == revision;
        if let Some(run) = runs.iter().find(is_open).filter(|_| revision.is_some()) {
            let message = format!(
                "run {} ({}) of this upgrade is in phase {}, and nobody is at it; `{}` has the way back",
                run.sequence,
                run.step,
                run.phase().as_str(),
                session.place.command("status")
            );
            return Err(session.fail(session.place.binary, Failure::new(&shared::UNFINISHED, message)).await.into());
        }
        let mut seen = 0;
        for run in runs.iter().filter(|run| run.is_in_force() && run.holds) {
            seen += end(session, run, exclusive).await?;
        }
        if seen == 0 {
            writeln!(anstream::stdout(), "No run in force holds a workload.").context("failed to write to stdout")?;
        }
        Ok(ExitStatus::Done)
    };
    session.exclusively(Waiting::UntilDeadline, work).await?
}

/// Ends the holds of one run, and returns how many there were.
async fn end(session: &Session<'_>, run: &RecordedRun, exclusive: &Exclusive<'_>) -> anyhow::Result<usize> {
    let mut journal = session.store.journal(exclusive.lock());
    let reopened = session.watch.guard(journal.reopen(&run.name)).await.map_err(Failure::from)?;
    let Reopened { mark, ticket, plan, mut progress } = reopened;
    let executor = session.executor(&run.name, &ticket).map_err(Failure::from)?;
    let work = Work { plan: &plan, way: Way::Back, watch: &session.watch, patience: None };
    let world = session.watch.guard(executor.world(work, exclusive.lock())).await?;
    let discovery = session.cluster.discover_for(&plan, &session.discovery).await.map_err(Failure::from)?;
    let objects = Objects::new(session.cluster, discovery);
    let mut seen = 0;
    for (position, change) in plan.changes().enumerate() {
        let stage = &plan.stages()[change.stage];
        let Images::Update(before, after) = &change.images else { continue };
        if stage.kind != StageKind::Hold || progress.ended.contains(&position) {
            continue;
        }
        let live = objects.get(&change.target).await.map_err(Failure::from)?;
        let hold = hold(before, after, live.as_ref());
        let what = match hold {
            Hold::Gone => "is gone".to_owned(),
            Hold::Ended => format!("is not held any more: somebody has written {}", held(before, after).join(", ")),
            Hold::Unchanged => "stays held: it is what it was, and cannot live without what is gone".to_owned(),
            Hold::Changed => {
                let undo = Change { images: Images::Update(after.clone(), before.clone()), ..change.clone() };
                let task = Task { change: &undo, stage, mark: &mark, is_undo: true, on_drift: OnDrift::Stop };
                world.bring(&task).await.map_err(Failure::from)?;
                format!("has changed, and has back what was held: {}", held(after, before).join(", "))
            }
        };
        seen += 1;
        if hold != Hold::Unchanged {
            progress.ended.push(position);
            journal.record(&progress).await.map_err(|obstacle: Obstacle| Failure::from(obstacle))?;
        }
        writeln!(anstream::stdout(), "{} {what}.", change.target).context("failed to write to stdout")?;
    }
    Ok(seen)
}

/// The fields that a hold writes, with what it makes of them: `spec.replicas 0`.
fn held(before: &Image, after: &Image) -> Vec<String> {
    let patch = fields::diff(&writable(before), &writable(after)).unwrap_or_default();
    fields::leaves(&patch).into_iter().map(|(path, value)| format!("{path} {value}")).collect()
}

fn hold(before: &Image, after: &Image, live: Option<&Image>) -> Hold {
    let Some(live) = live else { return Hold::Gone };
    let [before, after] = [before, after].map(writable);
    let (Some(hold), Some(release)) = (fields::diff(&before, &after), fields::diff(&after, &before)) else {
        return Hold::Ended;
    };
    if !fields::holds(&hold, live) {
        return Hold::Ended;
    }
    let mut released = live.clone();
    fields::merge(&mut released, &release);
    if released["spec"] == before["spec"] { Hold::Unchanged } else { Hold::Changed }
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
    fn a_cron_job_is_compared_in_what_its_hold_has_written() {
        let image = |suspend: bool, schedule: &str| json!({"spec": {"suspend": suspend, "schedule": schedule}});
        let hold = |live: Image| hold(&image(false, "1"), &image(true, "1"), Some(&live));
        assert_eq!(hold(image(true, "1")), Hold::Unchanged);
        assert_eq!(hold(image(true, "2")), Hold::Changed);
        assert_eq!(hold(image(false, "1")), Hold::Ended);
        assert_eq!(held(&image(false, "1"), &image(true, "1")), ["spec.suspend true"]);
    }
}
