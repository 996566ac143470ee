//! The upgrade has failed, or never came to its end.
