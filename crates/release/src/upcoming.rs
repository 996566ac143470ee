//! The upgrade to come: each of its jobs is asked for its plan, by the binary of that job on this machine.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::place::Place;

/// The binaries that are started, and no others, whatever the manifests name.
const BINARIES: [&str; 5] = ["trigger-replicator", "drain-waiter", "legacy-purger", "health-probe", "schema-migrator"];

/// Flags that say where a job runs, or that a plan does not have; each has a value.
const LEFT_OUT: [&str; 7] =
    ["--after-job", "--release", "--ledger-namespace", "--output", "--config", "--job", "--helm-revision"];

/// Variables of this shell that would change what a plan says.
const OURS: [&str; 6] =
    ["FAIRLEAD_EXIT_CODE", "FAIRLEAD_FROM", "FAIRLEAD_STRICT", "FAIRLEAD_CONFIG", "FAIRLEAD_OUTPUT", "FAIRLEAD_LOG_FORMAT"];

/// What a binary ends with that does not take what it was told.
const USAGE: i32 = 2;

/// A Job of the manifests, as far as a plan depends on it.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    /// Where it comes among the others.
    order: (bool, i64, usize),
    /// Of its binary, too.
    name: String,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    /// The path of its configuration file, and what is there by the manifests.
    configuration: Option<(String, Option<String>)>,
}

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

/// The plans of the jobs in rendered manifests, in the order in which Helm would run them.
///
/// # Errors
///
/// When the file cannot be read.
pub(crate) fn foresee(file: &Path, place: Place<'_>) -> Result<Vec<Foreseen>, Failure> {
    let manifests = manifests::read(file).map_err(Failure::input)?;
    let jobs = jobs(&manifests);
    if jobs.is_empty() {
        let none = "the manifests have no Job that applies a step: render them with the values of the upgrade";
        return Ok(vec![Foreseen::Unknown(none.to_owned())]);
    }
    let mut earlier: Option<&str> = None;
    let foreseen = jobs.iter().map(|job| {
        let foreseen = match &job.configuration {
            Some((path, None)) => {
                Foreseen::Unknown(format!("{}: its configuration {path} is in no ConfigMap of the manifests", job.name))
            }
            _ => judge(&job.name, ask(job, place), earlier),
        };
        // What keeps a later job from its work may be what this one does, or proves.
        earlier = earlier.or((!is_idle(&foreseen)).then_some(&job.name));
        foreseen
    });
    Ok(foreseen.collect())
}

fn jobs(manifests: &[Value]) -> Vec<Job> {
    let mut jobs: Vec<Job> = manifests.iter().filter_map(|object| job(object, manifests)).collect();
    jobs.sort_by_key(|job| job.order);
    jobs
}

fn job(object: &Value, manifests: &[Value]) -> Option<Job> {
    let (name, container, mut words) = ours(object)?;
    let pod = &object["spec"]["template"]["spec"];
    let (mut flags, mut left_out) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let (flag, value) = word.split_once('=').map_or((&*word, None), |(flag, value)| (flag, Some(value.to_owned())));
        if LEFT_OUT.contains(&flag) || flag == "-o" {
            left_out.push((flag.to_owned(), value.or_else(|| words.next())));
        } else {
            flags.push(word);
        }
    }
    let variables = container["env"].as_array().into_iter().flatten();
    let variables = variables.filter_map(|it| Some((text(&it["name"])?, text(&it["value"])?)));
    let (files, mut variables): (Vec<_>, Vec<_>) = variables.partition(|(name, _)| name == "FAIRLEAD_CONFIG");
    variables.retain(|(name, _)| name.starts_with("FAIRLEAD_") && !OURS[3..].contains(&name.as_str()));
    let flag = left_out.into_iter().find(|(flag, _)| flag == "--config").and_then(|(_, path)| path);
    let path = flag.or_else(|| files.into_iter().next().map(|(_, path)| path));
    let configuration = path.map(|path| (mounted(&path, container, pod, manifests), path)).map(|(text, path)| (path, text));
    Some(Job { order: order(object, manifests, 0), name, flags, variables, configuration })
}

/// The name of the binary, its container, and what it is told after `apply`.
fn ours(object: &Value) -> Option<(String, &Value, impl Iterator<Item = String> + use<'_>)> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().filter(|_| object["kind"] == "Job")?;
    let container = containers.iter().find(|it| it["name"].as_str().is_some_and(|name| BINARIES.contains(&name)))?;
    let mut words = container["args"].as_array()?.iter().filter_map(text);
    (words.next()? == "apply").then_some((text(&container["name"])?, container, words))
}

