//! Who has written a field of an object, as its managedFields say.

use std::fmt;

use serde_json::Value;

use crate::cluster::FIELD_MANAGER;

/// Who has written a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The field manager, and the subresource if it has used one: `kubectl (scale)`.
    pub manager: String,
    /// When it has last written anything of the object; RFC 3339. Empty where the object does not say.
    pub time: String,
}

impl Writer {
    /// Whoever owns the field of this path; the last one where several do, and never we ourselves. None where the object does not say.
    #[must_use]
    pub fn of(live: &Value, path: &[&str]) -> Option<Self> {
        let entries = live["metadata"]["managedFields"].as_array()?.iter();
        let owns = |entry: &&Value| {
            let mut place = &entry["fieldsV1"];
            for name in path {
                match place.get(format!("f:{name}")) {
                    Some(next) => place = next,
                    // Whoever owns a map that is not told apart owns what is in it.
                    None => return place.as_object().is_some_and(serde_json::Map::is_empty),
                }
            }
            true
        };
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let others = entries.filter(|entry| entry["manager"] != FIELD_MANAGER).filter(owns);
        let last = others.max_by_key(|entry| text(entry, "time"))?;
        let (manager, time) = (last["manager"].as_str()?, text(last, "time"));
        let manager = last["subresource"].as_str().map_or_else(|| manager.to_owned(), |part| format!("{manager} ({part})"));
        Some(Self { manager, time })
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manager, time } = self;
        if time.is_empty() { write!(f, "{manager}") } else { write!(f, "{manager}, last at {time},") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_owner_of_a_field_has_written_it() {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "time": time, "fieldsV1": fields});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let mut scaled = entry("kubectl", "2026-01-02T00:00:00Z", replicas.clone());
        scaled["subresource"] = "scale".into();
        let managers = json!([
            entry("helm", "2026-01-03T00:00:00Z", json!({"f:spec": {"f:template": {}}})),
            entry("operator", "2026-01-01T00:00:00Z", replicas.clone()),
            scaled,
            entry(FIELD_MANAGER, "2026-01-04T00:00:00Z", replicas),
        ]);
        let live = json!({"metadata": {"managedFields": managers}});
        let writer = Writer::of(&live, &["spec", "replicas"]).expect("kubectl");
        assert_eq!(writer.to_string(), "kubectl (scale), last at 2026-01-02T00:00:00Z,");
        assert_eq!(Writer::of(&live, &["spec", "template", "spec"]).map(|it| it.manager).as_deref(), Some("helm"));
        assert_eq!(Writer::of(&live, &["data"]), None);
        assert_eq!(Writer::of(&json!({}), &["spec"]), None);
    }
}
