//! Where the Helm release stands, and what to tell Helm next.

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::helm::Revision;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::ticket::Installation;

use crate::place::Place;

/// What Helm has recorded of a release; without revisions where Helm knows nothing of it, or keeps its records elsewhere.
#[derive(Clone, Debug, Default)]
pub struct HelmRecords {
    pub(crate) release: String,
    pub(crate) namespace: String,
    /// The oldest first.
    pub(crate) revisions: Vec<Revision>,
    /// Which installation of the release it is, where that can be read.
    pub(crate) installation: Option<Installation>,
    /// Whether nothing is known because the records may not be read.
    pub(crate) is_hidden: bool,
}

/// Where a Helm release stands to its recorded runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelmState {
    /// Nothing is known of Helm.
    Unknown,
    /// Helm does nothing. It would go back to this revision from the newest runs, if there are any and it can.
    Idle { way_back: Option<u32> },
    /// An operation of Helm's has not come to its end, and it is no rollback of these runs.
    Pending { way_back: Option<u32>, last_good: Option<u32> },
    /// A rollback has not come to its end. Without `has_begun` it had taken back nothing.
    GoingBack { to: u32, has_begun: bool, last_good: Option<u32> },
}

impl HelmState {
    /// The revision to which `helm rollback` takes back the newest runs.
    pub(crate) fn way_back(self) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Idle { way_back } | Self::Pending { way_back, .. } => way_back,
            Self::GoingBack { to, .. } => Some(to),
        }
    }

    /// The revision to which `helm rollback` ends an operation that has not come to its end, if there is one.
    pub(crate) fn way_out(self) -> Option<u32> {
        match self {
            Self::Unknown | Self::Idle { .. } => None,
            Self::Pending { last_good, .. } | Self::GoingBack { has_begun: false, last_good, .. } => last_good,
            Self::GoingBack { to, has_begun: true, .. } => Some(to),
        }
    }
}

impl HelmRecords {
    /// Reads the records. Who may not read them knows nothing of Helm.
    pub async fn of(cluster: &Cluster, place: Place<'_>) -> Result<Self, Obstacle> {
        let Place { namespace, helm_release: release, .. } = place;
        let (revisions, is_hidden) = match cluster.helm_revisions(namespace, release).await {
            Err(Obstacle::Forbidden { .. }) => (Vec::new(), true),
            revisions => (revisions?, false),
        };
        let first_deployed = match revisions.last() {
            None => None,
            Some(newest) => match cluster.helm_installed(namespace, release, newest.number).await {
                Err(Obstacle::Forbidden { .. }) => None,
                installed => installed?,
            },
        };
        let installation =
            first_deployed.map(|first_deployed| Installation { helm_release: release.to_owned(), first_deployed });
        Ok(Self { release: release.to_owned(), namespace: namespace.to_owned(), revisions, installation, is_hidden })
    }

    /// Whether a revision brings our hooks; none when that is not known.
    pub(crate) async fn is_armed(&self, cluster: &Cluster, revision: u32) -> Result<Option<bool>, Obstacle> {
        match cluster.is_armed(&self.namespace, &self.release, revision).await {
            Err(Obstacle::Forbidden { .. }) => Ok(None),
            is_armed => is_armed,
        }
    }

    /// The revision to which Helm would go back from the newest one, where it is known that it has none of our hooks.
    pub async fn unarmed(&self, cluster: &Cluster) -> Result<Option<u32>, Obstacle> {
        let Some(revision) = self.newest().and_then(|newest| self.good_before(newest)) else { return Ok(None) };
        Ok(self.is_armed(cluster, revision).await?.filter(|is_armed| !is_armed).map(|_| revision))
    }

    /// Where the release stands to these runs.
    pub(crate) fn state(&self, runs: &[RecordedRun]) -> HelmState {
        let Some(newest) = self.revisions.last() else { return HelmState::Unknown };
        let is_pending = newest.is_pending();
        let last_good = if is_pending { self.good_before(newest.number) } else { None };
        if let Some(to) = self.begun(runs) {
            return HelmState::GoingBack { to, has_begun: true, last_good };
        }
        // Not one that is refused there for ever.
        let is_refused = |to: u32| runs.iter().any(|run| self.is_ours(run) && run.is_lost(to));
        if let Some(to) = newest.goes_to.filter(|to| !is_refused(*to)) {
            return HelmState::GoingBack { to, has_begun: false, last_good };
        }
        let is_to_go = |run: &&RecordedRun| run.may_be_undone() && self.is_ours(run);
        let newest_run = runs.iter().filter(is_to_go).filter_map(|run| run.helm_revision).max();
        let way_back = newest_run.and_then(|revision| self.good_before(revision));
        if is_pending { HelmState::Pending { way_back, last_good } } else { HelmState::Idle { way_back } }
    }

