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

/// What a Job of the manifests is told, as far as a plan depends on it.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    weight: i64,
    /// Of its binary, too.
    name: String,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    /// The configuration file, from the ConfigMap of the manifests.
    configuration: Option<String>,
}

/// What matters here of the document that a binary prints.
#[derive(Default, Deserialize)]
struct Plan {
    blocked: Option<Said>,
    changes: Vec<IgnoredAny>,
    refusals: Vec<IgnoredAny>,
}

/// What speaks against all of it.
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
/// When the file cannot be read, or has no job.
pub(crate) fn foresee(file: &Path, place: Place<'_>) -> Result<Vec<Foreseen>, Failure> {
    let manifests = manifests::read(file).map_err(Failure::input)?;
    let jobs = jobs(&manifests);
    if jobs.is_empty() {
        let none = "the manifests have no Job that applies a step: render them with the values of the upgrade";
        return Ok(vec![Foreseen::Unknown(none.to_owned())]);
    }
    let mut earlier: Option<String> = None;
    let foreseen = jobs.iter().map(|job| {
        let output = ask(job, place);
        let (foreseen, changes) = judge(&job.name, output, earlier.as_deref());
        if changes && earlier.is_none() {
            earlier = Some(job.name.clone());
        }
        foreseen
    });
    Ok(foreseen.collect())
}

fn jobs(manifests: &[Value]) -> Vec<Job> {
    let mut jobs: Vec<Job> = manifests.iter().filter_map(|object| job(object, manifests)).collect();
    jobs.sort_by_key(|job| job.weight);
    jobs
}

fn job(object: &Value, manifests: &[Value]) -> Option<Job> {
    let (metadata, pod) = (&object["metadata"], &object["spec"]["template"]["spec"]);
    let container = &pod["containers"][0];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut flags = container["args"].as_array()?.iter().filter_map(text);
    if object["kind"] != "Job" || flags.next()? != "apply" {
        return None;
    }
    let mut flags: Vec<String> = flags.collect();
    // A plan waits for nobody.
    if let Some(at) = flags.iter().position(|flag| flag == "--after-job") {
        flags.drain(at..flags.len().min(at + 2));
    }
    let variables = container["env"].as_array().into_iter().flatten();
    let variables = variables.filter_map(|it| Some((text(&it["name"])?, text(&it["value"])?)));
    let (files, mut variables): (Vec<_>, Vec<_>) = variables.partition(|(name, _)| name == "FAIRLEAD_CONFIG");
    variables.retain(|(name, _)| !["FAIRLEAD_JOB", "FAIRLEAD_LOG_FORMAT"].contains(&name.as_str()));
    let configuration = files.first().and_then(|(_, path)| mounted(path, pod, manifests));
    let weight = metadata["annotations"]["helm.sh/hook-weight"].as_str().and_then(|weight| weight.parse().ok());
    Some(Job { weight: weight.unwrap_or_default(), name: text(&container["name"])?, flags, variables, configuration })
}

/// What a container reads at this path, if that is of a ConfigMap.
fn mounted(path: &str, pod: &Value, manifests: &[Value]) -> Option<String> {
    let (folder, file) = path.rsplit_once('/')?;
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let mount = list(&pod["containers"][0]["volumeMounts"]).into_iter().find(|mount| mount["mountPath"] == folder)?;
    let volume = list(&pod["volumes"]).into_iter().find(|volume| volume["name"] == mount["name"])?;
    let is_it = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == volume["configMap"]["name"];
    manifests.iter().find(is_it)?["data"][file].as_str().map(str::to_owned)
}

