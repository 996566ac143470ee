//! What reports must not show: values of Secrets, and credentials in anything else. The ledger keeps everything.

mod address;

use std::borrow::Cow;
use std::fmt;

use fairlead_migration::change::{Change, Images};
use fairlead_migration::obstacle::chain;
use serde_json::Value;

pub use self::address::address;

const REDACTED: &str = "(redacted)";

/// Ends of the names of fields that hold a credential. Fields that refer to one (`secretName`, `tokenSecretRef`) end otherwise.
const CREDENTIALS: [&str; 20] = [
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "tokens",
    "secret",
    "apikey",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "secretaccesskey",
    "privatekey",
    "tlskey",
    "credential",
    "credentials",
    "authorization",
    "connectionstring",
    "dsn",
];

/// The length of `connectionstring`; none is longer.
const LONGEST_END: usize = 16;

/// How a key, a certificate or a signature begins that stands in a text.
const PEM: &str = "-----BEGIN ";

/// Ends of the names of fields that hold an address, valid or not.
const ADDRESSES: [&str; 4] = ["endpoint", "uri", "url", "address"];

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
    change.reason = text(&change.reason);
    change
}

/// Redacts a document in place.
pub fn value(document: &mut Value) {
    match document {
        Value::Object(entries) => {
            let is_secret = entries.get("kind").is_some_and(|kind| kind == "Secret");
            let is_named = entries.get("name").and_then(Value::as_str).is_some_and(|name| ends_with(name, &CREDENTIALS));
            for (key, entry) in entries.iter_mut() {
                let is_content = is_secret && (key == "data" || key == "stringData");
                match entry {
                    Value::Object(contents) if is_content => contents.values_mut().for_each(hide),
                    // kubectl copies the whole object into it.
                    Value::String(_) if key == "kubectl.kubernetes.io/last-applied-configuration" => hide(entry),
                    // A variable of a container.
                    Value::String(_) if is_named && key == "value" => hide(entry),
                    Value::String(_) | Value::Number(_) | Value::Array(_) if ends_with(key, &CREDENTIALS) => hide_all(entry),
                    Value::String(written) if ends_with(key, &ADDRESSES) => replace(written, address),
                    other => value(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::String(written) if written.contains(PEM) => hide(document),
        Value::String(written) if has_scheme(written) => replace(written, address),
        Value::String(written) => {
            if let Some(shown) = json(written).or_else(|| argument(written)) {
                *written = shown;
            } else {
                replace(written, prose);
            }
        }
        _ => {}
    }
}

/// A document within a text: tools keep what they have applied in an annotation.
fn json(written: &str) -> Option<String> {
    let text = Some(written.trim()).filter(|text| text.starts_with('{'))?;
    let mut document = serde_json::from_str(text).ok().filter(Value::is_object)?;
    let before = document.clone();
    value(&mut document);
    (document != before).then(|| document.to_string())
}

/// `--password=…` among the arguments of a container.
fn argument(written: &str) -> Option<String> {
    let (name, _) = written.strip_prefix("--")?.split_once('=')?;
    ends_with(name, &CREDENTIALS).then(|| format!("--{name}={REDACTED}"))
}

/// A credential, or each of a list.
fn hide_all(entry: &mut Value) {
    match entry {
        Value::Array(items) => items.iter_mut().for_each(|item| if item.is_object() { value(item) } else { hide_all(item) }),
        _ => hide(entry),
    }
}

/// Takes credentials out of every address in a text, in quotes or without: user and password, parameters that are named
/// like one, and the paths of webhooks.
#[must_use]
pub fn text(written: &str) -> String {
    prose(written).into_owned()
}

/// An error with its causes as it may be shown, which is all that is left of it.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    /// What an error says.
    #[must_use]
    pub fn of(error: &dyn std::error::Error) -> Self {
        Self(text(&chain(error)))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

fn prose(written: &str) -> Cow<'_, str> {
    // Nearly no text has any.
    if !may_have_any(written) {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(begin) = rest.find('"') {
        let (before, quoted) = rest.split_at(begin + 1);
        // What is in quotes is one address, whatever is in it.
        let Some(end) = end_of_quoted(quoted) else { break };
        out += &words(before);
        out += &if has_scheme(&quoted[..end]) || has_user(&quoted[..end]) {
            address(&quoted[..end])
        } else {
            words(&quoted[..end])
        };
        out.push('"');
        rest = &quoted[end + 1..];
    }
    out += &words(rest);
    Cow::Owned(out)
}

fn may_have_any(written: &str) -> bool {
    written.bytes().any(|byte| matches!(byte, b'@' | b'=' | b'%')) || written.contains("://")
}

/// Where a quote ends that is not escaped.
fn end_of_quoted(quoted: &str) -> Option<usize> {
    let mut is_escaped = false;
    quoted.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

/// Text outside of quotes, where an address ends with the word, but for one that goes on behind a space.
fn words(written: &str) -> Cow<'_, str> {
    if !may_have_any(written) {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while !rest.is_empty() {
        let begin = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        out.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let end = address::end_of_word(rest);
        let (word, after) = rest.split_at(end);
        out += &if word.contains("://") || has_user(word) { address(word) } else { Cow::Borrowed(word) };
        rest = after;
    }
    Cow::Owned(out)
}

/// `user:password@…`; an image with a digest looks the same.
fn has_user(written: &str) -> bool {
    let at = written.rfind('@').filter(|at| !written[at + 1..].starts_with("sha256:"));
    at.is_some_and(|at| written[..at].contains(':'))
}

fn has_scheme(written: &str) -> bool {
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    written.split_once(':').is_some_and(|(scheme, rest)| rest.starts_with("//") && is_scheme(scheme))
}

/// Whatever the case, and however its words are put together.
fn ends_with(name: &str, ends: &[&str]) -> bool {
    // As much of it as the longest of the ends has, and the last letter at the end: this is asked of every field that is shown.
    let mut letters = [0; LONGEST_END];
    let significant = name.bytes().rev().filter(|byte| !b"-_.".contains(byte));
    letters.iter_mut().rev().zip(significant).for_each(|(letter, byte)| *letter = byte.to_ascii_lowercase());
    ends.iter().any(|end| letters.ends_with(end.as_bytes()))
}

fn replace(written: &mut String, redact: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(shown) = redact(written) {
        *written = shown;
    }
}

fn hide(value: &mut Value) {
    *value = REDACTED.into();
}

#[cfg(test)]
mod tests;
