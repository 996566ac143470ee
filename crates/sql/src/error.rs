//! What a server's error means for a run.

use std::fmt;

use fairlead_migration::obstacle::Obstacle;

/// What has gone wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers, or the connection broke: what was sent last may or may not have been done.
    #[error("{address} does not answer")]
    Unreachable {
        /// Without credentials.
        address: String,
        /// What the system said.
        #[source]
        source: Said,
    },
    /// The server does not let us in.
    #[error("{address} refuses the credentials")]
    Denied {
        /// Without credentials.
        address: String,
        /// What the server said.
        #[source]
        source: Said,
    },
    /// The server, or what was said of it, is of no use: too old, a replica, a certificate that cannot be read.
    #[error("{address}: {why}")]
    Useless {
        /// Without credentials.
        address: String,
        /// Why.
        why: String,
    },
    /// Somebody holds a lock that the statement needs.
    #[error("the server could not lock what `{statement}` needs")]
    Locked {
        /// The statement.
        statement: String,
        /// What the server said.
        #[source]
        source: Said,
    },
    /// We may not do that.
    #[error("the server does not allow `{statement}`")]
    Forbidden {
        /// The statement.
        statement: String,
        /// What the server said.
        #[source]
        source: Said,
    },
    /// The server says no.
    #[error("the server refuses `{statement}`")]
    Refused {
        /// The statement.
        statement: String,
        /// What the server said.
        #[source]
        source: Said,
    },
}

/// What a server, or the system, has said. A server's own words are enough: sqlx adds the line of the server's source.
#[derive(Debug)]
pub struct Said(sqlx::Error);

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_database_error() {
            Some(error) => {
                let number =
                    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number);
                match number {
                    Some(number) => write!(out, "{number} {}", error.message()),
                    None => out.write_str(error.message()),
                }
            }
            None => self.0.fmt(out),
        }
    }
}

impl std::error::Error for Said {}

/// The longest part of a statement that is shown.
const SHOWN: usize = 160;

impl Error {
    /// An error of a statement.
    pub(crate) fn of_statement(address: &str, statement: &str, source: sqlx::Error) -> Self {
        let statement: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let statement = fairlead_migration::obstacle::cut(&statement, SHOWN).into_owned();
        let Some(database) = source.as_database_error() else {
            return match source {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                    Self::Unreachable { address: address.to_owned(), source: Said(source) }
                }
                source => Self::Refused { statement, source: Said(source) },
            };
        };
        let (code, number) = codes(database);
        match (code.as_str(), number) {
            // lock_not_available, deadlock, serialization_failure; lock wait timeout, deadlock.
            ("55P03" | "40P01" | "40001", _) | (_, 1205 | 1213) => Self::Locked { statement, source: Said(source) },
            // insufficient_privilege; read_only_sql_transaction is a replica.
            ("42501", _) | (_, 1044 | 1142 | 1143 | 1227 | 1370) => Self::Forbidden { statement, source: Said(source) },
            // admin_shutdown, crash_shutdown, cannot_connect_now, a session that was silent for too long, a pooler whose server is gone; server
            // shutdown, connection killed.
            ("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "08P01" | "08006", _) | (_, 1053 | 1927 | 1080 | 4031) => {
                Self::Unreachable { address: address.to_owned(), source: Said(source) }
            }
            _ => Self::Refused { statement, source: Said(source) },
        }
    }

    /// An error of a connection that is being opened.
    pub(crate) fn of_connection(address: String, source: sqlx::Error) -> Self {
        let Some(database) = source.as_database_error() else {
            return match handshake(&source.to_string()) {
                Handshake::Untrusted(why) => Self::Useless { address, why },
                Handshake::Denied => Self::Denied { address, source: Said(source) },
                Handshake::Broken => Self::Unreachable { address, source: Said(source) },
            };
        };
        let (code, number) = codes(database);
        match (code.as_str(), number) {
            // invalid_password, invalid_authorization; access denied.
            ("28P01" | "28000" | "42501", _) | (_, 1045 | 1698) => Self::Denied { address, source: Said(source) },
            ("3D000", _) | (_, 1049) => Self::Useless { address, why: Said(source).to_string() },
            // MariaDB does not say which of the two it is.
            (_, 1044) => Self::Useless {
                address,
                why: format!("the database is not there, or the user may not use it: {}", Said(source)),
            },
            _ => Self::Unreachable { address, source: Said(source) },
        }
    }

    /// Whether the same statement may succeed a moment later.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Whether a table is not there, or the schema that it would be in.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let Some((code, number)) = source.0.as_database_error().map(codes) else { return false };
        // undefined_table, invalid_schema_name; no such table.
        matches!(code.as_str(), "42P01" | "3F000") || number == 1146
    }
}

