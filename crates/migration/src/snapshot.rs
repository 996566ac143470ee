//! The plan as it is stored before the first write: zstd-compressed JSON, cut into chunks that fit a Secret.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::plan::Plan;

/// A Secret holds at most 1 MiB, its metadata and the base64 of nothing else included; this leaves room for both.
pub const CHUNK_SIZE: usize = 900 * 1024;

/// zstd's own default: higher levels cost seconds at 100,000 objects and save a few per cent.
const COMPRESSION_LEVEL: i32 = 3;

/// What a ticket says about its chunks, so that a damaged one is noticed before anything is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `sha256:` and hex of each chunk, in order.
    pub chunks: Vec<String>,
    /// `sha256:` and hex over the concatenation of all chunks.
    pub whole: String,
}

/// A plan, ready to be stored.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// At most [`CHUNK_SIZE`] bytes each.
    pub chunks: Vec<Vec<u8>>,
    /// What the ticket says about them.
    pub manifest: Manifest,
}

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan cannot be written as JSON, or the JSON is not a plan.
    #[error("failed to read or write the plan in the snapshot")]
    Plan(#[from] serde_json::Error),
    /// zstd failed.
    #[error("failed to compress or decompress the snapshot")]
    Compress(#[from] std::io::Error),
    /// A chunk is not what was stored.
    #[error("chunk {index} of the snapshot is damaged: stored as {expected}, read as {found}")]
    Damaged {
        /// Position of the chunk, from 0; equal to the number of chunks for the whole.
        index: usize,
        /// From the ticket.
        expected: String,
        /// Of the bytes read.
        found: String,
    },
    /// There are fewer or more chunks than the ticket says.
    #[error("the snapshot has {found} chunks, its ticket says {expected}")]
    Incomplete {
        /// From the ticket.
        expected: usize,
        /// Read.
        found: usize,
    },
}

impl Snapshot {
    /// Compresses `plan` and cuts it into chunks.
    pub fn of(plan: &Plan) -> Result<Self, Error> {
        let bytes = zstd::encode_all(serde_json::to_vec(plan)?.as_slice(), COMPRESSION_LEVEL)?;
        let chunks: Vec<Vec<u8>> = bytes.chunks(CHUNK_SIZE).map(<[u8]>::to_vec).collect();
        let manifest = Manifest { chunks: chunks.iter().map(|chunk| digest(chunk)).collect(), whole: digest(&bytes) };
        Ok(Self { chunks, manifest })
    }

    /// Reads the plan back; every digest is checked first.
    pub fn plan(&self) -> Result<Plan, Error> {
        let (expected, found) = (self.manifest.chunks.len(), self.chunks.len());
        if expected != found {
            return Err(Error::Incomplete { expected, found });
        }
        let whole = self.chunks.concat();
        let bytes = self.chunks.iter().map(Vec::as_slice).chain([whole.as_slice()]);
        let stored = self.manifest.chunks.iter().chain([&self.manifest.whole]);
        for (index, (bytes, expected)) in bytes.zip(stored).enumerate() {
            let found = digest(bytes);
            if found != *expected {
                return Err(Error::Damaged { index, expected: expected.clone(), found });
            }
        }
        Ok(serde_json::from_slice(&zstd::decode_all(whole.as_slice())?)?)
    }
}

/// `sha256:` and hex of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan_of_one;

    #[test]
    fn a_snapshot_gives_its_plan_back() {
        let plan = plan_of_one();
        assert_eq!(Snapshot::of(&plan).expect("plain data").plan().expect("just written"), plan);
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let snapshot = Snapshot::of(&plan_of_one()).expect("plain data");
        for bit in 0..snapshot.chunks[0].len() * 8 {
            let mut damaged = snapshot.clone();
            damaged.chunks[0][bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(damaged.plan(), Err(Error::Damaged { index: 0, .. })), "bit {bit}");
        }
    }

    #[test]
    fn a_missing_chunk_is_found() {
        let mut snapshot = Snapshot::of(&plan_of_one()).expect("plain data");
        snapshot.chunks.clear();
        assert!(matches!(snapshot.plan(), Err(Error::Incomplete { expected: 1, found: 0 })));
    }
}
