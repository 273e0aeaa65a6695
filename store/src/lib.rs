//! The only SQL. One file per noun; a function per question, taking `&mut PgConnection` so that the caller owns the
//! transaction. PostgreSQL is tested against as it is: there is no second implementation and no trait for one.

mod anchors;
mod checkpoints;
mod leaves;

