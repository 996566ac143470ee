//! Which kinds the cluster serves.

use std::borrow::Cow;

use fairlead_migration::change::Image;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use http::{Request, header};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::request::obstacle;
use crate::resource::Resource;

/// One request for all groups; in every supported Kubernetes (stable since 1.30).
/// Source: KEP-3352, aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Kind of custom resource definitions.
const DEFINITION: &str = "CustomResourceDefinition";

/// The kinds that a custom resource definition serves.
fn defined_by(definition: &Image) -> Vec<Resource> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let served = versions.into_iter().filter(|version| version["served"] == true);
    served
        .map(|version| Resource {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&spec["names"]["kind"]),
            plural: text(&spec["names"]["plural"]),
            is_namespaced: spec["scope"] == "Namespaced",
            has_status: !version["subresources"]["status"].is_null(),
            has_scale: !version["subresources"]["scale"].is_null(),
        })
        .collect()
}

/// What the cluster serves, the preferred version of each group first; the core group only where it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    resources: Vec<Resource>,
    /// Groups with their versions of aggregated servers that do not answer.
    silent: Vec<String>,
}

impl<'a> From<&'a Discovery> for Cow<'a, Discovery> {
    fn from(discovery: &'a Discovery) -> Self {
        Cow::Borrowed(discovery)
    }
}

impl From<Discovery> for Cow<'_, Discovery> {
    fn from(discovery: Discovery) -> Self {
        Cow::Owned(discovery)
    }
}

impl Discovery {
    /// The kind in its group's preferred version.
    #[must_use]
    pub fn find(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.group == group && resource.kind == kind)
    }

    /// The kinds of a group.
    pub fn kinds_of(&self, group: &str) -> impl Iterator<Item = &str> {
        self.resources.iter().filter(move |resource| resource.group == group).map(|resource| resource.kind.as_str())
    }

    /// All groups that are served.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| resource.group.as_str())
    }

    /// Groups with their versions, `metrics.k8s.io/v1beta1`, of aggregated servers that do not answer: nobody knows what they serve.
    #[must_use]
    pub fn silent(&self) -> &[String] {
        &self.silent
    }

    /// The kind in this version and no other.
    #[must_use]
    pub fn find_version(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }
}

impl Cluster {
    /// Asks for all kinds outside the core group, in one request.
    pub async fn discover(&self) -> Result<Discovery, Obstacle> {
        self.discover_at("/apis").await
    }

    /// Asks for all kinds of the core group, in one request.
    pub async fn discover_core(&self) -> Result<Discovery, Obstacle> {
        self.discover_at("/api").await
    }

    /// What carrying out or taking back `plan` may meet: what was found before, the core group where the plan touches it, and
    /// the kinds of definitions that the plan itself deletes or creates.
    pub async fn discover_for(&self, plan: &Plan, found: &Discovery) -> Result<Discovery, Obstacle> {
        let mut resources = found.resources.clone();
        if plan.kinds().any(|(api_version, _)| api_version == "v1") {
            resources.extend(self.discover_at("/api").await?.resources);
        }
        // Read to the end only where it says something.
        let defines = plan.kinds().any(|(_, kind)| kind == DEFINITION);
        for change in plan.changes().take_while(|_| defines).filter(|change| change.target.kind == DEFINITION) {
            for resource in change.before().or(change.after()).map(defined_by).unwrap_or_default() {
                if !resources.contains(&resource) {
                    resources.push(resource);
                }
            }
        }
        Ok(Discovery { resources, silent: found.silent.clone() })
    }

    /// Every kind whose objects can be listed, deleted and created, each in its group's preferred version; none of servers that are silent.
    pub async fn discover_removable(&self) -> Result<Vec<Resource>, Obstacle> {
        let mut found: Vec<Resource> = Vec::new();
        for path in ["/api", "/apis"] {
            let Discovery { resources, silent } = read_if(&self.discover_raw(path).await?, is_removable);
            // The server that has them would not list them.
            for resource in resources.into_iter().filter(|resource| !silent.contains(&resource.api_version())) {
                if !found.iter().any(|it| it.group == resource.group && it.kind == resource.kind) {
                    found.push(resource);
                }
            }
        }
        Ok(found)
    }

