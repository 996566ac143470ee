//! Jobs of Kubernetes: the one that a process is a pod of, with Events on it, and those that have to come before it.

use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::operation::Operation;
use crate::resource::Resource;

/// What the API server takes for the note of an Event.
/// Source: the API reference of events.k8s.io/v1, field `note`.
const NOTE_SIZE: usize = 1024;

/// The Job that this process is a pod of.
#[derive(Clone, Debug)]
pub struct Job {
    reference: Value,
    namespace: String,
    name: String,
    /// How long ago its first pod began.
    pub elapsed: Duration,
    /// When it was created, as the API server writes it; RFC 3339.
    pub created: String,
}

/// How far a Job is that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is no Job of this name, not yet perhaps.
    Missing,
    /// It works, or has not begun.
    Open,
    /// It is complete, for so long.
    Complete(Duration),
    /// It has failed; why.
    Failed(String),
}

impl JobState {
    pub(crate) fn of(live: &Value) -> Self {
        let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
        let mut met = conditions.filter(|condition| condition["status"] == "True");
        let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        match met.find(|condition| condition["type"] == "Complete" || condition["type"] == "Failed") {
            // It is on its way out: `kubectl replace --force` makes another one.
            _ if !live["metadata"]["deletionTimestamp"].is_null() => Self::Open,
            None => Self::Open,
            Some(condition) if condition["type"] == "Failed" => {
                Self::Failed([text(condition, "reason"), text(condition, "message")].join(": "))
            }
            Some(condition) => Self::Complete(since(&condition["lastTransitionTime"])),
        }
    }
}

/// How long ago a time was; the clocks of two machines: good enough for a deadline of minutes.
fn since(time: &Value) -> Duration {
    let time: Option<Time> = serde_json::from_value(time.clone()).unwrap_or_default();
    let elapsed = time.map(|Time(time)| Timestamp::now().duration_since(time)).unwrap_or_default();
    Duration::try_from(elapsed).unwrap_or_default()
}

impl Cluster {
    /// How far the Job of this name is.
    pub async fn job_state(&self, namespace: &str, name: &str) -> Result<JobState, Obstacle> {
        Ok(self.live_job(namespace, name).await?.map_or(JobState::Missing, |live| JobState::of(&live)))
    }

    /// Reads the Job of this name.
    pub async fn job(&self, namespace: &str, name: &str) -> Result<Job, Obstacle> {
        let Some(live) = self.live_job(namespace, name).await? else {
            let operation = format!("get Job {namespace}/{name}");
            return Err(Obstacle::Refused { operation, source: "there is none of this name".into() });
        };
        Ok(Job {
            reference: json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": name,
                "uid": live["metadata"]["uid"]}),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            elapsed: since(&live["status"]["startTime"]),
            created: live["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
        })
    }

    async fn live_job(&self, namespace: &str, name: &str) -> Result<Option<Value>, Obstacle> {
        let jobs = Resource::v1("batch", "Job", "jobs");
        let operation = Operation { namespace: Some(namespace), name: Some(name), ..Operation::new("get", &jobs) };
        let request = kube::core::Request::new(jobs.path(Some(namespace))).get(name, &GetParams::default());
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation.to_string(), source: source.into() })?;
        match self.send(request).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.obstacle(operation, error).await),
        }
    }

    /// Publishes an Event on a Job: `kubectl describe job` shows it.
    pub async fn publish(&self, job: &Job, reason: &str, note: &str, is_warning: bool) -> Result<(), Obstacle> {
        let now = Timestamp::now();
        let note = &note[..note.floor_char_boundary(NOTE_SIZE)];
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"namespace": job.namespace, "name": format!("{}.{:x}", job.name, now.as_nanosecond())},
            "eventTime": MicroTime(now), "type": if is_warning { "Warning" } else { "Normal" },
            "reason": reason, "action": "Ran", "note": note, "regarding": job.reference,
            "reportingController": "fairlead.dev/job", "reportingInstance": format!("{FIELD_MANAGER}-{}", job.name),
        });
        let events = Resource::v1("events.k8s.io", "Event", "events");
        let operation = || Operation { namespace: Some(&job.namespace), ..Operation::new("create", &events) };
        let request: Result<Request<Vec<u8>>, _> = kube::core::Request::new(events.path(Some(&job.namespace)))
            .create(&PostParams::default(), event.to_string().into_bytes());
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation().to_string(), source: source.into() })?;
        match self.send(request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.obstacle(operation(), error).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_as_its_conditions_say() {
        let with = |condition: &str, status: &str| {
            JobState::of(
                &json!({"status": {"conditions": [{"type": condition, "status": status, "reason": "DeadlineExceeded",
                "message": "it took too long", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}),
            )
        };
        assert!(matches!(with("Complete", "True"), JobState::Complete(elapsed) if elapsed > Duration::from_hours(24)));
        assert_eq!(with("Failed", "True"), JobState::Failed("DeadlineExceeded: it took too long".to_owned()));
        for open in [with("Complete", "False"), with("SuccessCriteriaMet", "True"), with("FailureTarget", "True")] {
            assert_eq!(open, JobState::Open);
        }
        assert_eq!(JobState::of(&json!({})), JobState::Open);
    }

    #[test]
    fn a_job_that_is_being_replaced_is_not_the_one_that_is_waited_for() {
        let live = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        assert_eq!(JobState::of(&live), JobState::Open);
    }
}
