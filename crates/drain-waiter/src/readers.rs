//! Everything that is read of a drain.

use crate::configuration::Drain;
use crate::entry::Intake;
use crate::sources::kubernetes::{Observed, Until};
use crate::sources::{Place, Reader};

/// First whether the intake is closed, then the backlog.
pub(crate) fn readers<'a>(drain: &Drain, place: Place<'a>) -> Vec<Reader<'a>> {
    let closing = |intake: &Intake| {
        let until = match intake {
            Intake::Scale(_) => Until::Stopped,
            Intake::Suspend(_) => Until::Idle,
            Intake::Redirect(_) | Intake::Set(_) => return None,
        };
        Some(Reader::of_intake(Observed::of_intake(&intake.target(), until), place))
    };
    let intake = drain.intake.iter().filter_map(closing);
    intake.chain(drain.sources.iter().map(|source| Reader::of(source, place))).collect()
}