    async fn discover_at(&self, path: &str) -> Result<Discovery, Obstacle> {
        Ok(read(&self.discover_raw(path).await?))
    }

    async fn discover_raw(&self, path: &str) -> Result<Value, Obstacle> {
        // Every authenticated user may do this: ClusterRole system:discovery.
        let operation = || "discover what the cluster serves".to_owned();
        let request = Request::get(path).header(header::ACCEPT, AGGREGATED).body(Vec::new());
        let request = request.map_err(|source| Obstacle::Refused { operation: operation(), source: source.into() })?;
        self.send(request).await.map_err(|error| obstacle(operation(), error))
    }
}

/// Kinds that only say again what others say, and that a controller writes.
const SHADOWS: [&str; 2] = ["Event", "Endpoints"];

fn is_removable(resource: &Value) -> bool {
    let verbs = &resource["verbs"];
    let has = |verb: &str| verbs.as_array().is_some_and(|verbs| verbs.iter().any(|it| *it == verb));
    let is_shadow = SHADOWS.iter().any(|kind| resource["responseKind"]["kind"] == *kind);
    ["list", "delete", "create"].into_iter().all(has) && !is_shadow
}

fn read(answer: &Value) -> Discovery {
    read_if(answer, |_| true)
}

fn read_if(answer: &Value, is_read: impl Fn(&Value) -> bool) -> Discovery {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut resources, mut silent) = (Vec::new(), Vec::new());
    for group in list(&answer["items"]) {
        for version in list(&group["versions"]) {
            if version["freshness"] == "Stale" {
                silent.push(format!("{}/{}", text(&group["metadata"]["name"]), text(&version["version"])));
            }
            for resource in list(&version["resources"]).iter().filter(|resource| is_read(resource)) {
                let has = |name: &str| list(&resource["subresources"]).iter().any(|it| it["subresource"] == name);
                resources.push(Resource {
                    group: text(&group["metadata"]["name"]),
                    version: text(&version["version"]),
                    kind: text(&resource["responseKind"]["kind"]),
                    plural: text(&resource["resource"]),
                    is_namespaced: resource["scope"] == "Namespaced",
                    has_status: has("status"),
                    has_scale: has("scale"),
                });
            }
        }
    }
    Discovery { resources, silent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_the_apiservers() {
        let secret = Resource::core("Secret", "secrets", true);
        assert_eq!(secret.path(Some("a")), "/api/v1/namespaces/a/secrets");
        let answer = json!({"items": [{"metadata": {"name": "eventing.knative.dev"}, "versions": [
            {"version": "v1", "resources": [{"resource": "triggers", "responseKind": {"kind": "Trigger"}, "scope": "Namespaced"}]},
            {"version": "v1beta1", "resources": [{"resource": "triggers", "responseKind": {"kind": "Trigger"}, "scope": "Namespaced"}]},
        ]}]});
        let discovery = read(&answer);
        let trigger = discovery.find("eventing.knative.dev", "Trigger").expect("it is served");
        assert_eq!(trigger.path(None), "/apis/eventing.knative.dev/v1/triggers");
        assert_eq!(trigger.full_name(), "triggers.eventing.knative.dev");
        assert!(discovery.find_version("eventing.knative.dev/v1beta1", "Trigger").is_some());
        assert!(discovery.find("eventing.knative.dev", "Broker").is_none());
        assert!(discovery.silent().is_empty());
        let answer = json!({"items": [{"metadata": {"name": "metrics.k8s.io"}, "versions": [
            {"version": "v1beta1", "freshness": "Stale"}, {"version": "v1", "freshness": "Current"}]}]});
        assert_eq!(read(&answer).silent(), ["metrics.k8s.io/v1beta1"]);
    }
}
