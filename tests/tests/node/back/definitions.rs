//! With the kinds themselves.
