//! `check`: before an upgrade, whether it can run, and whether there is a way back. Each line is one question, with what to do where the
//! answer is no.

use std::collections::BTreeSet;

use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, redact, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::Objects;
use fairlead_kube_client::permission::Need;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::{Purpose, Store};
use fairlead_migration::ticket::{KUBERNETES, Ticket};
use serde_json::{Value, json};

use crate::args::{CheckArgs, CommonArgs};
use crate::binary::Binary;
use crate::credentials::{Credentials, Found};
use crate::helm::HelmRecords;
use crate::missing::numbers;
use crate::place::Place;
use crate::status::require_form;
use crate::upcoming::{Foreseen, Upcoming, foresee};

/// One answer: so it is, why it is not, or who knows.
struct Answer {
    question: &'static str,
    result: Result<String, String>,
    is_known: bool,
}

impl Answer {
    fn of(question: &'static str, result: Result<String, String>) -> Self {
        Self { question, result, is_known: true }
    }

    /// A question that cannot be asked here.
    fn unknown(question: &'static str, who_knows: String) -> Self {
        Self { question, result: Err(who_knows), is_known: false }
    }

    fn is_no(&self) -> bool {
        self.is_known && self.result.is_err()
    }
}

/// Asks everything, prints the answers, and fails when one of them is no.
pub async fn run<'a>(
    cluster: &'a Cluster,
    common: &'a CommonArgs,
    binary: impl Into<Binary<'a>>,
    args: &CheckArgs,
) -> anyhow::Result<ExitStatus> {
    require_form(common.output.output)?;
    let binary = binary.into();
    let place = binary.place(common, cluster);
    let store = binary.store(cluster, place).await?;
    // First: a file that cannot be read is no answer.
    let upcoming = args.upgrade.as_ref().map(|file| foresee(file, place)).transpose()?;
    let answers = ask(cluster, &*store, place, args, upcoming).await.map_err(Failure::from)?;
    report::say(&written(&answers, place, common.output.output)?)?;
    match answers.iter().filter(|answer| answer.is_no()).count() {
        0 => Ok(ExitStatus::Done),
        count => {
            let are = if count == 1 { "is" } else { "are" };
            let message = format!("{count} of {} answers {are} no", answers.len());
            Err(Failure::new(&shared::NOT_PREPARED, message).into())
        }
    }
}

