//! Which objects a label selector means.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{ParseExpressionError, SelectorExt as _};
use serde::Deserialize;
use serde_json::Value;

/// A label selector with `matchLabels` and `matchExpressions`, as Kubernetes has it. The default one matches everything; one that is
/// written must not: a word that is mistyped would mean all objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct Selector(kube::core::Selector);

/// The same as it is written. Kubernetes' own type passes over fields that it does not know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl TryFrom<Written> for Selector {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { match_labels, match_expressions } = written;
        if match_labels.is_empty() && match_expressions.is_empty() {
            return Err("an empty selector would mean everything: leave it out where that is meant".to_owned());
        }
        let mut expressions = Vec::new();
        for Requirement { key, operator, values } in match_expressions {
            // As the API server has it; NotIn without values would mean everything.
            if matches!(operator.as_str(), "In" | "NotIn") == values.is_empty() {
                let must = if values.is_empty() { "must have" } else { "has no" };
                return Err(format!("matchExpressions: {key}: operator {operator} {must} values"));
            }
            expressions.push(LabelSelectorRequirement { key, operator, values: Some(values) });
        }
        let selector = LabelSelector { match_labels: Some(match_labels), match_expressions: Some(expressions) };
        selector.try_into().map(Self).map_err(|error: ParseExpressionError| error.to_string())
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
        for (wrong, expected) in [
            (json!({"matchExpressions": [{"key": "c", "operator": "Is"}]}), "Invalid expression operator"),
            (json!({"matchExpressions": [{"key": "c", "operator": "NotIn", "value": ["a"]}]}), "unknown field `value`"),
            (json!({"matchExpressions": [{"key": "c", "operator": "NotIn"}]}), "operator NotIn must have values"),
            (json!({"matchExpressions": [{"key": "c", "operator": "Exists", "values": ["a"]}]}), "Exists has no values"),
            // What Kubernetes would read as everything.
            (
                json!({"matchlabels": {"a": "b"}}),
                "unknown field `matchlabels`, expected `matchLabels` or `matchExpressions`",
            ),
            (json!({"a": "b"}), "unknown field `a`"),
            (json!({}), "would mean everything"),
            (json!({"matchLabels": {}}), "would mean everything"),
        ] {
            let error = serde_json::from_value::<Selector>(wrong).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
