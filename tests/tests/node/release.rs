//! A Helm release of the demo's chart in a namespace of its own.

use std::path::Path;
use std::process::Command;

use fairlead_tests::cluster::{Cluster, empty};
use fairlead_tests::program::{Ended, root, run, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The shop before its upgrade, on an empty cluster.
pub(crate) struct Release<'a> {
    pub(crate) cluster: &'a Cluster,
    helm: &'static str,
    pub(crate) namespace: String,
    /// The chart.
    folder: TempDir,
}

/// What `helm dependency build` makes of the demo's chart, in a folder of its own: the demo builds it in its place meanwhile.
fn copy_chart(folder: &Path) {
    let copy =
        |args: &[&str], to: &Path| run(Command::new("cp").arg("-rL").args(args).arg(to).current_dir(root()), "").expect(0);
    let shop = ["Chart.yaml", "values.yaml", "templates"].map(|name| format!("examples/kyma-event-bus/shop/{name}"));
    copy(&shop.each_ref().map(String::as_str), folder);
    std::fs::create_dir(folder.join("charts")).expect("made");
    copy(&["charts/fairlead"], &folder.join("charts"));
}

impl<'a> Release<'a> {
    /// Empties the cluster, loads the images, and installs the shop without any job.
    pub(crate) fn install(cluster: &'a Cluster, helm: &'static str, name: &str) -> Self {
        empty(cluster);
        cluster.load_jobs();
        // The strictest standard, enforced: a pod that does not meet it is refused.
        let namespace = format!("{name}-{helm}");
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_chart(folder.path());
        let release = Self { cluster, helm, namespace, folder };
        release.helm(&["install"], &[]).expect(0);
        release
    }

    /// `helm upgrade` with the job on.
    pub(crate) fn upgrade(&self, more: &[&str]) -> Ended {
        self.helm(&["upgrade", "--values", "examples/kyma-event-bus/shop/values-upgrade.yaml"], more)
    }

    fn helm(&self, verb: &[&str], more: &[&str]) -> Ended {
        let mut helm = tool(self.helm);
        helm.args(verb).arg("shop").arg(self.folder.path()).args([
            "-n",
            &self.namespace,
            "--kubeconfig",
            self.cluster.kubeconfig(),
        ]);
        let local = "fairlead.image.registry=docker.io,fairlead.image.tag=dev,fairlead.image.pullPolicy=Never";
        run(helm.args(["--set", local]).args(more).current_dir(root()), "")
    }

    /// The setting that the upgrade changes.
    pub(crate) fn bus(&self) -> Value {
        self.cluster.get("configmap", &self.namespace, "shop-settings")["data"]["bus"].clone()
    }
}

/// Legacy Subscriptions of the demo.
pub(crate) fn demo(cluster: &Cluster) {
    for file in ["namespaces.yaml", "subscriptions"] {
        let path = root().join("examples/kyma-event-bus/legacy").join(file);
        cluster.kubectl(&["apply", "--server-side", "-f", path.to_str().expect("a path of ours is UTF-8")]).expect(0);
    }
}
