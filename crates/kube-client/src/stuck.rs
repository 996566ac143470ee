//! Jobs of a release that have not come to their end, and why their pods do not run: of a pod that never started nothing is in the
//! ledger.

use fairlead_migration::change::owners;
use fairlead_migration::obstacle::Obstacle;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::jobs::JobState;
use crate::pods::not_running;
use crate::resource::Resource;

/// The Jobs that our charts have made for a Helm release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseJobs {
    /// Those that do not run.
    pub stuck: Vec<Stuck>,
    /// Hooks of Helm's that run.
    pub working: Vec<Working>,
}

/// A hook of Helm's of which a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    /// The name of the Job.
    pub job: String,
    /// When Helm has created it; RFC 3339.
    pub created: String,
}

/// A Job that has not come to its end, or has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub job: String,
    /// When its pods began to be made; RFC 3339. Empty where none was.
    pub began: String,
    /// Whether nothing of it runs any more.
    pub has_failed: bool,
    /// Whether it cannot run as it is: its image cannot be pulled, say, or no node takes it.
    pub is_in_vain: bool,
    /// Whether it is a part of going back.
    pub is_rollback: bool,
    /// Why its pods do not run, or the Job has failed.
    pub why: String,
}

impl Cluster {
    /// The Jobs that our charts have made for a Helm release and that are not over. Who may not read them sees none.
    pub async fn release_jobs(&self, namespace: &str, helm_release: &str) -> Result<ReleaseJobs, Obstacle> {
        let labels = format!("app.kubernetes.io/part-of=fairlead,app.kubernetes.io/instance={helm_release}");
        let (jobs, pods) = (Resource::v1("batch", "Job", "jobs"), Resource::core("Pod", "pods", true));
        let all = async |kind: &Resource| match self.list(kind, Some(namespace), Some(&labels), Some).await {
            Err(Obstacle::Forbidden { .. }) => Ok(Vec::new()),
            objects => objects,
        };
        let jobs: Vec<Value> = all(&jobs).await?;
        let pods = if jobs.is_empty() { Vec::new() } else { all(&pods).await? };
        let mut found = ReleaseJobs::default();
        for job in &jobs {
            match stuck(job, &pods, |what| self.kubectl(what)) {
                Some(stuck) => found.stuck.push(stuck),
                None => found.working.extend(working(job)),
            }
        }
        Ok(found)
    }
}

/// A Job that is not stuck: one that runs, if it is a hook and not over.
fn working(job: &Value) -> Option<Working> {
    let is_hook = job["metadata"]["annotations"]["helm.sh/hook"].is_string();
    let runs = job["status"]["active"].as_u64().unwrap_or_default() > 0;
    let created = job["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    (is_hook && runs && JobState::of(job) == JobState::Open).then(|| Working { job: name(job).to_owned(), created })
}

fn stuck(job: &Value, pods: &[Value], kubectl: impl Fn(&str) -> String) -> Option<Stuck> {
    let owns = |pod: &&Value| owners(pod).any(|owner| owner["uid"] == job["metadata"]["uid"]);
    let pod = pods.iter().filter(owns).find_map(|pod| {
        let why = not_running(pod)?;
        Some(format!("pod {}: {why}", name(pod)))
    });
    let is_in_vain = pod.is_some();
    let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
    let has_begun =
        ["active", "failed", "succeeded"].iter().any(|count| job["status"][count].as_u64().unwrap_or_default() > 0);
    let (has_failed, why) = match (JobState::of(job), pod) {
        (JobState::Failed(why), pod) => (true, [Some(why), pod].into_iter().flatten().collect::<Vec<_>>().join("; ")),
        (JobState::Open, Some(pod)) => (false, pod),
        (JobState::Open, None)
            if let Some(pod) = pods.iter().filter(owns).find(|pod| pod["status"]["phase"] == "Pending") =>
        {
            let describe = kubectl(&format!("-n {namespace} describe pod {}", name(pod)));
            (false, format!("pod {} has not started: `{describe}` says why", name(pod)))
        }
        // Without a pod nothing has been begun; with one that runs, or has run, the ledger knows more.
        (JobState::Open, None) if !has_begun => {
            let describe = kubectl(&format!("-n {namespace} describe job {}", name(job)));
            (false, format!("it has no pod yet: `{describe}` says why"))
        }
        _ => return None,
    };
    let began = job["status"]["startTime"].as_str().unwrap_or_default().to_owned();
    let is_rollback = job["metadata"]["labels"]["app.kubernetes.io/component"] == "rollback";
    Some(Stuck { job: name(job).to_owned(), began, has_failed, is_in_vain, is_rollback, why })
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_whose_pod_cannot_pull_its_image_is_stuck() {
        let job = json!({"metadata": {"name": "j", "uid": "u", "namespace": "n"}, "status": {"startTime": "2026-01-01T00:00:00Z", "active": 1}});
        let pod = |reason: &str| {
            json!({"metadata": {"name": "p", "ownerReferences": [{"uid": "u"}]}, "status": {"phase": "Pending",
                "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": "not found"}}}]}})
        };
        let stuck = |job: &Value, pods: &[Value]| stuck(job, pods, |what| format!("kubectl {what}"));
        let why = |pods: &[Value]| stuck(&job, pods).map(|stuck| stuck.why);
        assert_eq!(why(&[pod("ImagePullBackOff")]).as_deref(), Some("pod p: ImagePullBackOff not found"));
        let pending = "pod p has not started: `kubectl -n n describe pod p` says why";
        assert_eq!(why(&[pod("ContainerCreating")]).as_deref(), Some(pending));
        let mut running = pod("");
        running["status"]["phase"] = "Running".into();
        assert_eq!(why(&[running]), None);
        let mut of_another = pod("ImagePullBackOff");
        of_another["metadata"]["ownerReferences"][0]["uid"] = "v".into();
        assert_eq!(why(&[of_another]), None);
        let mut podless = job.clone();
        podless["status"]["active"] = 0.into();
        assert!(stuck(&podless, &[]).is_some_and(|stuck| stuck.why.contains("no pod yet")));
        podless["status"]["conditions"] =
            json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"}]);
        let failed = stuck(&podless, &[pod("ErrImagePull")]).expect("it has failed");
        assert_eq!(
            (failed.has_failed, failed.why.as_str()),
            (true, "DeadlineExceeded: late; pod p: ErrImagePull not found")
        );
        podless["status"]["conditions"][0]["type"] = "Complete".into();
        assert_eq!(stuck(&podless, &[]), None);
    }

    #[test]
    fn a_hook_works_as_long_as_a_pod_of_it_runs() {
        let job = |hook: Value, status: Value| {
            working(
                &json!({"metadata": {"name": "j", "creationTimestamp": "t", "annotations": {"helm.sh/hook": hook}}, "status": status}),
            )
        };
        let works = Some(Working { job: "j".to_owned(), created: "t".to_owned() });
        assert_eq!(job("pre-upgrade".into(), json!({"active": 1})), works);
        // What goes on in the background is nothing that Helm waits for.
        assert_eq!(job(Value::Null, json!({"active": 1})), None);
        let failed = json!([{"type": "Failed", "status": "True"}]);
        for over in [json!({}), json!({"succeeded": 1}), json!({"active": 1, "conditions": failed})] {
            assert_eq!(job("pre-upgrade".into(), over), None);
        }
    }
}
