//! Objects that Argo CD or Flux has put there: it puts them back. Pure.

use std::collections::BTreeMap;

use fairlead_apis::object;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_observe::address::target;
use serde_json::Value;

use crate::count::count_of;
use fairlead_job::codes::legacy_purger as codes;

/// So many objects of a tool are named.
const NAMED: usize = 3;

/// Objects by the tool that has put them there: the first, and how many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracked(BTreeMap<&'static str, (Vec<Target>, usize)>);

impl Tracked {
    /// Adds an object that goes, or that is held, if a tool tracks it.
    pub(crate) fn add(&mut self, object: &Value) {
        let Some(tool) = tool(object) else { return };
        let (named, count) = self.0.entry(tool).or_default();
        *count += 1;
        if named.len() < NAMED {
            named.push(target(object));
        }
    }

    /// One finding for each tool.
    pub(crate) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.0.iter().filter_map(|(tool, (named, count))| {
            let names = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = if *count > named.len() { format!(", and {} more", count - named.len()) } else { String::new() };
            let message = format!("{tool} has put {} there: {names}{more}", count_of(*count, "object"));
            Some(codes::TRACKED.finding(named.first()?.clone(), message))
        })
    }
}

/// The tool that tracks an object.
/// Sources: argo-cd.readthedocs.io `user-guide/resource_tracking`; fluxcd.io `flux/components/kustomize` and `flux/components/helm`.
fn tool(object: &Value) -> Option<&'static str> {
    // Operators copy annotations to what they make: then the id is that of another object.
    let id = format!(":{}/{}:", object::group(object), object::kind(object));
    let is_its = |it: &str| it.contains(&id) && it.rsplit('/').next() == Some(object::name(object));
    let has_label = |is_it: &dyn Fn(&str) -> bool| object::labels(object).any(|(key, _)| is_it(key));
    if object::annotation(object, "argocd.argoproj.io/tracking-id").is_some_and(is_its)
        || has_label(&|key| key == "argocd.argoproj.io/instance")
    {
        return Some("Argo CD");
    }
    let is_flux = |key: &str| {
        let (prefix, name) = key.split_once('/').unwrap_or_default();
        ["kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"].contains(&prefix) && name == "name"
    };
    has_label(&is_flux).then_some("Flux")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_tool_is_named_once_with_the_first_of_its_objects() {
        let mut tracked = Tracked::default();
        let mut add = |name: &str, annotations: Value, labels: Value| {
            tracked.add(&json!({"apiVersion": "a.b/v1", "kind": "Thing",
                "metadata": {"namespace": "n", "name": name, "annotations": annotations, "labels": labels}}));
        };
        let id = |text: &str| json!({"argocd.argoproj.io/tracking-id": text});
        for name in ["a", "b", "c", "d"] {
            add(name, id(&format!("shop:a.b/Thing:n/{name}")), json!({}));
        }
        add("e", json!({}), json!({"argocd.argoproj.io/instance": "shop"}));
        add("f", json!({}), json!({"kustomize.toolkit.fluxcd.io/name": "apps"}));
        // Nobody's: copied from another object, or a mark of another meaning.
        add("g", id("shop:a.b/Owner:n/g"), json!({}));
        add("h", id("shop:a.b/Thing:n/owner-of-h"), json!({"kustomize.toolkit.fluxcd.io/ssa": "x"}));
        let findings: Vec<String> =
            tracked.findings().map(|it| format!("{} {}: {}", it.code, it.target, it.message)).collect();
        assert_eq!(
            findings,
            [
                "LP213 Thing n/a: Argo CD has put 5 objects there: Thing n/a, Thing n/b, Thing n/c, and 2 more",
                "LP213 Thing n/f: Flux has put 1 object there: Thing n/f",
            ]
        );
    }
}
