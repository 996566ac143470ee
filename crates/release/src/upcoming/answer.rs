//! What the answer of a job means that was asked for its plan.

use std::io::ErrorKind;
use std::process::Output;

use fairlead_job::codes::drain_waiter;
use fairlead_job::manifests;
use fairlead_kube_client::access::quoted;
use fairlead_migration::change::Target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::job::Job;
use crate::place::Place;

const IDLE: &str = "has nothing to do";

/// So many refusals of a plan are shown.
const SHOWN: usize = 5;

/// What a binary ends with that does not take what it was told.
const USAGE: i32 = 2;

/// What matters here of the document that a binary prints.
#[derive(Deserialize)]
struct Plan {
    kind: String,
    blocked: Option<Said>,
    changes: Vec<IgnoredAny>,
    refusals: Vec<Said>,
}

/// What speaks against all of it, or against one object.
#[derive(Deserialize)]
struct Said {
    code: String,
    message: String,
    target: Option<Target>,
}

/// What is known of the plan of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Foreseen {
    /// It would be carried out.
    Good(String),
    /// Nothing of it would be done.
    Blocked(String),
    /// Nobody knows here.
    Unknown(String),
}

/// Whether a job has nothing to do. A gate always has: what it proves others ask for.
pub(super) fn is_idle(foreseen: &Foreseen) -> bool {
    matches!(foreseen, Foreseen::Good(what) if what.contains(IDLE) && !what.starts_with("drain-waiter"))
}

/// What its answer means; `from_outside` is where it was asked about, unless that was within the cluster.
pub(super) fn judge(
    job: &Job,
    output: std::io::Result<Output>,
    earlier: Option<&str>,
    from_outside: Option<Place<'_>>,
) -> Foreseen {
    let name = &job.name;
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = format!("{name} is not on the PATH: with it there, its plan is made here, with your permissions");
            return Foreseen::Unknown(why);
        }
        Err(error) => return Foreseen::Unknown(format!("{name} cannot be started: {error}")),
        Ok(output) => output,
    };
    let plan = serde_json::from_slice(&output.stdout).ok().filter(|plan: &Plan| plan.kind == "Plan");
    let Some(Plan { blocked, changes, refusals, .. }) = plan else {
        let told = String::from_utf8_lossy(&output.stderr);
        let why = told.lines().find_map(|line| line.strip_prefix("error")).unwrap_or("it has ended without a plan");
        // The configuration is refused wherever it is read. Anything else may be otherwise for the job: it asks with other permissions, and
        // from within the cluster. `error:` is of flags that only `apply` has.
        let is_refused = output.status.code() == Some(USAGE) && !why.starts_with(':');
        let why = format!("{name}: {}", why.trim_start_matches([':', ' ']));
        return if is_refused { Foreseen::Blocked(why) } else { Foreseen::Unknown(format!("{why}, as asked from here")) };
    };
    let Some(Said { code, message, .. }) = blocked else {
        let would = match changes.len() {
            0 => IDLE.to_owned(),
            1 => "would make 1 change".to_owned(),
            count => format!("would make {count} changes"),
        };
        let refused = if refusals.is_empty() { String::new() } else { format!(", {} refused", refusals.len()) };
        return Foreseen::Good(format!("{name} {would}{refused}{}", listed(&refusals)));
    };
    let is_far = |it: &&Said| it.code == drain_waiter::UNREACHABLE.id;
    let far: Vec<&Said> = refusals.iter().filter(is_far).collect();
    let inside = from_outside.filter(|_| !far.is_empty()).map(|place| from_inside(job, &far, place));
    match (earlier, inside) {
        (_, Some(inside)) if far.len() == refusals.len() => Foreseen::Unknown(format!(
            "{name}: not every source of the drain can be reached from here. The job looks from within the cluster, before it closes \
             anything{}\n    To look from there now: {inside}",
            listed(&refusals)
        )),
        (Some(earlier), _) => Foreseen::Unknown(format!(
            "{name} would do nothing: {code}: {message}. That is before {earlier} has done its part{}",
            listed(&refusals)
        )),
        (None, _) => Foreseen::Blocked(format!("{name} would do nothing: {code}: {message}{}", listed(&refusals))),
    }
}

/// A line for each of the first refusals, with its object.
fn listed(refusals: &[Said]) -> String {
    let line = |Said { code, message, target }: &Said| {
        let object = target.as_ref().map(|target| format!(" {target}")).unwrap_or_default();
        format!("\n    {code}{object}: {message}")
    };
    let more = match refusals.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n    and {more} more"),
    };
    refusals.iter().take(SHOWN).map(line).collect::<String>() + &more
}

