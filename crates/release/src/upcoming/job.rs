//! The Jobs of rendered manifests, as far as their plans depend on them.

use serde_json::Value;

/// The binaries that are started, and no others, whatever the manifests name.
const BINARIES: [&str; 5] = ["trigger-replicator", "drain-waiter", "legacy-purger", "health-probe", "schema-migrator"];

/// Flags that say where a job runs, or that a plan does not have; each has a value.
const LEFT_OUT: [&str; 7] =
    ["--after-job", "--release", "--ledger-namespace", "--output", "--config", "--job", "--helm-revision"];

/// Variables of this shell that would change what a plan says.
pub(super) const OURS: [&str; 6] =
    ["FAIRLEAD_EXIT_CODE", "FAIRLEAD_FROM", "FAIRLEAD_STRICT", "FAIRLEAD_CONFIG", "FAIRLEAD_OUTPUT", "FAIRLEAD_LOG_FORMAT"];

/// A Job of the manifests, as far as a plan depends on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Where it comes among the others.
    pub(super) order: (bool, i64, usize),
    /// Of its binary, too.
    pub(super) name: String,
    pub(super) image: String,
    pub(super) flags: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    /// The path of its configuration file, and what is there by the manifests.
    pub(super) configuration: Option<(String, Option<String>)>,
}

/// Those that apply a step, in the order in which Helm would run them.
pub(super) fn jobs(manifests: &[Value]) -> Vec<Job> {
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
    let image = text(&container["image"]).unwrap_or_default();
    Some(Job { order: order(object, manifests, 0), name, image, flags, variables, configuration })
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

#[cfg(test)]
mod tests {
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
}
