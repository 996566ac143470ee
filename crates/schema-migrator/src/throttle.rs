//! Whether a backfill waits for others, in gh-ost's words.

use std::time::{Duration, Instant};

use fairlead_job::failure::Failure;
use fairlead_migration::obstacle::{Stop, chain};
use fairlead_sql::address::{Address, Values};
use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;
use fairlead_sql::text::literal;

use crate::backfill::{Rows, Throttle};
use crate::credentials::Credentials;
use crate::state;

/// How often the server is asked, at most.
const INTERVAL: Duration = Duration::from_millis(500);

/// The longest time that nothing is said to the server.
const BREATH: Duration = Duration::from_secs(2);

/// When the server was asked last.
#[derive(Default)]
pub(crate) struct Throttled {
    asked: Option<Instant>,
    told: bool,
    replicas: Vec<Replica>,
    values: Values,
}

/// A server that is asked how far it is.
struct Replica {
    address: Address,
    session: Option<Session>,
}

impl Throttled {
    /// For a backfill; its replicas are connected to when they are asked first.
    pub(crate) async fn of(rows: &Rows, credentials: Credentials<'_>) -> Result<Self, Failure> {
        let replicas = &rows.backfill.throttle.replicas;
        if replicas.is_empty() {
            return Ok(Self::default());
        }
        let at = |it: &crate::backfill::Replica| Address { host: it.host.clone(), port: it.port, ..rows.database.clone() };
        let replicas = replicas.iter().map(|it| Replica { address: at(it), session: None }).collect();
        Ok(Self { replicas, values: credentials.of(&rows.database).await?, ..Self::default() })
    }

    /// Waits a moment, and says so, where the server has too much to do.
    pub(crate) async fn wait(&mut self, session: &mut Session, throttle: &Throttle) -> Result<bool, Error> {
        if self.asked.is_some_and(|asked| asked.elapsed() < INTERVAL) {
            return Ok(false);
        }
        let why = match why(session, throttle).await? {
            None => self.behind(session, throttle).await?,
            why => why,
        };
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

    /// Sleeps after a batch, as a part of the time that it took, until the run is to end. The server hears of us meanwhile: it ends the
    /// session of a run that is silent.
    pub(crate) async fn sleep(
        &self,
        session: &mut Session,
        throttle: &Throttle,
        took: Duration,
        stop: &dyn Fn() -> Option<Stop>,
    ) -> Result<(), Error> {
        let end = Instant::now() + took.mul_f64(throttle.nice_ratio.unwrap_or_default());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || stop().is_some() {
                return Ok(());
            }
            tokio::time::sleep(left.min(BREATH)).await;
            if left > BREATH {
                session.execute("select 1").await?;
            }
        }
    }

    /// Which replica lies too far behind. One that does not answer may: the backfill waits for it.
    async fn behind(&mut self, primary: &mut Session, throttle: &Throttle) -> Result<Option<String>, Error> {
        let Some(most) = throttle.max_lag_millis.filter(|_| !self.replicas.is_empty()) else { return Ok(None) };
        let newest = primary.text(&written_last(primary.engine)).await?;
        for replica in &mut self.replicas {
            let seen = match replica.written_last(&self.values).await {
                Ok(seen) => seen,
                Err(error) => {
                    return Ok(Some(format!("a replica cannot be asked, see throttle.replicas: {}", chain(&error))));
                }
            };
            if seen == newest {
                continue;
            }
            let Some(seen) = seen else {
                return Ok(Some(format!("replica {} has nothing of this backfill yet", replica.address)));
            };
            let lag = number(primary.text(&age(primary.engine, &seen)).await?);
            if lag > limit(most) {
                return Ok(Some(format!("replica {} lies {lag} ms behind, maxLagMillis is {most}", replica.address)));
            }
        }
        Ok(None)
    }
}

impl Replica {
    async fn written_last(&mut self, values: &Values) -> Result<Option<String>, Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open_any(&self.address, values).await?,
        };
        let seen = match session.text(&written_last(session.engine)).await {
            // Our tables are on their way, too.
            Err(error) if error.is_absent() => None,
            seen => seen?,
        };
        // One that has failed is connected to anew.
        self.session = Some(session);
        Ok(seen)
    }
}

/// When a batch was written last, as this server knows it: what a replica has not got yet tells how far it is behind, without any right.
fn written_last(engine: Engine) -> String {
    let table = state::table(engine, "backfill");
    match engine {
        Engine::PostgreSql => format!("select (extract(epoch from max(renewed)) * 1000)::bigint from {table}"),
        Engine::MariaDb => format!("select max(renewed) from {table}"),
    }
}

/// How many milliseconds ago that was.
fn age(engine: Engine, written: &str) -> String {
    let written = literal(engine, written);
    match engine {
        Engine::PostgreSql => format!("select (extract(epoch from clock_timestamp()) * 1000)::bigint - {written}::bigint"),
        Engine::MariaDb => format!("select timestampdiff(microsecond, {written}, now(6)) div 1000"),
    }
}

fn number(text: Option<String>) -> f64 {
    text.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "nobody allows so much that it would matter")]
fn limit(most: u64) -> f64 {
    most as f64
}

async fn why(session: &mut Session, throttle: &Throttle) -> Result<Option<String>, Error> {
    let asks_primary = throttle.replicas.is_empty() && session.engine == Engine::PostgreSql;
    if let Some(most) = throttle.max_lag_millis.filter(|_| asks_primary) {
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
