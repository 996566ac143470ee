//! How much is left in a queue, a topic or a table, and how far the answer can be trusted. Knows no Kubernetes and no verdict: it reads
//! once, and says what it saw.

pub mod reading;
pub mod source;
