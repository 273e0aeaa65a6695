//! `books replay`: balances, lots and reservations made anew from the postings alone, in a schema of their own, and a digest
//! over both.

use std::collections::BTreeMap;

use ledger::Account;
use proof::{Balances, Hash};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::accounts::hash;
use crate::check::{Progress, Watch};
use crate::error::StoreError;
use crate::lots::encode_parts;
use crate::walk::Walk;
use crate::{archived, archives};

/// How many accounts are read back at a time.
const STRIDE: i64 = 1_000;

/// What a replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many accounts there are.
    pub accounts: u64,
    /// How many lots are open.
    pub lots: u64,
    /// How many reservations are open.
    pub reservations: u64,
    /// The digest over what was made anew, read back from its schema.
    pub made: Hash,
    /// The digest over what stands in the books, each account as of the moment at which its entries were read; `None` where
    /// the replay stopped at an earlier size.
    pub kept: Option<Hash>,
}

/// What an account is made of, as both digests see it.
struct State {
    account_id: i64,
    sequence: i64,
    balances: Balances,
    last: Option<(i64, Hash)>,
    /// Last day, day earned, fund, then available, held and pending.
    lots: BTreeMap<(i32, i32, i32), Balances>,
    /// Kind and parts.
    reservations: BTreeMap<Uuid, (i16, Vec<u8>)>,
}

/// Makes balances, lots and reservations anew in this schema, which must not be there yet, from the postings that stood in
/// the log when it had this size, or from all. The service may go on meanwhile.
pub async fn replay(
    conn: &mut PgConnection,
    schema: &str,
    size: Option<u64>,
    watch: &mut Watch<'_>,
) -> Result<Replayed, StoreError> {
    archives::hold_still(conn).await?;
    let replayed = make_anew(conn, schema, size, watch).await;
    let let_go = archives::let_move(conn).await;
    let replayed = replayed?;
    let_go.map(|()| replayed)
}

async fn make_anew(
    conn: &mut PgConnection,
    schema: &str,
    size: Option<u64>,
    watch: &mut Watch<'_>,
) -> Result<Replayed, StoreError> {
    archived::demand_all(conn).await?;
    make_schema(conn, schema).await?;
    let total: Option<i64> =
        sqlx::query_scalar("select max(account_id) from balance").fetch_one(&mut *conn).await?;
    let up_to = size.map_or(i64::MAX, |it| i64::try_from(it).unwrap_or(i64::MAX));
    let mut walk = Walk::up_to(conn, up_to).await?;
    let mut kept = Sha256::new();
    while let Some(page) = walk.next(conn).await? {
        let mut made = Vec::with_capacity(page.len());
        for (folded, stored) in page {
            State::of(folded.account_id, &stored.account, stored.last).add_to(&mut kept);
            made.push(State::of(folded.account_id, &folded.account, folded.last));
        }
        write(conn, schema, &made).await?;
        let (done, total) = (walk.done().max(0) as u64, total.unwrap_or_default() as u64);
        watch(Progress { what: "accounts", done: done.min(total), total });
    }
    let mut replayed = read_back(conn, schema).await?;
    replayed.kept = size.is_none().then(|| kept.finalize().into());
    Ok(replayed)
}

async fn make_schema(conn: &mut PgConnection, schema: &str) -> Result<(), StoreError> {
    let is_name = !schema.is_empty()
        && schema.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    let there: bool = sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
        .bind(schema)
        .fetch_one(&mut *conn)
        .await?;
    if !is_name || there {
        let problem =
            if there { "is there already: name one that is not" } else { "is no name: use a-z, 0-9 and _" };
        return Err(StoreError::Missing(format!("the schema {schema:?} {problem}")));
    }
    let statements = format!(
        "begin;
         create schema \"{schema}\";
         create table \"{schema}\".balance (
             account_id      bigint not null primary key,
             sequence        bigint not null,
             available       bigint not null,
             held            bigint not null,
             pending         bigint not null,
             last_leaf_index bigint,
             last_commitment bytea
         );
         create table \"{schema}\".lot (like lot including constraints including indexes);
         create table \"{schema}\".reservation (
             posting_id uuid     not null primary key,
             account_id bigint   not null,
             kind       smallint not null,
             parts      bytea    not null
         );
         create index on \"{schema}\".reservation (account_id);
         commit"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(conn).await?;
    Ok(())
}

impl State {
    fn of(account_id: i64, account: &Account, last: Option<(i64, Hash)>) -> Self {
        let lots = account.lots.iter().map(|(lot, balances)| {
            ((lot.last_day.number(), lot.earned_day.number(), lot.fund as i32), *balances)
        });
        let reservations =
            account.reservations.iter().map(|(id, it)| (*id, (it.kind as i16, encode_parts(&it.parts))));
        Self {
            account_id,
            sequence: account.sequence as i64,
            balances: account.balances,
            last,
            lots: lots.collect(),
            reservations: reservations.collect(),
        }
    }

