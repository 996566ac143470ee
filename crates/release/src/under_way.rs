//! Whether an operation of Helm's that has not come to its end is under way. Helm itself leaves nothing in the cluster by which it can be
//! seen: only what works for it can. Pure.

use std::time::{Duration, SystemTime};

use fairlead_kube_client::stuck::Working;
use fairlead_migration::store::Holder;

use crate::helm::HelmRecords;
use crate::holder::process;

/// So long nobody can take over from a process that has been heard of: its lease, and one request, by default.
const HEARD_OF: Duration = Duration::from_mins(1);

/// The clocks of two machines differ by no more than that.
const CLOCKS: Duration = Duration::from_mins(1);

/// Says why somebody may be at work for Helm's newest operation, and what to wait for; none where that operation has come to its end, or
/// nothing speaks for anybody.
pub(crate) fn sign_of_life(
    helm: &HelmRecords,
    jobs: &[Working],
    holder: Option<&Holder>,
    now: SystemTime,
) -> Option<String> {
    let newest = helm.revisions.last().filter(|newest| newest.is_unfinished())?;
    let (number, status) = (newest.number, &newest.status);
    let both = "wait until both have come to their end";
    // An older one is of an operation before.
    let job = jobs.iter().find(|job| job.created >= newest.created);
    if let Some(Working { job, .. }) = job {
        return Some(format!("Job {job} works for revision {number} of Helm's, which is {status}: {both}"));
    }
    if let Some(holder) = holder.filter(|holder| is_within(&holder.renewed, HEARD_OF, now)) {
        let process = process(&holder.name);
        return Some(format!(
            "process {process} is at work on this release, and revision {number} of Helm's is {status}: {both}"
        ));
    }
    None
}

/// Whether a moment is no longer ago, nor further in the future than clocks differ.
fn is_within(moment: &str, limit: Duration, now: SystemTime) -> bool {
    let Ok(moment) = humantime::parse_rfc3339(moment) else { return false };
    now.duration_since(moment).map_or_else(|future| future.duration() <= CLOCKS, |age| age <= limit)
}

#[cfg(test)]
mod tests {
    use fairlead_kube_client::helm::Revision;

    use super::*;
    use crate::testing::revision;

    fn helm(status: &str) -> HelmRecords {
        let newest = Revision { created: "2026-11-20T10:00:00Z".into(), ..revision(2, status) };
        HelmRecords { revisions: vec![revision(1, "deployed"), newest], ..HelmRecords::default() }
    }

    fn at(time: &str) -> SystemTime {
        humantime::parse_rfc3339(&format!("2026-11-20T{time}Z")).expect("a time")
    }

    #[test]
    fn who_works_for_an_unfinished_operation_is_seen_by_its_job_or_its_lease() {
        let job = |created: &str| [Working { job: "shop-legacy-purger".into(), created: created.into() }];
        let holder = Holder { name: "pod-1/7/99".into(), renewed: "2026-11-20T10:15:00.123456Z".into(), how_far: None };
        let (soon, later) = (at("10:15:59"), at("10:16:01"));
        let by_job = Some("Job shop-legacy-purger works for revision 2 of Helm's, which is ");
        let by_lease = Some("process pod-1/7 is at work on this release, and revision 2 of Helm's is pending-upgrade: ");
        for (status, jobs, holder, now, expected) in [
            ("pending-upgrade", &job("2026-11-20T10:00:00Z")[..], None, later, by_job),
            ("pending-rollback", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, by_job),
            ("uninstalling", &job("2026-11-20T10:00:07Z"), None, soon, by_job),
            ("pending-upgrade", &job("2026-11-20T09:59:59Z"), None, soon, None),
            ("pending-upgrade", &[], Some(&holder), soon, by_lease),
            ("pending-upgrade", &[], Some(&holder), later, None),
            // The clocks of two machines differ, but not so much.
            ("pending-upgrade", &[], Some(&holder), at("10:14:01"), by_lease),
            ("pending-upgrade", &[], Some(&holder), at("10:13:59"), None),
            ("pending-upgrade", &[], None, soon, None),
            ("failed", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, None),
            ("deployed", &job("2026-11-20T10:00:07Z"), Some(&holder), soon, None),
        ] {
            let sign = sign_of_life(&helm(status), jobs, holder, now);
            let is_expected = expected.map_or(sign.is_none(), |begin| sign.as_ref().is_some_and(|it| it.starts_with(begin)));
            assert!(is_expected, "{status}: {expected:?}, {sign:?}");
        }
        assert_eq!(sign_of_life(&HelmRecords::default(), &job(""), Some(&holder), soon), None);
    }
}
