//! Where a database is, and who we are there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// The primary of a database. Credentials are named, never written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// `postgresql` or `mariadb`.
    pub engine: Engine,
    /// Host name or address of the primary.
    pub host: String,
    /// Its port; that of the engine when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Name of the database.
    pub database: String,
    /// Who we are. The user must own the tables (PostgreSQL) or may alter them (MariaDB).
    pub username: String,
    /// Where our password is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// How the server is recognized; without this field nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Address {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.engine.port())
    }

    /// Every credential that a connection needs.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let tls = self.tls.iter().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]).flatten();
        self.password.iter().chain(tls)
    }
}

impl fmt::Display for Address {
    /// `db.shop:5432/ledger`, without credentials.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}/{}", self.host, self.port(), self.database)
    }
}

/// Where a credential is: `{name: db, key: password}` for a key of a Secret, `{env: DB_PASSWORD}` where there is no cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "{name: SECRET, key: KEY}, or {env: VARIABLE} where there is no cluster")]
pub enum Secret {
    /// A key of a Secret.
    Key(SecretKey),
    /// An environment variable of the process.
    Variable(Variable),
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// Namespace; that of the release when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Secret.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub env: String,
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(SecretKey { namespace: Some(namespace), name, key }) => {
                write!(out, "key {key} of Secret {namespace}/{name}")
            }
            Self::Key(SecretKey { namespace: None, name, key }) => write!(out, "key {key} of Secret {name}"),
            Self::Variable(Variable { env }) => write!(out, "environment variable {env}"),
        }
    }
}

/// How the server is recognized, and we by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{ca: {name: …, key: …}}, or {}")]
pub struct Tls {
    /// Authorities (PEM) that may have signed the server's certificate; the public ones when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Secret>,
    /// Our certificate (PEM), for servers that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Secret>,
    /// Key of our certificate (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
}

/// The values of the credentials of an address. They are never printed.
#[derive(Clone, Default)]
pub struct Values {
    /// Password.
    pub password: Option<String>,
    /// Authorities, PEM.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key, PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}
