//! Opens the database of a configuration or a ticket.

use std::time::{Duration, Instant};

use fairlead_job::code::Code;
use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_migration::obstacle::{Obstacle, Stop, chain};
use fairlead_migration::plan::Plan;
use fairlead_sql::address::Address;
use fairlead_sql::error::Error;
use fairlead_sql::mutex;
use fairlead_sql::session::Session;
use serde_json::Value;

use crate::credentials::Credentials;

/// How often the lock of a database is asked for, and how often it is said who has it.
const PAUSE: Duration = Duration::from_millis(200);
const SAY: Duration = Duration::from_secs(5);

/// A run is silent for five seconds at most while it waits; with a lease that is very short it still gets this time.
const LEAST_SILENCE: Duration = Duration::from_secs(15);

/// Has the server end this session, with its locks, when the run has been silent for so long that it has lost its lease.
pub(crate) async fn end_in_silence(session: &mut Session, lease: Duration) -> Result<(), Failure> {
    session.end_in_silence((lease * 2).max(LEAST_SILENCE)).await.map_err(failure)
}

/// A connection of our own.
pub(crate) async fn open(address: &Address, credentials: Credentials<'_>) -> Result<Session, Failure> {
    let values = credentials.of(address).await?;
    Session::open(address, &values).await.map_err(failure)
}

/// An error of a database, with its code.
#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(crate) fn failure(error: Error) -> Failure {
    let code: &'static Code = match &error {
        Error::Unreachable { .. } => &codes::UNREACHABLE,
        Error::Denied { .. } => &codes::DENIED,
        Error::Useless { .. } => &codes::USELESS,
        Error::Forbidden { .. } => &codes::FORBIDDEN,
        Error::Locked { .. } => &codes::LOCKED,
        Error::Refused { .. } => &codes::REFUSED,
    };
    Failure::new(code, chain(&error))
}

/// The same, met by somebody who can be named.
pub(crate) fn failure_of(name: &str, error: Error) -> Failure {
    let failure = failure(error);
    Failure::new(failure.code, format!("{name}: {failure}"))
}

/// A connection that did not come about, for a run that wanted to do this.
pub(crate) fn unreachable(operation: &str, failure: Failure) -> Obstacle {
    Obstacle::Unreachable { operation: operation.to_owned(), source: failure.into() }
}

/// An error of a database, for a run that wanted to do this.
pub(crate) fn obstacle(operation: &str, error: Error) -> Obstacle {
    let code = match &error {
        Error::Refused { .. } => &codes::REFUSED,
        Error::Forbidden { .. } => &codes::FORBIDDEN,
        Error::Useless { .. } | Error::Denied { .. } => &codes::USELESS,
        Error::Locked { .. } => &codes::LOCKED,
        Error::Unreachable { .. } => return fairlead_sql::error::obstacle(operation, error),
    };
    Obstacle::Verdict { code: code.id.into(), message: format!("failed to {operation}: {}", chain(&error)) }
}

/// Takes the lock of the database: two releases may share one, and what a killed process has begun goes on in the server.
pub(crate) async fn lock(session: &mut Session, database: &str, patience: Duration, watch: &Watch) -> Result<(), Obstacle> {
    let failed = |error| obstacle("lock the database", error);
    let (began, mut said, mut holder) = (Instant::now(), None, None);
    while !mutex::try_lock(session, database).await.map_err(failed)? {
        let is_over = began.elapsed() > patience;
        if is_over || said.is_none_or(|said: Instant| said.elapsed() > SAY) {
            let found = mutex::holder(session, database).await.map_err(failed)?;
            let found = found.unwrap_or_else(|| "a session that is not shown to us".to_owned());
            if is_over {
                return Err(Obstacle::Held { name: format!("the lock of database {}", session.address()), holder: found });
            }
            tracing::info!(holder = found, "waiting for whoever works on the same database");
            holder = Some(found);
            said = Some(Instant::now());
        }
        let pausing = async {
            tokio::time::sleep(PAUSE).await;
            Ok(())
        };
        watch.guard(pausing).await.map_err(|stop: Obstacle| match (stop, &holder) {
            (Obstacle::Stopped(Stop::DeadlinePassed), Some(holder)) => {
                Obstacle::Held { name: format!("the lock of database {}", session.address()), holder: holder.clone() }
            }
            (stop, _) => stop,
        })?;
    }
    let (first, second) = (session.id().await.map_err(failed)?, session.id().await.map_err(failed)?);
    if first != second || !mutex::is_ours(session, database).await.map_err(failed)? {
        let message = format!(
            "{}: a pooler gives our statements to several sessions ({first}, {second}), so no lock holds: name the server itself",
            session.address()
        );
        return Err(Obstacle::Verdict { code: codes::USELESS.id.into(), message });
    }
    Ok(())
}

/// Where a plan makes its changes; none when it has none.
pub(crate) fn address(plan: &Plan) -> Result<Option<Address>, Obstacle> {
    let Some(change) = plan.changes().next() else { return Ok(None) };
    let swept = |text: &str| serde_json::from_str::<Value>(text).ok();
    let image = match &change.images {
        fairlead_migration::change::Images::Sweep(_, to) => swept(to),
        _ => change.after().or(change.before()).cloned(),
    };
    let address = image.and_then(|image| serde_json::from_value(image["database"].clone()).ok());
    address.map(Some).ok_or_else(|| Obstacle::Refused {
        operation: format!("read {}", change.target),
        source: "the ticket does not say in which database it is".into(),
    })
}
