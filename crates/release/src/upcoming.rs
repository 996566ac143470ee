//! The upgrade to come: each of its jobs is asked for its plan, by the binary of that job on this machine.
//!
//! - `job`: the Jobs of the manifests
//! - `answer`: what their answers mean

mod answer;
mod job;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fairlead_job::failure::Failure;
use fairlead_job::manifests;

pub(crate) use self::answer::Foreseen;
use self::answer::{is_idle, judge};
use self::job::{Job, OURS, jobs};
use crate::credentials::Credentials;
use crate::place::Place;

/// The kubelet gives it to every container; who has it resolves the names of the cluster's Services.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// What the manifests of an upgrade say of it.
#[derive(Default)]
pub(crate) struct Upcoming {
    /// The plans of its jobs.
    pub(crate) plans: Vec<Foreseen>,
    /// The Secrets that they read.
    pub(crate) credentials: Credentials,
}

/// The plans of the jobs in rendered manifests, in the order in which Helm would run them.
///
/// # Errors
///
/// When the file cannot be read.
pub(crate) fn foresee(file: &Path, place: Place<'_>) -> Result<Upcoming, Failure> {
    let manifests = manifests::read(file).map_err(Failure::input)?;
    let jobs = jobs(&manifests);
    if jobs.is_empty() {
        let none = "the manifests have no Job that applies a step: render them with the values of the upgrade";
        return Ok(Upcoming { plans: vec![Foreseen::Unknown(none.to_owned())], ..Upcoming::default() });
    }
    let mut credentials = Credentials::default();
    for (path, configuration) in jobs.iter().filter_map(|job| job.configuration.as_ref()) {
        // One that cannot be read its job complains of.
        let documents = configuration.as_ref().and_then(|text| manifests::parse(path, text).ok()).unwrap_or_default();
        for document in &documents {
            credentials.add_of_configuration(document, place.namespace);
        }
    }
    let from_outside = std::env::var_os(IN_A_POD).is_none().then_some(place);
    let mut earlier: Option<&str> = None;
    let plans = jobs.iter().map(|job| {
        let foreseen = match &job.configuration {
            Some((path, None)) => {
                Foreseen::Unknown(format!("{}: its configuration {path} is in no ConfigMap of the manifests", job.name))
            }
            _ => judge(job, ask(job, place), earlier, from_outside),
        };
        // What keeps a later job from its work may be what this one does, or proves.
        earlier = earlier.or((!is_idle(&foreseen)).then_some(&job.name));
        foreseen
    });
    let plans = plans.collect();
    Ok(Upcoming { plans, credentials })
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
