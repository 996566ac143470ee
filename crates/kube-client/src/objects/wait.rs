//! Waits until a stage may be undone.

use std::time::{Duration, Instant};

use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_migration::stage::UndoWait;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;

use super::Objects;
use super::settle::condition_of;
use crate::poll::{Look, Poll};

impl Objects<'_> {
    pub(super) async fn wait_before_undo(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        let (began, (what, timeout)) = (Instant::now(), described(wait));
        let look = async || Ok(self.look_for(wait, began).await?.map_or_else(Look::NotYet, Look::Done));
        let waited = Poll::of(timeout).telling(&what).until_told(stop).wait(look).await?;
        waited.map_err(|why| Obstacle::Late { operation: format!("see {what} within {timeout:?}"), source: why.into() })
    }

    /// Whether it is so, or why not.
    async fn look_for(&self, wait: &UndoWait, began: Instant) -> Result<Result<(), String>, Obstacle> {
        Ok(match wait {
            UndoWait::Condition { target, condition, .. } => {
                let live = self.get(target).await?.unwrap_or_default();
                condition_of(&live, condition)
            }
            UndoWait::Answer { url, status, .. } => self.answer(url, *status).await,
            UndoWait::Duration { seconds } => {
                let is_over = began.elapsed() >= Duration::from_secs(*seconds);
                if is_over { Ok(()) } else { Err("the time is not over".to_owned()) }
            }
        })
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

/// What is waited for, in words, and for how long. Whoever tells it takes passwords out of addresses, as everywhere.
fn described(wait: &UndoWait) -> (String, Duration) {
    match wait {
        UndoWait::Condition { target, condition, timeout_seconds } => {
            (format!("{target} have condition {condition}"), Duration::from_secs(*timeout_seconds))
        }
        UndoWait::Answer { url, status, timeout_seconds } => {
            (format!("{url} answer {status}"), Duration::from_secs(*timeout_seconds))
        }
        UndoWait::Duration { seconds } => (format!("{seconds} seconds pass"), Duration::MAX),
    }
}
