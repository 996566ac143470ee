//! What an error of a database means for who reads it.

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

use super::connection::{Place, STATEMENT_SECONDS};
use crate::source::OpenError;

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
            error => OpenError::unreachable(address, &error),
        }
    }

    fn explain_answer(&self, error: &dyn DatabaseError) -> OpenError {
        let (address, reason) = (self.address(), error.message().to_owned());
        let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
        match (error.code().as_deref(), number) {
            (Some("28000" | "28P01"), _) | (_, Some(1044 | 1045)) => OpenError::Denied { address, reason },
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