    /// The newest revision: while a hook runs, the one that is being made.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.revisions.last().map(|revision| revision.number)
    }

    /// Whether Helm has not come to the end of its newest operation.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.revisions.last().is_some_and(Revision::is_unfinished)
    }

    /// The oldest revision that Helm can go back to.
    #[must_use]
    pub fn oldest(&self) -> Option<u32> {
        self.revisions.first().map(|revision| revision.number)
    }

    /// The revision that was good before this one, which is the one that Helm itself would go back to.
    fn good_before(&self, revision: u32) -> Option<u32> {
        self.revisions.iter().rev().find(|it| it.number < revision && is_good(it)).map(|it| it.number)
    }

    /// The newest revision that Helm goes back to: the one that is deployed, also where a later one has failed.
    pub(crate) fn newest_good(&self) -> Option<u32> {
        self.revisions.iter().rev().find(|it| is_good(it)).map(|it| it.number)
    }

    /// The revision that was good before the newest one.
    pub(crate) fn before_newest(&self) -> Option<u32> {
        self.good_before(self.newest()?)
    }

    /// Which installation of the release this is, where Helm's records say it.
    #[must_use]
    pub fn installation(&self) -> Option<&Installation> {
        self.installation.as_ref()
    }

    /// Whether a run is of this installation of the release: after `helm uninstall`, which deletes all records, revisions begin again
    /// from 1, and the ledger stays. The record of its own revision may be younger: somebody may have deleted a stuck one by hand, and
    /// Helm has used its number again.
    pub(crate) fn is_ours(&self, run: &RecordedRun) -> bool {
        let (Some(revision), Some(oldest)) = (run.helm_revision, self.revisions.first()) else { return true };
        if let Some((its, ours)) = run.installation.as_ref().zip(self.installation.as_ref()) {
            return its == ours;
        }
        // Records that were copied, from ConfigMaps to Secrets say, are younger than the installation. Helm's clock is another one.
        let installed = self.installation.as_ref().and_then(|it| Cluster::helm_time(&it.first_deployed));
        oldest.created <= run.created || installed.is_some_and(|at| at <= run.created) || revision < oldest.number
    }

    /// Whether a run is of the upgrade to this revision, and not of one whose number Helm has used again: the release was installed anew,
    /// or somebody has deleted the record of a stuck one.
    #[must_use]
    pub fn is_of_upgrade(&self, run: &RecordedRun, revision: Option<u32>) -> bool {
        let record = self.revisions.iter().find(|record| revision == Some(record.number));
        run.helm_revision == revision
            && self.is_ours(run)
            && record.is_none_or(|record| run.created.is_empty() || record.created <= run.created)
    }

    /// The revision that an unfinished rollback of these runs was heading for. A manual rollback may have started before Helm's.
    pub(crate) fn begun(&self, runs: &[RecordedRun]) -> Option<u32> {
        let newest = self.newest()?;
        let ours = || runs.iter().filter(|run| self.is_ours(run));
        let goes = |run: &RecordedRun| run.progress.asked().and_then(|asked| Some((asked.revision?, asked.to?)));
        let is_over = |since: u32| self.revisions.iter().any(|it| it.number >= since && is_good(it));
        let half = ours().filter(|run| run.is_half()).find_map(goes);
        let last = || ours().filter_map(goes).max().filter(|(since, _)| newest >= *since && !is_over(*since));
        half.or_else(last).map(|(since, to)| self.told(since, to))
    }

    /// The number that Helm was told for a rollback, whose hooks say `to`: Helm may have forgotten that revision.
    fn told(&self, rollback: u32, to: u32) -> u32 {
        self.revisions.iter().find(|it| it.number == rollback).and_then(|it| it.goes_to).unwrap_or(to)
    }

    /// Why Helm is told another number than the jobs, if it is.
    pub(crate) fn why_two_numbers(&self, to: u32) -> Option<String> {
        let told = self.resume(to).filter(|told| *told != to)?;
        Some(format!("Revision {told} of Helm's is a rollback to {to}: both numbers mean the same runs."))
    }

    /// Whether the manifests of a revision are those of today, also by a rollback to a rollback to it; none where Helm's records do not
    /// say so.
    pub(crate) async fn has_gone_back(&self, cluster: &Cluster, to: u32) -> Result<Option<bool>, Obstacle> {
        let Some(newest) = self.revisions.last() else { return Ok(None) };
        if newest.status != "deployed" {
            return Ok(Some(false));
        }
        let mut at = newest.number;
        while at > to {
            // Only a rollback says where it went; of anything else the manifests are its own.
            match cluster.helm_goes_to(&self.namespace, &self.release, at).await? {
                Some(goes_to) if goes_to < at => at = goes_to,
                _ => return Ok(Some(false)),
            }
        }
        Ok(Some(at == to))
    }

    /// The revision that makes Helm's pending rollback go on when it is told it again; its hooks say `to`.
    pub(crate) fn resume(&self, to: u32) -> Option<u32> {
        let newest = self.revisions.last().filter(|newest| newest.status == "pending-rollback")?;
        Some(self.told(newest.number, to))
    }
}

