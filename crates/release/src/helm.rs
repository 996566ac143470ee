//! Where the Helm release stands, and what to tell Helm next.

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::helm::Revision;
use fairlead_kube_client::ledger::Entry;
use fairlead_migration::obstacle::Obstacle;

use crate::cancelled::is_half;
use crate::goal::is_lost;
use crate::status::{Place, may_be_undone};

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
    pub(crate) async fn of(cluster: &Cluster, place: Place<'_>) -> Result<Self, Obstacle> {
        let Place { namespace, helm_release: release, .. } = place;
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
        self.revisions.iter().rev().find(|it| it.number < revision && is_good(it)).map(|it| it.number)
    }

    /// The oldest revision that Helm can go back to.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.revisions.first().map(|revision| revision.number)
    }

    /// Whether a run is of this installation of the release: after `helm uninstall`, which deletes all records, revisions begin again
    /// from 1, and the ledger stays. The record of its own revision may be younger: somebody may have deleted a stuck one by hand, and
    /// Helm has used its number again.
    pub(crate) fn is_ours(&self, entry: &Entry) -> bool {
        let (Some(revision), Some(oldest)) = (entry.helm_revision, self.revisions.first()) else { return true };
        oldest.created <= entry.created || revision < oldest.number
    }

    /// The revision to which `helm rollback` takes back the newest runs of these.
    pub(crate) fn way_back(&self, entries: &[Entry]) -> Option<u32> {
        if let Some(revision) = self.begun(entries).or_else(|| self.stopped(entries)) {
            return Some(revision);
        }
        let is_to_go = |entry: &&Entry| may_be_undone(entry) && self.is_ours(entry);
        let newest = entries.iter().filter(is_to_go).filter_map(|entry| entry.helm_revision).max()?;
        self.good_before(newest)
    }

    /// What ends an operation of Helm's that did not come to its end; none where there is none. A rollback that has begun to take back
    /// these runs goes on to where it was to go.
    pub(crate) fn pending(&self, entries: &[Entry]) -> Option<String> {
        let newest = self.revisions.last().filter(|newest| newest.status.starts_with("pending-"));
        let good = || newest.and_then(|newest| self.good_before(newest.number));
        self.begun(entries).or_else(good).map(|revision| self.rollback_to(revision))
    }

    /// To where a rollback was to go that stopped before it had taken back anything; not one that is refused there.
    fn stopped(&self, entries: &[Entry]) -> Option<u32> {
        let to = self.revisions.last()?.goes_to?;
        (!entries.iter().any(|entry| self.is_ours(entry) && is_lost(entry, to))).then_some(to)
    }

    /// To where a rollback was to go that has begun to take back these runs, and that Helm has not come to the end of; by hand it may
    /// have begun before Helm has.
    fn begun(&self, entries: &[Entry]) -> Option<u32> {
        let newest = self.newest()?;
        let ours = || entries.iter().filter(|entry| self.is_ours(entry));
        let goes = |entry: &Entry| Some((entry.progress.undone_in?, entry.progress.undone_to?));
        let is_over = |since: u32| self.revisions.iter().any(|it| it.number >= since && is_good(it));
        let half = ours().filter(|entry| is_half(entry)).find_map(goes);
        let last = || ours().filter_map(goes).max().filter(|(since, _)| newest >= *since && !is_over(*since));
        half.or_else(last).map(|(since, to)| self.told(since, to))
    }

    /// The number that Helm was told for a rollback, whose hooks say `to`: it may have forgotten that revision.
    fn told(&self, rollback: u32, to: u32) -> u32 {
        self.revisions.iter().find(|it| it.number == rollback).and_then(|it| it.goes_to).unwrap_or(to)
    }

    /// What makes the rollback go on that Helm is at, and whose hooks say `to`.
    pub(crate) fn goes_on(&self, to: u32) -> Option<String> {
        let newest = self.revisions.last().filter(|newest| newest.status == "pending-rollback")?;
        Some(self.rollback_to(self.told(newest.number, to)))
    }

    /// What ends a rollback that has come half its way with one of these runs.
    pub(crate) fn half_way(&self, entries: &[Entry]) -> Option<String> {
        self.begun(entries).map(|revision| self.rollback_to(revision))
    }

    /// Always with its number: without one Helm goes to the revision before the last, which after a rollback that failed is the
    /// one that was to be left.
    pub(crate) fn rollback_to(&self, revision: u32) -> String {
        format!("helm rollback {} {revision} -n {}", self.release, self.namespace)
    }
}

fn is_good(revision: &Revision) -> bool {
    ["deployed", "superseded"].contains(&revision.status.as_str())
}

#[cfg(test)]
mod tests {
    use fairlead_migration::ticket::{FirstPart, Phase, Progress};

    use super::*;

