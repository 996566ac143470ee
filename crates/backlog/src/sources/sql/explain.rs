//! What an error of a database means for who reads it.

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

use super::connection::{Place, STATEMENT_SECONDS};
use crate::source::{OpenError, not_configured};

impl Place {
    pub(super) fn explain(&self, error: sqlx::Error) -> OpenError {
        let address = self.address();
        match error {
            sqlx::Error::Database(error) => self.explain_answer(error.as_ref()),
            // What MySQL 8 asks for by default would need RSA here.
            sqlx::Error::Configuration(error) | sqlx::Error::Tls(error)
                if error.to_string().to_lowercase().contains("rsa") =>
            {
                let reason = "the server takes this password under TLS only; set tls".to_owned();
                OpenError::Denied { address, reason }
            }
            error => match self.no_database(&error) {
                Some(what) => OpenError::Unreachable { address, source: what.into() },
                None => OpenError::unreachable(address, &error),
            },
        }
    }

    /// What a library says of a port where something else listens, in words.
    fn no_database(&self, error: &sqlx::Error) -> Option<String> {
        let (name, said) = (self.engine.name(), error.to_string());
        match error {
            sqlx::Error::Tls(_) if said.contains("does not support TLS") => {
                Some("TLS is not spoken on this port; leave tls out, or switch it on at the server".to_owned())
            }
            sqlx::Error::Protocol(_) => {
                let or = if self.tls.is_none() { ", or TLS" } else { "" };
                Some(format!(
                    "the server answers with something that is no {name}: another protocol is spoken on this port{or}"
                ))
            }
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Some(format!("the server ends the connection in the middle of an answer; is {name} spoken on this port?"))
            }
            _ => None,
        }
    }

    /// That the server has said nothing.
    pub(super) fn silent(&self, is_connected: bool) -> OpenError {
        let or = if is_connected { String::new() } else { format!("; is {} spoken on this port?", self.engine.name()) };
        OpenError::Unreachable { address: self.address(), source: format!("no answer in time{or}").into() }
    }

    fn explain_answer(&self, error: &dyn DatabaseError) -> OpenError {
        let (address, reason) = (self.address(), error.message().to_owned());
        let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
        match (error.code().as_deref(), number) {
            (Some("28000" | "28P01"), _) | (_, Some(1044 | 1045)) => {
                OpenError::Denied { address, reason: not_configured(reason, self.password.is_some(), "password") }
            }
            (Some("42501"), _) if reason.contains("row-level security") => {
                let user = &self.username;
                OpenError::Denied { address, reason: format!("{reason}; it hides rows from {user}: give it bypassrls") }
            }
            (Some("42501"), _) | (_, Some(1142 | 1143 | 1227 | 1370)) => {
                let user = &self.username;
                OpenError::Denied { address, reason: format!("{reason}; grant {user} select on what the query reads") }
            }
            (Some("57014" | "70100"), _) | (_, Some(1969 | 3024)) => OpenError::Invalid(format!(
                "{address}: the query took longer than {STATEMENT_SECONDS} s, which is the limit; it may need an index ({reason})"
            )),
            _ => OpenError::Invalid(format!("{address}: {reason}")),
        }
    }
}
