//! Durations with their unit, as a user writes them: `30s`, `2m`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use serde_json::Value;

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads one.
///
/// # Errors
///
/// When it is no text, or has no unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let invalid = |value: &Value| D::Error::custom(format!("{value} is no duration like 30s or 2m"));
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().ok_or_else(|| invalid(&value))?;
    humantime::parse_duration(text).map_err(|_| invalid(&value))
}
