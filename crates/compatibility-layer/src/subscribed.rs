//! Which events of an Application somebody subscribes to: what its Triggers ask for.
//!
//! Source: Kyma 1.11 `components/event-service/internal/events/subscribed/events.go`.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fairlead_apis::trigger::{GROUP, KIND, Trigger};
use fairlead_job::redact;
use fairlead_kube_client::access::Access;
use fairlead_kube_client::cluster::Cluster;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;

use crate::answer::{self, Answer};

/// For how long an answer of the cluster serves: publishers may ask as often as they like, and every answer lists all Triggers.
const FRESH: Duration = Duration::from_secs(10);

/// How long the cluster may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Source, type and version of the type.
type Filter = (String, String, String);

/// The Triggers, as far as they ask for an exact source.
pub(crate) struct Subscribed {
    last: Mutex<Option<(Instant, Rc<BTreeSet<Filter>>)>>,
}

impl Subscribed {
    pub(crate) fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// Answers for an Application.
    pub(crate) async fn answer(&self, application: &str) -> Answer {
        match self.filters().await {
            Ok(filters) => {
                let own = filters.iter().filter(|(source, _, _)| source == application);
                let events: Vec<_> = own.map(|(_, name, version)| json!({"name": name, "version": version})).collect();
                answer::json(StatusCode::OK, &json!({"eventsInfo": events}))
            }
            Err(why) => {
                tracing::warn!(application, why, "failed to list Triggers");
                answer::json(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &json!({"code": 500, "error": format!("failed to list Triggers: {why}")}),
                )
            }
        }
    }

    /// One request asks the cluster, and the others wait for its answer.
    async fn filters(&self) -> Result<Rc<BTreeSet<Filter>>, String> {
        let mut last = self.last.lock().await;
        if let Some((asked, filters)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH) {
            let _ = asked;
            return Ok(Rc::clone(filters));
        }
        let filters = Rc::new(ask().await.map_err(|why| redact::text(&why))?);
        *last = Some((Instant::now(), Rc::clone(&filters)));
        Ok(filters)
    }
}

async fn ask() -> Result<BTreeSet<Filter>, String> {
    let cluster = Cluster::connect(&Access::USUAL, REQUEST_TIMEOUT).await.map_err(|error| error.to_string())?;
    let discovery = cluster.discover().await.map_err(|error| error.to_string())?;
    let Some(triggers) = discovery.find(GROUP, KIND) else { return Ok(BTreeSet::new()) };
    let filters = cluster.list(triggers, None, None, |object| filter(&Trigger::read(&object))).await;
    filters.map(|filters| filters.into_iter().collect()).map_err(|error| error.to_string())
}

fn filter(trigger: &Trigger) -> Option<Filter> {
    let attribute = |name: &str| trigger.attributes.get(name).cloned();
    let text = |name: &str| attribute(name).unwrap_or_default();
    attribute("source").map(|source| (source, text("type"), text("eventtypeversion")))
}
