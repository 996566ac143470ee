//! What was read of many consumers or partitions, for the certificate: plain where a person can read it, packed where there are thousands.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

/// So many are plain.
const PLAIN: usize = 100;

/// An object with these entries; of many of them `{"count": 10000, "gzip": "…"}`, which is its JSON, compressed and in base64. No more than one
/// entry is in memory then.
pub(crate) fn positions<N: AsRef<str>>(count: usize, entries: impl Iterator<Item = (N, Value)>) -> Value {
    if count <= PLAIN {
        return Value::Object(entries.map(|(name, value)| (name.as_ref().to_owned(), value)).collect::<Map<_, _>>());
    }
    match packed(entries) {
        Ok(text) => json!({"count": count, "gzip": text}),
        // Nothing is written but into memory.
        Err(error) => Value::String(error.to_string()),
    }
}

fn packed<N: AsRef<str>>(entries: impl Iterator<Item = (N, Value)>) -> std::io::Result<String> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    let mut before = "{";
    for (name, value) in entries {
        out.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut out, name.as_ref())?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut out, &value)?;
        before = ",";
    }
    out.write_all(b"}")?;
    Ok(STANDARD.encode(out.finish()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn few_are_plain_and_many_are_packed() {
        let all = |count: usize| positions(count, (0..count).map(|number| (format!("n{number}"), json!({"end": number}))));
        assert_eq!(all(2), json!({"n0": {"end": 0}, "n1": {"end": 1}}));
        let many = all(10_000);
        let text = many["gzip"].as_str().expect("it is packed");
        assert!(text.len() < 100_000, "{}", text.len());
        let mut json = String::new();
        let bytes = STANDARD.decode(text).expect("base64");
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut json).expect("gzip");
        let unpacked: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((unpacked["n9999"]["end"].as_u64(), many["count"].as_u64()), (Some(9_999), Some(10_000)));
    }
}