pub(crate) fn is_good(revision: &Revision) -> bool {
    ["deployed", "superseded"].contains(&revision.status.as_str())
}

#[cfg(test)]
mod tests {
    use fairlead_migration::progress::{Asked, FirstPart, Phase, Progress, WhyBack};

    use super::*;
    use crate::testing::{asked, revision, run};

    #[test]
    fn what_helm_says_of_an_installation_counts_more_than_when_its_records_were_made() {
        let installed = |helm_release: &str, first_deployed: &str| {
            Some(Installation { helm_release: helm_release.into(), first_deployed: first_deployed.into() })
        };
        let records = |installation| {
            let revisions = vec![Revision { created: "2026-11-20T10:00:00Z".into(), ..revision(1, "deployed") }];
            HelmRecords { revisions, installation, ..HelmRecords::default() }
        };
        let helm = records(installed("shop", "a"));
        let of = |installation, created: &str| RecordedRun {
            helm_revision: Some(2),
            installation,
            created: created.to_owned(),
            ..run(1, Phase::Committed)
        };
        let (before, after) = ("2026-11-19T10:00:00Z", "2026-11-21T10:00:00Z");
        assert!(helm.is_ours(&of(installed("shop", "a"), before)), "restored");
        assert!(!helm.is_ours(&of(installed("shop", "b"), after)), "imported");
        assert!(!helm.is_ours(&of(installed("other", "a"), after)), "of another release");
        assert!(helm.is_ours(&of(None, after)) && !helm.is_ours(&of(None, before)), "of an older version");
        assert!(records(None).is_ours(&of(installed("shop", "a"), after)), "Helm's record cannot be read");
        let copied = records(installed("shop", "2026-11-19T10:59:00.5+01:00"));
        assert!(copied.is_ours(&of(None, before)) && !copied.is_ours(&of(None, "2026-11-19T09:58:00Z")));
    }