/// What a connection failed of before the server knew the user.
#[derive(Debug, PartialEq, Eq)]
enum Handshake {
    /// We do not go on with this server.
    Untrusted(String),
    /// The server does not go on with us.
    Denied,
    /// The connection broke.
    Broken,
}

/// The alerts of TLS with which a server refuses a client's certificate.
const REFUSES_CERTIFICATE: [&str; 7] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateExpired",
    "CertificateRequired",
    "CertificateUnknown",
    "DecryptError",
    "UnknownCA",
];

/// What the text of a client's error means: the errors of TLS have no other form there.
fn handshake(text: &str) -> Handshake {
    let text = text.strip_prefix("error communicating with database: ").unwrap_or(text);
    if let Some(alert) = text.strip_prefix("received fatal alert: ") {
        let is_ours = REFUSES_CERTIFICATE.contains(&alert);
        return if is_ours { Handshake::Denied } else { Handshake::Untrusted(text.to_owned()) };
    }
    if text.contains("RSA auth backend disabled") {
        // Without TLS the client would have to encrypt the password by itself.
        return Handshake::Untrusted("the server takes the password of this user over TLS only: set `tls`".to_owned());
    }
    if let Some(why) = text.strip_prefix("invalid peer certificate: ") {
        let is_signed = !["BadSignature", "UnknownIssuer"].contains(&why);
        let why = if is_signed { why.to_owned() } else { format!("no authority in `tls.ca` has signed it ({why})") };
        return Handshake::Untrusted(format!("the certificate of the server is not trusted: {why}"));
    }
    if text.contains("certificate") || text.contains("TLS upgrade required") {
        return Handshake::Untrusted(text.to_owned());
    }
    Handshake::Broken
}

/// The SQLSTATE and, of MariaDB, the number of an error.
fn codes(error: &dyn sqlx::error::DatabaseError) -> (String, u16) {
    let number =
        error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map_or(0, sqlx::mysql::MySqlDatabaseError::number);
    (error.code().unwrap_or_default().into_owned(), number)
}

/// As an obstacle of a run that wanted to do this.
#[must_use]
pub fn obstacle(operation: &str, error: Error) -> Obstacle {
    let operation = operation.to_owned();
    match &error {
        Error::Unreachable { .. } => Obstacle::Unreachable { operation, source: Box::new(error) },
        Error::Forbidden { .. } => Obstacle::Forbidden { operation, rule: error.to_string(), source: Box::new(error) },
        _ => Obstacle::Refused { operation, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_that_fails_says_whose_fault_it_is() {
        let untrusted = |why: &str| Handshake::Untrusted(why.to_owned());
        let io = "error communicating with database: ";
        for (text, means) in [
            (format!("{io}received fatal alert: DecryptError"), Handshake::Denied),
            (format!("{io}received fatal alert: UnknownCA"), Handshake::Denied),
            (format!("{io}received fatal alert: ProtocolVersion"), untrusted("received fatal alert: ProtocolVersion")),
            (
                format!("{io}invalid peer certificate: UnknownIssuer"),
                untrusted(
                    "the certificate of the server is not trusted: no authority in `tls.ca` has signed it (UnknownIssuer)",
                ),
            ),
            (
                format!("{io}invalid peer certificate: certificate expired"),
                untrusted("the certificate of the server is not trusted: certificate expired"),
            ),
            (
                "error with configuration: RSA auth backend disabled; enable feature `mysql-rsa`".to_owned(),
                untrusted("the server takes the password of this user over TLS only: set `tls`"),
            ),
            (format!("{io}Connection refused (os error 111)"), Handshake::Broken),
        ] {
            assert_eq!(handshake(&text), means, "{text}");
        }
    }
}
