//! Without Helm's hooks.
