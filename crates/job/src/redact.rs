//! What reports must not show: values of Secrets, and credentials in anything else. The ledger keeps everything.

mod address;
mod fields;
mod letters;
mod values;

use std::borrow::Cow;
use std::fmt;

use fairlead_migration::change::{Change, Images};
use fairlead_migration::obstacle::chain;

pub use self::address::address;
pub use self::fields::value;
use self::letters::letters;

const REDACTED: &str = "(redacted)";

/// Ends of the names of fields that hold a credential. Fields that refer to one (`secretName`, `tokenSecretRef`) end otherwise.
const CREDENTIALS: [&str; 25] = [
    "password",
    "passwordhash",
    "passwordvalue",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "tokens",
    "tokenvalue",
    "secret",
    "secretvalue",
    "sas",
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
    let (mut rest, mut looked_at) = (written, 0);
    while let Some(begin) = rest[looked_at..].find('"').map(|position| looked_at + position) {
        if is_within_address(&rest[..begin], &rest[begin + 1..]) {
            looked_at = begin + 1;
            continue;
        }
        let (before, quoted) = rest.split_at(begin + 1);
        // What is in quotes is one address, whatever is in it.
        let Some(end) = end_of_quoted(quoted) else { break };
        out += &words(before);
        out += &if has_scheme(&quoted[..end]) || is_address(&quoted[..end]) {
            address(&quoted[..end])
        } else {
            words(&quoted[..end])
        };
        out.push('"');
        (rest, looked_at) = (&quoted[end + 1..], 0);
    }
    out += &words(rest);
    Cow::Owned(out)
}

/// Whether a quote between two texts stands in an address.
fn is_within_address(before: &str, after: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let rest = after.split(char::is_whitespace).next().unwrap_or_default();
    word.contains("://") && (word.contains('?') || rest.contains(['@', '\u{ff20}']))
}

fn may_have_any(written: &str) -> bool {
    written.bytes().any(|byte| matches!(byte, b'@' | b'=' | b'%')) || written.contains("://") || written.contains('\u{ff20}')
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
        out += &if word.contains("://") || is_address(word) { address(word) } else { Cow::Borrowed(word) };
        rest = after;
    }
    Cow::Owned(out)
}

/// Whether a text without a scheme is an address that may hold a credential.
fn is_address(written: &str) -> bool {
    if is_account(written) {
        return false;
    }
    has_user(written) || written.contains(['?', ';', '#']) && written.contains(['=', ':', '%'])
}

/// `'user'@'host'`, as MariaDB and MySQL write who may log in from where: a name, and no credential.
fn is_account(written: &str) -> bool {
    let written = written.trim_end_matches([';', ',', '.', ')', ':']);
    let is_part = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte));
    let is_host = |text: &str| text.split('/').count() < 3 && text.split('/').all(is_part);
    ['\'', '`'].iter().any(|quote| {
        let inner = written.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote));
        let parts = inner.and_then(|inner| inner.split_once(&format!("{quote}@{quote}")));
        parts.is_some_and(|(user, host)| is_part(user) && is_host(host))
    })
}

/// `user:password@…` and `token@host/…`; an image with a digest looks the same.
fn has_user(written: &str) -> bool {
    let Some(at) = letters(written).filter(|letter| letter.is == '@').last() else { return false };
    let (user, host) = (&written[..at.begin], &written[at.end..]);
    let is_user = letters(user).any(|letter| letter.is == ':') || !user.is_empty() && host.contains('/');
    is_user && !host.strip_prefix("sha256:").is_some_and(is_digest)
}

fn is_digest(written: &str) -> bool {
    written.bytes().take_while(u8::is_ascii_hexdigit).count() == 64
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

#[cfg(test)]
mod tests;
