//! The Job that a process is a pod of: when it began, and Events on it.

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

impl Cluster {
    /// Reads the Job of this name.
    pub async fn job(&self, namespace: &str, name: &str) -> Result<Job, Obstacle> {
        let jobs = Resource::v1("batch", "Job", "jobs");
        let operation = Operation { namespace: Some(namespace), name: Some(name), ..Operation::new("get", &jobs) };
        let request = kube::core::Request::new(jobs.path(Some(namespace))).get(name, &GetParams::default());
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation.to_string(), source: source.into() })?;
        let live = match self.send(request).await {
            Ok(live) => live,
            Err(error) => return Err(self.obstacle(operation, error).await),
        };
        let started: Option<Time> = serde_json::from_value(live["status"]["startTime"].clone()).unwrap_or_default();
        // The clocks of two machines: good enough for a deadline of minutes.
        let elapsed = started.map(|Time(started)| Timestamp::now().duration_since(started)).unwrap_or_default();
        Ok(Job {
            reference: json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": name,
                "uid": live["metadata"]["uid"]}),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            elapsed: Duration::try_from(elapsed).unwrap_or_default(),
            created: live["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
        })
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
