//! Tables of real databases: PostgreSQL and MariaDB.

mod scene;
mod sql_damage;
mod sql_lease;
mod sql_ledger;
mod sql_pooler;
mod sql_rights;
mod sql_transfer;
