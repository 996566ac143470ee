//! Digests as they are written down: `sha256:` and hex.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// `sha256:` and hex of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> String {
    written(&Sha256::digest(bytes))
}

/// `sha256:` and hex of a digest that is finished.
pub(crate) fn written(digest: &[u8]) -> String {
    format!("sha256:{}", hex(digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
