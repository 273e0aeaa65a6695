//! The second pass, outcome by outcome: each tells what its postings did, and each posting that was asked for is told of
//! exactly once.

mod earned;
mod reserved;

use std::collections::HashMap;

use ledger::{Command, Fingerprint, Item, MemberRef, Refusal, RefusalRow, Request, Status};
use proof::{Details, LotMovement, PostingKind, Text};
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use self::earned::Earned;
use self::reserved::Held;
use super::leaves::Asked;
use super::{Progress, Scope, Watch, ensure};
use crate::error::StoreError;
use crate::outcomes::{ItemRow, decode_rest};
use crate::walk::PAGE;

/// How many outcomes are read at a time.
const STRIDE: i64 = 5_000;

/// What outcomes tell of members' statuses: the leaf of the last change, and what it was to, if that can be told.
#[derive(Default)]
pub(super) struct Told(HashMap<i64, (i64, Option<Status>)>);

impl Told {
    fn hear(&mut self, account: i64, leaf_index: i64, status: Option<Status>) {
        let last = self.0.entry(account).or_insert((leaf_index, status));
        if last.0 <= leaf_index {
            *last = (leaf_index, status);
        }
    }

    /// What the member's status is; `None` where it cannot be told.
    pub(super) fn status(&self, account: i64) -> Option<Status> {
        self.0.get(&account).map_or(Some(Status::Active), |it| it.1)
    }
}

#[derive(FromRow)]
struct Row {
    program_id: i16,
    source: String,
    key: String,
    fingerprint: Vec<u8>,
    posting_id: Option<Uuid>,
    leaf_index: Option<i64>,
    refusal: Option<i16>,
    points: i64,
    available: i64,
    recorded_at: i64,
    account_id: Option<i64>,
    rest: Option<Vec<u8>>,
}

/// An item's posting, and the entry that the outcome tells of.
#[derive(FromRow)]
struct Posted {
    ordinal: i64,
    posting_id: Uuid,
    program_id: i16,
    account_program: i16,
    member_id: Option<Uuid>,
    external_id: Option<String>,
    unit: i16,
    kind: i16,
    recorded_at: i64,
    follows: Option<Uuid>,
    merchant_reference: Option<String>,
    actor: Option<String>,
    reason: Option<String>,
    description: Option<String>,
    entry: bool,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    available_after: i64,
    lots: Option<Vec<u8>>,
    is_erased: bool,
    /// Of a merge, the account that is closed.
    other: Option<i64>,
}

pub(super) async fn check(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    mut asked: Asked,
    watch: &mut Watch<'_>,
) -> Result<Told, StoreError> {
    let mut told = Told::default();
    let mut done = 0;
    let mut after = (i16::MIN, String::new(), String::new());
    loop {
        let mut page = conn.begin_with(PAGE).await?;
        let rows = outcomes_after(&mut page, &after).await?;
        let Some(last) = rows.last() else { break };
        after = (last.program_id, last.source.clone(), last.key.clone());
        check_page(&mut page, scope, &rows, &mut asked, &mut told).await?;
        page.commit().await?;
        done += rows.len() as u64;
        watch(Progress { what: "outcomes", done, total: done.max(scope.size as u64) });
    }
    match asked.first() {
        Some(leaf_index) => {
            Err(StoreError::Damaged(format!("leaf {leaf_index} and its outcome do not name each other")))
        }
        None => Ok(told),
    }
}

