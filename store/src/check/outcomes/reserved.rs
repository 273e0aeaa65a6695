//! What is set aside is for whom it was asked, and until when. While it is open no posting tells, but the fingerprint of what was
//! asked does: the house is its counterpart, and the time is in its amount or, of an earning, in its counterpart too.
//!
//! Of a request of several items all of it is believed. No leaf tells the fingerprint either: whoever changes it beside the
//! reservation is not found.

use std::collections::HashMap;

use ledger::{AccountKind, Command, Fingerprint, HELD_FOR_REVIEW, MemberRef, Points, Terms};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{Posted, Row, Scope};
use crate::error::StoreError;

const SECOND_US: i64 = 1_000_000;

/// A reservation that is open, as it stands beside a leaf that began it or put off its end.
#[derive(FromRow)]
pub(super) struct Reserved {
    leaf_index: i64,
    pub(super) due_at: Option<i64>,
    due_at_max: i64,
    /// Whether a later leaf put off its end.
    is_put_off: bool,
    /// The kind of its house, where that is of the same program and unit.
    house: Option<i16>,
    partner_id: Option<String>,
    pub(super) fund: Option<String>,
}

/// Of these outcomes and the reservations that they are about, what is open, by leaf.
pub(super) async fn open(
    conn: &mut PgConnection,
    items: &[(&Row, Uuid)],
) -> Result<HashMap<i64, Reserved>, StoreError> {
    let rows: Vec<Reserved> = sqlx::query_as(
        "select item.leaf_index, reservation.due_at, reservation.due_at_max, house.kind as house, house.partner_id,
             fund.name as fund,
             exists (
                 select
                 from posting as later
                 where later.follows = reservation.posting_id
                     and later.program_id = account.program_id
                     and later.kind = 15
                     and later.leaf_index > item.leaf_index
             ) as is_put_off
         from unnest($1::bigint[], $2::bigint[], $3::uuid[]) as item (leaf_index, account_id, posting_id)
         join reservation on reservation.posting_id = item.posting_id and reservation.account_id = item.account_id
         join account on account.account_id = item.account_id
         left join account as house on house.account_id = reservation.house_id
             and house.program_id = account.program_id
             and house.unit = account.unit
         left join fund on fund.program_id = house.program_id and fund.fund_id = house.fund_id",
    )
    .bind(items.iter().map(|it| it.0.leaf_index).collect::<Vec<_>>())
    .bind(items.iter().map(|it| it.0.account_id).collect::<Vec<_>>())
    .bind(items.iter().map(|it| it.1).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|it| (it.leaf_index, it)).collect())
}

impl Reserved {
    /// How many seconds after this instant it is due, if it is whole ones.
    fn seconds_from(&self, us: i64) -> Option<u32> {
        let lasts_us = self.due_at?.checked_sub(us)?;
        if lasts_us % SECOND_US == 0 { u32::try_from(lasts_us / SECOND_US).ok() } else { None }
    }
}

/// A posting that began a hold or put off its end, and was asked for by itself.
pub(super) struct Held<'a> {
    pub(super) row: &'a Row,
    pub(super) posted: Posted,
}

/// Holds the holds that are open against what was asked.
pub(super) async fn check(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    held: &[Held<'_>],
) -> Result<(), StoreError> {
    let items: Vec<(&Row, Uuid)> =
        held.iter().map(|it| (it.row, it.posted.follows.unwrap_or(it.posted.posting_id))).collect();
    let open = open(conn, &items).await?;
    for it in held {
        let Some(reserved) = it.row.leaf_index.and_then(|leaf_index| open.get(&leaf_index)) else { continue };
        it.check(scope, reserved)
            .map_err(|problem| StoreError::Damaged(format!("leaf {}: {problem}", reserved.leaf_index)))?;
    }
    Ok(())
}

impl Held<'_> {
    fn check(&self, scope: &Scope<'_>, reserved: &Reserved) -> Result<(), &'static str> {
        if self.row.fingerprint() == Fingerprint::ERASED {
            return Ok(());
        }
        let terms = scope.history.terms(self.row.program_id, reserved.leaf_index);
        let terms = terms.ok_or("its program is not known")?;
        let now_us = terms.moment(self.posted.recorded_at).us;
        let is_as_asked = match self.posted.follows {
            None => {
                self.check_house(reserved)?;
                if reserved.due_at_max != in_seconds(now_us, terms.policy.holds.seconds_max) {
                    return Err("its hold may last to another time than the policy lets it");
                }
                self.is_as_long(reserved, terms, now_us)
            }
            Some(hold) => reserved.seconds_from(now_us).is_some_and(|seconds| {
                self.is_of(Command::Prolong { hold, seconds }, &["amount", "counterpart"])
            }),
        };
        // What a later leaf says of its end, that leaf is held against.
        if is_as_asked || reserved.is_put_off {
            Ok(())
        } else {
            Err("its hold ends at another time than was asked for")
        }
    }

    fn check_house(&self, reserved: &Reserved) -> Result<(), &'static str> {
        let is_spent_there = match reserved.house.and_then(AccountKind::from_i16) {
            Some(AccountKind::Settlement) => reserved.partner_id.is_some(),
            Some(AccountKind::Redemption) => reserved.partner_id.is_none(),
            _ => false,
        };
        if is_spent_there && self.is_of(self.hold(reserved, None)?, &["counterpart"]) {
            Ok(())
        } else {
            Err("its hold is for another house than was asked for")
        }
    }

    /// Whether it lasts as long as was asked, or as what names no time.
    fn is_as_long(&self, reserved: &Reserved, terms: &Terms, now_us: i64) -> bool {
        // How much was to be redeemed at most, such a hold does not say: it lasts as long as one may.
        let is_reviewed = self.posted.reason.as_deref() == Some(HELD_FOR_REVIEW);
        if is_reviewed && reserved.due_at == Some(reserved.due_at_max) {
            return true;
        }
        let Some(seconds) = reserved.seconds_from(now_us) else { return false };
        let usual = (seconds == terms.policy.holds.seconds).then_some(None);
        let mut asked = [Some(seconds)].into_iter().chain(usual);
        asked.any(|it| self.hold(reserved, it).is_ok_and(|hold| self.is_of(hold, &["amount"])))
    }

    /// The hold as it would be asked for. Whose it is, its entry says.
    fn hold(&self, reserved: &Reserved, seconds: Option<u32>) -> Result<Command, &'static str> {
        let points = Points::new(self.row.points).map_err(|_| "it holds what is no amount")?;
        let partner = reserved.partner_id.clone();
        Ok(Command::Hold { member: MemberRef::Id(Uuid::nil()), points, partner, seconds })
    }

    /// Whether these parts of what was asked are the command's.
    fn is_of(&self, command: Command, parts: &[&str]) -> bool {
        let asked = self.posted.fingerprint(self.row, command, false);
        !self.row.fingerprint().differences(&asked).names().any(|it| parts.contains(&it))
    }
}

fn in_seconds(us: i64, seconds: u32) -> i64 {
    us + i64::from(seconds) * SECOND_US
}
