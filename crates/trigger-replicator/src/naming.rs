//! Names of what is created: the same for the same content, in every run, so that a second run finds it.

use sha2::{Digest as _, Sha256};

/// Length of a DNS label.
const MAX_NAME: usize = 63;

/// 40 bits in hex: two of a million names in one namespace collide with a probability below one half, and only if the
/// readable parts are equal, too.
const HASH_LENGTH: usize = 10;

/// A DNS label: `readable` as far as it can be, and a hash of `key`, whose parts must not contain a line break.
pub(crate) fn name(readable: &str, key: &[&str]) -> String {
    let digest = Sha256::digest(key.join("\n"));
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).take(HASH_LENGTH);
    let hash: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    let mut label = String::new();
    for c in readable.to_ascii_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c);
        } else if !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_matches('-');
    let label = label[..label.len().min(MAX_NAME - 1 - HASH_LENGTH)].trim_end_matches('-');
    if label.is_empty() { hash } else { format!("{label}-{hash}") }
}
