//! A connection that connects again.
//!
//! Every statement that is sent here may be sent again: it looks whether it was done. So nothing is lost with the answer of a server that is
//! killed, and nothing is done twice.

use std::cell::Cell;
use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use fairlead_sql::address::{Address, Values};
use fairlead_sql::error::{Error, obstacle};
use fairlead_sql::session::{Session, Texts};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// How long a server that has answered before may be away: a restart takes some seconds.
const AWAY: Duration = Duration::from_secs(30);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a statement may take. Each reads or writes a few rows.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// One connection, while there is one.
pub(crate) struct Link {
    pub(crate) address: Address,
    values: Values,
    limit: Duration,
    session: Mutex<Option<Session>>,
    /// A server that has never answered may not be there at all.
    has_answered: Cell<bool>,
}

impl Link {
    /// Connects with the first statement.
    pub(crate) fn new(address: Address, values: Values) -> Self {
        Self { address, values, limit: LIMIT, session: Mutex::default(), has_answered: Cell::default() }
    }

    /// A connection of its own to the same server, where a statement may take this long.
    pub(crate) fn another(&self, limit: Duration) -> Self {
        let (address, values) = (self.address.clone(), self.values.clone());
        Self { address, values, limit, session: Mutex::default(), has_answered: self.has_answered.clone() }
    }

    /// What statements answer; none when a table is not there.
    pub(crate) async fn rows(&self, operation: &str, statements: &str) -> Result<Option<Vec<Texts>>, Obstacle> {
        let mut session = self.session.lock().await;
        let deadline = Instant::now() + AWAY;
        loop {
            let (failed, may_pass) = match timeout(self.limit, self.once(&mut session, statements)).await {
                Ok(Ok(rows)) => return Ok(Some(rows)),
                Ok(Err(error)) if error.is_absent() => return Ok(None),
                Ok(Err(error)) => {
                    let is_away = matches!(error, Error::Unreachable { .. }) && self.has_answered.get();
                    let may_pass = error.is_locked() || is_away;
                    (obstacle(operation, error), may_pass)
                }
                Err(_) => {
                    let source = format!("{} does not answer within {} s", self.address, self.limit.as_secs_f32()).into();
                    (Obstacle::Unreachable { operation: operation.to_owned(), source }, self.has_answered.get())
                }
            };
            if !may_pass || Instant::now() >= deadline {
                return Err(failed);
            }
            sleep(PAUSE).await;
        }
    }

    /// The session is kept only when the statements have come to their end: nobody else is to read the answers of one that was given up, nor
    /// to go on with its transaction.
    async fn once(&self, kept: &mut Option<Session>, statements: &str) -> Result<Vec<Texts>, Error> {
        let mut session = match kept.take() {
            Some(session) => session,
            None => Session::open(&self.address, &self.values).await?,
        };
        let rows = session.rows(statements).await;
        self.has_answered.set(true);
        let rows = rows?;
        *kept = Some(session);
        Ok(rows)
    }
}
