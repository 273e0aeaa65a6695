//! How the simulated store says that something went wrong: as the driver does.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use sqlx::error::DatabaseError;

use crate::error::StoreError;

/// The connection is gone.
pub(super) fn lost() -> StoreError {
    StoreError::Database(sqlx::Error::Io(ErrorKind::ConnectionReset.into()))
}

/// The database says no, with this code.
pub(super) fn refused(code: &'static str) -> StoreError {
    StoreError::Database(sqlx::Error::Database(Box::new(Refused(code))))
}

#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl Error for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        self.0
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}