    #[test]
    fn a_run_is_of_the_installation_whose_revision_is_older_than_it() {
        let revision = |number: u32, created: &str| Revision {
            number,
            status: "deployed".to_owned(),
            created: created.to_owned(),
            goes_to: None,
        };
        let revisions = vec![revision(4, "2026-11-20T10:00:00Z"), revision(5, "2026-11-20T11:00:00Z")];
        let helm = Helm { revisions, ..Helm::default() };
        let run = |helm_revision: Option<u32>, created: &str| {
            let [name, step] = [String::new(), String::new()];
            let progress = Progress::planned();
            Entry {
                name,
                sequence: 1,
                step,
                phase: progress.phase,
                helm_revision,
                created: created.to_owned(),
                changes: 1,
                progress,
            }
        };
        assert!(helm.is_ours(&run(Some(5), "2026-11-20T11:00:07Z")));
        assert!(!helm.is_ours(&run(Some(5), "2026-11-19T11:00:07Z")));
        // Somebody has deleted the record of a stuck upgrade, and Helm has used its number again.
        assert!(helm.is_ours(&run(Some(5), "2026-11-20T10:30:00Z")));
        // Helm has forgotten the revision, or has not come to it yet.
        assert!(helm.is_ours(&run(Some(2), "2026-11-19T11:00:07Z")));
        assert!(!helm.is_ours(&run(Some(7), "2026-11-19T11:00:07Z")));
        // Of no revision, or nothing is known of Helm.
        assert!(helm.is_ours(&run(None, "2026-11-19T11:00:07Z")) && Helm::default().is_ours(&run(Some(7), "")));
        // Helm's way back is not theirs.
        let in_force = |created: &str| Entry { phase: Phase::Committed, ..run(Some(5), created) };
        assert_eq!(helm.way_back(&[in_force("2026-11-20T11:00:07Z")]), Some(4));
        assert_eq!(helm.way_back(&[in_force("2026-11-19T11:00:07Z")]), None);
        // Nor is where one of theirs was to go back to.
        let mut half = in_force("2026-11-19T11:00:07Z");
        (half.progress.undone_in, half.progress.undone_to) = (Some(6), Some(1));
        let revision = |number| Revision { number, status: "failed".to_owned(), ..helm.revisions[0].clone() };
        let failed = Helm { revisions: [&helm.revisions[..], &[revision(6)]].concat(), ..Helm::default() };
        assert_eq!(failed.way_back(&[half.clone(), in_force("2026-11-20T11:00:07Z")]), Some(4));
        assert_eq!(failed.half_way(&[half]), None);
    }

    /// 12 was a rollback to 2, which Helm has forgotten by now: its hooks say 2.
    #[test]
    fn the_number_that_helm_is_told_again_is_the_one_that_it_was_told() {
        let revision =
            |number, status: &str, goes_to| Revision { number, status: status.to_owned(), created: String::new(), goes_to };
        let revisions = vec![revision(12, "deployed", None), revision(13, "pending-rollback", Some(12))];
        let helm = Helm { release: "shop".to_owned(), namespace: "shops".to_owned(), revisions, is_armed: None };
        assert_eq!(helm.goes_on(2).as_deref(), Some("helm rollback shop 12 -n shops"));
        let progress = Progress { undone_in: Some(13), undone_to: Some(2), begun: 1, ..Progress::planned() };
        let [name, step, created] = [String::new(), String::new(), String::new()];
        let half = Entry {
            name,
            sequence: 1,
            step,
            phase: Phase::RollingBack,
            helm_revision: Some(13),
            created,
            changes: 1,
            progress,
        };
        assert_eq!(helm.half_way(std::slice::from_ref(&half)).as_deref(), Some("helm rollback shop 12 -n shops"));
        // It stopped before it had taken back anything; but not where it is refused for ever.
        let in_force = |helm_revision| Entry {
            phase: Phase::Committed,
            helm_revision: Some(helm_revision),
            progress: Progress::planned(),
            ..half.clone()
        };
        assert_eq!(helm.way_back(&[in_force(13)]), Some(12));
        let lost = Entry { phase: Phase::RolledBack, helm_revision: Some(12), ..half.clone() };
        assert_eq!(helm.stopped(&[lost]), None);
    }

    /// Where Helm has not begun yet: its newest revision is the one that is left.
    #[test]
    fn a_first_part_that_was_taken_back_by_hand_says_where_it_goes() {
        let revision = |number| Revision { number, status: "deployed".to_owned(), created: String::new(), goes_to: None };
        let helm = Helm { revisions: (1..=3).map(revision).collect(), ..Helm::default() };
        let [name, step, created] = [String::new(), String::new(), String::new()];
        let progress = Progress {
            phase: Phase::RollingBack,
            first_part: FirstPart::Undone,
            undone_in: Some(3),
            undone_to: Some(1),
            begun: 1,
            ..Progress::planned()
        };
        let (sequence, changes, helm_revision, phase) = (1, 1, Some(3), progress.phase);
        let half = Entry { name, sequence, step, phase, helm_revision, created, changes, progress };
        assert_eq!(helm.way_back(&[half]), Some(1));
    }
}
