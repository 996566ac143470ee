//! The plan as it is stored before the first write: zstd-compressed JSON lines, cut into chunks that fit a Secret.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest;
use crate::plan::{Plan, PlanBuilder};
use crate::stage::{Stage, UndoWait};

/// A Secret holds at most 1 MiB. This is less, because whoever writes or reads one has it in memory several times over: as
/// bytes, as base64, as a request.
pub const CHUNK_SIZE: usize = 384 * 1024;

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
pub struct Snapshot<'a> {
    plan: &'a Plan,
    /// Step and stages, the first line; the changes are the others.
    head: Vec<u8>,
    /// What the ticket says about the chunks.
    pub manifest: Manifest,
}

/// The first line of a snapshot.
#[derive(Serialize, Deserialize)]
struct Head {
    step: String,
    stages: Vec<Stage>,
}

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan cannot be written as JSON, or the JSON is not a plan.
    #[error("failed to read or write the plan in the snapshot")]
    Plan(#[from] serde_json::Error),
    /// What the way back would wait for can never be seen to be so.
    #[error("{0}")]
    Wait(String),
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

impl<'a> Snapshot<'a> {
    /// Computes the digests of the chunks. Nothing is copied: the plan holds its changes as they are stored.
    ///
    /// # Errors
    ///
    /// [`Error::Wait`] where a stage could never be undone: then nothing of the plan is to be done.
    pub fn of(plan: &'a Plan) -> Result<Self, Error> {
        let mut waits = plan.stages().iter().flat_map(Stage::waits);
        if let Some(objection) = waits.find_map(UndoWait::objection) {
            return Err(Error::Wait(objection));
        }
        let mut head = serde_json::to_vec(&Head { step: plan.step().to_owned(), stages: plan.stages().to_vec() })?;
        head.push(b'\n');
        let head = zstd::bulk::compress(&head, 0)?;
        let mut snapshot = Self { plan, head, manifest: Manifest { chunks: Vec::new(), whole: String::new() } };
        let (mut chunks, mut whole) = (Vec::new(), Sha256::new());
        for chunk in snapshot.chunks() {
            chunks.push(digest::of(&chunk));
            whole.update(&chunk);
        }
        snapshot.manifest = Manifest { chunks, whole: digest::written(&whole.finalize()) };
        Ok(snapshot)
    }

    /// At most [`CHUNK_SIZE`] bytes each, made one after the other.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut frames = std::iter::once(Cow::Borrowed(self.head.as_slice())).chain(self.plan.frames());
        let mut rest: Vec<u8> = Vec::new();
        std::iter::from_fn(move || {
            while rest.len() < CHUNK_SIZE {
                let Some(frame) = frames.next() else { break };
                rest.extend_from_slice(&frame);
            }
            let next = rest.split_off(rest.len().min(CHUNK_SIZE));
            let chunk = std::mem::replace(&mut rest, next);
            (!chunk.is_empty()).then_some(chunk)
        })
    }
}

/// Reads a plan back, with what carrying it out and taking it back needs; every digest is checked first.
pub fn read(chunks: &[Vec<u8>], manifest: &Manifest) -> Result<Plan, Error> {
    check(chunks, manifest)?;
    let mut lines = BufReader::new(zstd::Decoder::new(Chunks::of(chunks))?).lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let Head { step, stages } = serde_json::from_str(&head)?;
    let mut builder = PlanBuilder::new(&step, stages);
    for line in lines {
        builder.push(&serde_json::from_str(&line?)?);
    }
    Ok(builder.build())
}

/// Checks every digest.
pub(crate) fn check(chunks: &[Vec<u8>], manifest: &Manifest) -> Result<(), Error> {
    let (expected, found) = (manifest.chunks.len(), chunks.len());
    if expected != found {
        return Err(Error::Incomplete { expected, found });
    }
    let whole = chunks.iter().fold(Sha256::new(), Sha256::chain_update);
    let found = chunks.iter().map(|chunk| digest::of(chunk)).chain([digest::written(&whole.finalize())]);
    for (index, (found, expected)) in found.zip(manifest.chunks.iter().chain([&manifest.whole])).enumerate() {
        if found != *expected {
            return Err(Error::Damaged { index, expected: expected.clone(), found });
        }
    }
    Ok(())
}

/// The concatenation of chunks, without a copy of it.
pub(crate) struct Chunks<'a> {
    chunks: &'a [Vec<u8>],
    /// In the first of them.
    position: usize,
}

