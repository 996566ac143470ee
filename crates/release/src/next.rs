//! What to do next: commands, each with what it does. With runs of Helm's first the way back through Helm, which brings the
//! application along.

use fairlead_kube_client::ledger::Entry;
use fairlead_migration::ticket::Phase;

use crate::cancelled::{halves_by_hand, is_half};
use crate::helm::Helm;
use crate::status::{Place, is_in_force, may_be_undone};

/// Steps that hold workloads: a list of tickets does not say so.
const HOLDING: [&str; 2] = ["drain-waiter", "legacy-purger"];

/// A command, and what it does.
pub(crate) type Next = (String, String);

/// The commands for these runs, the oldest of which is first.
pub(crate) fn next(entries: &[Entry], helm: &Helm, place: Place<'_>) -> Vec<Next> {
    let command = |what: &str| place.command(what);
    let mut next = Vec::new();
    let was_asked_for = |entry: &Entry| entry.phase == Phase::RollingBack && entry.progress.cause.is_none();
    next.extend(with_helm(entries, helm, place));
    if let Some(half) = entries.iter().find(|entry| is_half(entry))
        && helm.half_way(std::slice::from_ref(half)).is_none()
    {
        next.extend(halves_by_hand(half, place));
    }
    // What Helm has started is finished by its Job, or by the next upgrade, with the settings of the chart.
    let is_unfinished = |entry: &&Entry| {
        entry.phase.is_unfinished() && !was_asked_for(entry) && (entry.helm_revision.is_none() || helm.revisions.is_empty())
    };
    if let Some(entry) = entries.iter().rev().find(is_unfinished) {
        let finish = Place { binary: &entry.step, ..place }.command("apply");
        next.push((
            finish,
            format!("finishes run {}, if nobody is at it, and then does what there is to do", entry.sequence),
        ));
    }
    if let Some(last) = entries.iter().rev().find(|entry| may_be_undone(entry)) {
        let alone = if helm.revisions.is_empty() { "" } else { ", and leaves the Helm release as it is" };
        next.push((command("rollback --last"), format!("takes back run {} ({}){alone}", last.sequence, last.step)));
    }
    if entries.iter().filter(|entry| may_be_undone(entry)).count() > 1 {
        next.push((command("rollback --to 0"), "takes back all runs, the newest first".to_owned()));
    }
    if entries.iter().any(|entry| is_in_force(entry) && HOLDING.contains(&entry.step.as_str())) {
        next.push((
            command("unhold"),
            "after the upgrade: starts what was held and has been changed, names what stays held".to_owned(),
        ));
    }
    if next.is_empty() {
        next.push((command("plan"), "shows what would be done".to_owned()));
    }
    next
}

