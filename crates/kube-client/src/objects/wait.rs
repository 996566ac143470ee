//! Waits until a stage may be undone.

use std::cell::Cell;
use std::time::{Duration, Instant};

use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_migration::stage::UndoWait;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use serde_json::Value;

use super::Objects;
use super::settle::condition_of;
use crate::poll::{Look, Poll};

/// Why an undo waits in vain for an object that is not there; the end of the message.
pub const GONE_FOR_GOOD: &str = "it is gone, and nobody makes it again";

/// How long an object may be gone before nobody takes it to come back: one that is replaced is gone for a moment.
const GONE: Duration = Duration::from_secs(5);

/// Why it is not so.
enum Why {
    NotYet(String),
    /// The object that should have the condition is not there.
    Gone,
}

impl Objects<'_> {
    pub(super) async fn wait_before_undo(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        let (began, (what, timeout), has_told) = (Instant::now(), described(wait), Cell::new(false));
        let late = |operation: String, why: String| Obstacle::Late { operation, source: why.into() };
        let gone_since: Cell<Option<Instant>> = Cell::new(None);
        let look = async || {
            let why = match self.look_for(wait, began).await? {
                Ok(()) => return Ok(Look::Done(Ok(()))),
                Err(Why::NotYet(why)) => {
                    gone_since.set(None);
                    why
                }
                Err(Why::Gone) => {
                    let since = gone_since.get().unwrap_or_else(Instant::now);
                    gone_since.set(Some(since));
                    if since.elapsed() >= GONE {
                        return Ok(Look::Done(Err(GONE_FOR_GOOD.to_owned())));
                    }
                    "it is gone".to_owned()
                }
            };
            if !has_told.replace(true) {
                tracing::info!(why, "on the way back, waiting for {what}");
            }
            Ok(Look::NotYet(why))
        };
        match Poll::of(timeout).telling(&what).until_told(stop).wait(look).await? {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) if self.without_gone => {
                tracing::warn!(why, "on the way back, not waiting for {what}");
                Ok(())
            }
            Ok(Err(why)) => Err(late(format!("wait for {what}"), why)),
            Err(why) => Err(late(format!("wait for {what} within {timeout:?}"), why)),
        }
    }

    /// Whether it is so, or why not.
    async fn look_for(&self, wait: &UndoWait, began: Instant) -> Result<Result<(), Why>, Obstacle> {
        let so = match wait {
            UndoWait::Condition { target, condition, .. } => {
                let Some(live) = self.get(target).await? else { return Ok(Err(Why::Gone)) };
                condition_now(&live, condition)
            }
            UndoWait::Answer { url, status, .. } => self.answer(url, *status).await,
            UndoWait::Duration { seconds } => {
                let is_over = began.elapsed() >= Duration::from_secs(*seconds);
                if is_over { Ok(()) } else { Err("the time is not over".to_owned()) }
            }
        };
        Ok(so.map_err(Why::NotYet))
    }

    async fn answer(&self, url: &str, status: u16) -> Result<(), String> {
        let client = Client::builder(TokioExecutor::new()).build::<_, Body>(HttpConnector::new());
        let request = Request::get(url).body(Body::empty()).map_err(|error| error.to_string())?;
        match tokio::time::timeout(self.cluster.request_timeout, client.request(request)).await {
            Ok(Ok(answer)) if answer.status().as_u16() == status => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answers {}", answer.status())),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }
}

/// Whether an object has a condition that is `True` now, or why not. A workload that was started a moment ago still has the status of
/// before, and one with 0 replicas is `Available`.
fn condition_now(live: &Value, condition: &str) -> Result<(), String> {
    condition_of(live, condition)?;
    let (status, generation) = (&live["status"], live["metadata"]["generation"].as_u64());
    let observed = status["observedGeneration"].as_u64();
    if observed.zip(generation).is_some_and(|(observed, generation)| observed < generation) {
        return Err("its status is older than its last change".to_owned());
    }
    if condition != "Available" || live["spec"]["replicas"].is_null() {
        return Ok(());
    }
    match (live["spec"]["replicas"].as_u64(), status["availableReplicas"].as_u64()) {
        (Some(0), _) => Err("it has 0 replicas".to_owned()),
        (_, None | Some(0)) => Err("none of its pods is available".to_owned()),
        _ => Ok(()),
    }
}

/// What is waited for, in words, and for how long. Whoever tells it takes passwords out of addresses, as everywhere.
fn described(wait: &UndoWait) -> (String, Duration) {
    match wait {
        UndoWait::Condition { target, condition, timeout_seconds } => {
            (format!("{target} to have condition {condition}"), Duration::from_secs(*timeout_seconds))
        }
        UndoWait::Answer { url, status, timeout_seconds } => {
            (format!("{url} to answer {status}"), Duration::from_secs(*timeout_seconds))
        }
        UndoWait::Duration { seconds } => (format!("{seconds} seconds to pass"), Duration::MAX),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_of_before_and_one_without_pods_are_not_believed() {
        let workload = |replicas: u64, generation: u64, available: Option<u64>, is: &str| {
            let conditions = json!([{"type": "Available", "status": is, "message": "has minimum availability."}]);
            json!({"metadata": {"generation": generation}, "spec": {"replicas": replicas},
                "status": {"observedGeneration": 2, "availableReplicas": available, "conditions": conditions}})
        };
        let said = |live: &Value| condition_now(live, "Available");
        assert_eq!(said(&workload(2, 2, Some(1), "True")), Ok(()));
        for (live, why) in [
            (workload(2, 3, Some(2), "True"), "its status is older than its last change"),
            (workload(0, 2, None, "True"), "it has 0 replicas"),
            (workload(2, 2, None, "True"), "none of its pods is available"),
            (workload(2, 2, Some(1), "False"), "has minimum availability."),
            (json!({}), "the condition is not there"),
        ] {
            assert_eq!(said(&live), Err(why.to_owned()), "{live}");
        }
        // What is no workload has neither.
        assert_eq!(
            condition_now(&json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}), "Ready"),
            Ok(())
        );
        let available = json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}});
        assert_eq!(condition_now(&available, "Available"), Ok(()));
    }
}
