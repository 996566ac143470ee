//! A matrix as it is written: `kind: ReleaseMatrix`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// As in `apiVersion`.
pub(crate) const API_VERSION: &str = "fairlead.dev/v1";

/// As in `kind`.
pub(crate) const KIND: &str = "ReleaseMatrix";

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// `fairlead.dev/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `ReleaseMatrix`.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Specification,
}

/// As Kubernetes has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// Name of the matrix.
    pub name: String,
    /// Anything else, which is not read.
    #[serde(flatten)]
    _more: BTreeMap<String, Value>,
}

/// What a matrix says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Specification {
    /// What Helm is told.
    #[serde(default)]
    pub chart: Chart,
    /// When the chart runs migrations of kind `contract`.
    #[serde(default)]
    pub contracts: Contracts,
    /// Schema versions, in the order in which they are applied.
    #[serde(default)]
    pub schema_versions: Vec<SchemaEntry>,
    /// The releases, in any order.
    pub releases: Vec<ReleaseEntry>,
    /// Releases that no upgrade may skip.
    #[serde(default)]
    pub stops: Vec<Stop>,
    /// Upgrades that are not allowed, always or under a condition.
    #[serde(default)]
    pub blocked: Vec<Blocked>,
    /// How clients of an API version are drained; printed in the runbook.
    #[serde(default)]
    pub drains: Vec<Drain>,
}

/// What Helm is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chart {
    /// Name of the Helm release.
    pub release: Option<String>,
    /// The chart, as `helm upgrade` takes it with a version: `mojaloop/mojaloop`, `oci://…`.
    pub reference: Option<String>,
    /// Namespace of the Helm release; without one that of the context.
    pub namespace: Option<String>,
}

/// When a chart runs migrations of kind `contract`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Contracts {
    /// When the last pod of the old release is gone, as `schema-migrator` does.
    #[default]
    AfterRollout,
    /// With all other migrations, while pods of the old release run: one Job in a pre-upgrade hook.
    BeforeRollout,
}

/// What a migration does to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Adds beside the old: every release that ran before still runs.
    Expand,
    /// Takes the old away, or demands more of those who write.
    Contract,
}

/// One schema version.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaEntry {
    /// Its name: `v1.0.1`.
    pub version: String,
    /// What leads to it from the version before; only the first one has none.
    pub kind: Option<Kind>,
    /// The migration that leads to it.
    pub migration: Option<String>,
    /// Of a contraction: columns that every writer has to write from now on (`transfer.quoteId`).
    #[serde(default)]
    pub requires: Vec<String>,
    /// Of a contraction: columns or tables that are gone.
    #[serde(default)]
    pub drops: Vec<String>,
    /// Columns whose old rows are filled: before a contraction, after an expansion.
    #[serde(default)]
    pub backfill: Vec<String>,
    /// Why undoing it does not bring everything back.
    pub irreversible: Option<String>,
}

/// How the code writes a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writes {
    /// In every row.
    Always,
    /// In some rows; NULL in the others.
    Optional,
}

/// One release.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseEntry {
    /// Version of the chart: `1.0.2`.
    pub version: String,
    /// The schema version that it brings.
    pub schema: Option<String>,
    /// The API versions that it serves.
    #[serde(default)]
    pub apis: Apis,
    /// The versions of custom resources that it serves, by the name of the definition.
    #[serde(default)]
    pub custom_resources: BTreeMap<String, Vec<String>>,
    /// The columns that its code writes.
    #[serde(default)]
    pub writes: BTreeMap<String, Writes>,
    /// All columns and tables that its code uses, if that is known.
    pub uses: Option<Vec<String>>,
    /// Schema versions that it runs on beside its own; without it they follow from the migrations.
    pub tolerates: Option<Vec<String>>,
    /// Breaking changes, for people.
    #[serde(default)]
    pub breaking: Vec<String>,
    /// Its changelog entry, for people.
    #[serde(default)]
    pub changes: Vec<String>,
}

/// API versions: a list where there is one API, lists by name where there are several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a list of versions, as text, or such a list for each API by its name")]
pub enum Apis {
    /// `[v1.X, v2.0]`
    One(Vec<String>),
    /// `{fspiop: [v1.0], admin: [v1.0]}`
    Several(BTreeMap<String, Vec<String>>),
}

impl Default for Apis {
    fn default() -> Self {
        Self::Several(BTreeMap::new())
    }
}

/// A release that no upgrade may skip.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// The release.
    pub release: String,
    /// Why.
    pub reason: String,
    /// Where more is said.
    pub url: Option<String>,
}

/// Upgrades that are not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blocked {
    /// Regular expression that matches the whole version of the old release; all of them without it.
    pub from: Option<String>,
    /// The new release.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Where more is said.
    pub url: Option<String>,
    /// Only if one of these holds; always without it.
    #[serde(default)]
    pub when: Vec<Condition>,
}

/// A question that somebody has to ask before the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// A query: the upgrade is blocked if the first value is neither 0, false nor NULL.
    Sql(String),
    /// An address: the upgrade is blocked unless it answers with 2xx.
    Http(String),
    /// A query of Prometheus: the upgrade is blocked if it has a result other than 0.
    Promql(String),
}

/// How clients of an API version are drained.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drain {
    /// The API version: `v1.X`.
    pub api: String,
    /// Name of the API, where the matrix has several.
    pub of: Option<String>,
    /// What a person does first: close the intake at the gateway.
    pub close: Option<String>,
    /// Why the wait ends.
    pub bound: Option<String>,
    /// A source of `drain-waiter`, as `docs/sources.md` has it.
    pub source: Option<Value>,
}