/// Has the binary of the job make its plan.
fn ask(job: &Job, place: Place<'_>) -> std::io::Result<Output> {
    let mut command = Command::new(&job.name);
    command.arg("plan").args(&job.flags).args(place.cluster_arguments()).args(["-o", "json"]);
    command.args(["--release", place.release, "--ledger-namespace", place.namespace]);
    command.envs(job.variables.iter().map(|(name, value)| (name, value)));
    if job.configuration.is_some() {
        command.args(["--config", "-"]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(configuration)) = (child.stdin.take(), &job.configuration) {
        // One that does not read it says why.
        drop(stdin.write_all(configuration.as_bytes()));
    }
    child.wait_with_output()
}

/// What its answer means, and whether it would change anything: what keeps a later job from its work may be what an earlier one does.
fn judge(name: &str, output: std::io::Result<Output>, earlier: Option<&str>) -> (Foreseen, bool) {
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = format!("{name} is not on the PATH: with it there, its plan is made here, with your permissions");
            return (Foreseen::Unknown(why), false);
        }
        Err(error) => return (Foreseen::Unknown(format!("{name} cannot be started: {error}")), false),
        Ok(output) => output,
    };
    let Plan { blocked, changes, refusals } = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if let Some(Said { code, message }) = blocked {
        let why = format!("{name} would do nothing: {code}: {message}");
        return match earlier {
            Some(earlier) => (Foreseen::Unknown(format!("{why}. That is before {earlier} has done its part")), false),
            None => (Foreseen::Blocked(why), false),
        };
    }
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let why = told.lines().find_map(|line| line.strip_prefix("error")).unwrap_or("it has ended without a plan");
        let why = format!("{name}: {}", why.trim_start_matches([':', ' ']));
        // A flag of `apply` that a plan does not have.
        let is_foreign = why.contains("unexpected argument");
        return (if is_foreign { Foreseen::Unknown(why) } else { Foreseen::Blocked(why) }, false);
    }
    let refused = if refusals.is_empty() { String::new() } else { format!(", {} refused", refusals.len()) };
    let would = match changes.len() {
        0 => "has nothing to do".to_owned(),
        1 => "would make 1 change".to_owned(),
        count => format!("would make {count} changes"),
    };
    (Foreseen::Good(format!("{name} {would}{refused}")), !changes.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use serde_json::json;

    use super::*;

    fn rendered(name: &str, weight: &str, args: &Value) -> Value {
        let env = json!([{"name": "FAIRLEAD_FENCE", "value": "true"}, {"name": "FAIRLEAD_JOB", "value": "x"},
            {"name": "FAIRLEAD_LEDGER_NAMESPACE", "valueFrom": {}}, {"name": "FAIRLEAD_CONFIG", "value": "/etc/it/c.yaml"}]);
        let container =
            json!({"name": name, "args": args, "env": env, "volumeMounts": [{"name": "c", "mountPath": "/etc/it"}]});
        let spec = json!({"containers": [container], "volumes": [{"name": "c", "configMap": {"name": "shop"}}]});
        json!({"kind": "Job", "metadata": {"annotations": {"helm.sh/hook-weight": weight}},
            "spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn jobs_are_read_in_the_order_of_helm() {
        let manifests = [
            rendered("late", "50", &json!(["apply", "--after-job", "a,b", "--strict"])),
            rendered("early", "-5", &json!(["apply"])),
            rendered("back", "1", &json!(["rollback", "--to", "1"])),
            json!({"kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"c.yaml": "purge: {}"}}),
        ];
        let jobs = jobs(&manifests);
        assert_eq!(jobs.iter().map(|job| &*job.name).collect::<Vec<_>>(), ["early", "late"]);
        assert_eq!(jobs[1].flags, ["--strict"]);
        assert_eq!(jobs[1].variables, [("FAIRLEAD_FENCE".to_owned(), "true".to_owned())]);
        assert_eq!(jobs[1].configuration.as_deref(), Some("purge: {}"));
        assert_eq!(super::jobs(&manifests[..1])[0].configuration, None);
    }

    #[test]
    fn what_an_earlier_job_may_mend_is_no_verdict() {
        let answer = |status: i32, stdout: &Value, stderr: &str| {
            let [stdout, stderr] = [stdout.to_string(), stderr.to_owned()].map(String::into_bytes);
            Ok(Output { status: ExitStatus::from_raw(status << 8), stdout, stderr })
        };
        let blocked = json!({"blocked": {"code": "LP116", "message": "no way", "hint": ""}, "changes": [1], "refusals": []});
        let why = "it would do nothing: LP116: no way".to_owned();
        assert_eq!(judge("it", answer(0, &blocked, ""), None), (Foreseen::Blocked(why.clone()), false));
        let before = format!("{why}. That is before a has done its part");
        assert_eq!(judge("it", answer(4, &blocked, ""), Some("a")), (Foreseen::Unknown(before), false));
        let good = json!({"changes": [1, 2], "refusals": [1]});
        let told = Foreseen::Good("it would make 2 changes, 1 refused".to_owned());
        assert_eq!(judge("it", answer(0, &good, ""), None), (told, true));
        let failed = "WARN x\nerror FL001: the cluster does not answer\n";
        let why = "it: FL001: the cluster does not answer".to_owned();
        assert_eq!(judge("it", answer(1, &Value::Null, failed), None), (Foreseen::Blocked(why), false));
        let (unknown, _) = judge("it", answer(2, &Value::Null, "error: unexpected argument '--x' found"), None);
        assert_eq!(unknown, Foreseen::Unknown("it: unexpected argument '--x' found".to_owned()));
        let absent = judge("it", Err(std::io::ErrorKind::NotFound.into()), None).0;
        assert!(matches!(absent, Foreseen::Unknown(why) if why.starts_with("it is not on the PATH")));
    }
}
