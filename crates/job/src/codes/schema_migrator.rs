//! The codes of schema-migrator. SM1 what keeps a migration from being applied, SM2 what should be known.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub NO_DATABASE = "SM101", Usage, "No database is named",
        "The job needs a configuration file whose section `tables` says which database it migrates, and which migrations there are.",
        "Name it with --config; `schema-migrator apply --help` has an example.";
    pub UNREACHABLE = "SM102", Interrupted, "The database does not answer",
        "Nothing listens at the address, or the connection broke in the middle. What the server was doing it may go on with: the next run looks at the catalog, and goes on from there.",
        "Correct host and port of `tables.database`, or run the same command again when the server is back.";
    pub DENIED = "SM103", Refused, "The database refuses the credentials",
        "The server does not know the user, the password is another one, or the server asks for a certificate that it trusts.",
        "Correct `username`, and the Secrets or variables that `password`, and `certificate` and `key` of `tls`, name.";
    pub USELESS = "SM104", Refused, "The database cannot be used",
        "It is too old, a replica, behind a pooler, absent, or its certificate is not trusted; the message says which.",
        "Name the primary itself, a database that is there, and an authority in `tls.ca` that has signed its certificate.";
    pub NO_CREDENTIALS = "SM105", Refused, "A credential cannot be read",
        "A Secret, its key or an environment variable that `tables.database` names is not there, or may not be read.",
        "Create it, or correct the name. In a hook it must be a Secret: a rollback reads it, too.";
    pub FORBIDDEN = "SM106", Refused, "The user may not do that",
        "A change of a table needs its owner in PostgreSQL, and ALTER, CREATE, DROP, INDEX, TRIGGER, SELECT, INSERT, UPDATE and DELETE on the database in MariaDB.",
        "Use a user that may, or grant it what the message names. Nothing was changed.";
    pub LINT = "SM107", Usage, "A migration is not safe, or cannot be read",
        "It would lock a table while it works, take something from pods that still run, or leave no way back; or a field is wrong.",
        "Change the migration as the message says. Nothing was changed.";
    pub EDITED = "SM108", Refused, "A migration was edited after it was applied",
        "The database remembers the checksum of each migration that it has. What a file says now was never carried out.",
        "Put the file back as it was, and write what is new into a migration of its own.";
    pub DIFFERENT = "SM109", Refused, "What a migration makes is there already, in another shape",
        "Somebody has made it by hand, or another migration has.",
        "Take it away or make it as the migration would; what is there exactly so is taken over.";
    pub IMPOSSIBLE = "SM110", Refused, "An operation does not fit the database",
        "A table or column that it names is not there, or what it would do harms pods that still run.",
        "Correct the operation. A migration that adds what is missing has to come first.";
    pub NO_KEY = "SM111", Refused, "The table has no primary key",
        "A backfill goes through a table by its key, and goes on from there after a crash.",
        "Add a primary key; a column of type bigint that numbers the rows will do.";
    pub ROWS = "SM112", Refused, "Rows speak against it",
        "They hold NULL where it is to be refused, or refer to a row that is not there. A writer may have stored them a moment ago.",
        "Fill or mend these rows: with a `backfill`, and a `fill` operation for writers that still store NULL. Table `quarantine` of fairlead has those for which there was no value.";
    pub LOCKED = "SM113", Failed, "Somebody holds a lock on the table",
        "The change waits for a lock only a moment at a time, so that nobody waits behind it, and has not got it: a transaction is open that has used the table.",
        "End that transaction with the command in the message, as a member of pg_signal_backend (PostgreSQL), or run the same command again when it has ended. Everything is as before.";
    pub REFUSED = "SM114", Failed, "The database refuses a statement",
        "The server says why. A migration of kind `sql` may be wrong; a disk may be full.",
        "Mend what the server names, and run the same command again.";
    pub NO_BACKUP = "SM115", Refused, "Nobody has said what backup there is",
        "A contract takes something away. It comes back as long as it is not finalized; what writers did meanwhile, and what finalize drops, only a backup has.",
        "Write `tables.backup: {reference: …, taken: …, restore: …}`, or `backup: none` to go on without. It is kept in the ticket.";
    pub NO_WAY_BACK = "SM116", Refused, "There is no way back from this",
        "It was finalized, or the migration says that nothing takes it back.",
        "Restore the backup that the message names, or go on from here. `export` writes the ticket, which has it, too.";
    pub NOT_POSSIBLE = "SM117", Refused, "The migrations cannot be applied",
        "At least one of them does not fit the database; all are named.",
        "Mend what is named. Nothing was changed.";
    pub WAITING = "SM201", Done, "A migration waits for another one",
        "It contracts what the other one expands, and that is not applied to its end: its rows are still being filled, or it has not run.",
        "`schema-migrator background` fills the rows; then run the same command again.";
    pub TRIGGERED = "SM203", Done, "Somebody's trigger runs for rows that are filled",
        "The table has a trigger for updates, and a backfill updates rows: an audit table gets a row for each, a time of change becomes now.",
        "Look whether that does harm. A trigger that looks at a setting of the session, or at the user, can leave out the user of fairlead.";
    pub DRIFTED = "SM202", Done, "Somebody has changed what a migration made",
        "The catalog says something else than the migration, which is applied.",
        "Undo that change, or write a migration that says the same. A rollback stops here, unless it is told --on-drift.";
}
