//! Addresses as people write them: the password is often not encoded, so that nothing else can read them either. In doubt too much
//! is hidden.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::REDACTED;
use super::letters::{decode, letters};
use super::values::{begin_of_parameter, is_credential};

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
    // Where more than a scheme is before it, it belongs to another address.
    let scheme = written.find("://").filter(|end| !written[..*end].contains(['@', '?', '=', '\\']));
    let begin = scheme.map_or(0, |position| position + 3);
    let (user, rest) = match end_of_user(&written[begin..]) {
        None => ("", &written[begin..]),
        Some(end) => (REDACTED, &written[begin + end..]),
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
        if let Some(value) = begin_of_parameter(part).filter(|_| begin > 0) {
            return Some(begin + value);
        }
        is_announced |= is_webhook_host(&name);
        is_announced |= begin > 0 && (WEBHOOKS.contains(&&*name) || name == "key" || is_credential(&name));
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

/// Where the `@` is that ends user and password, if there are any: a password may hold whatever ends the host of an address.
fn end_of_user(after: &str) -> Option<usize> {
    let authority = &after[..after.find(AUTHORITY_END).unwrap_or(after.len())];
    let (host, port) = split_port(authority);
    let has_space = authority.contains(char::is_whitespace);
    let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !has_space;
    // `user:2024/x@host`: digits may be a password rather than a port. An `@` that is encoded is one of a password less often.
    let is_port = |is_encoded: bool| has_port && (is_encoded || is_certain(host));
    // A `:` before the path, and one in it.
    let (mut has_outer, mut has_inner, mut end) = (false, false, None);
    for letter in letters(after) {
        let is_outer = letter.begin < authority.len();
        match letter.is {
            ':' if is_outer => has_outer = true,
            ':' => has_inner = true,
            '@' => {
                let has_password = has_inner || has_outer && !is_port(letter.is_encoded);
                if is_outer || has_password || end.is_some() && !letter.is_encoded {
                    end = Some(letter.begin);
                }
            }
            _ => {}
        }
    }
    end
}

/// Whether a name before a port is that of a host, and none of a user.
fn is_certain(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() || CLUSTER_HOSTS.iter().any(|end| host.ends_with(end))
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
    if !written.contains(SEPARATORS) && !written.contains('%') {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len());
    let (mut begin, mut is_first, mut is_hidden) = (0, true, false);
    let separators = letters(written).filter(|letter| SEPARATORS.contains(&letter.is)).map(|it| (it.begin, it.end));
    for (end, next) in separators.chain([(written.len(), written.len())]) {
        let part = &written[begin..end];
        match begin_of_parameter(part).filter(|_| !is_first) {
            Some(value) => {
                out.extend([&part[..value], REDACTED]);
                is_hidden = true;
            }
            // What has no name, or no value, belongs to the value before it: a secret may hold a separator.
            None if is_hidden && is_end_of_value(part) => {}
            None if !is_first && holds_credential(part) => out += REDACTED,
            None => {
                out += part;
                is_hidden = false;
            }
        }
        out += &written[end..next];
        (begin, is_first) = (next, false);
    }
    Cow::Owned(out)
}

fn is_end_of_value(part: &str) -> bool {
    decode(part).split_once('=').is_none_or(|(_, value)| value.trim_matches('=').is_empty())
}

/// Whether a parameter is an address that holds a credential itself.
fn holds_credential(part: &str) -> bool {
    let decoded = decode(part);
    let inner = decoded.split_once('=').map_or(&*decoded, |(_, value)| value);
    inner.contains("://") && address(inner) != inner
}
