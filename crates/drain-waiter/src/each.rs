//! Entries of the intake that stand once for each object of a kind. They are made into plain entries when a process begins, and once
//! more before it gives its proof.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_migration::change::Target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::entry::Intake;

/// Stands for the name of the object, in every text of the entry.
const PLACEHOLDER: &str = "{each}";

/// An entry of the intake as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) enum Entry {
    /// It means one object.
    One(Intake),
    /// It means as many as there are of a kind.
    Each(Box<Each>),
}

/// An entry that stands for each object of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    of: Of,
    template: Value,
    /// The entry for an object that may not exist.
    example: Intake,
}

/// A kind in a version.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Of {
    api_version: String,
    kind: String,
}

impl TryFrom<Map<String, Value>> for Entry {
    type Error = String;

    fn try_from(mut entry: Map<String, Value>) -> Result<Self, String> {
        let Some(of) = entry.remove("each") else {
            let entry = Value::Object(entry);
            if filled(&entry, "") != entry {
                return Err(format!("`{PLACEHOLDER}` stands for the name of an object, and the entry has no `each`"));
            }
            return read(&entry).map(Self::One);
        };
        let of: Of = read(&of).map_err(|what| format!("each: {what}"))?;
        let template = Value::Object(entry);
        let [example, another] = ["it", "another"].map(|name| read::<Intake>(&filled(&template, name)));
        let example = example?;
        if example.target() == another?.target() {
            let kind = of.kind;
            return Err(format!(
                "it stands for each {kind}, and `{PLACEHOLDER}` is neither in its namespace nor in its name"
            ));
        }
        Ok(Self::Each(Box::new(Each { of, template, example })))
    }
}

impl Entry {
    /// What it means, or would mean for some object.
    pub(crate) fn example(&self) -> &Intake {
        match self {
            Self::One(intake) => intake,
            Self::Each(each) => &each.example,
        }
    }

    /// The one object that it means.
    pub(crate) fn one(&self) -> Option<&Intake> {
        if let Self::One(intake) = self { Some(intake) } else { None }
    }
}

impl Each {
    /// The entries, in the order of the names; or why there is none.
    pub(crate) async fn entries(&self, source: &Source<'_>) -> Result<Result<Vec<Intake>, String>, Failure> {
        let Of { api_version, kind } = &self.of;
        let (api_version, kind) = (api_version.clone(), kind.clone());
        let target = Target { api_version, kind, namespace: None, name: String::new() };
        let listed = Kind::of(&target);
        let Target { api_version, kind, .. } = &target;
        let means = format!("so `each` of {} stands for no object", self.example.target().kind);
        if source.api_version(&listed).is_none() {
            return Ok(Err(format!("no kind {kind} is served in {api_version}, {means}")));
        }
        let name = |object: Value| object["metadata"]["name"].as_str().map(str::to_owned);
        let mut names = source.list(&listed, name).await?;
        if names.is_empty() {
            return Ok(Err(format!("there is no {kind}, {means}")));
        }
        names.sort_unstable();
        let entries = names.iter().map(|name| {
            let invalid =
                |what| Failure::new(&shared::INVALID_CONFIGURATION, format!("drain.intake: for {kind} {name}: {what}"));
            read(&filled(&self.template, name)).map_err(invalid)
        });
        Ok(Ok(entries.collect::<Result<_, Failure>>()?))
    }
}

/// Reads a part of the configuration; what is wrong is told with its place.
fn read<T: DeserializeOwned>(content: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(content).map_err(|error| match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })
}

/// The same with a name wherever a text has the placeholder.
fn filled(content: &Value, name: &str) -> Value {
    match content {
        Value::String(text) => text.replace(PLACEHOLDER, name).into(),
        Value::Array(parts) => parts.iter().map(|part| filled(part, name)).collect(),
        Value::Object(parts) => Value::Object(parts.iter().map(|(key, part)| (key.clone(), filled(part, name))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_of_an_entry_is_filled() {
        let template = json!({"a": "{each}-x-{each}", "b": [{"c": "{each}"}], "{each}": 1, "d": true});
        assert_eq!(filled(&template, "shop"), json!({"a": "shop-x-shop", "b": [{"c": "shop"}], "{each}": 1, "d": true}));
    }
}
