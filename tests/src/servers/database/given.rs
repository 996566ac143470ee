//! A database in a server of MySQL that somebody has given: `scripts/verify-mysql` says which in variables.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database that is dropped with it.
pub(super) struct Given {
    pub(super) name: String,
}

/// The variable, if it says something.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok().filter(|text| !text.is_empty())
}

fn required(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set; `make verify-mysql` sets it"))
}

/// Its port.
pub(super) fn port() -> u16 {
    required("MYSQL_PORT").parse().expect("MYSQL_PORT is a number")
}

/// How a client connects.
pub(super) fn options() -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new().host(&required("MYSQL_HOST")).port(port());
    let options = options
        .username(&required("MYSQL_USER"))
        .password(&variable("MYSQL_PWD").unwrap_or_default())
        .disable_statement_logging();
    match variable("MYSQL_CA") {
        Some(ca) => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(ca.into_bytes()),
        None => options.ssl_mode(MySqlSslMode::Disabled),
    }
}

fn ask(database: Option<&str>, statements: &str) -> String {
    try_ask(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
}

fn try_ask(database: Option<&str>, statements: &str) -> Result<String, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = database.into_iter().fold(options(), MySqlConnectOptions::database);
        let mut connection = MySqlConnection::connect_with(&options).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).fetch_all(&mut connection).await?;
        let mut lines = String::new();
        for row in rows {
            let columns = (0..row.len()).map(|at| row.try_get_unchecked::<Option<String>, _>(at).map(shown));
            lines.push_str(&columns.collect::<Result<Vec<_>, _>>()?.join("\t"));
            lines.push('\n');
        }
        Ok(lines)
    })
}

impl Given {
    /// Makes a database in the server that the variables name.
    pub(super) fn from_environment() -> Option<Self> {
        variable("MYSQL_HOST")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let given = Self { name: format!("{}_fairlead_{}_{number}", required("MYSQL_DATABASE"), std::process::id()) };
        let version = ask(None, "select version()");
        // For who changes the script that sets the variables, and has no server of MySQL.
        let is_try = variable("MYSQL_TRY").is_some();
        assert!(
            is_try || !version.contains("MariaDB"),
            "the server is MariaDB {version}: `make test` has tried that; name a server of MySQL"
        );
        ask(None, &format!("create database {} default character set utf8mb4", given.name));
        Some(given)
    }

    /// Runs statements, and returns what they answer, as the client of MariaDB writes it.
    pub(super) fn run(&self, statements: &str) -> String {
        ask(Some(&self.name), statements)
    }

    /// As the section `tables` of a configuration names it. The job inherits the variables.
    pub(super) fn section(&self) -> Value {
        let mut section = json!({"engine": "mysql", "host": required("MYSQL_HOST"), "port": port(), "database": self.name,
            "username": required("MYSQL_USER"), "password": {"env": "MYSQL_PWD"}});
        if variable("MYSQL_CA").is_some() {
            section["tls"] = json!({"ca": {"env": "MYSQL_CA"}});
        }
        section
    }
}

/// A column, on one line.
fn shown(text: Option<String>) -> String {
    let text = text.unwrap_or_else(|| "NULL".to_owned());
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

impl Drop for Given {
    #[expect(clippy::print_stderr, reason = "somebody has to drop what stays")]
    fn drop(&mut self) {
        // Its own, and those that a migration has made for views of a version.
        let like = self.name.replace('_', "\\_");
        let all = format!(
            "select schema_name from information_schema.schemata where schema_name = '{}' or schema_name like '{like}\\_v%'",
            self.name
        );
        // A test that failed has said why: here nothing may panic.
        for name in try_ask(None, &all).unwrap_or_default().lines() {
            if let Err(error) = try_ask(None, &format!("drop database {name}")) {
                eprintln!("database {name} stays in the server: {error}");
            }
        }
    }
}
