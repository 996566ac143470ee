//! The chart on a cluster with a node: real pods, real Helm. Plays in namespaces of their own share one node; the other tests take
//! turns on a second one.
//!
//! - `as_released`: the images as they are released. The name comes first, because what it needs is made while the others run
//! - `back`: `helm rollback`
//! - `chain`: all jobs and the compatibility layer, under load, with everything counted
//! - `demo`: the demo on a cluster that somebody else has
//! - `drain`: an intake whose pods have to end, and a Service that leads elsewhere
//! - `leftovers`: a cluster that was killed leaves nothing
//! - `mesh`: Triggers on a real Knative
//! - `middling`: 300 Subscriptions, which take minutes
//! - `purge`: what a purge needs real controllers for
//! - `tables`: a database that pods reach, migrated by `helm upgrade` and given back by `helm rollback`
//! - `upgrade`: `helm upgrade` replicates, and a second one writes nothing
//! - `failing`: what an operator sees when the job fails or cannot start

mod as_released;
mod back;
mod chain;
mod demo;
mod drain;
mod failing;
mod leftovers;
mod mesh;
mod middling;
mod purge;
mod release;
mod tables;
mod upgrade;