async fn ask(
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    args: &CheckArgs,
    upcoming: Option<Upcoming>,
) -> Result<Vec<Answer>, Obstacle> {
    let helm = HelmRecords::of(cluster, place).await?;
    // Helm goes back to no revision that has failed.
    let way_back = helm.newest_good();
    let armed = match way_back {
        Some(revision) => helm.is_armed(cluster, revision).await?,
        None => None,
    };
    let mut answers = Vec::new();
    // What may not be read is an answer, too.
    let runs = match store.runs().await {
        Err(obstacle @ (Obstacle::Forbidden { .. } | Obstacle::Damaged { .. })) => {
            answers.push(is_armed(&helm, armed, place, true));
            answers.push(Answer::of("runs", Err(chain(&obstacle))));
            return Ok(answers);
        }
        runs => runs?,
    };
    let missing = store.missing().await?;
    let has_runs = !runs.is_empty() || !missing.is_empty() || !store.endings().await?.is_empty();
    answers.push(is_armed(&helm, armed, place, args.without_helm || has_runs));
    answers.push(Answer::of("runs", are_ended(&runs, place)));
    answers.extend(runs.iter().filter(|run| run.phase() == Phase::Background).map(|run| goes_on(run, place)));
    let damaged = store.damages(&runs).await?;
    let Upcoming { plans, mut credentials } = upcoming.unwrap_or_default();
    let of_hooks = match way_back {
        Some(revision) if armed != Some(false) => rollback_pod(cluster, place, revision).await?,
        _ => None,
    };
    let image = of_hooks.as_ref().and_then(|pod| pod["containers"][0]["image"].as_str());
    let (served, needs) = needs(cluster, store, &runs, image, &mut credentials).await?;
    answers.push(Answer::of("tickets", are_there(&missing, &damaged, place)));
    answers.push(Answer::of("kinds", served));
    let may = both(store.require(Purpose::Undo, None).await, cluster.require(&needs).await);
    answers.push(allowed("permissions", "you", may)?);
    let of_hooks = of_hooks.as_ref().and_then(|pod| pod["serviceAccountName"].as_str());
    let account = args.rollback_account.as_deref().or(of_hooks);
    let user = account.map(|account| format!("system:serviceaccount:{}:{account}", place.namespace));
    if let (Some(account), Some(user)) = (account, &user) {
        // The chart's is there only during a rollback: the hooks bring it and its Role, and each step has left what its objects need.
        let may = match args.rollback_account {
            Some(_) => store.require(Purpose::Undo, Some(user)).await,
            None => Ok(()),
        };
        let may = both(may, cluster.require_for(user, &needs).await);
        answers.push(allowed("rollback's permissions", &format!("ServiceAccount {account}"), may)?);
    }
    if !credentials.is_empty() {
        // Those of the release's namespace the hooks may read with the ledger, by a Role that they bring themselves.
        let is_asked = |namespace: &str| args.rollback_account.is_some() || namespace != place.namespace;
        answers.push(are_readable(credentials.look(cluster, account.zip(user.as_deref()), is_asked).await?));
    }
    let who_knows =
        "with --upgrade FILE, the manifests of the upgrade, each of its jobs is asked whether it would be blocked";
    let plans = if plans.is_empty() { vec![Foreseen::Unknown(who_knows.to_owned())] } else { plans };
    answers.extend(plans.into_iter().map(|plan| match plan {
        Foreseen::Good(what) => Answer::of("plan", Ok(what)),
        Foreseen::Blocked(why) => Answer::of("plan", Err(why)),
        Foreseen::Unknown(why) => Answer::unknown("plan", why),
    }));
    if args.start_pods {
        answers.extend(start_pods(cluster, &helm, place, args).await?);
    } else {
        answers.push(Answer::unknown("image", "with --start-pods a pod of each image is started".to_owned()));
    }
    Ok(answers)
}

/// The specification of the pods of a revision's rollback hooks, where its record can be read.
async fn rollback_pod(cluster: &Cluster, place: Place<'_>, revision: u32) -> Result<Option<Value>, Obstacle> {
    let jobs = match cluster.helm_jobs(place.namespace, place.helm_release, revision).await {
        Err(Obstacle::Forbidden { .. }) => return Ok(None),
        jobs => jobs?,
    };
    let jobs = jobs.iter().filter_map(|manifest| manifests::parse("the release's record", manifest).ok()).flatten();
    let is_ours = |job: &Value| {
        let hook = job["metadata"]["annotations"]["helm.sh/hook"].as_str();
        hook.is_some_and(|hook| hook.contains("pre-rollback"))
    };
    Ok(jobs.filter(is_ours).map(|mut job| job["spec"]["template"]["spec"].take()).next())
}

