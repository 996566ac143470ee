//! What reports must not show: values of Secrets, and credentials in anything else. The ledger keeps everything.

use fairlead_migration::change::{Change, Images};
use serde_json::Value;

const REDACTED: &str = "(redacted)";

/// Ends of the names of fields that hold a credential. Fields that refer to one (`secretName`, `tokenSecretRef`) end otherwise.
const CREDENTIALS: [&str; 8] =
    ["password", "passwd", "passphrase", "token", "secret", "apikey", "privatekey", "credentials"];

/// A change as it may be shown.
#[must_use]
pub fn change(mut change: Change) -> Change {
    match &mut change.images {
        Images::Create(image) | Images::Delete(image) => value(image),
        Images::Update(before, after) => {
            value(before);
            value(after);
        }
        Images::Sweep(..) => {}
    }
    change
}

/// Redacts a document in place.
pub fn value(document: &mut Value) {
    match document {
        Value::Object(entries) => {
            let is_secret = entries.get("kind").is_some_and(|kind| kind == "Secret");
            let is_named = entries.get("name").and_then(Value::as_str).is_some_and(is_credential);
            for (key, entry) in entries.iter_mut() {
                let is_content = is_secret && (key == "data" || key == "stringData");
                match entry {
                    Value::Object(contents) if is_content => contents.values_mut().for_each(hide),
                    // kubectl copies the whole object into it.
                    Value::String(_) if key == "kubectl.kubernetes.io/last-applied-configuration" => hide(entry),
                    // A variable of a container.
                    Value::String(_) if is_named && key == "value" => hide(entry),
                    Value::String(_) if is_credential(key) => hide(entry),
                    other => value(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::String(written) => *written = text(written),
        _ => {}
    }
}

/// Takes credentials out of every URL in a text: user and password, and parameters that are named like one.
#[must_use]
pub fn text(written: &str) -> String {
    without_parameters(&without_users(written))
}

fn without_parameters(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    for (index, part) in written.split_inclusive(['?', '&']).enumerate() {
        let end = part.find(|c: char| matches!(c, '&' | '#' | '"' | '\'') || c.is_whitespace()).unwrap_or(part.len());
        match part[..end].split_once('=') {
            Some((key, _)) if index > 0 && is_credential(key) => out.extend([key, "=", REDACTED, &part[end..]]),
            _ => out.push_str(part),
        }
    }
    out
}

fn without_users(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(position) = rest.find("://") {
        let (before, after) = rest.split_at(position + 3);
        out.push_str(before);
        let end =
            after.find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace()).unwrap_or(after.len());
        rest = after;
        if let Some(at) = after[..end].rfind('@') {
            out.push_str(REDACTED);
            rest = &after[at..];
        }
    }
    out + rest
}

fn is_credential(key: &str) -> bool {
    let key = key.to_lowercase().replace(['-', '_', '.'], "");
    CREDENTIALS.iter().any(|end| key.ends_with(end))
}

fn hide(value: &mut Value) {
    *value = REDACTED.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_secrets_and_credentials_are_hidden_and_references_to_them_are_not() {
        let mut document = json!({
            "changes": [{"after": {"kind": "Secret", "data": {"a": "c2VjcmV0"}, "stringData": {"b": "x"}, "type": "Opaque",
                "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}}}}],
            "spec": {"webhookAuth": {"clientSecret": "x", "clientId": "me", "api-key": "x"}, "secretName": "s", "tokenSecretRef": {"name": "s"}},
        });
        value(&mut document);
        let secret = &document["changes"][0]["after"];
        assert_eq!((&secret["data"], &secret["stringData"]), (&json!({"a": REDACTED}), &json!({"b": REDACTED})));
        assert_eq!(secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"], REDACTED);
        assert_eq!((&secret["metadata"]["annotations"]["kept"], &secret["type"]), (&json!("yes"), &json!("Opaque")));
        assert_eq!(
            document["spec"]["webhookAuth"],
            json!({"clientSecret": REDACTED, "clientId": "me", "api-key": REDACTED})
        );
        assert_eq!(
            (&document["spec"]["secretName"], &document["spec"]["tokenSecretRef"]["name"]),
            (&json!("s"), &json!("s"))
        );
    }

    #[test]
    fn copies_of_credentials_and_variables_of_containers_are_hidden() {
        let mut document = json!({
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"clientSecret\": \"x\"}"}},
            "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "LEVEL", "value": "info"}],
        });
        value(&mut document);
        assert_eq!(document["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"], REDACTED);
        assert_eq!((&document["env"][0]["value"], &document["env"][1]["value"]), (&json!(REDACTED), &json!("info")));
    }

    #[test]
    fn credentials_in_urls_are_hidden_wherever_they_stand() {
        for (written, shown) in [
            ("http://me:pass@a.b/x", "http://(redacted)@a.b/x"),
            (
                "spec.endpoint \"ftp://u:p@h/x\" is neither http://u@h nor",
                "spec.endpoint \"ftp://(redacted)@h/x\" is neither http://(redacted)@h nor",
            ),
            ("http://a.b/@me?x=y@z", "http://a.b/@me?x=y@z"),
            ("http://a.b/?a=1&access_token=x&b=2#f", "http://a.b/?a=1&access_token=(redacted)&b=2#f"),
            ("\"http://a.b/?token=x\" is", "\"http://a.b/?token=(redacted)\" is"),
            ("what? no=url", "what? no=url"),
            ("no url", "no url"),
            ("://", "://"),
        ] {
            assert_eq!(text(written), shown);
        }
    }
}