/// What comes after the upgrade comes last; then the weight of a hook; then, without hooks, how many Jobs it waits for.
fn order(object: &Value, manifests: &[Value], depth: usize) -> (bool, i64, usize) {
    let annotations = &object["metadata"]["annotations"];
    let is_late = annotations["helm.sh/hook"].as_str().is_some_and(|hook| hook.contains("post-"));
    let weight = annotations["helm.sh/hook-weight"].as_str().and_then(|weight| weight.parse().ok()).unwrap_or_default();
    let words: Vec<String> = ours(object).map(|(.., words)| words.collect()).unwrap_or_default();
    let after = words.iter().position(|word| word == "--after-job").and_then(|at| words.get(at + 1));
    let waits_for = after.into_iter().flat_map(|names| names.split(','));
    let found =
        waits_for.filter_map(|name| manifests.iter().find(|it| it["kind"] == "Job" && it["metadata"]["name"] == name));
    // Jobs that wait for each other never end, and have no order.
    let before = found.filter(|_| depth < BINARIES.len()).map(|it| order(it, manifests, depth + 1).2 + 1);
    (is_late, weight, before.max().unwrap_or_default())
}

/// What a container reads at this path, if that is of a ConfigMap.
fn mounted(path: &str, container: &Value, pod: &Value, manifests: &[Value]) -> Option<String> {
    let (folder, file) = path.rsplit_once('/')?;
    let mount = container["volumeMounts"].as_array()?.iter().find(|mount| mount["mountPath"] == folder)?;
    let volume = pod["volumes"].as_array()?.iter().find(|volume| volume["name"] == mount["name"])?;
    let is_it = |it: &&Value| it["kind"] == "ConfigMap" && it["metadata"]["name"] == volume["configMap"]["name"];
    manifests.iter().find(is_it)?["data"][file].as_str().map(str::to_owned)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Has the binary of the job make its plan.
fn ask(job: &Job, place: Place<'_>) -> std::io::Result<Output> {
    let mut command = Command::new(&job.name);
    command.arg("plan").args(&job.flags).args(place.cluster_arguments()).args(["-o", "json"]);
    command.args(["--release", place.release, "--ledger-namespace", place.namespace]);
    for name in OURS {
        command.env_remove(name);
    }
    command.envs(job.variables.iter().map(|(name, value)| (name, value)));
    let configuration = job.configuration.as_ref().and_then(|(_, text)| text.as_ref());
    if configuration.is_some() {
        command.args(["--config", "-"]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(configuration)) = (child.stdin.take(), configuration) {
        // One that does not read it says why.
        drop(stdin.write_all(configuration.as_bytes()));
    }
    child.wait_with_output()
}

/// Whether a job has nothing to do. A gate always has: what it proves others ask for.
fn is_idle(foreseen: &Foreseen) -> bool {
    matches!(foreseen, Foreseen::Good(what) if what.contains(IDLE) && !what.starts_with("drain-waiter"))
}

const IDLE: &str = "has nothing to do";

/// What its answer means.
fn judge(name: &str, output: std::io::Result<Output>, earlier: Option<&str>) -> Foreseen {
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
    let first = refusals.first().map(|Said { code, message }| format!("; {code}: {message}")).unwrap_or_default();
    match (blocked, earlier) {
        (Some(Said { code, message }), None) => {
            let why = format!("{name} would do nothing: {code}: {message}{first}");
            let is_far = code == UNREACHABLE_FROM_OUTSIDE;
            if is_far { Foreseen::Unknown(format!("{why}, as asked from here")) } else { Foreseen::Blocked(why) }
        }
        (Some(Said { code, message }), Some(earlier)) => Foreseen::Unknown(format!(
            "{name} would do nothing: {code}: {message}{first}. That is before {earlier} has done its part"
        )),
        (None, _) => {
            let would = match changes.len() {
                0 => IDLE.to_owned(),
                1 => "would make 1 change".to_owned(),
                count => format!("would make {count} changes"),
            };
            let refused = if refusals.is_empty() { String::new() } else { format!(", {} refused", refusals.len()) };
            Foreseen::Good(format!("{name} {would}{refused}"))
        }
    }
}

/// A source of a drain that does not answer: its address may be one of the cluster.
const UNREACHABLE_FROM_OUTSIDE: &str = "DW101";

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use serde_json::json;

    use super::*;

    fn rendered(name: &str, annotations: &Value, args: &Value) -> Value {
        let env = json!([{"name": "FAIRLEAD_FENCE", "value": "true"}, {"name": "PATH", "value": "/tmp"},
            {"name": "FAIRLEAD_LEDGER_NAMESPACE", "valueFrom": {}}, {"name": "FAIRLEAD_CONFIG", "value": "/etc/it/c.yaml"}]);
        let container =
            json!({"name": name, "args": args, "env": env, "volumeMounts": [{"name": "c", "mountPath": "/etc/it"}]});
        let spec = json!({"containers": [{"name": "sidecar"}, container], "volumes": [{"name": "c", "configMap": {"name": "shop"}}]});
        json!({"kind": "Job", "metadata": {"name": name, "annotations": annotations}, "spec": {"template": {"spec": spec}}})
    }

    fn hook(event: &str, weight: &str) -> Value {
        json!({"helm.sh/hook": event, "helm.sh/hook-weight": weight})
    }

    fn names(manifests: &[Value]) -> Vec<String> {
        jobs(manifests).into_iter().map(|job| job.name).collect()
    }

    #[test]
    fn jobs_are_asked_in_the_order_in_which_they_run() {
        let [replicator, drain, purger, probe] = ["trigger-replicator", "drain-waiter", "legacy-purger", "health-probe"];
        let apply = json!(["apply"]);
        let hooks = [
            rendered(probe, &hook("post-upgrade", "-5"), &apply),
            rendered(purger, &hook("pre-upgrade", "50"), &apply),
            rendered(replicator, &hook("pre-upgrade,pre-install", "20"), &apply),
            rendered(drain, &hook("pre-rollback", "1"), &json!(["rollback", "--to", "1"])),
            // Somebody else's.
            rendered("kubectl", &hook("pre-upgrade", "1"), &json!(["apply", "-f", "/crds"])),
            rendered("../trigger-replicator", &hook("pre-upgrade", "1"), &apply),
        ];
        assert_eq!(names(&hooks), [replicator, purger, probe]);
        let after = |jobs: &str| json!(["apply", "--after-job", jobs]);
        let plain = [
            rendered(purger, &Value::Null, &after("trigger-replicator,drain-waiter")),
            rendered(drain, &Value::Null, &after(replicator)),
            rendered(replicator, &Value::Null, &apply),
        ];
        assert_eq!(names(&plain), [replicator, drain, purger]);
        let circle = [rendered(drain, &Value::Null, &after(purger)), rendered(purger, &Value::Null, &after(drain))];
        assert_eq!(names(&circle).len(), 2);
    }

    #[test]
    fn a_job_is_asked_as_it_is_told() {
        let args =
            json!(["apply", "--strict", "--output=json", "--after-job", "a,b", "-o", "yaml", "--ledger-namespace", "x"]);
        let manifests = [
            rendered("legacy-purger", &Value::Null, &args),
            json!({"kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"c.yaml": "purge: {}"}}),
        ];
        let job = &jobs(&manifests)[0];
        assert_eq!(job.flags, ["--strict"]);
        assert_eq!(job.variables, [("FAIRLEAD_FENCE".to_owned(), "true".to_owned())]);
        assert_eq!(job.configuration, Some(("/etc/it/c.yaml".to_owned(), Some("purge: {}".to_owned()))));
        assert_eq!(jobs(&manifests[..1])[0].configuration, Some(("/etc/it/c.yaml".to_owned(), None)));
    }

    fn judged(name: &str, status: i32, stdout: &Value, stderr: &str, earlier: Option<&str>) -> Foreseen {
        let [stdout, stderr] = [stdout.to_string(), stderr.to_owned()].map(String::into_bytes);
        judge(name, Ok(Output { status: ExitStatus::from_raw(status << 8), stdout, stderr }), earlier)
    }

    #[test]
    fn what_an_earlier_job_may_mend_is_no_verdict() {
        let mut blocked = json!({"kind": "Plan", "blocked": {"code": "LP001", "message": "1 refusal"}, "changes": [1],
            "refusals": [{"code": "LP116", "message": "no way", "target": {}}]});
        let why = "it would do nothing: LP001: 1 refusal; LP116: no way".to_owned();
        assert_eq!(judged("it", 0, &blocked, "", None), Foreseen::Blocked(why.clone()));
        let before = format!("{why}. That is before a has done its part");
        assert_eq!(judged("it", 4, &blocked, "", Some("a")), Foreseen::Unknown(before));
        blocked["blocked"]["code"] = "DW101".into();
        assert!(matches!(judged("it", 4, &blocked, "", None), Foreseen::Unknown(_)), "it is asked from outside");
        let good = |changes: &Value| json!({"kind": "Plan", "changes": changes, "refusals": []});
        let told = judged("it", 10, &good(&json!([1, 2])), "", None);
        assert_eq!((is_idle(&told), told), (false, Foreseen::Good("it would make 2 changes".to_owned())));
        assert!(is_idle(&judged("it", 0, &good(&json!([])), "", None)));
        assert!(!is_idle(&judged("drain-waiter", 0, &good(&json!([])), "", None)), "a gate proves something");
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
        let absent = judge("it", Err(ErrorKind::NotFound.into()), None);
        assert!(matches!(absent, Foreseen::Unknown(why) if why.starts_with("it is not on the PATH")));
    }
}