    #[test]
    fn a_run_is_of_the_installation_whose_revision_is_older_than_it() {
        let revisions = vec![
            Revision { created: "2026-11-20T10:00:00Z".into(), ..revision(4, "deployed") },
            Revision { created: "2026-11-20T11:00:00Z".into(), ..revision(5, "deployed") },
        ];
        let helm = HelmRecords { revisions, ..HelmRecords::default() };
        let of = |helm_revision: Option<u32>, created: &str| RecordedRun {
            helm_revision,
            created: created.to_owned(),
            ..run(1, Phase::Planned)
        };
        assert!(helm.is_ours(&of(Some(5), "2026-11-20T11:00:07Z")));
        assert!(!helm.is_ours(&of(Some(5), "2026-11-19T11:00:07Z")));
        // Somebody has deleted the record of a stuck upgrade, and Helm has used its number again.
        assert!(helm.is_ours(&of(Some(5), "2026-11-20T10:30:00Z")));
        let is_of_upgrade = |created: &str, of_run| helm.is_of_upgrade(&of(of_run, created), Some(5));
        assert!(is_of_upgrade("2026-11-20T11:00:00Z", Some(5)) && !is_of_upgrade("2026-11-20T10:30:00Z", Some(5)));
        assert!(!is_of_upgrade("2026-11-20T11:00:00Z", Some(4)) && !is_of_upgrade("2026-11-20T11:00:00Z", None));
        assert!(helm.is_of_upgrade(&of(None, ""), None) && HelmRecords::default().is_of_upgrade(&of(Some(5), ""), Some(5)));
        // Helm has forgotten the revision, or has not come to it yet.
        assert!(helm.is_ours(&of(Some(2), "2026-11-19T11:00:07Z")));
        assert!(!helm.is_ours(&of(Some(7), "2026-11-19T11:00:07Z")));
        // Of no revision, or nothing is known of Helm.
        assert!(helm.is_ours(&of(None, "2026-11-19T11:00:07Z")) && HelmRecords::default().is_ours(&of(Some(7), "")));
        // Helm's way back is not theirs.
        let in_force = |created: &str| RecordedRun {
            progress: Progress { phase: Phase::Committed, ..Progress::planned() },
            ..of(Some(5), created)
        };
        assert_eq!(helm.state(&[in_force("2026-11-20T11:00:07Z")]), HelmState::Idle { way_back: Some(4) });
        assert_eq!(helm.state(&[in_force("2026-11-19T11:00:07Z")]), HelmState::Idle { way_back: None });
        // Nor is where one of theirs was to go back to.
        let mut half = in_force("2026-11-19T11:00:07Z");
        half.progress.why_back = Some(asked(6, 1));
        let revisions = [&helm.revisions[..], &[revision(6, "failed")]].concat();
        let failed = HelmRecords { revisions, ..HelmRecords::default() };
        let runs = [half.clone(), in_force("2026-11-20T11:00:07Z")];
        assert_eq!(failed.state(&runs), HelmState::Idle { way_back: Some(4) });
        assert_eq!(failed.begun(&[half]), None);
    }

    /// 12 was a rollback to 2, which Helm has forgotten by now: its hooks say 2.
    #[test]
    fn the_number_that_helm_is_told_again_is_the_one_that_it_was_told() {
        let pending = Revision { goes_to: Some(12), ..revision(13, "pending-rollback") };
        let revisions = vec![revision(12, "deployed"), pending];
        let helm = HelmRecords { revisions, ..HelmRecords::default() };
        assert_eq!(helm.resume(2), Some(12));
        let why = "Revision 12 of Helm's is a rollback to 2: both numbers mean the same runs.";
        assert_eq!((helm.why_two_numbers(2).as_deref(), helm.why_two_numbers(12)), (Some(why), None));
        let mut half = RecordedRun { helm_revision: Some(13), ..run(1, Phase::RollingBack) };
        half.progress.why_back = Some(asked(13, 2));
        let state = helm.state(std::slice::from_ref(&half));
        assert_eq!(state, HelmState::GoingBack { to: 12, has_begun: true, last_good: Some(12) });
        // It stopped before it had taken back anything; but not where it is refused for ever.
        let in_force = RecordedRun { helm_revision: Some(13), ..run(1, Phase::Committed) };
        let state = helm.state(&[in_force]);
        assert_eq!(state, HelmState::GoingBack { to: 12, has_begun: false, last_good: Some(12) });
        let progress = Progress { phase: Phase::RolledBack, why_back: Some(asked(13, 2)), begun: 1, ..Progress::planned() };
        let lost = RecordedRun { helm_revision: Some(12), progress, ..half };
        assert_eq!(helm.state(&[lost]).way_back(), Some(12), "it has begun, and goes on");
    }

    /// Where Helm has not begun yet: its newest revision is the one that is left.
    #[test]
    fn a_first_part_that_was_taken_back_by_hand_says_where_it_goes() {
        let helm = HelmRecords { revisions: (1..=3).map(|it| revision(it, "deployed")).collect(), ..HelmRecords::default() };
        let progress = Progress {
            phase: Phase::RollingBack,
            first_part: FirstPart::Undone,
            why_back: Some(WhyBack::Asked(Asked { revision: Some(3), to: Some(1), ..Asked::default() })),
            begun: 1,
            ..Progress::planned()
        };
        let half = RecordedRun { helm_revision: Some(3), progress, ..run(1, Phase::RollingBack) };
        assert_eq!(helm.state(&[half]).way_back(), Some(1));
    }
}
