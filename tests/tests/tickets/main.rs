//! Tables of real databases: PostgreSQL and MariaDB.

mod damage;
mod lease;
mod ledger;
mod pooler;
mod rights;
mod scene;
mod transfer;
