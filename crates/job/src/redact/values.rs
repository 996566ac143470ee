//! Values that stand behind their names in a text: `name=value`, `name: value`, `"name":"value"`.

use super::letters::letters;
use super::{CREDENTIALS, REDACTED, ends_with};

/// What stands before a name, and what stands between a name and its sign.
const BEFORE_NAMES: [char; 16] = ['=', ':', ';', ',', '/', '{', '}', '(', ')', '"', '\'', '\\', '?', '&', '<', '>'];
const AFTER_NAMES: [char; 5] = ['"', '\'', '\\', ' ', '+'];

/// Ends of the names of parameters that hold a credential.
const PARAMETERS: [&str; 35] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "pw",
    "pin",
    "token",
    "secret",
    "key",
    "code",
    "sig",
    "signature",
    "auth",
    "authorization",
    "basic",
    "credential",
    "credentials",
    "jwt",
    "otp",
    "hmac",
    "session",
    "assertion",
    "bearer",
    "sid",
    "sessionid",
    "sessid",
    "sas",
    "sign",
    "cookie",
    "csrf",
    "xsrf",
    "nonce",
    "ticket",
    "pat",
];

/// The name of a parameter that has one of these in it is that of a credential: `secret_id`, `token_value`, `passwort`.
const WITHIN_PARAMETERS: [&str; 4] = ["token", "secret", "passw", "credential"];

/// Where the first credential begins in a part of an address.
pub(super) fn begin_of_parameter(part: &str) -> Option<usize> {
    begin_of_value(part, |name, sign, _| if sign == '=' { is_parameter(name) } else { is_credential(name) })
}

/// A text without the credentials in its lines, if there are any: `password=…`, `Authorization: Bearer …`, YAML.
pub(super) fn without_values(written: &str) -> Option<String> {
    let is_secret = |name: &str, sign: char, rest: &str| {
        let has_value = sign == '=' || rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r', '"']);
        has_value && name.split_whitespace().next_back().is_some_and(is_credential)
    };
    let (mut out, mut has_any) = (String::new(), false);
    for line in written.split_inclusive('\n') {
        let Some(begin) = begin_of_value(line, is_secret) else {
            out += line;
            continue;
        };
        has_any = true;
        let value = line[begin..].trim();
        let space = if line[begin..].starts_with(' ') { " " } else { "" };
        out.extend([&line[..begin], space, REDACTED]);
        // Where a value of several lines ends is not known.
        if value.is_empty() || value.starts_with(['|', '>', '[', '{', '&', '!', '"', '\'']) {
            break;
        }
        out.push_str(if line.ends_with('\n') { "\n" } else { "" });
    }
    has_any.then_some(out)
}

/// Whether a field of this name holds a credential.
pub(super) fn is_credential(name: &str) -> bool {
    ends_with(name.trim_end_matches(|letter: char| letter.is_ascii_digit()), &CREDENTIALS)
}

/// Where the value begins of the first name that `is_secret`, which is told the sign and what follows it as well.
fn begin_of_value(text: &str, is_secret: impl Fn(&str, char, &str) -> bool) -> Option<usize> {
    let mut before = String::new();
    letters(text).find_map(|letter| {
        if matches!(letter.is, '=' | ':') {
            let name = before.trim_end_matches(AFTER_NAMES).rsplit(BEFORE_NAMES).next().unwrap_or_default();
            if is_secret(name, letter.is, &text[letter.end..]) {
                return Some(letter.end);
            }
        }
        before.push(letter.is);
        None
    })
}

/// Whether a parameter holds a credential: `token[0]`, `auth[token]`, `secret_id`, `key1`.
fn is_parameter(name: &str) -> bool {
    let is_end = |part: &str| {
        let part = part.trim_matches(|letter: char| letter.is_ascii_digit() || letter.is_whitespace());
        ends_with(part, &PARAMETERS)
    };
    let letters = name.replace(['-', '_', '.', ' '], "").to_ascii_lowercase();
    name.split(['[', ']']).any(is_end) || WITHIN_PARAMETERS.iter().any(|within| letters.contains(within))
}
