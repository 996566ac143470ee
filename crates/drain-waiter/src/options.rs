//! The options of a drain: from the command line and the configuration file. Pure.

use std::time::Duration;

use crate::args::{Args, DrainArgs};
use crate::configuration::Drain;
use crate::proof::Rules;

/// The step, named like the binary.
pub const STEP: &str = "drain-waiter";

/// The options of a drain.
pub(crate) struct Options<'a> {
    pub(crate) drain: &'a Drain,
    pub(crate) rules: Rules,
    pub(crate) interval: Duration,
    pub(crate) requires_proof: bool,
    pub(crate) release: &'a str,
    pub(crate) concurrency: usize,
}

impl<'a> Options<'a> {
    /// Reads the command line.
    pub(crate) fn new(args: &'a Args, drain: &'a Drain) -> Self {
        let DrainArgs { samples, grace_period, stall, interval, require_proof, .. } = &args.drain;
        let rules = Rules { samples: (*samples).into(), grace: *grace_period, stall: *stall, redelivery: Duration::ZERO };
        Self {
            drain,
            rules,
            interval: *interval,
            requires_proof: *require_proof,
            release: &args.common.release.release,
            concurrency: args.common.concurrency.into(),
        }
    }
}
