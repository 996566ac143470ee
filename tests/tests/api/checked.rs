//! What `kubectl fairlead check` starts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, becomes, binaries, root, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::fixtures::policy;
use crate::person::Person;

/// There is no node: the pod stays where it is.
#[test]
fn a_check_that_is_told_to_end_leaves_no_pod() {
    let cluster = lease();
    install(&cluster, "checked", &[json!({"spec": {"containers": [{"name": "main", "image": "example.com/job"}]}})]);
    let pods = || {
        let selector = "app.kubernetes.io/component=check";
        cluster.kubectl(&["get", "pods", "-n", "default", "-l", selector, "-o", "name"]).expect(0).stdout
    };
    for name in ["-TERM", "-INT"] {
        let mut check = program::job("kubectl-fairlead");
        check.args(["check", "checked", "-n", "default", "--start-pods", "--kubeconfig", cluster.kubeconfig()]);
        let mut check = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        assert!(becomes(|| !pods().is_empty()), "it starts no pod");
        run(Command::new("kill").args([name, &check.id().to_string()]), "").expect(0);
        assert_eq!(check.wait().expect("it ends").code(), Some(75));
        assert_eq!(pods(), "");
    }
    cluster.kubectl(&["delete", "secret/sh.helm.release.v1.checked.v1", "sa/default", "-n", "default"]).expect(0);
}

/// A policy wants a label, which the Jobs of one image have. There is no node: their pod stays where it is.
#[test]
fn a_pod_that_is_refused_is_an_answer_like_any_other() {
    let cluster = lease();
    let job = |image: &str, labels: &Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}});
    let [none, some] = [json!({}), json!({"team": "shop"})];
    install(&cluster, "refused", &[job("example.com/job", &none), job("example.com/other", &some)]);
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    policy(&cluster, "pods-have-a-team", &rule, "has(object.metadata.labels.team)", "whose pod is this");
    let create = ["run", "probe", "-n", "default", "--image", "none", "--dry-run=server"];
    assert!(becomes(|| cluster.kubectl(&create).stderr.contains("whose pod is this")), "the policy does not act");
    let mut check = program::job("kubectl-fairlead");
    check.args(["check", "refused", "-n", "default", "--start-pods", "--pod-timeout", "1s"]);
    let answers = run(check.args(["--kubeconfig", cluster.kubeconfig()]), "").expect(4);
    for answer in [
        "ok  runs: 0 recorded",
        "ok  permissions: ",
        "NO  image: example.com/job: failed to create Pod default/fairlead-check-",
    ] {
        assert!(answers.stdout.contains(answer), "{answer}\n{}", answers.stdout);
    }
    assert!(answers.stdout.contains("whose pod is this"), "{}", answers.stdout);
    assert!(answers.stdout.contains("NO  image: example.com/other: it has not ended within 1s"), "{}", answers.stdout);
    let of_policy = "validatingadmissionpolicy/pods-have-a-team,validatingadmissionpolicybinding/pods-have-a-team";
    cluster.kubectl(&[&["delete"], &of_policy.split(',').collect::<Vec<_>>()[..]].concat()).expect(0);
    cluster.kubectl(&["delete", "secret/sh.helm.release.v1.refused.v1", "sa/default", "-n", "default"]).expect(0);
}

/// A release of Helm's whose hooks are Jobs with these pods.
fn install(cluster: &Cluster, release: &str, templates: &[Value]) {
    // No controller makes one here, and no pod is admitted without.
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}),
    );
    let hook = |template: &Value| {
        let job =
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "it"}, "spec": {"template": template}});
        json!({"kind": "Job", "manifest": job.to_string()})
    };
    let record = json!({"hooks": templates.iter().map(hook).collect::<Vec<_>>()});
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(record.to_string().as_bytes()).expect("in memory");
    let packed = BASE64_STANDARD.encode(packed.finish().expect("in memory"));
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "stringData": {"release": packed},
        "metadata": {"name": format!("sh.helm.release.v1.{release}.v1"), "namespace": "default",
            "labels": {"owner": "helm", "name": release, "version": "1", "status": "deployed"}}}),
    );
}

/// The configuration stands in the manifests; the binaries are on the PATH, or they are not.
#[test]
fn each_job_of_the_upgrade_is_asked_for_its_plan() {
    let (cluster, person) = (lease(), Person::new());
    let kubeconfig = Some(cluster.kubeconfig().as_ref());
    let chart = root().join("charts/fairlead").display().to_string();
    let check = |values: &str, kind: &str| {
        let configuration =
            format!("configuration.purge.kinds[0].group={kind}.k8s.io,configuration.purge.kinds[0].kind=Nobody");
        let rendered = format!("helm template plain {chart} -n default --set {values} --set {configuration}");
        let check = "kubectl fairlead check plain -n default --without-helm --upgrade -";
        person.paste(&format!("{rendered} | {check} 2>&1"), kubeconfig)
    };
    let jobs = "legacyPurger.enabled=true,triggerReplicator.enabled=false";
    let refused = check(jobs, "nobody").expect(4).stdout;
    assert!(refused.contains("NO  plan: legacy-purger: "), "{refused}");
    assert!(refused.contains("must not be purged"), "{refused}");
    let none = check("triggerReplicator.enabled=false", "nobody").expect(0).stdout;
    assert!(none.contains("?   plan: the manifests have no Job that applies a step"), "{none}");
    let only_plugin = person.home.path().join("only");
    std::fs::create_dir(&only_plugin).expect("a folder");
    let plugin = binaries().join("kubectl-fairlead").display().to_string();
    let rendered = format!("helm template plain {chart} -n default --set {jobs}");
    let check = format!("PATH={} {plugin} check plain -n default --without-helm --upgrade - 2>&1", only_plugin.display());
    let unknown = person.paste(&format!("{rendered} | {check}"), kubeconfig).expect(0).stdout;
    assert!(unknown.contains("?   plan: legacy-purger is not on the PATH"), "{unknown}");
    let missing =
        person.paste("kubectl fairlead check plain -n default --upgrade no-such-file 2>&1", kubeconfig).expect(2).stdout;
    assert!(missing.contains("error FL042"), "{missing}");
}

/// The name of a Service means nothing on a workstation, and the job will know it.
#[test]
fn a_source_that_only_the_cluster_reaches_blocks_no_upgrade() {
    let (cluster, person) = (lease(), Person::new());
    let chart = root().join("charts/fairlead").display().to_string();
    let source = "configuration.drain.sources[0].name=bus,configuration.drain.sources[0].natsStreaming.url=http://nats.natss.svc:8222";
    let jobs = "drainWaiter.enabled=true,triggerReplicator.enabled=false";
    let rendered = format!("helm template plain {chart} -n default --set {jobs} --set {source}");
    let check = "kubectl fairlead check plain -n default --without-helm --upgrade -";
    let said = person.paste(&format!("{rendered} | {check} 2>&1"), Some(cluster.kubeconfig().as_ref())).expect(0).stdout;
    for words in [
        "?   plan: drain-waiter: not every source of the drain can be reached from here.",
        "    DW101 Source bus: ",
        "    To look from there now: printf %s '{",
        "\"url\":\"http://nats.natss.svc:8222\"",
        "run drain-waiter-check --rm -i --restart=Never --image=",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
}