/// The command that reads the same sources in a pod of the job's image. It needs no permission: without the intake nothing is asked of the
/// cluster.
fn from_inside(job: &Job, far: &[&Said], place: Place<'_>) -> String {
    let run = format!("run {}-check --rm -i --restart=Never --image={}", job.name, quoted(&job.image));
    let run = format!("{} -- check", place.kubectl(&run));
    let text = job.configuration.as_ref().and_then(|(_, text)| text.as_deref());
    let Some(text) = text else { return run };
    let is_far =
        |source: &&Value| far.iter().any(|it| it.target.as_ref().is_some_and(|target| source["name"] == *target.name));
    let documents = manifests::parse("the configuration", text).unwrap_or_default();
    let sources = documents.iter().filter_map(|it| it["drain"]["sources"].as_array()).flatten().filter(is_far);
    let document =
        json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": {"sources": sources.collect::<Vec<_>>()}});
    format!("printf %s {} | {run} --config -", quoted(&document.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::testing::PLACE;

    fn job_of(name: &str) -> Job {
        let text = "{apiVersion: fairlead.dev/v1, kind: Configuration, drain: {sources: [{name: bus, natsStreaming: {url: 'http://bus'}}, \
                    {name: other}]}}"
            .to_owned();
        let (image, configuration) = ("registry/it:1".to_owned(), Some(("/c.yaml".to_owned(), Some(text))));
        Job { order: (false, 0, 0), name: name.to_owned(), image, flags: Vec::new(), variables: Vec::new(), configuration }
    }

    fn output(status: i32, stdout: &Value, stderr: &str) -> Output {
        let [stdout, stderr] = [stdout.to_string(), stderr.to_owned()].map(String::into_bytes);
        Output { status: ExitStatus::from_raw(status << 8), stdout, stderr }
    }

    fn judged(name: &str, status: i32, stdout: &Value, stderr: &str, earlier: Option<&str>) -> Foreseen {
        judge(&job_of(name), Ok(output(status, stdout, stderr)), earlier, Some(PLACE))
    }

    #[test]
    fn what_an_earlier_job_may_mend_is_no_verdict() {
        let target = json!({"apiVersion": "v1", "kind": "Trigger", "namespace": "a", "name": "b"});
        let blocked = json!({"kind": "Plan", "blocked": {"code": "LP001", "message": "1 refusal, see below"}, "changes": [1],
            "refusals": [{"code": "LP116", "message": "no way", "target": target}]});
        let (why, below) = ("it would do nothing: LP001: 1 refusal, see below", "\n    LP116 Trigger a/b: no way");
        assert_eq!(judged("it", 0, &blocked, "", None), Foreseen::Blocked(format!("{why}{below}")));
        let before = format!("{why}. That is before a has done its part{below}");
        assert_eq!(judged("it", 4, &blocked, "", Some("a")), Foreseen::Unknown(before));
        let good = |changes: &Value| json!({"kind": "Plan", "changes": changes, "refusals": []});
        let told = judged("it", 10, &good(&json!([1, 2])), "", None);
        assert_eq!((is_idle(&told), told), (false, Foreseen::Good("it would make 2 changes".to_owned())));
        assert!(is_idle(&judged("it", 0, &good(&json!([])), "", None)));
        assert!(!is_idle(&judged("drain-waiter", 0, &good(&json!([])), "", None)), "a gate proves something");
    }

    /// A name of a Service means nothing on a workstation.
    #[test]
    fn a_source_that_is_only_reached_from_within_is_no_refusal_from_without() {
        let refusal = |code: &str, name: &str| json!({"code": code, "message": "no", "target": {"apiVersion": "", "kind": "Source", "name": name}});
        let blocked = |refusals: &[Value]| json!({"kind": "Plan", "blocked": {"code": "DW001", "message": "refused"}, "changes": [], "refusals": refusals});
        let far = blocked(&[refusal("DW101", "bus")]);
        let Foreseen::Unknown(said) = judged("drain-waiter", 0, &far, "", None) else { panic!("it is a verdict") };
        let sources = r#"{"sources":[{"name":"bus","natsStreaming":{"url":"http://bus"}}]}"#;
        let command = format!(
            "printf %s '{{\"apiVersion\":\"fairlead.dev/v1\",\"drain\":{sources},\"kind\":\"Configuration\"}}' | kubectl -n shops run \
             drain-waiter-check --rm -i --restart=Never --image=registry/it:1 -- check --config -"
        );
        assert!(said.contains("DW101 Source bus: no") && said.ends_with(&command), "{said}");
        let within = judge(&job_of("drain-waiter"), Ok(output(0, &far, "")), None, None);
        assert!(matches!(within, Foreseen::Blocked(why) if why.contains("DW101 Source bus: no")));
        let both = judged("drain-waiter", 0, &blocked(&[refusal("DW101", "bus"), refusal("DW109", "front")]), "", None);
        assert!(matches!(both, Foreseen::Blocked(why) if why.contains("DW109 Source front: no")));
        let many: Vec<Value> = (0..7).map(|_| refusal("DW109", "x")).collect();
        let many = judged("drain-waiter", 0, &blocked(&many), "", None);
        assert!(matches!(many, Foreseen::Blocked(why) if why.ends_with("\n    and 2 more")));
    }

    #[test]
    fn what_is_no_plan_is_no_answer() {
        let told = |status: i32, stderr: &str| judged("it", status, &json!({"kind": "List"}), stderr, None);
        let unknown = |why: &str| Foreseen::Unknown(format!("it: {why}, as asked from here"));
        assert_eq!(told(0, ""), unknown("it has ended without a plan"));
        assert_eq!(told(1, "WARN x\nerror FL001: nobody answers"), unknown("FL001: nobody answers"));
        assert_eq!(told(2, "error: unexpected argument '--x' found"), unknown("unexpected argument '--x' found"));
        let refused = Foreseen::Blocked("it: FL022: no such section".to_owned());
        assert_eq!(told(2, "error FL022: no such section"), refused);
        let absent = judge(&job_of("it"), Err(ErrorKind::NotFound.into()), None, None);
        assert!(matches!(absent, Foreseen::Unknown(why) if why.starts_with("it is not on the PATH")));
    }
}
