//! What a job reads: objects of a cluster, or of files, as one source.
//!
//! - [`kind`]: a kind, as a job names it
//! - [`source`]: a cluster or files; reads objects one by one
//! - [`manifests`]: objects from files
//! - [`address`]: whose an object is
//! - [`claim_broken`]: whether what evidence rests on is still so

pub mod address;
pub mod claim_broken;
pub mod kind;
pub mod manifests;
pub mod source;
