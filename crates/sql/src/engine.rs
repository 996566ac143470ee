//! The two engines, and the servers that are refused.

use serde::{Deserialize, Serialize};

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL 12 and later.
    #[serde(alias = "postgres")]
    PostgreSql,
    /// MariaDB 10.6 and later. MySQL 8.0.29 and later speaks the same protocol; nothing of ours has run on it.
    #[serde(alias = "mysql")]
    MariaDb,
}

impl Engine {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        }
    }

    /// The port that its servers listen on by default.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::PostgreSql => 5432,
            Self::MariaDb => 3306,
        }
    }

    /// Why a server of this version is refused.
    #[must_use]
    pub fn refused(self, version: &str) -> Option<String> {
        let is_mysql = self == Self::MariaDb && !version.contains("MariaDB");
        let (name, least) = match self {
            Self::PostgreSql => ("PostgreSQL", [12, 0, 0]),
            Self::MariaDb if is_mysql => ("MySQL", [8, 0, 29]),
            Self::MariaDb => ("MariaDB", [10, 6, 0]),
        };
        let found = numbers(version);
        let least_text = least.map(|number: u32| number.to_string()).join(".");
        (found < least).then(|| format!("the server is {name} {version}; at least {name} {least_text} is needed, because older ones lock a table for as long as a change takes"))
    }
}

/// The first three numbers of a version. MariaDB once put `5.5.5-` before its own, for old clients.
fn numbers(version: &str) -> [u32; 3] {
    let version = version.strip_prefix("5.5.5-").filter(|rest| rest.contains("MariaDB")).unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_by_name() {
        for (engine, version) in [
            (Engine::PostgreSql, "15.18 (Debian 15.18-0)"),
            (Engine::PostgreSql, "18.1"),
            (Engine::MariaDb, "10.11.19-MariaDB-0+deb12u1"),
            (Engine::MariaDb, "5.5.5-10.11.6-MariaDB"),
            (Engine::MariaDb, "8.0.32"),
        ] {
            assert_eq!(engine.refused(version), None, "{version}");
        }
        for (engine, version, name) in [
            (Engine::PostgreSql, "9.6.24", "PostgreSQL 9.6.24"),
            (Engine::MariaDb, "5.5.5-10.3.39-MariaDB", "MariaDB 5.5.5-10.3.39-MariaDB"),
            (Engine::MariaDb, "5.5.68-MariaDB", "MariaDB 5.5.68"),
            (Engine::MariaDb, "5.7.44", "MySQL 5.7.44"),
            (Engine::MariaDb, "8.0.28", "MySQL 8.0.28"),
        ] {
            let why = engine.refused(version).expect(version);
            assert!(why.contains(name), "{why}");
        }
    }
}
