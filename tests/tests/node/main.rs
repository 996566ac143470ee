//! The chart on a cluster with a node: real pods, real Helm. They share one cluster and take turns.
//!
//! - `upgrade`: `helm upgrade` replicates, and a second one writes nothing
//! - `failing`: what an operator sees when the job fails or cannot start

mod failing;
mod release;
mod upgrade;
