//! The chart on a cluster with a node: real pods, real Helm. The tests take turns.
//!
//! - `back`: `helm rollback`
//! - `demo`: the demo on a cluster that somebody else has
//! - `leftovers`: a cluster that was killed leaves nothing
//! - `mesh`: Triggers on a real Knative
//! - `purge`: what a purge needs real controllers for
//! - `upgrade`: `helm upgrade` replicates, and a second one writes nothing
//! - `failing`: what an operator sees when the job fails or cannot start

mod back;
mod demo;
mod failing;
mod leftovers;
mod mesh;
mod purge;
mod release;
mod upgrade;
