//! Jobs as processes against a real etcd and API server, without a node.
//!
//! - `replicate`: what `apply` creates, what it leaves alone, and that a second run writes nothing
//! - `reports`: of several runs in one output
//! - `restore`: a step that fails leaves everything as it was
//! - `ledger`: runs that are finished, one at a time, shown, taken back
//! - `edited`: Secrets of the ledger that somebody has edited, or whose owner is gone
//! - `lost`: a lease that somebody deletes
//! - `back`: as Helm's hooks do
//! - `installation`: whose revision a run is of
//! - `meanwhile`: what others do while a run waits, was killed, or tells what it does
//! - `pasted`: what is printed as the next command works
//! - `transcripts`: what pages show of a terminal is what one shows
//! - `backup`: tickets as files and back, which of them are kept, and the outcomes of runs
//! - `under_way`: what `status` says while Helm is at work, and of what was cut off
//! - `missing`: Secrets of the ledger that somebody has deleted
//! - `history`: to which of Helm's revisions there is a way back
//! - `checked`: what `check` starts
//! - `interrupt`: signals, deadlines and servers that are not there
//! - `permission`: the rules of the chart are enough, and none is too many
//! - `objects`: the executor on objects of every kind of change, edited by others meanwhile
//! - `flows`: what Triggers need to get events, with a Knative that is played by `mesh`
//! - `server`: an API server that is slow, overloaded or forgetful
//! - `progress`: how long is waited for what was created
//! - `plan`: the plan from files is the plan from the cluster
//! - `input`: files as people have them
//! - `layer`: compatibility-layer between publishers and targets
//! - `drain`: an intake is closed, a backlog waited for, and a certificate kept; `drain_bus`: as the chart runs it for Kyma;
//!   `drain_broken`: while its broker is away; `drain_event`: where new connections lead; `drain_switch`: the old side stops after that, and comes back before;
//!   `drain_sentinel`: a message of its own; `drain_each`: a Service for each object of a kind, which Helm leaves there
//! - `tables`: what schema-migrator may do
//! - `meter`: what `loss-meter` finds

mod back;
mod backup;
mod checked;
mod drain;
mod drain_broken;
mod drain_bus;
mod drain_each;
mod drain_event;
mod drain_sentinel;
mod drain_switch;
mod drained;
mod edited;
mod fixtures;
mod flows;
mod history;
mod input;
mod installation;
mod interrupt;
mod layer;
mod ledger;
mod lost;
mod meanwhile;
mod mesh;
mod meter;
mod missing;
mod objects;
mod pasted;
mod permission;
mod person;
mod plan;
mod progress;
mod replicate;
mod reports;
mod restore;
mod server;
mod tables;
mod transcripts;
mod under_way;
