//! Ends holds after the upgrade: a workload that has come back otherwise than it was gets its replicas again. One that has come back as
//! it was cannot live without what is gone: it stays held, and is named.

use std::io::Write as _;

use anyhow::Context as _;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_kube_client::ledger::Reopened;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Image, Images};
use fairlead_migration::executor::{OnDrift, Task, World as _};
use fairlead_migration::plan::{Plan, StageKind};
use serde_json::Value;

use crate::exclusive::{Exclusive, Waiting};
use crate::session::Session;
use crate::status::is_in_force;

/// How a hold stands.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// The workload is gone.
    Gone,
    /// Somebody has set its replicas.
    Ended,
    /// It was changed, and may run again.
    Changed,
    /// It is what it was.
    Unchanged,
}

/// Ends the holds of all runs in force.
pub async fn run(session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let work = async |_: &Exclusive<'_>| {
        let mut ledger = session.ledger();
        let entries = session.watch.guard(ledger.entries(session.place.release)).await.map_err(Failure::from)?;
        let mut seen = 0;
        for entry in entries.iter().filter(|entry| is_in_force(entry)) {
            let Reopened { mark, plan, .. } =
                session.watch.guard(ledger.reopen(&entry.name)).await.map_err(Failure::from)?;
            seen += end(session, &plan, &mark).await?;
        }
        if seen == 0 {
            writeln!(anstream::stdout(), "No run in force holds a workload.").context("failed to write to stdout")?;
        }
        Ok(ExitStatus::Done)
    };
    session.exclusively(Waiting::UntilDeadline, work).await?
}

async fn end(session: &Session<'_>, plan: &Plan, mark: &str) -> anyhow::Result<usize> {
    let discovery = session.cluster.discover_for(plan, &session.discovery).await.map_err(Failure::from)?;
    let objects = Objects::new(session.cluster, &discovery);
    let mut seen = 0;
    for change in plan.changes().filter(|change| plan.stages[change.stage].kind == StageKind::Hold) {
        let Images::Update(before, after) = &change.images else { continue };
        let live = objects.get(&change.target).await.map_err(Failure::from)?;
        let hold = hold(before, after, live.as_ref());
        let what = match hold {
            Hold::Gone => "is gone".to_owned(),
            Hold::Ended => "runs again: somebody has set its replicas".to_owned(),
            Hold::Unchanged => "stays held: it is what it was, and cannot live without what is gone".to_owned(),
            Hold::Changed => {
                let replicas = before["spec"]["replicas"].clone();
                let stage = &plan.stages[change.stage];
                let change = Change { images: Images::Update(after.clone(), before.clone()), ..change.clone() };
                let task = Task { change: &change, stage, mark, is_undo: true, on_drift: OnDrift::Stop };
                objects.bring(&task).await.map_err(Failure::from)?;
                format!("has changed, and has its replicas again: {replicas}")
            }
        };
        seen += 1;
        writeln!(anstream::stdout(), "{} {what}.", change.target).context("failed to write to stdout")?;
    }
    Ok(seen)
}

fn hold(before: &Image, after: &Image, live: Option<&Image>) -> Hold {
    let Some(live) = live else { return Hold::Gone };
    let without_replicas = |image: &Image| {
        let mut spec = image["spec"].clone();
        spec.as_object_mut().map(|spec| spec.remove("replicas"));
        spec
    };
    let replicas = |image: &Image| -> Value { image["spec"]["replicas"].clone() };
    if replicas(live) != replicas(after) {
        Hold::Ended
    } else if without_replicas(live) == without_replicas(before) {
        Hold::Unchanged
    } else {
        Hold::Changed
    }
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
}
