//! The permissions that the chart gives a job. Every run of a test has exactly these.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::program::{becomes, root, run, tool};

/// A verb on a resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Group; empty for the core group.
    pub group: String,
    /// Resource, like `triggers`.
    pub resource: String,
    /// Verb, like `list`.
    pub verb: String,
}

/// The accounts of the jobs, and the values of the chart that turn each of them on, alone.
pub const JOBS: [(&str, &str); 5] = [
    ("trigger-replicator", "triggerReplicator.enabled=true"),
    ("drain-waiter", "triggerReplicator.enabled=false,drainWaiter.enabled=true"),
    ("legacy-purger", "triggerReplicator.enabled=false,legacyPurger.enabled=true"),
    ("schema-migrator", TABLES),
    ("fairlead-rollback", "rollback.now={--last}"),
];

const TABLES: &str = "triggerReplicator.enabled=false,schemaMigrator.enabled=true,configuration.tables.database.engine=postgresql,\
    configuration.tables.database.host=db,configuration.tables.database.database=shop,configuration.tables.database.username=shop";

/// The account that goes on with what trigger-replicator has left to the background. What it may do is a part of what that one may.
pub const BACKGROUND: &str = "background";

/// ServiceAccount, roles and bindings of a job as the chart renders them for a release in namespace default.
#[must_use]
pub fn rendered(release: &str, job: &str) -> Vec<Value> {
    let values = JOBS.iter().find(|(name, _)| *name == job).map_or("triggerReplicator.enabled=true", |(_, values)| values);
    let mut helm = tool("helm3");
    helm.args(["template", release, "charts/fairlead", "-n", "default", "--set", "mode=job", "--set", values])
        .current_dir(root());
    let rendered = run(&mut helm, "").expect(0).stdout;
    let mut convert = tool("kubectl");
    convert.args(["annotate", "--local", "-o", "json", "-f", "-", "fairlead.dev/demo-"]);
    let objects = run(&mut convert, &rendered).expect(0).stdout;
    let objects =
        serde_json::Deserializer::from_str(&objects).into_iter().map(|object| object.expect("kubectl prints JSON"));
    let is_its = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/name"] == job && object["kind"] != "Job";
    let objects: Vec<Value> = objects.filter(is_its).collect();
    let kinds = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
    assert_eq!(kinds("Role") + kinds("ClusterRole"), kinds("RoleBinding") + kinds("ClusterRoleBinding"));
    assert_eq!(kinds("ServiceAccount"), 1, "{job}");
    objects
}

/// Every rule of these objects.
#[must_use]
pub fn rules(objects: &[Value]) -> Vec<Rule> {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut all = Vec::new();
    for rule in objects.iter().filter_map(|object| object["rules"].as_array()).flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let verbs = texts(&rule["verbs"]).into_iter();
                all.extend(verbs.map(|verb| Rule { group: group.clone(), resource: resource.clone(), verb }));
            }
        }
    }
    all
}

/// Waits until the authorizer knows the roles of a `ServiceAccount` in namespace default, each kind by its last one: it learns of them a
/// moment after they are written.
pub fn wait_until_allowed(cluster: &Cluster, account: &str, objects: &[Value]) {
    for kind in ["Role", "ClusterRole"] {
        let is_whole = |rule: &&Value| rule["resourceNames"].is_null();
        let mut all = objects.iter().rev().filter(|object| object["kind"] == kind);
        let found = all.find_map(|owner| Some((owner, owner["rules"].as_array()?.iter().find(is_whole)?)));
        let Some((owner, rule)) = found else { continue };
        let text = |field: &str| rule[field][0].as_str().unwrap_or_default();
        let resource = format!("{}.{}", text("resources"), text("apiGroups"));
        let namespace = owner["metadata"]["namespace"].as_str().unwrap_or("default");
        let user = format!("--as=system:serviceaccount:default:{account}");
        let ask = ["auth", "can-i", text("verbs"), resource.trim_end_matches('.'), "-n", namespace, &user];
        assert!(becomes(|| cluster.kubectl(&ask).stdout.trim() == "yes"), "{account} is not allowed: {rule}");
    }
}

/// Writes a kubeconfig for the ServiceAccount of a job of a release, which has been installed.
#[must_use]
pub fn kubeconfig(cluster: &Cluster, release: &str, job: &str, folder: &Path) -> PathBuf {
    let account = format!("{release}-{job}");
    let token = cluster.kubectl(&["create", "token", "-n", "default", &account, "--duration", "8h"]).expect(0).stdout;
    let admin = cluster.kubectl(&["config", "view", "--raw", "-o", "json"]).expect(0).json();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "job",
        "clusters": [{"name": "it", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "job", "user": {"token": token.trim()}}],
        "contexts": [{"name": "job", "context": {"cluster": "it", "user": "job", "namespace": "default"}}],
    });
    let file = folder.join(format!("{release}-{job}.kubeconfig"));
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    file
}
