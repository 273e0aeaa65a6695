//! The third pass, account by account: balances, lots, reservations and limits are what the entries come to.

use std::cmp::Ordering;

use ledger::{Account, AccountKind, Flow, Reservation, Status};
use sqlx::PgConnection;

use super::outcomes::Told;
use super::{Progress, Scope, Watch};
use crate::error::StoreError;
use crate::fold::Folded;
use crate::walk::{Stored, Walk};

pub(super) async fn check(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    told: Told,
    watch: &mut Watch<'_>,
) -> Result<(), StoreError> {
    let total: Option<i64> =
        sqlx::query_scalar("select max(account_id) from balance").fetch_one(&mut *conn).await?;
    let mut walk = Walk::all(conn).await?;
    while let Some(page) = walk.next(conn).await? {
        for (folded, stored) in page {
            let number = folded.account_id;
            compare(&folded, &stored)
                .map_err(|problem| StoreError::Damaged(format!("account {number}: {problem}")))?;
            if folded.account.kind == AccountKind::Member {
                let status = stored.account.status;
                check_status(conn, scope, &told, number, status).await?;
                super::ensure(!folded.is_emptied || status == Status::Closed, || {
                    format!("account {number}: points expired that could still be spent")
                })?;
            }
        }
        let (done, total) = (walk.done().max(0) as u64, total.unwrap_or_default() as u64);
        watch(Progress { what: "accounts", done: done.min(total), total });
    }
    Ok(())
}

/// What stands in the tables is what the entries come to.
fn compare(folded: &Folded, stored: &Stored) -> Result<(), &'static str> {
    let (entries, tables) = (&folded.account, &stored.account);
    if tables.sequence != entries.sequence
        || tables.balances != entries.balances
        || stored.last != folded.last
    {
        return Err("its balance is not what its entries come to");
    }
    if tables.lots != entries.lots {
        return Err("its lots are not what its entries come to");
    }
    if !same_reservations(entries, tables) {
        return Err("its reservations are not what its entries come to");
    }
    if entries.kind == AccountKind::Member {
        if tables.used != entries.used {
            return Err("what it has used of its limits is not what its entries come to");
        }
        if tables.active_day != entries.active_day {
            return Err("the day on which it was last active is not what its entries come to");
        }
    } else if stored.today.is_some_and(|it| it < tables.used.day) {
        return Err("what it has used of its limits is of a day that has not come");
    } else if !covers(entries, tables) {
        return Err("what it has used of its limits is less than its entries come to");
    }
    if entries.kind != AccountKind::Member && tables.status != Status::Active {
        return Err("a house account is suspended or closed");
    }
    Ok(())
}

fn same_reservations(entries: &Account, tables: &Account) -> bool {
    let same = |one: &Reservation, other: &Reservation| {
        let house = one.house.is_nil() || one.house == other.house;
        let due = match other.kind {
            ledger::ReservationKind::Hold => other.due_us.is_some_and(|it| it <= other.due_us_max),
            ledger::ReservationKind::Pending => other.due_us_max == i64::MAX,
        };
        one.kind == other.kind && one.parts == other.parts && house && due
    };
    entries.reservations.len() == tables.reservations.len()
        && entries
            .reservations
            .iter()
            .all(|(id, one)| tables.reservations.get(id).is_some_and(|it| same(one, it)))
}

/// A house's day also counts holds of which nothing was captured, and no posting tells which house those are for: it is no less
/// than what the entries tell, and may be a later one.
fn covers(entries: &Account, tables: &Account) -> bool {
    let (told, kept) = (entries.used.of(Flow::Redeem), tables.used.of(Flow::Redeem));
    let same_month = entries.used.day.month() == tables.used.day.month();
    match entries.used.day.cmp(&tables.used.day) {
        Ordering::Less => !same_month || told.month <= kept.month,
        Ordering::Equal => told.day <= kept.day && told.month <= kept.month,
        Ordering::Greater => false,
    }
}

/// The member's status is the one that was last asked for, as far as outcomes tell.
async fn check_status(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    told: &Told,
    number: i64,
    status: Status,
) -> Result<(), StoreError> {
    let expected = told.status(number);
    if expected.is_none_or(|it| it == status) {
        return Ok(());
    }
    // It may have been changed since the outcomes were read.
    let changed: bool =
        sqlx::query_scalar("select exists (select from posting where leaf_index >= $1 and kind in (17, 19))")
            .bind(scope.size)
            .fetch_one(conn)
            .await?;
    super::ensure(changed, || format!("account {number}: its status is not the one that was last asked for"))
}
