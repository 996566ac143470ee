//! Opens sources, and waits until they say something.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::source::{Credentials, OpenError, SecretKey, Source};
use fairlead_tests::program::becomes;
use serde_json::Value;

/// The keys of one Secret.
#[derive(Default)]
pub(crate) struct Secret(BTreeMap<String, Vec<u8>>);

impl Secret {
    pub(crate) fn with(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.insert(key.to_owned(), value.as_ref().to_vec());
        self
    }
}

#[async_trait(?Send)]
impl Credentials for Secret {
    async fn read(&self, key: &SecretKey) -> Result<Vec<u8>, OpenError> {
        self.0.get(&key.key).cloned().ok_or_else(|| OpenError::Credentials {
            namespace: key.namespace.clone().unwrap_or_default(),
            name: key.name.clone(),
            key: key.key.clone(),
            reason: "not found".to_owned(),
        })
    }
}

/// A source with a runtime of its own.
pub(crate) struct Opened {
    source: Box<dyn Source>,
    runtime: tokio::runtime::Runtime,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Opens what the configuration says.
pub(crate) fn try_open(configuration: &Value, secret: &Secret) -> Result<Opened, OpenError> {
    let configuration = serde_json::from_value(configuration.clone()).expect("a configuration");
    let runtime = runtime();
    let source = runtime.block_on(fairlead_backlog::open(&configuration, secret))?;
    Ok(Opened { source, runtime })
}

/// The same, which must succeed.
#[track_caller]
pub(crate) fn open(configuration: &Value) -> Opened {
    try_open(configuration, &Secret::default()).unwrap_or_else(|error| panic!("{configuration}: {error}"))
}

/// The same, which must fail; what it says, with its causes.
#[track_caller]
pub(crate) fn refused(configuration: &Value, secret: &Secret) -> String {
    let Err(error) = try_open(configuration, secret) else { panic!("{configuration}: can be opened") };
    causes(&error)
}

/// An error with its causes.
pub(crate) fn causes(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl Opened {
    /// Everything is asked for again.
    pub(crate) fn renew(&mut self) {
        self.source.renew();
    }

    /// The intake is closed: a sentinel with this id is to be published.
    pub(crate) fn order_sentinel(&mut self, id: &str) {
        self.source.order_sentinel(id);
    }

    pub(crate) fn read(&mut self) -> Reading {
        self.runtime.block_on(self.source.read())
    }

    /// Reads until it is so. Who has published is said once, by whichever of the readings came first, and stands in the last one.
    #[track_caller]
    pub(crate) fn reads(&mut self, what: &str, mut is_so: impl FnMut(&Reading) -> bool) -> Reading {
        let (mut last, mut publishers) = (None, Vec::new());
        let is = becomes(|| {
            let mut reading = self.read();
            let is = is_so(&reading);
            publishers.append(&mut reading.publishers);
            last = Some(reading);
            is
        });
        assert!(is, "does not become {what}: {last:#?}");
        Reading { publishers, ..last.expect("it was read") }
    }

    #[track_caller]
    pub(crate) fn becomes_empty(&mut self) -> Reading {
        self.reads("empty", |reading| reading.left == Left::Empty && reading.hopeless.is_none())
    }

    /// So much is left, in the end; and it was never said to be empty before.
    #[track_caller]
    pub(crate) fn becomes_left(&mut self, left: u64) -> Reading {
        self.reads(&format!("{left} left"), |reading| {
            assert_ne!(reading.left, Left::Empty, "{reading:#?}");
            reading.left == Left::Some(left)
        })
    }

    /// So much is left, in the end, of what was empty before.
    #[track_caller]
    pub(crate) fn becomes_left_after(&mut self, left: u64) -> Reading {
        self.reads(&format!("{left} left"), |reading| reading.left == Left::Some(left))
    }

    /// Nothing is known, for a reason that says `why`, in the end; and it was never said to be empty before.
    #[track_caller]
    pub(crate) fn becomes_unknown(&mut self, why: &str) -> Reading {
        self.reads(&format!("unknown: {why}"), |reading| {
            assert_ne!(reading.left, Left::Empty, "{reading:#?}");
            matches!(&reading.left, Left::Unknown(text) if text.contains(why))
        })
    }

    /// The same, of what was empty before.
    #[track_caller]
    pub(crate) fn becomes_unknown_after(&mut self, why: &str) -> Reading {
        self.reads(&format!("unknown: {why}"), |reading| matches!(&reading.left, Left::Unknown(text) if text.contains(why)))
    }

    /// No waiting helps, for a reason that says `why`, in the end; and it was never said to be empty before.
    #[track_caller]
    pub(crate) fn becomes_hopeless(&mut self, why: &str) -> Reading {
        self.reads(&format!("hopeless: {why}"), |reading| {
            assert!(reading.left != Left::Empty || reading.hopeless.is_some(), "{reading:#?}");
            reading.hopeless.as_ref().is_some_and(|text| text.contains(why))
        })
    }
}