/// The way back to the revision before the newest run.
fn with_helm(entries: &[Entry], helm: &Helm, place: Place<'_>) -> Vec<Next> {
    let pending = |command: String| vec![(command, "ends the operation that Helm has not come to the end of".to_owned())];
    if !entries.iter().any(may_be_undone) {
        return helm.pending(entries).map(pending).unwrap_or_default();
    }
    let Some(revision) = helm.way_back(entries) else { return helm.pending(entries).map(pending).unwrap_or_default() };
    let is_taken_back = |entry: &&Entry| may_be_undone(entry) && entry.helm_revision.is_some_and(|its| its > revision);
    let runs: Vec<String> = entries.iter().rev().filter(is_taken_back).map(|entry| entry.sequence.to_string()).collect();
    let runs = format!("run{} {}", if runs.len() == 1 { "" } else { "s" }, runs.join(" and "));
    let rollback = helm.rollback_to(revision);
    let parts = "before Helm's manifests what was removed or held, after them the rest";
    if helm.is_armed != Some(false) {
        let if_armed = if helm.is_armed.is_none() { ", if that revision has our hooks" } else { "" };
        return vec![(rollback, format!("takes back {runs} with the release: {parts}{if_armed}"))];
    }
    let part = |at: &str| place.command(&format!("rollback --to-revision {revision} --undo-at {at}"));
    vec![
        (
            part("pre-rollback"),
            format!("revision {revision} has none of our hooks, so {runs} by hand: first what was removed or held"),
        ),
        (rollback, "then the release".to_owned()),
        (part("post-rollback --wait-for workloads,restored"), "then the rest, by hand".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use fairlead_kube_client::helm::Revision;
    use fairlead_migration::ticket::{FirstPart, Progress};

    use super::*;

    const PLACE: Place<'_> = Place { namespace: "shops", release: "shop", binary: "job", helm_release: "shop" };

    fn run(sequence: u64, phase: Phase, helm_revision: Option<u32>) -> Entry {
        let progress = Progress { phase, begun: 3, ..Progress::planned() };
        let [name, step, created] = [String::new(), "trigger-replicator".to_owned(), String::new()];
        Entry { name, sequence, step, phase, helm_revision, created, changes: 3, progress }
    }

    fn helm(statuses: &[&str], is_armed: Option<bool>) -> Helm {
        let revision = |(index, status): (usize, &&str)| Revision {
            number: u32::try_from(index).expect("few") + 1,
            status: (*status).to_owned(),
            created: String::new(),
            goes_to: None,
        };
        let revisions = statuses.iter().enumerate().map(revision).collect();
        Helm { release: "shop".to_owned(), namespace: "shops".to_owned(), revisions, is_armed }
    }

    fn commands(entries: &[Entry], helm: &Helm) -> Vec<String> {
        next(entries, helm, PLACE).into_iter().map(|(command, _)| command).collect()
    }

    #[test]
    fn the_way_back_leads_through_helm_and_has_its_number() {
        let runs = [run(1, Phase::Committed, Some(3))];
        // What failed is no way back.
        let armed = helm(&["superseded", "failed", "deployed"], Some(true));
        assert_eq!(commands(&runs, &armed)[0], "helm rollback shop 1 -n shops");
        let not_armed = commands(&runs, &helm(&["superseded", "failed", "deployed"], Some(false)));
        assert_eq!(
            not_armed[..3],
            [
                "job rollback --to-revision 1 --undo-at pre-rollback --release shop --ledger-namespace shops",
                "helm rollback shop 1 -n shops",
                "job rollback --to-revision 1 --undo-at post-rollback --wait-for workloads,restored --release shop --ledger-namespace shops",
            ]
        );
    }

    #[test]
    fn outside_helm_a_rollback_that_has_come_half_its_way_goes_on_in_two_parts() {
        let mut half = run(3, Phase::RollingBack, None);
        let part = |at: &str| format!("job rollback --to 2 --undo-at {at} --release shop --ledger-namespace shops");
        let told = |half: &Entry| commands(&[run(1, Phase::Committed, None), half.clone()], &Helm::default());
        half.progress.first_part = FirstPart::Begun;
        assert_eq!(told(&half)[..2], [part("pre-rollback"), part("post-rollback --wait-for restored")]);
        half.progress.first_part = FirstPart::Undone;
        assert_eq!(told(&half)[0], part("post-rollback --wait-for restored"));
    }

    #[test]
    fn outside_helm_the_way_back_is_ours() {
        let runs = [run(1, Phase::Committed, None), run(2, Phase::Committed, None)];
        let [last, all] =
            ["--last", "--to 0"].map(|to| format!("job rollback {to} --release shop --ledger-namespace shops"));
        assert_eq!(commands(&runs, &Helm::default()), [last, all]);
        assert_eq!(commands(&[], &Helm::default()), ["job plan --release shop --ledger-namespace shops"]);
    }

    #[test]
    fn a_rollback_that_helm_has_not_finished_goes_on_to_the_same_revision() {
        let half = run(1, Phase::RollingBack, Some(2));
        let pending = helm(&["superseded", "deployed", "pending-rollback"], Some(true));
        assert_eq!(commands(&[half], &pending)[0], "helm rollback shop 1 -n shops");
        // Everything is taken back, and Helm has not said so: to where it was to go, also when it was told otherwise meanwhile.
        let mut back = run(1, Phase::RolledBack, Some(2));
        (back.progress.undone_in, back.progress.undone_to) = (Some(3), Some(1));
        assert_eq!(commands(std::slice::from_ref(&back), &pending), ["helm rollback shop 1 -n shops"]);
        let again = helm(&["superseded", "deployed", "pending-rollback", "pending-rollback"], Some(true));
        assert_eq!(commands(std::slice::from_ref(&back), &again), ["helm rollback shop 1 -n shops"]);
        let failed = helm(&["superseded", "superseded", "failed"], Some(true));
        assert_eq!(commands(std::slice::from_ref(&back), &failed), ["helm rollback shop 1 -n shops"]);
        // It has come to its end, and another one has not.
        let over = helm(&["superseded", "superseded", "deployed", "pending-rollback"], Some(true));
        assert_eq!(commands(&[back], &over), ["helm rollback shop 3 -n shops"]);
    }

    #[test]
    fn a_release_that_helm_calls_otherwise_is_named() {
        let place = Place { release: "system", ..PLACE };
        let told = "job plan --release system --ledger-namespace shops --helm-release shop";
        assert_eq!(next(&[], &Helm::default(), place)[0].0, told);
    }
}
