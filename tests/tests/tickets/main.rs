//! Tables of real databases: PostgreSQL and MariaDB.

mod scene;
mod damage;
mod lease;
mod ledger;
mod pooler;
mod rights;
mod transfer;
