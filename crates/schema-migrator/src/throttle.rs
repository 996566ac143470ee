//! Whether a backfill waits for others, in gh-ost's words.

use std::time::{Duration, Instant};

use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;

use crate::backfill::Throttle;

/// How often the server is asked, at most.
const INTERVAL: Duration = Duration::from_millis(500);

/// When the server was asked last.
#[derive(Default)]
pub(crate) struct Throttled {
    asked: Option<Instant>,
    told: bool,
}

impl Throttled {
    /// Waits a moment, and says so, where the server has too much to do.
    pub(crate) async fn wait(&mut self, session: &mut Session, throttle: &Throttle) -> Result<bool, Error> {
        if self.asked.is_some_and(|asked| asked.elapsed() < INTERVAL) {
            return Ok(false);
        }
        let why = why(session, throttle).await?;
        // While it waits it asks each time.
        self.asked = why.is_none().then(Instant::now);
        match &why {
            Some(why) if !self.told => tracing::info!(why, "the backfill waits"),
            None if self.told => tracing::info!("the backfill goes on"),
            _ => {}
        }
        self.told = why.is_some();
        if self.told {
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(self.told)
    }

    /// Sleeps after a batch, as a part of the time that it took.
    pub(crate) async fn sleep(&self, throttle: &Throttle, took: Duration) {
        if let Some(ratio) = throttle.nice_ratio {
            tokio::time::sleep(took.mul_f64(ratio)).await;
        }
    }
}

async fn why(session: &mut Session, throttle: &Throttle) -> Result<Option<String>, Error> {
    let number = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "nobody allows so much that it would matter")]
    let limit = |most: u64| most as f64;
    if let (Some(most), Engine::PostgreSql) = (throttle.max_lag_millis, session.engine) {
        let query = "select coalesce(max(extract(epoch from replay_lag) * 1000), 0)::bigint from pg_stat_replication";
        let lag = number(session.text(query).await?);
        if lag > limit(most) {
            return Ok(Some(format!("a replica lies {lag} ms behind, maxLagMillis is {most}")));
        }
    }
    if let Some(most) = throttle.max_load {
        let query = match session.engine {
            Engine::PostgreSql => "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()",
            Engine::MariaDb => {
                "select variable_value from information_schema.global_status where variable_name = 'THREADS_RUNNING'"
            }
        };
        let load = number(session.text(query).await?);
        if load > limit(most) {
            return Ok(Some(format!("{load} sessions are at work, maxLoad is {most}")));
        }
    }
    if let Some(query) = &throttle.query {
        let answer = number(session.text(query).await?);
        if answer > 0.0 {
            return Ok(Some(format!("the throttle query answers {answer}")));
        }
    }
    Ok(None)
}
