//! The chart, and the library for charts of others, rendered by Helm 3 and 4, without a cluster.
//!
//! - `rendering`: what both Helms make of the chart and its values, and which values are refused
//! - `back`: the hooks of `helm rollback`, and a rollback now
//! - `permissions`: what each account may do, and what both the job's and that of the rollback hooks may
//! - `pages`: the pages that people read: their links
//! - `commands`: what people are shown and paste
//! - `quoting`: text stays text, whatever it looks like
//! - `layer`: the server, which is no hook
//! - `tables`: the job that migrates tables, its contract and its credentials
//! - `kyma`: Kyma's whole migration in one value
//! - `library`: the library in a chart of somebody else, made as its README says

mod back;
mod commands;
mod kyma;
mod layer;
mod library;
mod pages;
mod permissions;
mod quoting;
mod rendering;
mod tables;

use fairlead_tests::program::{Ended, root, run, tool};
use serde_json::Value;

const HELMS: [&str; 2] = ["helm3", "helm4"];

const CHART: &str = "charts/fairlead";

/// Every job on.
const ALL_JOBS: &str = "triggerReplicator.enabled=true,drainWaiter.enabled=true,legacyPurger.enabled=true,schemaMigrator.enabled=true,\
    configuration.tables.database.engine=postgresql,configuration.tables.database.host=db,configuration.tables.database.database=shop,\
    configuration.tables.database.username=shop";

fn template(helm: &str, chart: &str, more: &[&str]) -> Ended {
    release(helm, "shop", "shop", chart, more)
}

fn release(helm: &str, namespace: &str, name: &str, chart: &str, more: &[&str]) -> Ended {
    run(tool(helm).args(["template", name, chart, "-n", namespace]).args(more).current_dir(root()), "")
}

/// The two Helms put different blank lines between documents.
fn normal(rendered: &str) -> String {
    rendered.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

/// What Helm has rendered, as objects.
fn objects(rendered: &str) -> Vec<Value> {
    if !rendered.contains("kind:") {
        return Vec::new();
    }
    // From a file: kubectl writes while it reads, and there may be more than fits into a pipe.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), rendered).expect("written");
    let mut convert = tool("kubectl");
    convert.args(["annotate", "--local", "-o", "json", "fairlead.dev/demo-", "-f"]).arg(file.path());
    let converted = run(&mut convert, "").expect(0).stdout;
    serde_json::Deserializer::from_str(&converted).into_iter().map(|object| object.expect("kubectl prints JSON")).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Kind and name of each object.
fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))).collect()
}