fn is_armed(helm: &HelmRecords, armed: Option<bool>, place: Place<'_>, has_runs: bool) -> Answer {
    let question = "armed";
    let Some(newest) = helm.revisions.last() else {
        if helm.is_hidden {
            let why = format!(
                "you may not read the records of Helm in namespace {}: whether release {} brings the rollback hooks is not known",
                helm.namespace, helm.release
            );
            return Answer::unknown(question, why);
        }
        if !has_runs {
            return Answer::of(
                question,
                Err(format!(
                    "nothing is known of release {} in namespace {}, neither of Helm nor of fairlead. Check the name, -n and --context. \
                     Where no Helm release brings the jobs, say --without-helm",
                    helm.release, place.namespace
                )),
            );
        }
        let by_hand = place.command("rollback --last");
        return Answer::of(
            question,
            Ok(format!("no Helm release {} is known here: go back with `{by_hand}`", helm.release)),
        );
    };
    let Some(revision) = helm.newest_good() else {
        let why = format!(
            "no revision of release {} has been deployed: Helm has none to go back to. Deploy it first, with fairlead and all jobs off",
            helm.release
        );
        return Answer::of(question, Err(why));
    };
    let why_not_newest = if revision == newest.number {
        String::new()
    } else {
        format!(". Revision {} is {}, so Helm does not go back to it", newest.number, newest.status)
    };
    match armed {
        Some(true) => {
            let what = format!(
                "revision {revision} brings the rollback hooks: `helm rollback` to it takes back what comes after{why_not_newest}"
            );
            Answer::of(question, Ok(what))
        }
        Some(false) => {
            let why = format!(
                "revision {revision} has no rollback hooks, so `helm rollback` to it would take nothing back{why_not_newest}. Arm it \
                 first: upgrade to the same version with fairlead added and all jobs off"
            );
            Answer::of(question, Err(why))
        }
        None => {
            let why = format!(
                "the record of revision {revision} cannot be read: nobody knows whether it brings the rollback hooks"
            );
            Answer::unknown(question, why)
        }
    }
}

fn are_ended(runs: &[RecordedRun], place: Place<'_>) -> Result<String, String> {
    // What was only planned the next run of its step begins anew, and in the background it goes on.
    let is_open = |run: &&RecordedRun| run.is_cut_off() || run.phase() == Phase::Dirty;
    if let Some(run) = runs.iter().find(is_open) {
        let RecordedRun { sequence, step, .. } = run;
        return Err(format!("run {sequence} ({step}) is in phase {}: {}", run.phase().as_str(), place.command("status")));
    }
    Ok(format!("{} recorded, none of them stuck", runs.len()))
}

/// What goes on may have ended by the time of the upgrade.
fn goes_on(run: &RecordedRun, place: Place<'_>) -> Answer {
    let RecordedRun { sequence, step, .. } = run;
    let why = format!(
        "run {sequence} ({step}) goes on: until it has ended, that step of the next upgrade ends with FL015; `{}` says who watches it",
        place.command("status")
    );
    Answer::unknown("background", why)
}

fn are_there(missing: &[u64], damaged: &[Obstacle], place: Place<'_>) -> Result<String, String> {
    let deleted = (!missing.is_empty()).then(|| {
        let s = if missing.len() == 1 { "" } else { "s" };
        format!("somebody has deleted what run{s} {} recorded", numbers(missing))
    });
    let wrong: Vec<String> = deleted.into_iter().chain(damaged.iter().map(|obstacle| chain(obstacle))).collect();
    if wrong.is_empty() {
        return Ok("all are there".to_owned());
    }
    Err(format!("{}: if there is an export, `{}` restores what is gone", wrong.join("; "), place.import()))
}

/// Whether the image of the rollback hooks has the executor of a run. Where nobody knows it, whoever takes the run back sees.
fn is_able(sequence: u64, ticket: &Ticket, image: Option<&str>) -> Result<(), String> {
    let Ticket { executor, tool, .. } = ticket;
    match image.filter(|image| !image.contains(&tool.name)) {
        Some(image) => Err(format!(
            "run {sequence} is of executor {executor}: only {tool} can take it back, and the rollback hooks run {image}"
        )),
        None => Ok(()),
    }
}

fn are_readable(found: Found) -> Answer {
    let question = "credentials";
    let Found { wrong, unknown } = found;
    let joined = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join("; ");
    match (wrong.is_empty(), unknown.is_empty()) {
        (false, _) => Answer::of(question, Err(joined(wrong))),
        (true, false) => Answer::unknown(question, joined(unknown)),
        (true, true) => Answer::of(question, Ok("every Secret is there that the database needs".to_owned())),
    }
}

