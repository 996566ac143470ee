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
use tokio::time::timeout;

use crate::answer::{self, Answer};

/// For how long an answer of the cluster serves: publishers may ask as often as they like, and every answer lists all Triggers.
const FRESH: Duration = Duration::from_secs(10);

/// For how long a failure serves: a cluster that is slow must not be asked once per request.
const FAILED: Duration = Duration::from_secs(1);

/// How long the cluster may take, over all that is asked.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Source, type and version of the type.
type Filter = (String, String, String);

/// What the cluster has answered: the filters, or why there is no answer.
type Answered = Result<Rc<BTreeSet<Filter>>, String>;

/// The Triggers, as far as they ask for an exact source.
pub(crate) struct Subscribed {
    /// The last answer, and until when it serves.
    last: Mutex<Option<(Instant, Answered)>>,
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
    async fn filters(&self) -> Answered {
        let mut last = self.last.lock().await;
        if let Some((_, answered)) = last.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return answered.clone();
        }
        // In a box: requests of other kinds take no memory for it.
        let late = || format!("the cluster gives no answer within {}", humantime::format_duration(TIMEOUT));
        let asked = timeout(TIMEOUT, Box::pin(ask())).await.unwrap_or_else(|_| Err(late()));
        let answered = asked.map(Rc::new).map_err(|why| redact::text(&why));
        let fresh = if answered.is_ok() { FRESH } else { FAILED };
        *last = Some((Instant::now() + fresh, answered.clone()));
        answered
    }
}

async fn ask() -> Result<BTreeSet<Filter>, String> {
    let cluster = Cluster::connect(&Access::USUAL, TIMEOUT).await.map_err(|error| error.to_string())?;
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
