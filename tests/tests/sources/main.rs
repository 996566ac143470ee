//! What the sources of a drain say about real servers, and above all what they do not say: unknown is never zero.

mod nats_streaming;
mod scene;