/// Whether the kinds of all runs in force are served, and the rollback hooks have every executor; and what taking their objects back needs.
/// Adds the Secrets that it reads. What is damaged says nothing here.
async fn needs(
    cluster: &Cluster,
    store: &dyn Store,
    runs: &[RecordedRun],
    image: Option<&str>,
    credentials: &mut Credentials,
) -> Result<(Result<String, String>, Vec<Need>), Obstacle> {
    let (mut needs, mut found) = (Vec::new(), cluster.discover().await?);
    let mut served = Ok("every kind is served that a run in force has changed".to_owned());
    for run in runs.iter().rev().filter(|run| run.may_be_undone() && !run.is_superfluous()) {
        let reopened = match store.read(&run.name).await {
            Err(Obstacle::Damaged { .. }) => continue,
            reopened => reopened?,
        };
        credentials.add_of_run(run.sequence, &reopened.ticket.credentials);
        if reopened.ticket.executor != KUBERNETES {
            let able = is_able(run.sequence, &reopened.ticket, image);
            served = served.and_then(|what| able.map(|()| what));
            continue;
        }
        if !run.is_in_force() {
            continue;
        }
        found = cluster.discover_for(&reopened.plan, &found).await?;
        match Objects::of_plan(cluster, &found, &reopened.plan).needs_to_undo(&reopened.plan) {
            Ok(more) => needs.extend(more),
            Err(obstacle) => served = served.and(Err(format!("run {}: {}", run.sequence, chain(&obstacle)))),
        }
    }
    Ok((served, needs))
}

/// Two answers as one, with the rules that are missing in either.
fn both(first: Result<(), Obstacle>, second: Result<(), Obstacle>) -> Result<(), Obstacle> {
    match (first, second) {
        (
            Err(Obstacle::Forbidden { operation, rule, source }),
            Err(Obstacle::Forbidden { operation: other, rule: more, .. }),
        ) if !operation.starts_with("ask ") && !other.starts_with("ask ") => {
            Err(Obstacle::Forbidden { operation, rule: format!("{rule}; {more}"), source })
        }
        (first, second) => first.and(second),
    }
}

/// Who may not ask says so, and that is no answer.
fn allowed(question: &'static str, who: &str, may: Result<(), Obstacle>) -> Result<Answer, Obstacle> {
    match may {
        Ok(()) => Ok(Answer::of(question, Ok(format!("{who} may take back every run in force")))),
        Err(Obstacle::Forbidden { operation, rule, .. }) if operation.starts_with("ask ") => {
            let why = format!("you may not ask what {who} may; an administrator may, or who is allowed to {rule}");
            Ok(Answer::unknown(question, why))
        }
        Err(Obstacle::Forbidden { rule, .. }) if who == "you" => Ok(Answer::of(question, Err(rule))),
        Err(Obstacle::Forbidden { rule, .. }) => Ok(Answer::of(question, Err(format!("{who}: {rule}")))),
        Err(other) => Err(other),
    }
}

/// Starts a pod of each image that the newest revision's Jobs have.
async fn start_pods(
    cluster: &Cluster,
    helm: &HelmRecords,
    place: Place<'_>,
    args: &CheckArgs,
) -> Result<Vec<Answer>, Obstacle> {
    let question = "image";
    let Some(newest) = helm.newest() else {
        let why = "no Helm release is known here that says which images there are".to_owned();
        return Ok(vec![Answer::unknown(question, why)]);
    };
    let hooks = match cluster.helm_jobs(place.namespace, place.helm_release, newest).await {
        Err(Obstacle::Forbidden { rule, .. }) => {
            return Ok(vec![Answer::unknown(question, format!("you may not read which images there are: {rule}"))]);
        }
        hooks => hooks?,
    };
    let mut images: Vec<String> = Vec::new();
    let mut answers = Vec::new();
    for manifest in &hooks {
        let jobs = manifests::parse("the release's record", manifest).unwrap_or_default();
        for template in jobs.iter().map(|job| &job["spec"]["template"]) {
            let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            if image.is_empty() || images.iter().any(|known| known == image) {
                continue;
            }
            images.push(image.to_owned());
            answers.push(match cluster.try_pod(place.namespace, template, &["--version"], args.pod_timeout).await {
                Ok(Ok(())) => Answer::of(question, Ok(format!("{image} runs"))),
                Ok(Err(why)) => Answer::of(question, Err(format!("{image}: {why}"))),
                // A quota, a policy: the Job's own pod would meet it, too.
                Err(obstacle @ Obstacle::Refused { .. }) => {
                    Answer::of(question, Err(format!("{image}: {}", chain(&obstacle))))
                }
                Err(Obstacle::Forbidden { rule, .. }) => {
                    Answer::unknown(question, format!("{image}: you may not start a pod: {rule}"))
                }
                Err(other) => return Err(other),
            });
        }
    }
    Ok(answers)
}

