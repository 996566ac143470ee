//! `legacy-purger` against a real etcd and API server.
//!
//! - `scene`: a legacy event bus that has been replicated, and who plays its controllers
//! - `back`: everything goes and comes back
//! - `refused`: what speaks against a purge
//! - `meanwhile`: what comes to speak against it after it was planned
//! - `ways`: the whole way of events on the mesh
//! - `rehearsed`: what could not be created again
//! - `finalizers`: their owners run, are slow, have gone
//! - `fence`: objects that are created while they are purged
//! - `owners`: what purged objects own
//! - `configuration`: other kinds
//! - `left`: what stays of the old side
//! - `consumers`: workloads that need what is purged
//! - `generated`: a thousand objects of any form go and come back

mod back;
mod configuration;
mod consumers;
mod fence;
mod finalizers;
mod generated;
mod left;
mod meanwhile;
mod owners;
mod refused;
mod rehearsed;
mod scene;
mod ways;