    fn add_to(&self, digest: &mut Sha256) {
        let balances = |digest: &mut Sha256, it: &Balances| {
            for number in [it.available, it.held, it.pending] {
                digest.update(number.to_be_bytes());
            }
        };
        digest.update(self.account_id.to_be_bytes());
        digest.update(self.sequence.to_be_bytes());
        balances(digest, &self.balances);
        let (leaf_index, commitment) = self.last.unwrap_or((-1, Hash::default()));
        digest.update(leaf_index.to_be_bytes());
        digest.update(commitment);
        digest.update((self.lots.len() as u64).to_be_bytes());
        for ((last_day, earned_day, fund), it) in &self.lots {
            [last_day, earned_day, fund].iter().for_each(|it| digest.update(it.to_be_bytes()));
            balances(digest, it);
        }
        digest.update((self.reservations.len() as u64).to_be_bytes());
        for (id, (kind, parts)) in &self.reservations {
            digest.update(id.as_bytes());
            digest.update(kind.to_be_bytes());
            digest.update((parts.len() as u64).to_be_bytes());
            digest.update(parts);
        }
    }
}

async fn write(conn: &mut PgConnection, schema: &str, made: &[State]) -> Result<(), StoreError> {
    let balances = format!(
        "insert into \"{schema}\".balance
         select *
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])"
    );
    sqlx::query(AssertSqlSafe(balances))
        .bind(made.iter().map(|it| it.account_id).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.sequence).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.balances.available).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.balances.held).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.balances.pending).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.last.map(|it| it.0)).collect::<Vec<_>>())
        .bind(made.iter().map(|it| it.last.map(|it| it.1.to_vec())).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    let rows: Vec<_> =
        made.iter().flat_map(|it| it.lots.iter().map(|lot| (it.account_id, *lot.0, lot.1))).collect();
    let lots = format!(
        "insert into \"{schema}\".lot (account_id, last_day, earned_day, fund_id, available, held, pending)
         select *
         from unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[])"
    );
    sqlx::query(AssertSqlSafe(lots))
        .bind(rows.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.1.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.1.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.1.2).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.2.available).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.2.held).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.2.pending).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    let rows: Vec<_> =
        made.iter().flat_map(|it| it.reservations.iter().map(|one| (it.account_id, one))).collect();
    let reservations = format!(
        "insert into \"{schema}\".reservation
         select *
         from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bytea[])"
    );
    sqlx::query(AssertSqlSafe(reservations))
        .bind(rows.iter().map(|it| *it.1.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.1.1.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.1.1.1.clone()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

type BalanceRow = (i64, i64, i64, i64, i64, Option<i64>, Option<Vec<u8>>);

/// The digest over what stands in the schema.
async fn read_back(conn: &mut PgConnection, schema: &str) -> Result<Replayed, StoreError> {
    let (mut accounts, mut lots, mut reservations, mut digest) = (0, 0, 0, Sha256::new());
    let mut after = i64::MIN;
    loop {
        let statement =
            format!("select * from \"{schema}\".balance where account_id > $1 order by account_id limit $2");
        let rows: Vec<BalanceRow> =
            sqlx::query_as(AssertSqlSafe(statement)).bind(after).bind(STRIDE).fetch_all(&mut *conn).await?;
        let Some(last) = rows.last() else { break };
        let range = (after, last.0);
        after = last.0;
        let mut states: BTreeMap<i64, State> = BTreeMap::new();
        for (account_id, sequence, available, held, pending, leaf_index, commitment) in rows {
            let commitment = commitment.as_deref().map(hash).transpose()?;
            let (lots, reservations) = Default::default();
            let balances = Balances { available, held, pending };
            let last = leaf_index.zip(commitment);
            states.insert(account_id, State { account_id, sequence, balances, last, lots, reservations });
        }
        take_lots(conn, schema, range, &mut states).await?;
        take_reservations(conn, schema, range, &mut states).await?;
        for state in states.values() {
            state.add_to(&mut digest);
            accounts += 1;
            lots += state.lots.len() as u64;
            reservations += state.reservations.len() as u64;
        }
    }
    Ok(Replayed { accounts, lots, reservations, made: digest.finalize().into(), kept: None })
}

async fn take_lots(
    conn: &mut PgConnection,
    schema: &str,
    range: (i64, i64),
    states: &mut BTreeMap<i64, State>,
) -> Result<(), StoreError> {
    let statement = format!(
        "select account_id, last_day, earned_day, fund_id, available, held, pending
         from \"{schema}\".lot
         where account_id > $1 and account_id <= $2"
    );
    let rows: Vec<(i64, i32, i32, i32, i64, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(range.0).bind(range.1).fetch_all(conn).await?;
    for (account, last_day, earned_day, fund, available, held, pending) in rows {
        let balances = Balances { available, held, pending };
        if let Some(state) = states.get_mut(&account) {
            state.lots.insert((last_day, earned_day, fund), balances);
        }
    }
    Ok(())
}

async fn take_reservations(
    conn: &mut PgConnection,
    schema: &str,
    range: (i64, i64),
    states: &mut BTreeMap<i64, State>,
) -> Result<(), StoreError> {
    let statement = format!(
        "select account_id, posting_id, kind, parts
         from \"{schema}\".reservation
         where account_id > $1 and account_id <= $2"
    );
    let rows: Vec<(i64, Uuid, i16, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(range.0).bind(range.1).fetch_all(conn).await?;
    for (account, id, kind, parts) in rows {
        if let Some(state) = states.get_mut(&account) {
            state.reservations.insert(id, (kind, parts));
        }
    }
    Ok(())
}