impl<'a> Chunks<'a> {
    pub(crate) fn of(chunks: &'a [Vec<u8>]) -> Self {
        Self { chunks, position: 0 }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while let [first, rest @ ..] = self.chunks {
            let read = (&first[self.position..]).read(out)?;
            self.position += read;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            (self.chunks, self.position) = (rest, 0);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Images, Target};
    use crate::plan::tests::{plan_of, plan_of_one};

    fn stored(plan: &Plan) -> (Vec<Vec<u8>>, Manifest) {
        let snapshot = Snapshot::of(plan).expect("plain data");
        (snapshot.chunks().collect(), snapshot.manifest)
    }

    #[test]
    fn a_snapshot_gives_its_plan_back() {
        let (chunks, manifest) = stored(&plan_of_one());
        let plan = read(&chunks, &manifest).expect("just written");
        assert_eq!(
            (plan.step(), plan.stages(), plan.digest()),
            (plan_of_one().step(), plan_of_one().stages(), plan_of_one().digest())
        );
        assert!(plan.changes().eq(plan_of_one().changes()));
    }

    #[test]
    fn a_plan_that_could_never_be_taken_back_is_not_stored() {
        let answer = UndoWait::Answer { url: "https://old/".into(), status: 200, timeout_seconds: 1 };
        let plan = plan_of_one();
        let stages = plan.stages().iter();
        let stages = stages.map(|stage| Stage { undo_waits: vec![answer.clone()], ..stage.clone() }).collect();
        let refused = Snapshot::of(&plan_of(stages, &[])).err().expect("nobody can ask it").to_string();
        assert!(refused.contains("https://old/: only http://HOST"), "{refused}");
    }

    #[test]
    fn a_plan_of_several_chunks_comes_back_whole() {
        let mut changes: Vec<Change> = plan_of_one().changes().collect();
        let mut noise = String::new();
        for index in 0..200_u32 {
            // Hex of hashes: it compresses to half at best.
            noise.extend((0..300).map(|part| digest::of(format!("{index} {part}").as_bytes())));
            let target =
                Target { api_version: "v2".into(), kind: "Noise".into(), namespace: None, name: format!("{index:03}") };
            let images = Images::Delete(serde_json::json!({ "noise": noise }));
            changes.push(Change { stage: 0, target, images, reason: String::new() });
            noise.clear();
        }
        let plan = plan_of(plan_of_one().stages().to_vec(), &changes);
        let (chunks, manifest) = stored(&plan);
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() <= CHUNK_SIZE), "{}", chunks.len());
        assert!(read(&chunks, &manifest).expect("just written").changes().eq(plan.changes()));
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let (chunks, manifest) = stored(&plan_of_one());
        for bit in 0..chunks[0].len() * 8 {
            let mut damaged = chunks.clone();
            damaged[0][bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&damaged, &manifest), Err(Error::Damaged { index: 0, .. })), "bit {bit}");
        }
    }

    #[test]
    fn a_missing_chunk_is_found() {
        let (_, manifest) = stored(&plan_of_one());
        assert!(matches!(read(&[], &manifest), Err(Error::Incomplete { expected: 1, found: 0 })));
    }

    /// What is written today is read by the next version, and what an earlier version wrote by this one.
    #[test]
    fn a_plan_of_an_earlier_and_of_a_later_version_is_read() {
        let change = serde_json::to_string(&plan_of_one().changes().next().expect("it has one")).expect("plain data");
        let head = |more: &str| {
            format!(
                r#"{{"step":"trigger-replicator","stages":[{{"name":"Triggers","kind":"expand","undoAt":"post-rollback","concurrency":8{more}}}]}}"#
            )
        };
        // The first version knew nothing of pacing; a later one may say more of a stage, and of a change.
        let later = change.replacen('{', r#"{"color":"green","#, 1);
        for (head, change) in [(head(""), &change), (head(r#","weather":{"sun":true}"#), &later)] {
            let chunk = zstd::bulk::compress(format!("{head}\n{change}\n").as_bytes(), 0).expect("text");
            let whole = digest::of(&chunk);
            let manifest = Manifest { chunks: vec![digest::of(&chunk)], whole };
            let plan = read(&[chunk], &manifest).expect("it says all that is needed");
            assert_eq!((plan.len(), plan.digest()), (1, plan_of_one().digest()));
        }
    }
}
