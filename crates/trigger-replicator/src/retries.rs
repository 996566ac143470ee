//! How Knative delivers to the subscriber of a Trigger: retries, their pauses, and who gets what nobody takes. Source: Knative Eventing,
//! `pkg/apis/duck/v1/delivery_types.go`, `DeliverySpec`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `delivery` of each Trigger that is made. Durations are of ISO 8601; Knative checks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retries {
    /// So often an event is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u16>,
    /// How long an answer is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    /// How the pauses grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_policy: Option<BackoffPolicy>,
    /// The first pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_delay: Option<String>,
    /// Who gets what nobody takes: `{"uri": …}` or `{"ref": {…}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_sink: Option<Sink>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackoffPolicy {
    Linear,
    Exponential,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sink {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

impl Retries {
    /// As it stands in a Trigger.
    #[must_use]
    pub fn document(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(sink) = &read.dead_letter_sink
            && sink.reference.is_none() == sink.uri.is_none()
        {
            return Err("deadLetterSink must have a ref or a uri".to_owned());
        }
        let durations = [("timeout", &read.timeout), ("backoffDelay", &read.backoff_delay)];
        let wrong = durations.into_iter().find(|(_, duration)| duration.as_ref().is_some_and(|it| !it.starts_with('P')));
        match wrong.map(|(name, _)| name) {
            Some(name) => Err(format!("{name} must be a duration of ISO 8601, like PT2S")),
            None => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_knative_knows_is_taken_and_nothing_else() {
        let all = json!({"retry": 10, "timeout": "PT30S", "backoffPolicy": "exponential", "backoffDelay": "PT0.5S",
            "deadLetterSink": {"uri": "http://dead.shop/"}});
        assert_eq!(all.to_string().parse::<Retries>().map(|read| read.document()), Ok(all));
        for (text, why) in [
            ("10", "invalid type"),
            ("{\"retries\": 10}", "unknown field `retries`"),
            ("{\"retry\": -1}", "invalid value"),
            ("{\"backoffPolicy\": \"quadratic\"}", "unknown variant `quadratic`"),
            ("{\"backoffDelay\": \"2s\"}", "backoffDelay must be a duration of ISO 8601"),
            ("{\"deadLetterSink\": {}}", "a ref or a uri"),
        ] {
            let error = text.parse::<Retries>().expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