async fn outcomes_after(
    conn: &mut PgConnection,
    after: &(i16, String, String),
) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as(
        "select *
         from outcome
         where (program_id, source, key) > ($1, $2, $3)
         order by program_id, source, key
         limit $4",
    )
    .bind(after.0)
    .bind(&after.1)
    .bind(&after.2)
    .bind(STRIDE)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn check_page(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    rows: &[Row],
    asked: &mut Asked,
    told: &mut Told,
) -> Result<(), StoreError> {
    let now_us: i64 = sqlx::query_scalar("select recorded_at from log_head").fetch_one(&mut *conn).await?;
    // Every item of every outcome that was accepted, with its row and its place in it.
    let mut items: Vec<(ItemRow, &Row, usize)> = Vec::new();
    for row in rows {
        let wrong =
            |problem: &str| StoreError::Damaged(format!("the outcome of the key {:?}: {problem}", row.key));
        if row.fingerprint.len() != 32 {
            return Err(wrong("its fingerprint is none"));
        }
        if now_us < row.recorded_at {
            return Err(wrong("it was recorded after the last time that the log knows"));
        }
        let code =
            row.refusal.map(|code| RefusalRow { code, available: row.available, required: row.points });
        match (code, row.leaf_index, row.account_id) {
            (Some(code), None, None) if Refusal::recall(code).is_some() => {}
            (None, Some(leaf_index), Some(account)) => {
                let rest = row.rest.as_deref().map_or(Some(vec![]), decode_rest);
                let rest = rest.ok_or_else(|| wrong("its items cannot be read"))?;
                let all = [[leaf_index, account, row.points]].into_iter().chain(rest).enumerate();
                items.extend(all.map(|(at, item)| (item, row, at)));
            }
            _ => return Err(wrong("it is neither accepted nor refused")),
        }
    }
    let mut posted = posted(conn, &items).await?;
    let mut earned: Vec<Earned<'_>> = Vec::new();
    let mut held: Vec<Held<'_>> = Vec::new();
    // Whether one of an outcome's items was erased.
    let mut erased = false;
    for (at, (item, row, place)) in (1_i64..).zip(items) {
        let [leaf_index, account, _] = item;
        let stray =
            || StoreError::Damaged(format!("leaf {leaf_index} and its outcome do not name each other"));
        let it = posted.remove(&at).ok_or_else(stray)?;
        if place == 0 && row.posting_id != Some(it.posting_id) || it.program_id != row.program_id {
            return Err(stray());
        }
        if leaf_index < scope.size && !asked.clear(leaf_index) {
            return Err(StoreError::Damaged(format!(
                "leaf {leaf_index} is told of twice, or nobody asked for it"
            )));
        }
        let answer = if place == 0 { Some(row.available) } else { None };
        erased |= it.is_erased;
        if place == row.items() - 1 {
            ensure(erased || row.fingerprint[..] != Fingerprint::ERASED.0, || {
                format!("the outcome of leaf {leaf_index} does not say what was asked, and nobody was erased")
            })?;
            erased = false;
        }
        ensure(it.tells(item, answer) && it.account_program == row.program_id, || {
            format!("what was answered for leaf {leaf_index} is not what its entry says")
        })?;
        ensure(it.recorded_at == row.recorded_at, || {
            format!("leaf {leaf_index} and its outcome were not recorded at one time")
        })?;
        match PostingKind(it.kind as u8) {
            PostingKind::ACT => told.hear(account, leaf_index, it.status(row)?),
            PostingKind::MERGE => {
                it.other.into_iter().for_each(|it| told.hear(it, leaf_index, Some(Status::Closed)));
            }
            PostingKind::EARN => earned.push(Earned { leaf_index, row, place, posted: it }),
            // The terms of what was posted since the check began are not known here.
            PostingKind::HOLD | PostingKind::EXTEND if row.rest.is_none() && leaf_index < scope.size => {
                held.push(Held { row, posted: it });
            }
            _ => {}
        }
    }
    earned::check(conn, &earned).await?;
    reserved::check(conn, scope, &held).await
}

/// The postings of items, each a leaf and the account that its outcome names.
pub(crate) const POSTED: &str =
    "select item.ordinal, posting.posting_id, posting.program_id, posting.kind, posting.recorded_at, posting.follows,
         posting.merchant_reference, posting.actor, posting.reason, posting.description,
         account.program_id as account_program, account.member_id, member.external_id, account.unit,
         entry.leaf_index is not null as entry,
         coalesce(entry.available_change, 0) as available_change,
         coalesce(entry.held_change, 0) as held_change,
         coalesce(entry.pending_change, 0) as pending_change,
         coalesce(entry.available_after, 0) as available_after,
         entry.lots,
         exists (
             select from erased_leaf where erased_leaf.leaf_index = item.leaf_index
             union all
             select from erasure where erasure.leaf_index = item.leaf_index
         ) as is_erased,
         case when posting.kind = 17 then (
             select other.account_id
             from entry as other
             where other.leaf_index = item.leaf_index and other.account_id <> item.account_id
             limit 1
         ) end as other
     from unnest($1::bigint[], $2::bigint[]) with ordinality as item (leaf_index, account_id, ordinal)
     join posting using (leaf_index)
     join account using (account_id)
     left join member on member.program_id = account.program_id and member.member_id = account.member_id
     left join entry on entry.leaf_index = item.leaf_index and entry.account_id = item.account_id";

