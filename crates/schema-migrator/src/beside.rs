//! What can only be done from a connection beside the one that has sent a statement: seeing for whom it waits, and ending it.

use fairlead_job::failure::Failure;
use fairlead_sql::address::Address;
use fairlead_sql::engine::Engine;

use crate::credentials::Credentials;
use crate::{database, sessions};

/// A session whose statements may take long, or have to end before their time.
pub(crate) struct Beside<'a> {
    /// Where it is connected to.
    pub(crate) address: Address,
    /// As what.
    pub(crate) credentials: Credentials<'a>,
    /// Its number at the server.
    pub(crate) session: String,
}

impl Beside<'_> {
    /// Other sessions that the statement waits for, for people; a look that fails is no reason to fail. MariaDB is asked without waiting.
    pub(crate) async fn waits_for(&self) -> Option<String> {
        if self.address.engine != Engine::PostgreSql {
            return None;
        }
        let mut beside = database::open(&self.address, self.credentials).await.ok()?;
        beside.text(&sessions::waited_for(&self.session)).await.ok()?
    }

    /// Asks the server to leave the statement; it does so at once or, at worst, when it has written its next page. Of one's own sessions
    /// everybody may ask that.
    pub(crate) async fn cancel(&self) -> Result<(), Failure> {
        let mut beside = database::open(&self.address, self.credentials).await?;
        let cancel = match self.address.engine {
            Engine::PostgreSql => format!("select pg_cancel_backend({})", self.session),
            Engine::MariaDb => format!("kill query {}", self.session),
        };
        beside.execute(&cancel).await.map_err(database::failure)
    }
}
