//! What every source can do.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::sentinel::Sentinel;
use crate::wrong_port::in_words;

/// A key of a Secret: credentials are named by the configuration, never written into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a key of a Secret: {name: …, key: …}")]
pub struct SecretKey {
    /// Namespace; that of the release when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Secret.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// Reads credentials; only when a source is opened.
#[async_trait(?Send)]
pub trait Credentials {
    /// The value of a key.
    async fn read(&self, key: &SecretKey) -> Result<Vec<u8>, OpenError>;
}

/// Why a source cannot be asked at all. It is found before the intake is closed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing answers under the address.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Without credentials.
        address: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server does not let us in.
    #[error("{address} refuses the credentials: {reason}")]
    Denied {
        /// Without credentials.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// There is no such stream, group, table, or the answer is of no use: text, two rows.
    #[error("{0}")]
    Invalid(String),
    /// The sentinel that the configuration asks for cannot be published, or not everybody would get it.
    #[error("{0}")]
    NoSentinel(String),
    /// A Secret or its key is not there.
    #[error("Secret {namespace}/{name} has no key {key}: {reason}")]
    Credentials {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        name: String,
        /// Key in its data.
        key: String,
        /// Why it could not be read.
        reason: String,
    },
}

/// A source: something that knows how much is left.
#[async_trait(?Send)]
pub trait Source {
    /// Reads once. What goes wrong is a reading that knows nothing.
    async fn read(&mut self) -> Reading;

    /// The next reading asks again also for what seldom changes, like the partitions of a topic.
    fn renew(&mut self) {}

    /// The intake is closed: a reading that comes publishes a sentinel with this id where the configuration asks for one, once. From then on
    /// nothing is empty before every reader has come past it. The same id again means the same sentinel. Another id means another sentinel
    /// wherever something has come behind that one.
    fn order_sentinel(&mut self, _id: &str) {}
}

impl OpenError {
    /// Why nothing useful answers. A server whose certificate is not trusted was reached: that is a matter of the configuration.
    pub(crate) fn unreachable(address: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let (address, what) = (address.into(), causes(error));
        if what.contains("invalid peer certificate") {
            return Self::Invalid(format!(
                "{address}: {what}; tls.ca must name the authority that signed the server's certificate, and the certificate this host"
            ));
        }
        let what = in_words(&address, &what).unwrap_or(what);
        Self::Unreachable { address, source: what.into() }
    }
}

impl From<OpenError> for Reading {
    fn from(error: OpenError) -> Self {
        let reading = Self::unknown(causes(&error));
        match error {
            OpenError::NoSentinel(why) => Self { sentinel: Some(Sentinel::Refused(why)), ..reading },
            _ => reading,
        }
    }
}

/// Why a server lets nobody in; with what to do where the configuration has nothing under `field`.
pub(crate) fn not_configured(reason: String, has_credentials: bool, field: &str) -> String {
    if has_credentials {
        return reason;
    }
    format!("{reason}; the server wants credentials, and none are configured: set {field}")
}

/// An error with its causes, each said once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
