//! Whether an operation of Helm's that has not come to its end is under way. Helm itself leaves nothing in the cluster by which it can be
//! seen: only what works for it can. Pure.

use std::time::{Duration, SystemTime};

use fairlead_kube_client::stuck::Working;
use fairlead_migration::store::Holder;

use crate::helm::HelmRecords;
use crate::holder::process;

/// So long nobody can take over from a process that has been heard of: its lease, and one request, by default.
const HEARD_OF: Duration = Duration::from_mins(1);

/// Who works for Helm's pending operation, as people name it; none where there is no such operation, or nobody can be seen.
pub(crate) fn worker(helm: &HelmRecords, jobs: &[Working], holder: Option<&Holder>, now: SystemTime) -> Option<String> {
    let newest = helm.revisions.last().filter(|newest| newest.is_pending())?;
    // An older one is of an operation before.
    let job = jobs.iter().find(|job| job.created >= newest.created).map(|job| format!("Job {}", job.job));
    let is_alive = |holder: &&Holder| {
        let renewed = humantime::parse_rfc3339(&holder.renewed);
        // The clocks of two machines differ.
        renewed.is_ok_and(|renewed| now.duration_since(renewed).unwrap_or_default() <= HEARD_OF)
    };
    let process = || holder.filter(is_alive).map(|holder| format!("process {}", process(&holder.name)));
    job.or_else(process)
}

#[cfg(test)]
mod tests {
    use fairlead_kube_client::helm::Revision;

    use super::*;
    use crate::testing::revision;

    #[test]
    fn who_works_for_a_pending_operation_is_seen_by_its_job_or_its_lease() {
        let helm = |status: &str| {
            let newest = Revision { created: "2026-11-20T10:00:00Z".into(), ..revision(2, status) };
            HelmRecords { revisions: vec![revision(1, "deployed"), newest], ..HelmRecords::default() }
        };
        let job = |created: &str| [Working { job: "shop-legacy-purger".into(), created: created.into() }];
        let holder = Holder { name: "pod-1/7/99".into(), renewed: "2026-11-20T10:05:00.123456Z".into(), how_far: None };
        let at = |time: &str| humantime::parse_rfc3339(time).expect("a time");
        let (soon, later) = (at("2026-11-20T10:05:59Z"), at("2026-11-20T10:06:01Z"));
        for (status, jobs, holder, now, expected) in [
            ("pending-upgrade", &job("2026-11-20T10:00:00Z")[..], None, later, Some("Job shop-legacy-purger")),
            ("pending-rollback", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, Some("Job shop-legacy-purger")),
            ("pending-upgrade", &job("2026-11-20T09:59:59Z"), None, soon, None),
            ("pending-upgrade", &[], Some(&holder), soon, Some("process pod-1/7")),
            ("pending-upgrade", &[], Some(&holder), later, None),
            ("pending-upgrade", &[], Some(&holder), at("2026-11-20T10:04:00Z"), Some("process pod-1/7")),
            ("pending-upgrade", &[], None, soon, None),
            ("failed", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, None),
            ("deployed", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, None),
        ] {
            assert_eq!(worker(&helm(status), jobs, holder, now).as_deref(), expected, "{status}");
        }
        assert_eq!(worker(&HelmRecords::default(), &job(""), Some(&holder), soon), None);
    }
}
