//! What `kubectl fairlead check` starts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fairlead_tests::cluster::lease;
use fairlead_tests::program::{becomes, job, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

/// There is no node: the pod stays where it is.
#[test]
fn a_check_that_is_told_to_end_leaves_no_pod() {
    let cluster = lease();
    // No controller makes one here, and no pod is admitted without.
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}),
    );
    let spec = json!({"containers": [{"name": "main", "image": "example.com/job", "securityContext": {}}]});
    let manifest =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "it"}, "spec": {"template": {"spec": spec}}});
    let record = json!({"hooks": [{"kind": "Job", "manifest": manifest.to_string()}]});
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(record.to_string().as_bytes()).expect("in memory");
    let packed = BASE64_STANDARD.encode(packed.finish().expect("in memory"));
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "stringData": {"release": packed},
        "metadata": {"name": "sh.helm.release.v1.checked.v1", "namespace": "default",
            "labels": {"owner": "helm", "name": "checked", "version": "1", "status": "deployed"}}}),
    );
    let pods = || {
        let selector = "app.kubernetes.io/component=check";
        cluster.kubectl(&["get", "pods", "-n", "default", "-l", selector, "-o", "name"]).expect(0).stdout
    };
    for name in ["-TERM", "-INT"] {
        let mut check = job("kubectl-fairlead");
        check.args(["check", "checked", "-n", "default", "--start-pods", "--kubeconfig", cluster.kubeconfig()]);
        let mut check = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        assert!(becomes(|| !pods().is_empty()), "it starts no pod");
        run(Command::new("kill").args([name, &check.id().to_string()]), "").expect(0);
        assert_eq!(check.wait().expect("it ends").code(), Some(75));
        assert_eq!(pods(), "");
    }
    cluster.kubectl(&["delete", "secret/sh.helm.release.v1.checked.v1", "sa/default", "-n", "default"]).expect(0);
}
