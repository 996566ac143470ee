//! The custom resources of the event bus migration. No IO and no decisions: what an object is and what two objects have in
//! common, not what to do about it.
//!
//! - [`subscription`]: the three shapes of Kyma's Subscription, and the legacy one read into fields that cannot be wrong
//! - [`endpoint`]: addresses of subscribers, and when two are the same
//! - [`delivery`]: what a legacy Subscription asks for: this event to this endpoint
//! - [`event_type`]: names of events on Kyma's later backends
//! - [`trigger`]: Knative's Trigger, and whether it carries out a delivery
//! - [`application`]: what binds a namespace to the events of an Application
//! - [`messaging`]: Knative's Subscription, which carries the events of a Channel to a Broker
//! - [`status`]: whether an object with conditions is well; [`readiness`]: whether any object is ready
//! - [`workload`]: whether a workload has its pods
//! - [`object`]: what every object has; [`limits`]: what of it the API server takes

pub mod application;
pub mod delivery;
pub mod endpoint;
pub mod event_type;
pub mod limits;
pub mod messaging;
pub mod object;
pub mod readiness;
pub mod status;
pub mod subscription;
pub mod trigger;
pub mod workload;
