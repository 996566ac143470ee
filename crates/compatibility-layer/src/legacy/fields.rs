//! The fields of a JSON object, found as Go's decoder finds them: in any case, and of several the last one.
//!
//! Source: <https://pkg.go.dev/encoding/json#Unmarshal>, which Kyma's services read their requests with.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// All fields, as they stand in the text.
pub(super) struct Fields<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

impl<'b> Fields<'b> {
    /// The value of a field, if it has one. `null` leaves a field as it is.
    pub(super) fn value(&self, name: &str) -> Option<&'b RawValue> {
        let is_it = |(other, value): &&(Cow<'b, str>, &'b RawValue)| is_same(other, name) && value.get() != "null";
        self.0.iter().rev().find(is_it).map(|(_, value)| *value)
    }

    /// The text of a field, if it has one; or what stands there instead.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        let text = |value: &RawValue| serde_json::from_str(value.get()).map_err(|error| format!("{name}: {error}"));
        self.value(name).map(text).transpose()
    }
}

/// Whether a name of a request is that of a field, which has only small letters.
fn is_same(name: &str, field: &str) -> bool {
    // Two letters beyond ASCII have a small one of ASCII.
    let small = |letter: char| match letter {
        'ſ' => 's',
        'K' => 'k',
        _ => letter.to_ascii_lowercase(),
    };
    name.chars().map(small).eq(field.chars())
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = object.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_any_case_and_the_last_one_counts() {
        let text = r#"{"Event-Type": "a", "EVENT-TYPE": null, "event-time": 1, "\u017fource-id": "b", "event-id": "c", "Event-ID": "d", "DATA": {"n": 1.10}}"#;
        let fields: Fields<'_> = serde_json::from_str(text).expect("an object");
        let text = |name: &str| fields.text(name).expect("a text");
        let found = ["event-type", "source-id", "event-id", "event"].map(text);
        assert_eq!(found, [Some("a"), Some("b"), Some("d"), None].map(|text| text.map(str::to_owned)));
        assert_eq!(fields.value("data").map(RawValue::get), Some(r#"{"n": 1.10}"#));
        let why = fields.text("event-time").expect_err("a number");
        assert!(why.starts_with("event-time: invalid type: integer `1`, expected a string"), "{why}");
        assert!(serde_json::from_str::<Fields<'_>>("[]").is_err_and(|error| error.to_string().contains("a JSON object")));
    }
}
