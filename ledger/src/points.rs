//! Amounts of points, in the program's smallest unit.

use std::fmt;

/// The most that one amount or one member's balance can be: 2^53 − 1, which every JSON reader holds exactly.
pub const MEMBER_LIMIT: i64 = (1 << 53) - 1;

/// The most that a house account's balance can be, either way: 2^62, half of what an `i64` holds.
pub const HOUSE_LIMIT: i64 = 1 << 62;

/// An amount of points from 1 to 2^53 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Points(i64);

/// An amount that is not from 1 to 2^53 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount of points is from 1 to {MEMBER_LIMIT}")]
pub struct PointsError;

impl Points {
    /// Takes an amount from 1 to 2^53 − 1.
    pub fn new(points: i64) -> Result<Self, PointsError> {
        if (1..=MEMBER_LIMIT).contains(&points) { Ok(Self(points)) } else { Err(PointsError) }
    }

    /// The amount.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
