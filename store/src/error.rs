//! What can go wrong at the database, by what to do about it.

use std::io::ErrorKind;

/// A failure at the boundary of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or cannot be reached.
    #[error("PostgreSQL: {0}")]
    Database(sqlx::Error),
    /// A migration could not be applied.
    #[error("migration: {0}")]
    Migration(sqlx::migrate::MigrateError),
    /// The server would lose what it has acknowledged.
    #[error(
        "PostgreSQL has {setting} = {value}: set it to on, since a crash would lose acknowledged postings"
    )]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
    },
    /// What was read cannot have been written by us: we no longer know our own state.
    #[error("the books are damaged: {0}")]
    Damaged(String),
    /// An operator has changed a program since this process read it: it is to be read again.
    #[error("a program was changed meanwhile")]
    Outdated,
    /// Another committer has appended since this batch was decided: it is to be decided again.
    #[error("another committer was first")]
    Overtaken,
    /// The database is not known to hold all that the world has seen of the log.
    #[error("the database is to be held against what is known of the log outside it")]
    Unguarded,
    /// What was committed may be on this server alone, as where the wait for a standby was cancelled.
    #[error("PostgreSQL committed with a warning: what it says is there, its standby may lack")]
    Warned,
    /// A secret was wrapped by another key than the one given.
    #[error("a secret does not open with this wrapping key: give the key that it was wrapped with")]
    WrongWrappingKey,
    /// What was asked for was moved into a file.
    #[error(
        "leaf {leaf_index} is archived in {file}: `daftari books restore` brings it back, and `--archive` reads it where it is"
    )]
    Archived {
        /// The leaf, or one that is archived with it.
        leaf_index: u64,
        /// The archive's name.
        file: String,
    },
    /// What was asked for does not exist.
    #[error("{0}")]
    Missing(String),
}

// Written by hand, since the driver's words are in ours already: as a source they would be told twice.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(error)
    }
}

impl StoreError {
    /// The name of the constraint that was broken, which is the interface between the schema and the code.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => error.as_database_error().and_then(|it| it.constraint()),
            _ => None,
        }
    }

    /// Whether the same batch may go through if it is tried again as it is: a deadlock or a serialization failure.
    pub(crate) fn is_collision(&self) -> bool {
        matches!(self.code().as_deref(), Some("40001" | "40P01"))
    }

    /// The database has not answered in the time that it had: it is gone without a word.
    pub(crate) fn no_answer() -> Self {
        Self::Database(sqlx::Error::Io(ErrorKind::TimedOut.into()))
    }

    /// Whether a lock was not to be had in the time that there was for it.
    pub(crate) fn is_waiting_too_long(&self) -> bool {
        self.code().as_deref() == Some("55P03")
    }

    /// Whether a row is there already.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.code().as_deref() == Some("23505")
    }

    /// Whether the database went away, was stopped, or had no room or time just now, which says nothing of the request
    /// itself: the same may go through later, and trying it in halves would only wait longer. A commit that ends so may
    /// stand all the same.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            // 08 is the connection's failure, 25 a transaction's state (read-only after a failover, ended for idling),
            // 53 a lack of disk, memory or connections, 55 a lock that was not to be had, 57 an operator's
            // intervention or a time limit, 58 the system's failure.
            Self::Database(_) => {
                self.code().is_none_or(|code| ["08", "25", "53", "55", "57", "58"].contains(&&code[..2]))
            }
            _ => false,
        }
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.as_database_error()?.code().map(|it| it.into_owned()),
            _ => None,
        }
    }
}
