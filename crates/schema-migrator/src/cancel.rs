//! Ends a statement that is under way, from a connection beside the one that sent it.

use fairlead_job::failure::Failure;
use fairlead_sql::address::Address;
use fairlead_sql::engine::Engine;

use crate::credentials::Credentials;
use crate::database;

/// A session whose statements may have to end before their time.
pub(crate) struct Cancel<'a> {
    /// Where it is connected to.
    pub(crate) address: Address,
    /// As what.
    pub(crate) credentials: Credentials<'a>,
    /// Its number at the server.
    pub(crate) session: String,
}

impl Cancel<'_> {
    /// Asks the server to leave the statement; it does so at once or, at worst, when it has written its next page. Of one's own sessions
    /// everybody may ask that.
    pub(crate) async fn statement(&self) -> Result<(), Failure> {
        let mut beside = database::open(&self.address, self.credentials).await?;
        let cancel = match self.address.engine {
            Engine::PostgreSql => format!("select pg_cancel_backend({})", self.session),
            Engine::MariaDb => format!("kill query {}", self.session),
        };
        beside.execute(&cancel).await.map_err(database::failure)
    }
}
