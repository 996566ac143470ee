//! What a gate has seen, as it is stored beside its ticket: zstd-compressed JSON, cut into chunks like a snapshot.

use serde_json::Value;

use crate::digest;
use crate::snapshot::{CHUNK_SIZE, Chunks, Error, Manifest, check};

/// Compresses evidence, and says what its ticket has to remember.
pub fn pack(evidence: &Value) -> Result<(Vec<Vec<u8>>, Manifest), Error> {
    let packed = zstd::bulk::compress(evidence.to_string().as_bytes(), 0)?;
    let chunks: Vec<Vec<u8>> = packed.chunks(CHUNK_SIZE).map(<[u8]>::to_vec).collect();
    let manifest = Manifest { chunks: chunks.iter().map(|chunk| digest::of(chunk)).collect(), whole: digest::of(&packed) };
    Ok((chunks, manifest))
}

/// Reads evidence back; every digest is checked first.
pub fn unpack(chunks: &[Vec<u8>], manifest: &Manifest) -> Result<Value, Error> {
    check(chunks, manifest)?;
    Ok(serde_json::from_reader(zstd::Decoder::new(Chunks::of(chunks))?)?)
}

/// `sha256:` and hex over evidence as JSON with sorted keys: whether a copy is what was seen.
#[must_use]
pub fn digest(evidence: &Value) -> String {
    // serde_json sorts keys, so equal values have equal texts.
    digest::of(evidence.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn evidence_comes_back_as_it_was_and_a_changed_bit_is_found() {
        let evidence = json!({"readings": [{"source": "stan", "left": 0}]});
        let (mut chunks, manifest) = pack(&evidence).expect("plain data");
        assert_eq!(unpack(&chunks, &manifest).expect("just written"), evidence);
        chunks[0][3] ^= 1;
        assert!(matches!(unpack(&chunks, &manifest), Err(Error::Damaged { index: 0, .. })));
    }
}
