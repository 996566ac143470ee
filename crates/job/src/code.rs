//! What a code is: what is the matter, what follows from it, and what to do next.

use fairlead_migration::change::Target;
use fairlead_migration::finding::{Blocked, Finding};

use crate::exit::ExitStatus;
use crate::redact;

/// One code. All texts are sentences for the person who reads them at three in the morning.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `TR101`.
    pub id: &'static str,
    /// What a process exits with that ends for this; of a warning, [`ExitStatus::Done`].
    pub exit: ExitStatus,
    /// What is the matter, in one line.
    pub title: &'static str,
    /// Why that happens and what it means.
    pub cause: &'static str,
    /// What to do; printed as the hint of every finding with this code.
    pub next: &'static str,
}

impl Code {
    /// A finding with this code about `target`. It can be shown anywhere: credentials are taken out.
    #[must_use]
    pub fn finding(&'static self, target: Target, message: impl Into<String>) -> Finding {
        Finding { code: self.id.into(), target, message: redact::text(&message.into()), hint: self.next.into() }
    }

    /// The reason, with this code, why nothing of a plan would be done.
    #[must_use]
    pub fn blocked(&'static self, message: impl Into<String>) -> Blocked {
        Blocked { code: self.id.into(), message: message.into(), hint: self.next.into() }
    }
}

/// Defines codes as statics, and a list of all of them for `explain`.
#[macro_export]
macro_rules! codes {
    (
        $(#[$list_doc:meta])* $list_vis:vis list $list:ident;
        $($(#[$doc:meta])* $vis:vis $name:ident = $id:literal, $exit:ident, $title:literal, $cause:literal, $next:literal;)*
    ) => {
        $($(#[$doc])* #[doc = $title] #[allow(clippy::doc_markdown, reason = "titles are printed")] $vis static $name: $crate::code::Code =
            $crate::code::Code {
                id: $id, exit: $crate::exit::ExitStatus::$exit, title: $title, cause: $cause, next: $next,
            };)*
        $(#[$list_doc])* $list_vis static $list: &[&$crate::code::Code] = &[$(&$name),*];
    };
}