async fn posted(
    conn: &mut PgConnection,
    items: &[(ItemRow, &Row, usize)],
) -> Result<HashMap<i64, Posted>, StoreError> {
    let rows: Vec<Posted> = sqlx::query_as(POSTED)
        .bind(items.iter().map(|it| it.0[0]).collect::<Vec<_>>())
        .bind(items.iter().map(|it| it.0[1]).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|it| (it.ordinal, it)).collect())
}

impl Row {
    /// How many items it tells of.
    fn items(&self) -> usize {
        1 + self.rest.as_ref().map_or(0, |it| it.len() / 24)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.fingerprint[..].try_into().expect("it was measured"))
    }
}

impl Posted {
    /// Whether the entry says what was answered: how much moved, and for the first item what it came to.
    fn tells(&self, [_, _, points]: ItemRow, available: Option<i64>) -> bool {
        let total = self.available_change + self.held_change + self.pending_change;
        let kind = PostingKind(self.kind as u8);
        let moved = match kind {
            PostingKind::HOLD | PostingKind::INCREASE => Some(self.held_change),
            PostingKind::VOID => Some(-self.held_change),
            PostingKind::MATURE => Some(-self.pending_change),
            PostingKind::MERGE => Some(total),
            // A hold that lasts longer: how much it holds is in none of its entries.
            PostingKind::EXTEND if self.follows.is_some() => None,
            PostingKind::EXTEND => self.put_off(),
            _ => Some(total.abs()),
        };
        let has_entry = self.entry == (kind != PostingKind::ACT);
        let after = available.is_none_or(|it| it == self.available_after);
        has_entry && after && moved.is_none_or(|it| it == points)
    }

    /// How many points end later.
    fn put_off(&self) -> Option<i64> {
        let lots = LotMovement::decode_all(self.lots.as_deref().unwrap_or_default()).ok()?;
        Some(lots.iter().map(|it| it.change.available.max(0)).sum())
    }

    /// Which status an administrative act was asked to give. The leaf does not say; the fingerprint of what was asked does,
    /// where the request had no other item.
    fn status(&self, row: &Row) -> Result<Option<Status>, StoreError> {
        let Some(member_id) = self.member_id else { return Ok(None) };
        if row.rest.is_some() || row.fingerprint[..] == Fingerprint::ERASED.0 {
            return Ok(None);
        }
        let names = [Some(MemberRef::Id(member_id)), self.external_id.clone().map(MemberRef::External)];
        for member in names.into_iter().flatten() {
            for status in [Status::Active, Status::Suspended, Status::Closed] {
                let command = Command::SetStatus { member: member.clone(), status };
                // Whether it was to be anchored soon, too, only the fingerprint says.
                let asked = [false, true].map(|it| self.fingerprint(row, command.clone(), it));
                if asked.contains(&row.fingerprint()) {
                    return Ok(Some(status));
                }
            }
        }
        let leaf_index = row.leaf_index.unwrap_or_default();
        Err(StoreError::Damaged(format!("leaf {leaf_index}: its outcome has the fingerprint of no such act")))
    }

    /// The fingerprint of a request for this posting alone.
    fn fingerprint(&self, row: &Row, command: Command, hurried: bool) -> Fingerprint {
        let text = |it: &Option<String>| it.clone().and_then(|it| Text::new(it).ok());
        let details = Details {
            merchant_reference: text(&self.merchant_reference),
            reason: text(&self.reason),
            description: text(&self.description),
            ..Details::default()
        };
        let item = Item { posting_id: self.posting_id, command, details };
        let mut request = Request::one(row.program_id, row.source.clone(), row.key.clone(), item);
        request.unit = self.unit as u16;
        request.hurried = hurried;
        request.fingerprint()
    }
}
