//! Where the Helm release stands, and what to tell Helm next.

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::helm::Revision;
use fairlead_kube_client::ledger::Entry;
use fairlead_migration::obstacle::Obstacle;

use crate::status::may_be_undone;

/// A Helm release as its records say; without any where Helm knows nothing of it, or keeps them elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Helm {
    pub(crate) release: String,
    pub(crate) namespace: String,
    pub(crate) revisions: Vec<Revision>,
    /// Whether the revision that is the way back brings our hooks; none when that is not known.
    pub(crate) is_armed: Option<bool>,
}

impl Helm {
    /// Reads the records. Who may not read them knows nothing of Helm.
    pub(crate) async fn of(cluster: &Cluster, namespace: &str, release: &str) -> Result<Self, Obstacle> {
        let revisions = match cluster.helm_revisions(namespace, release).await {
            Err(Obstacle::Forbidden { .. }) => Vec::new(),
            revisions => revisions?,
        };
        Ok(Self { release: release.to_owned(), namespace: namespace.to_owned(), revisions, is_armed: None })
    }

    /// The same, knowing whether the way back from these runs is armed.
    pub(crate) async fn looked_up(mut self, cluster: &Cluster, entries: &[Entry]) -> Result<Self, Obstacle> {
        if let Some(revision) = self.way_back(entries) {
            self.is_armed = match cluster.is_armed(&self.namespace, &self.release, revision).await {
                Err(Obstacle::Forbidden { .. }) => None,
                is_armed => is_armed?,
            };
        }
        Ok(self)
    }

    /// The newest revision: while a hook runs, the one that is being made.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.revisions.last().map(|revision| revision.number)
    }

    /// The revision that was good before this one, which is the one that Helm itself would go back to.
    fn good_before(&self, revision: u32) -> Option<u32> {
        let is_good = |it: &&Revision| it.number < revision && ["deployed", "superseded"].contains(&it.status.as_str());
        self.revisions.iter().rev().find(is_good).map(|it| it.number)
    }

    /// The revision to which `helm rollback` takes back the newest runs of these.
    pub(crate) fn way_back(&self, entries: &[Entry]) -> Option<u32> {
        let newest = entries.iter().filter(|entry| may_be_undone(entry)).filter_map(|entry| entry.helm_revision).max()?;
        self.good_before(newest)
    }

    /// What ends an operation of Helm's that did not come to its end; none where there is none.
    pub(crate) fn pending(&self) -> Option<String> {
        let newest = self.revisions.last().filter(|newest| newest.status.starts_with("pending-"))?;
        self.good_before(newest.number).map(|revision| self.rollback_to(revision))
    }

    /// Always with its number: without one Helm goes to the revision before the last, which after a rollback that failed is the
    /// one that was to be left.
    pub(crate) fn rollback_to(&self, revision: u32) -> String {
        format!("helm rollback {} {revision} -n {}", self.release, self.namespace)
    }
}
