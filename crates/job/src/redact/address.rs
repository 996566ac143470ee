//! Addresses as people write them: the password is often not encoded, so that nothing else can read them either. In doubt too much
//! is hidden.

use std::borrow::Cow;

use super::{CREDENTIALS, REDACTED, ends_with};

/// Ends of the names of parameters that hold a credential.
const PARAMETERS: [&str; 32] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "token",
    "secret",
    "key",
    "code",
    "sig",
    "signature",
    "auth",
    "authorization",
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

/// Parts of a path whose followers are the credential: who knows the address of a webhook may post to it.
const WEBHOOKS: [&str; 7] = ["hook", "hooks", "webhook", "webhooks", "webhookb2", "incomingwebhook", "incomingwebhooks"];

/// Ends of the names of hosts within a cluster, beside those of one or two labels.
const CLUSTER_HOSTS: [&str; 3] = [".svc", ".local", ".internal"];

/// What is before the host in an address, and what separates one parameter from the next.
const AUTHORITY_END: [char; 4] = ['/', '?', '#', '\\'];
const SEPARATORS: [char; 4] = ['?', '&', ';', '#'];

/// Takes user and password out of a text that is an address as a whole, valid or not, the values of parameters that are named
/// like a credential, and the paths of webhooks.
#[must_use]
pub fn address(written: &str) -> Cow<'_, str> {
    let begin = written.find("://").map_or(0, |position| position + 3);
    let (user, rest) = match end_of_user(written, begin) {
        None => ("", &written[begin..]),
        Some(end) => (REDACTED, &written[end..]),
    };
    let (path, parameters) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let secret = begin_of_secret(path);
    if user.is_empty() && secret.is_none() {
        return without_parameters(written);
    }
    let (path, hidden) = secret.map_or((path, ""), |secret| (&path[..secret], REDACTED));
    let shown = format!("{}{user}{path}{hidden}{parameters}", &written[..begin]);
    Cow::Owned(without_parameters(&shown).into_owned())
}

/// Where the credential begins in `host/path`, which then goes to the end of the path: behind a part that is named like one, in
/// everything that a webhook's host is asked for, and in the token of a bot.
fn begin_of_secret(path: &str) -> Option<usize> {
    let (mut begin, mut is_announced) = (0, false);
    for part in path.split_inclusive('/') {
        let name = decode(part.trim_end_matches('/')).to_ascii_lowercase();
        let is_bot = name.strip_prefix("bot").and_then(|token| token.split_once(':'));
        let is_token = begin > 0 && is_bot.is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        if is_token || is_announced && !name.is_empty() {
            return Some(begin);
        }
        is_announced |= if begin == 0 {
            is_webhook_host(&name)
        } else {
            WEBHOOKS.contains(&&*name) || name == "key" || ends_with(&name, &CREDENTIALS)
        };
        begin += part.len();
    }
    None
}

/// Whether a host takes webhooks for the whole world; a Service of this cluster may be named like one.
fn is_webhook_host(authority: &str) -> bool {
    let (host, _) = split_port(authority.rsplit('@').next().unwrap_or(authority));
    let is_public = host.split('.').count() > 2 && !CLUSTER_HOSTS.iter().any(|end| host.ends_with(end));
    is_public && host.split(['.', '-']).any(|label| WEBHOOKS.contains(&label))
}

/// Where the `@` is that ends user and password, if there are any.
fn end_of_user(written: &str, begin: usize) -> Option<usize> {
    let after = &written[begin..];
    let authority = &after[..after.find(AUTHORITY_END).unwrap_or(after.len())];
    let last = after.rfind('@');
    let (host, port) = split_port(authority);
    let is_host = port.bytes().all(|byte| byte.is_ascii_digit()) && !authority.contains(|c: char| c.is_whitespace());
    if authority.contains('@') {
        return last.map(|at| begin + at);
    }
    if !is_host {
        // An `@` may be encoded, too.
        return last.or_else(|| after.rfind("%40")).map(|at| begin + at);
    }
    // `user:2024/x@host`: all digits before the slash are a password rather than a port where there is no host of a cluster.
    let is_user = if begin == 0 { after[..last?].contains(':') } else { !port.is_empty() && !host.contains(['.', '[']) };
    last.filter(|_| is_user).map(|at| begin + at)
}

fn split_port(authority: &str) -> (&str, &str) {
    // `[::1]:80`
    let host = authority.rfind(']').map_or(0, |end| end + 1);
    authority[host..].find(':').map_or((authority, ""), |colon| (&authority[..host + colon], &authority[host + colon + 1..]))
}

/// Where a word ends that may be an address: one whose port is none goes on to the next `@`.
pub(super) fn end_of_word(text: &str) -> usize {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let Some(begin) = text[..end].find("://").map(|position| position + 3) else { return end };
    if text[begin..end].contains('@') {
        return end;
    }
    let authority = &text[begin..begin + text[begin..end].find(AUTHORITY_END).unwrap_or(end - begin)];
    let (_, port) = split_port(authority);
    let is_port = port.trim_end_matches([':', ',', '.', ')']).bytes().all(|byte| byte.is_ascii_digit());
    match text[end..].find('@').filter(|_| !is_port) {
        Some(at) => end + at + text[end + at..].find(char::is_whitespace).unwrap_or(text.len() - end - at),
        None => end,
    }
}

fn without_parameters(written: &str) -> Cow<'_, str> {
    if !written.contains('=') || !written.contains(SEPARATORS) {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len());
    let mut is_hidden = false;
    for (index, part) in written.split_inclusive(SEPARATORS).enumerate() {
        let separator = part.len() - usize::from(part.ends_with(SEPARATORS));
        match part[..separator].split_once('=') {
            Some((key, _)) if index > 0 && ends_with(&decode(key), &PARAMETERS) => {
                out.extend([key, "=", REDACTED, &part[separator..]]);
                is_hidden = true;
            }
            // What has no name belongs to the value before it: a secret may hold a separator.
            None if is_hidden => out.push_str(&part[separator..]),
            _ => {
                out.push_str(part);
                is_hidden = false;
            }
        }
    }
    Cow::Owned(out)
}

/// A name without percent-encoding.
fn decode(name: &str) -> String {
    let mut parts = name.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => out.extend([char::from(byte).to_string().as_str(), &part[2..]]),
            None => out.extend(["%", part]),
        }
    }
    out
}
