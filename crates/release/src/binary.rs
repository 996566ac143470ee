//! A binary, with what it has beside the executor and the store that every binary has.

use fairlead_job::failure::Failure;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::store::Store;

use crate::args::CommonArgs;
use crate::executors::Executors;
use crate::one_store;
use crate::place::{Place, place};

/// The steps of the jobs. Each has the name of its job, but for those of schema-migrator, which has several.
pub const STEPS: [&str; 6] =
    ["trigger-replicator", "drain-waiter", "legacy-purger", "tables", "tables-contract", "tables-finalize"];

/// A binary. One that has no more than every binary is made of its name.
pub struct Binary<'a> {
    /// Its name.
    pub name: &'a str,
    /// What else it carries changes out with.
    pub executors: Executors<'a>,
    /// Where it keeps the runs of this release, if not in the cluster's ledger.
    pub store: Option<OtherStore<'a>>,
}

/// A store that is not the cluster's ledger.
pub struct OtherStore<'a> {
    /// It.
    pub store: Box<dyn Store + 'a>,
    /// What people call it, without credentials: `folder /srv/tickets`.
    pub name: &'a str,
    /// The flags that name it, as they are written in a command.
    pub flags: &'a str,
}

impl<'a> From<&'a str> for Binary<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, executors: Vec::new(), store: None }
    }
}

impl<'a> Binary<'a> {
    /// Where the runs of the release are, and what commands are printed for it.
    #[must_use]
    pub fn place(&self, common: &'a CommonArgs, cluster: &'a Cluster) -> Place<'a> {
        let [store_flags, store_name] =
            [|it: &OtherStore<'a>| it.flags, |it: &OtherStore<'a>| it.name].map(|part| self.store.as_ref().map(part));
        Place { store_flags, store_name, ..place(common, cluster, self.name) }
    }

    /// Where the release keeps its runs.
    ///
    /// # Errors
    ///
    /// `FL044` where that is another store.
    pub async fn store(self, cluster: &'a Cluster, place: Place<'a>) -> Result<Box<dyn Store + 'a>, Failure> {
        if let Some(other) = &self.store {
            one_store::require(cluster, place, other.name, &*other.store).await?;
        }
        Ok(opened(self.store, cluster, place))
    }
}

/// The other store, or the cluster's ledger.
pub(crate) fn opened<'a>(other: Option<OtherStore<'a>>, cluster: &'a Cluster, place: Place<'a>) -> Box<dyn Store + 'a> {
    other.map_or_else(|| Box::new(Ledger::new(cluster, place.namespace, place.release)) as _, |other| other.store)
}