fn written(answers: &[Answer], place: Place<'_>, output: Output) -> anyhow::Result<String> {
    let text = |answer: &Answer| redact::text(&answer.result.clone().unwrap_or_else(|why| why));
    let is_ok = |answer: &Answer| answer.is_known.then_some(answer.result.is_ok());
    if matches!(output, Output::Json | Output::Yaml) {
        let checks: Vec<Value> = answers
            .iter()
            .map(|answer| json!({"question": answer.question, "ok": is_ok(answer), "message": text(answer)}))
            .collect();
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Check", "release": place.release,
            "namespace": place.namespace, "checks": checks});
        let mut out = Vec::new();
        match output {
            Output::Yaml => manifests::write_yaml(&mut out, &document)?,
            _ => out = serde_json::to_vec_pretty(&document)?,
        }
        return Ok(String::from_utf8(out)?.trim_end().to_owned() + "\n");
    }
    let line = |answer: &Answer| {
        let verdict = match is_ok(answer) {
            Some(true) => "ok ",
            Some(false) => "NO ",
            None => "?  ",
        };
        format!("{verdict} {}: {}\n", answer.question, text(answer))
    };
    Ok(answers.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PLACE, revision};

    #[test]
    fn an_image_of_the_rollback_hooks_has_the_executor_of_every_run() {
        let ticket: Ticket = serde_json::from_value(json!({
            "format": 2, "minReader": 2, "tool": {"name": "schema-migrator", "version": "0.1.0"}, "step": "tables", "executor": "sql",
            "release": "shop", "planDigest": "sha256:0", "changes": 1,
            "snapshot": {"chunks": [], "whole": "sha256:0"},
        }))
        .expect("a ticket");
        assert_eq!(is_able(3, &ticket, None), Ok(()));
        assert_eq!(is_able(3, &ticket, Some("docker.io/fairlead/schema-migrator:2")), Ok(()));
        let unable = is_able(3, &ticket, Some("docker.io/fairlead/drain-waiter:2")).expect_err("it has no such executor");
        let expected = "run 3 is of executor sql: only schema-migrator 0.1.0 can take it back, and the rollback hooks run docker.io/fairlead/drain-waiter:2";
        assert_eq!(unable, expected);
    }

    #[test]
    fn the_way_back_is_a_revision_that_helm_goes_to() {
        let said = |statuses: &[&str], armed| {
            let revisions = (1..).zip(statuses).map(|(number, status)| revision(number, status)).collect();
            let helm = HelmRecords { release: "shop".into(), revisions, ..HelmRecords::default() };
            is_armed(&helm, armed, PLACE, false).result
        };
        let armed = said(&["deployed"], Some(true)).expect("armed");
        assert!(armed.starts_with("revision 1 brings the rollback hooks") && !armed.contains("Revision"), "{armed}");
        let passed = said(&["superseded", "deployed", "failed"], Some(true)).expect("armed");
        assert!(passed.starts_with("revision 2 brings the rollback hooks"), "{passed}");
        assert!(passed.ends_with("Revision 3 is failed, so Helm does not go back to it"), "{passed}");
        let unarmed = said(&["deployed", "failed"], Some(false)).expect_err("not armed");
        assert!(unarmed.starts_with("revision 1 has no rollback hooks"), "{unarmed}");
        let none = said(&["failed"], None).expect_err("nothing to go back to");
        assert!(none.starts_with("no revision of release shop has been deployed"), "{none}");
    }
}
