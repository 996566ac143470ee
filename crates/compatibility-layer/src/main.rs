//! Takes events on Kyma's legacy APIs, and sends each to the new mesh.

use clap::Parser as _;
use compatibility_layer::args::Args;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;

fn main() -> ExitStatus {
    report::conclude(compatibility_layer::run(&Args::parse()))
}
