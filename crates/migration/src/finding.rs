//! What a plan has to say about objects that it leaves alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::change::Target;

/// Something to tell about one object: a refusal (the plan leaves it alone) or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `TR101`; `explain` has a text for each.
    pub code: Cow<'static, str>,
    /// The object.
    pub target: Target,
    /// What is the matter with it.
    pub message: String,
    /// What to do about it.
    pub hint: Cow<'static, str>,
}

/// An object that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The object.
    pub target: Target,
    /// Why nothing has to be done.
    pub reason: String,
}

/// Why a plan as a whole would be refused: nothing of it is done until that is mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// The code with which it would be refused.
    pub code: Cow<'static, str>,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub hint: Cow<'static, str>,
}
