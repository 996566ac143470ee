//! Which upgrade may follow which. A matrix lists the releases of a chart, with the schema and the API versions of each; from it follow the
//! upgrades that cause no errors, and the way from one release to another. Nothing here reads a file or asks a cluster.
//!
//! - [`document`]: the matrix as it is written; [`matrix`]: the same, validated
//! - [`interface`]: versions of APIs and custom resources
//! - [`tolerance`]: the schema versions that a release runs on
//! - [`rules`]: what speaks against an upgrade; [`reason`]: the same in words
//! - [`path`]: the shortest way, or the smallest step in the way
//! - [`plan`]: the way with all that is to do; `command`: what Helm is told; [`text`], [`json`], [`helm`] and [`runbook`] write it, in the same
//!   `words`
//! - [`graph`]: all upgrades as text or as a picture
//! - [`doubt`]: what is probably not meant; [`lint`] writes it
//! - [`changelog`]: a changelog as data; [`import`]: the matrix that it suggests

pub mod changelog;
mod command;
pub mod document;
pub mod doubt;
pub mod graph;
pub mod helm;
pub mod import;
pub mod interface;
pub mod json;
pub mod lint;
pub mod matrix;
pub mod path;
pub mod plan;
pub mod reason;
pub mod rules;
pub mod runbook;
#[cfg(test)]
mod testing;
pub mod text;
pub mod tolerance;
mod words;
