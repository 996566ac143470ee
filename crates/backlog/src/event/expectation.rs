//! The answer that an event expects, and what another one has in its place. Pure.

use std::collections::BTreeMap;

use http::header::{HeaderName, HeaderValue, LOCATION};
use serde::Deserialize;
use serde_json::Value;

use crate::http::Answer;
use crate::sources::http_json::Condition;

/// What only the new side answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Expectation {
    /// Any 2xx, if it is left out.
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Conditions on the body, which is JSON then.
    #[serde(default)]
    body: Vec<Condition>,
}

impl Expectation {
    /// Whether there can be such an answer; or why not.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("status {status} is no status of an answer, like 202"));
        }
        for (name, value) in &self.headers {
            name.parse::<HeaderName>().map_err(|_| format!("headers: {name:?} is no name of a header"))?;
            HeaderValue::from_str(value).map_err(|_| format!("headers.{name}: no header has such a value"))?;
        }
        self.body.iter().try_for_each(|condition| condition.check().map_err(|what| format!("body: {what}")))
    }

    /// What is expected, in words.
    pub(super) fn wanted(&self) -> String {
        let status = self.status.map_or_else(|| "HTTP 2xx".to_owned(), |status| format!("HTTP {status}"));
        let headers = self.headers.iter().map(|(name, value)| format!("header {name}: {value}"));
        let body = self.body.iter().map(|condition| format!("{} is {}", condition.pointer, condition.wanted()));
        [status].into_iter().chain(headers).chain(body).collect::<Vec<_>>().join(", ")
    }

    /// What is not as expected, in words.
    pub(super) fn unmet(&self, answer: &Answer) -> Option<String> {
        let Answer { status, headers, body } = answer;
        let is_status = self.status.map_or(status.is_success(), |expected| status.as_u16() == expected);
        if !is_status {
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let location =
                location.map_or_else(String::new, |place| format!(" and leads to {place}, which is not followed"));
            return Some(format!("answers HTTP {status}{location}"));
        }
        for (name, value) in &self.headers {
            let found = headers.get(name).map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
            if found.as_ref() != Some(value) {
                let found = found.map_or_else(|| format!("has no header {name}"), |found| format!("has {name}: {found}"));
                return Some(format!("answers HTTP {status}, and {found}"));
            }
        }
        if self.body.is_empty() {
            return None;
        }
        let document = match serde_json::from_slice::<Value>(body) {
            Ok(document) => document,
            Err(error) => return Some(format!("answers HTTP {status}, and no JSON: {error}")),
        };
        self.body.iter().find_map(|condition| {
            let what = match condition.holds(&document) {
                Ok(true) => return None,
                Ok(false) => condition.found(&document),
                Err(what) => what,
            };
            Some(format!("answers HTTP {status}, and its body {what}"))
        })
    }

    /// Whether it has something that another side may not answer as well.
    pub(super) fn tells_sides_apart(&self) -> bool {
        !self.headers.is_empty() || !self.body.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_answer_of_the_new_side_is_expected() {
        let answer = |status: u16, headers: &[(&'static str, &'static str)], body: &'static str| {
            let headers =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let status = StatusCode::from_u16(status).expect("a status");
            Answer { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) }
        };
        let unmet =
            |expect: Value, answer: &Answer| serde_json::from_value::<Expectation>(expect).expect("valid").unmet(answer);
        let plain = answer(202, &[("x-side", "old")], "{\"side\": \"old\"}");
        assert_eq!(unmet(json!({}), &plain), None);
        assert_eq!(unmet(json!({"status": 202}), &plain), None);
        let said = unmet(json!({"headers": {"X-Side": "new"}}), &plain);
        assert_eq!(said.as_deref(), Some("answers HTTP 202 Accepted, and has X-Side: old"));
        let said = unmet(json!({"headers": {"X-Version": "2"}}), &plain);
        assert_eq!(said.as_deref(), Some("answers HTTP 202 Accepted, and has no header X-Version"));
        let side = json!({"body": [{"pointer": "/side", "equals": "new"}]});
        let said = unmet(side.clone(), &plain);
        assert_eq!(said.as_deref(), Some("answers HTTP 202 Accepted, and its body has \"old\" at /side"));
        assert_eq!(unmet(side.clone(), &answer(200, &[], "{\"side\": \"new\"}")), None);
        let said = unmet(side, &answer(200, &[], "<html>")).expect("no JSON");
        assert!(said.starts_with("answers HTTP 200 OK, and no JSON: "), "{said}");
        let said = unmet(json!({}), &answer(302, &[("location", "http://login")], ""));
        assert_eq!(said.as_deref(), Some("answers HTTP 302 Found and leads to http://login, which is not followed"));
        assert_eq!(unmet(json!({}), &answer(503, &[], "")).as_deref(), Some("answers HTTP 503 Service Unavailable"));
    }
}
