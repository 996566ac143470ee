//! The event mesh as jobs read it, from Application to Trigger. Nothing is written here.
//!
//! - [`kinds`]: the kinds that are read, and in which versions
//! - [`namespaces`]: which namespaces take part
//! - [`broker`]: the Broker of a namespace
//! - [`observed`]: everything that flows are made of, as it is
//! - [`flows`]: which flows there should be
//! - [`deliveries`]: which deliveries Triggers carry out
//! - [`ways`]: whether events arrive at Brokers
//!
//! On the legacy bus an EventActivation let the events of an Application into a namespace. On the mesh that is a *flow*: a Knative
//! Subscription, in Kyma's integration namespace, from the Application's Channel to the namespace's Broker.

pub mod broker;
pub mod deliveries;
pub mod flows;
pub mod kinds;
pub mod namespaces;
pub mod observed;
pub mod ways;
