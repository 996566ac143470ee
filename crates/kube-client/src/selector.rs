//! Which objects a label selector means.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ParseExpressionError, SelectorExt as _};
use serde::Deserialize;
use serde_json::Value;

/// A label selector with `matchLabels` and `matchExpressions`, as Kubernetes has it; an empty one matches everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "LabelSelector")]
pub struct Selector(kube::core::Selector);

impl TryFrom<LabelSelector> for Selector {
    type Error = ParseExpressionError;

    fn try_from(selector: LabelSelector) -> Result<Self, Self::Error> {
        selector.try_into().map(Self)
    }
}

impl Selector {
    /// Whether the object's labels are meant.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        self.0.matches(&labels.collect::<BTreeMap<_, _>>())
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.selects_all()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_that_of_kubernetes() {
        let selector: Selector = serde_json::from_value(
            json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}),
        )
        .expect("it is one");
        assert!(selector.matches(&json!({"metadata": {"labels": {"a": "b", "c": ""}}})));
        assert!(!selector.matches(&json!({"metadata": {"labels": {"a": "b"}}})));
        assert!(!selector.matches(&json!({"metadata": {}})));
        assert!(Selector::default().is_empty() && Selector::default().matches(&json!({})));
        let wrong = json!({"matchExpressions": [{"key": "c", "operator": "Is"}]});
        assert!(serde_json::from_value::<Selector>(wrong).is_err());
    }
}
