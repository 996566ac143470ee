//! Jobs that are applied all at once wait for each other.

use std::time::Duration;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::jobs::JobState;
use fairlead_kube_client::poll::{Look, Poll};
use fairlead_release::session::Session;

/// Waits until all Jobs of these names are complete. The time of the run begins when the last of them has become so, also for a pod
/// that is started again.
pub(crate) async fn wait(session: &Session<'_>, jobs: &[String], run_timeout: Duration) -> Result<(), Failure> {
    let mut shortest = session.job.as_ref().map_or(Duration::ZERO, |job| job.elapsed);
    for name in jobs {
        let complete = match session.watch.guard_patiently(complete(session, name)).await {
            // At its own deadline, say: who reads that wants to know which Job is to blame.
            Err(failure) if *failure.code == shared::INTERRUPTED => {
                let describe = session.place.kubectl(&format!("describe job {name}"));
                let message =
                    format!("interrupted while it waited for Job {name}; `{describe}` says why that takes so long");
                return Err(Failure::new(&shared::INTERRUPTED, message));
            }
            complete => complete?,
        };
        shortest = shortest.min(complete);
    }
    if !jobs.is_empty() {
        session.watch.begin_again(run_timeout, shortest);
    }
    Ok(())
}

/// For how long the Job has been complete when it is. In a pod, whoever has started that limits how long this may take; elsewhere the
/// time of the run does.
async fn complete(session: &Session<'_>, name: &str) -> Result<Duration, Failure> {
    let namespace = session.place.namespace;
    let what = format!("Job {name}, which has to come before");
    let look = async || {
        Ok(match session.cluster.job_state(namespace, name).await? {
            JobState::Complete(elapsed) => Look::Done(Ok(elapsed)),
            JobState::Failed(why) => Look::Done(Err(why)),
            JobState::Open => Look::NotYet("it is not complete".to_owned()),
            JobState::Missing => Look::NotYet(format!("there is no Job of this name in namespace {namespace}")),
        })
    };
    let patience = if session.job.is_some() { Duration::MAX } else { session.watch.time_left() };
    match Poll::of(patience).telling(&what).wait(look).await? {
        Ok(Ok(elapsed)) => Ok(elapsed),
        Ok(Err(why)) => {
            let logs = session.place.kubectl(&format!("logs job/{name}"));
            let message = format!("Job {name} has failed, {why}; `{logs}` says more");
            Err(Failure::new(&shared::NOT_AFTER, message))
        }
        Err(why) => {
            let describe = session.place.kubectl(&format!("describe job {name}"));
            let message = format!("Job {name} was waited for in vain: {why}; `{describe}` says more");
            Err(Failure::new(&shared::NOT_AFTER, message))
        }
    }
}
