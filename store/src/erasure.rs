//! Erasing a member. What opens their entries, and what names them, goes; amounts and commitments stay, under the random id of
//! an account that belongs to nobody any more, so every other proof and every sum stays as it is.

use std::collections::BTreeSet;

use ledger::MemberRef;
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts;
use crate::error::StoreError;
use crate::keyring::{Keyring, Pepper};
use crate::outcomes::OutcomeKey;
use crate::references::is_abandoned;
use crate::told::{Told, leaves_of, outcomes_of};
use crate::{archives, log_head};

/// An account of a member who is to be erased.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AccountToErase {
    /// Its number.
    pub account_id: i64,
    /// The random id under which it stands in leaves, and will stay.
    pub id: Uuid,
    /// Its unit.
    pub unit: i16,
}

/// A member who is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberToErase {
    /// Their id.
    pub member_id: Uuid,
    /// What other systems call them.
    pub external_id: Option<String>,
    /// Their accounts.
    pub accounts: Vec<AccountToErase>,
}

/// What an erasure took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Accounts whose secret is gone.
    pub accounts: u64,
    /// Leaves that lost their words and their event.
    pub leaves: u64,
    /// Outcomes that lost what was asked.
    pub outcomes: u64,
    /// Rejected and parked events that named the member.
    pub rejected_events: u64,
}

/// The member of this name; `None` where there is none.
pub async fn member_to_erase(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberRef,
) -> Result<Option<MemberToErase>, StoreError> {
    let found: Option<(Uuid, Option<String>)> = sqlx::query_as(
        "select member_id, external_id
         from member
         where program_id = $1
             and (member_id = $2 or external_id = $3)",
    )
    .bind(program_id)
    .bind(accounts::id_of(member))
    .bind(accounts::name_of(member))
    .fetch_optional(&mut *conn)
    .await?;
    let Some((member_id, external_id)) = found else { return Ok(None) };
    // Of a member who was erased already nothing is left to be done.
    let accounts: Vec<AccountToErase> = sqlx::query_as(
        "select account_id, id, unit
         from account
         where program_id = $1
             and member_id = $2
             and secret <> ''
         order by account_id",
    )
    .bind(program_id)
    .bind(member_id)
    .fetch_all(conn)
    .await?;
    if accounts.is_empty() {
        return Ok(None);
    }
    Ok(Some(MemberToErase { member_id, external_id, accounts }))
}

/// Which of the member's leaves is the last, and how many leaves the newest checkpoint covers.
pub async fn sealed_of(conn: &mut PgConnection, member: &MemberToErase) -> Result<(u64, u64), StoreError> {
    let (last, sealed): (i64, i64) = sqlx::query_as(
        "select coalesce((select max(last_leaf_index) from balance where account_id = any($1)), 0),
             coalesce((select max(size) from checkpoint), 0)",
    )
    .bind(member.numbers())
    .fetch_one(conn)
    .await?;
    Ok((last as u64, sealed as u64))
}

/// Demands that none of the member's postings is archived: what a file holds is not erased with the rows.
pub async fn demand_unarchived(conn: &mut PgConnection, member: &MemberToErase) -> Result<(), StoreError> {
    leaves_of(conn, &member.numbers()).await.map(drop)
}

/// A name within a regular expression: whatever is no letter or digit stands for itself.
macro_rules! name_itself {
    () => {
        r"regexp_replace(lower(name), '[^[:alnum:]]', '\\\&', 'g')"
    };
}

pub(crate) use name_itself;

/// Whether a text names whom `$2` lists. A name of fewer than eight characters may stand within another's name, or in a number: where
/// it begins and where it ends, no two letters or digits stand side by side.
macro_rules! text_names {
    ($text:literal) => {
        concat!(
            "exists (
             select
             from unnest($2::text[]) as name
             where position(lower(name) in lower(",
            $text,
            ")) > 0
                 and (
                     8 <= length(name)
                     or lower(",
            $text,
            ") ~ (
                         '((?<![[:alnum:]])|(?![[:alnum:]]))'
                         || ",
            name_itself!(),
            "
                         || '((?<![[:alnum:]])|(?![[:alnum:]]))'
                     )
                 )
         )"
        )
    };
}

/// Whether an outcome's or a claim's source or key names whom `$2` lists.
macro_rules! key_names {
    () => {
        text_names!("source || ' ' || key")
    };
}

/// The claims of requests that name the member and were not accepted, and whether they were refused. Those that name them are found
/// first, and each is then looked up by itself (`offset 0`): the planner takes them to be half of all, and would hold all outcomes
/// against them.
macro_rules! unaccepted_claims {
    () => {
        concat!(
            "with named as materialized (
                 select *
                 from claimed_reference
                 where program_id = $1
                     and ",
            key_names!(),
            "
             ), unaccepted as (
                 select named.*, told.is_refused
                 from named
                 left join lateral (
                     select refusal is not null as is_refused
                     from outcome
                     where outcome.program_id = named.program_id
                         and outcome.source = named.source
                         and outcome.key = named.key
                     offset 0
                 ) as told on true
                 where told.is_refused is not false
             ) "
        )
    };
}

pub(crate) const IS_IN_DOUBT: &str = concat!(
    unaccepted_claims!(),
    "select exists (select from unaccepted as claimed_reference where is_refused is null and not (",
    is_abandoned!(),
    "))"
);

pub(crate) const FORGET_CLAIMS: &str = concat!(
    unaccepted_claims!(),
    "delete from claimed_reference
     using unaccepted
     where claimed_reference.program_id = unaccepted.program_id
         and claimed_reference.partner_id = unaccepted.partner_id
         and claimed_reference.kind = unaccepted.kind
         and claimed_reference.reference = unaccepted.reference
         and claimed_reference.source = unaccepted.source
         and claimed_reference.key = unaccepted.key
         and (unaccepted.is_refused or ",
    is_abandoned!(),
    ")"
);

/// Demands that of each request that has claimed a reference and names the member it is known what came of it. Were such a claim taken
/// away before, another request could use the reference, too; were it kept, nothing would take the name out of it.
pub async fn demand_undoubted(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberToErase,
) -> Result<(), StoreError> {
    // All claims are looked at.
    let mut transaction = conn.begin().await?;
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    let is_in_doubt: bool = sqlx::query_scalar(IS_IN_DOUBT)
        .bind(program_id)
        .bind(member.names())
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    match is_in_doubt {
        false => Ok(()),
        true => Err(StoreError::Missing(
            "a request that names the member may yet be posted: nothing was erased, ask again in five minutes"
                .to_owned(),
        )),
    }
}

/// Erases the member, whose accounts are closed. `acts` are the leaves that say so, one for each account; a checkpoint covers
/// them and all of the member's.
///
/// One transaction. Whoever decides learns of it before the next decision, by the epoch.
pub async fn erase_member(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    member: &MemberToErase,
    acts: &[u64],
) -> Result<Erased, StoreError> {
    // Outcomes are found by looking at all of them: before anything is locked. Whoever is closed gets no more.
    let numbers = member.numbers();
    let told = outcomes_of(conn, program_id, &numbers).await?;
    let acts: Vec<i64> = acts.iter().map(|it| *it as i64).collect();
    let mut transaction = conn.begin().await?;
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    // First, since it may be waited for, and nobody waits for the accounts meanwhile.
    archives::demand_settled(&mut transaction).await?;
    sqlx::query(
        "select account_id from balance where account_id = any($1) order by account_id for no key update",
    )
    .bind(&numbers)
    .execute(&mut *transaction)
    .await?;
    demand_quiet(&mut transaction, &numbers, &acts).await?;
    demand_undoubted(&mut transaction, program_id, member).await?;
    let mut leaves: BTreeSet<i64> = leaves_of(&mut transaction, &numbers).await?.into_iter().collect();
    leaves.extend(told.iter().flat_map(|it| &it.leaves));
    leaves.retain(|it| !acts.contains(it));
    let leaves: Vec<i64> = leaves.into_iter().collect();
    mark(&mut transaction, &numbers, &acts, &leaves).await?;
    let outcomes = forget_outcomes(&mut transaction, &keyring.pepper(), program_id, member, &told).await?;
    forget_attempts(&mut transaction, &leaves).await?;
    let rejected_events = forget_elsewhere(&mut transaction, program_id, member).await?;
    bury(&mut transaction, &keyring.pepper(), program_id, member).await?;
    // Last, since from here until the commit nobody appends.
    log_head::raise_epoch(&mut transaction).await?;
    transaction.commit().await?;
    let (accounts, leaves) = (numbers.len() as u64, leaves.len() as u64);
    Ok(Erased { accounts, leaves, outcomes, rejected_events })
}

impl MemberToErase {
    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.accounts.iter().map(|it| it.account_id).collect()
    }

    /// The texts that name the member.
    pub(crate) fn names(&self) -> Vec<String> {
        [Some(self.member_id.to_string()), self.external_id.clone()].into_iter().flatten().collect()
    }
}

/// Nothing more can come of these accounts, and everything that did is sealed.
async fn demand_quiet(conn: &mut PgConnection, numbers: &[i64], acts: &[i64]) -> Result<(), StoreError> {
    let problem: Option<String> = sqlx::query_scalar(
        "select coalesce(
             (select 'is not closed' from balance where account_id = any($1) and status <> 3 limit 1),
             (select 'has points set aside' from reservation where account_id = any($1) limit 1),
             (select 'has leaves that are not sealed yet'
              from balance
              where account_id = any($1)
                  and coalesce((select max(size) from checkpoint), 0)
                      <= greatest(last_leaf_index, (select max(act) from unnest($2::bigint[]) as act))
              limit 1),
             (select 'has a withdrawal that may yet come back'
              from entry
              join open_withdrawal using (leaf_index)
              where entry.account_id = any($1)
              limit 1)
         )",
    )
    .bind(numbers)
    .bind(acts)
    .fetch_one(conn)
    .await?;
    problem.map_or(Ok(()), |it| Err(StoreError::Missing(format!("the member {it}: nothing was erased"))))
}

/// Marks accounts and leaves as erased, and takes away words, events and secrets.
async fn mark(
    conn: &mut PgConnection,
    numbers: &[i64],
    acts: &[i64],
    leaves: &[i64],
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into erasure (account_id, leaf_index)
         select * from unnest($1::bigint[], $2::bigint[])",
    )
    .bind(numbers)
    .bind(acts)
    .execute(&mut *conn)
    .await?;
    // A leaf without an entry of theirs is an act upon the first of their accounts, or one that it was done with.
    sqlx::query(
        "insert into erased_leaf (leaf_index, account_id)
         select leaf_index,
             coalesce((
                 select min(account_id)
                 from entry
                 where entry.leaf_index = gone.leaf_index and account_id = any($2)
             ), $2[1])
         from unnest($1::bigint[]) as gone (leaf_index)
         on conflict do nothing",
    )
    .bind(leaves)
    .bind(numbers)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update posting
         set merchant_reference = null, actor = null, reason = null, description = null
         where leaf_index = any($1)",
    )
    .bind(leaves)
    .execute(&mut *conn)
    .await?;
    sqlx::query("delete from event where leaf_index = any($1)").bind(leaves).execute(&mut *conn).await?;
    sqlx::query("update account set secret = '' where account_id = any($1)")
        .bind(numbers)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes away what was asked; that something was, and what came of it, stays. A key or a source that names the member is
/// replaced by a keyed hash of itself.
async fn forget_outcomes(
    conn: &mut PgConnection,
    pepper: &Pepper,
    program_id: i16,
    member: &MemberToErase,
    told: &[Told],
) -> Result<u64, StoreError> {
    let names: Vec<String> = member.names().iter().map(|it| it.to_lowercase()).collect();
    let kept = |purpose, text: &str| {
        let text_lower = text.to_lowercase();
        // A hash names nobody, though a short name may be found in it, too.
        match !is_hidden(text) && names.iter().any(|name| text_lower.contains(name)) {
            true => hidden(pepper, purpose, text),
            false => text.to_owned(),
        }
    };
    // A claim follows its request to its new name.
    let changed = sqlx::query(
        "with told as (
             select *
             from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as told (source, key, kept_source, kept_key)
         ), claims as (
             update claimed_reference
             set source = told.kept_source, key = told.kept_key
             from told
             where claimed_reference.program_id = $1
                 and claimed_reference.source = told.source
                 and claimed_reference.key = told.key
         )
         update outcome
         set fingerprint = decode(repeat('00', 32), 'hex'), source = told.kept_source, key = told.kept_key
         from told
         where outcome.program_id = $1
             and outcome.source = told.source
             and outcome.key = told.key",
    )
    .bind(program_id)
    .bind(told.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
    .bind(told.iter().map(|it| it.key.as_str()).collect::<Vec<_>>())
    .bind(told.iter().map(|it| kept(SOURCE, &it.source)).collect::<Vec<_>>())
    .bind(told.iter().map(|it| kept(KEY, &it.key)).collect::<Vec<_>>())
    .execute(&mut *conn)
    .await?;
    // Nothing is in doubt but what was claimed just now, which stays, as what names the member after the erasure does.
    sqlx::query(FORGET_CLAIMS).bind(program_id).bind(member.names()).execute(&mut *conn).await?;
    sqlx::query(concat!(
        "delete from outcome
         where program_id = $1
             and refusal is not null
             and ",
        key_names!()
    ))
    .bind(program_id)
    .bind(member.names())
    .execute(conn)
    .await?;
    Ok(changed.rows_affected())
}

/// What is hashed: a source, or a key.
const SOURCE: &str = "outcome-source";
const KEY: &str = "outcome-key";

/// What stands before a hash.
const HIDDEN: &str = "erased:";

/// What stands in the place of a source or a key that named somebody who was erased.
fn hidden(pepper: &Pepper, purpose: &str, text: &str) -> String {
    format!("{HIDDEN}{}", hex::encode(pepper.hash(purpose, text.as_bytes())))
}

fn is_hidden(text: &str) -> bool {
    let hash = text.strip_prefix(HIDDEN);
    hash.is_some_and(|it| it.len() == 64 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Under which keys a request stands whose source, key or both named somebody who was erased.
pub(crate) fn hidden_keys(pepper: &Pepper, (program_id, source, key): &OutcomeKey) -> [OutcomeKey; 3] {
    let (hidden_source, hidden_key) = (hidden(pepper, SOURCE, source), hidden(pepper, KEY, key));
    [
        (*program_id, source.clone(), hidden_key.clone()),
        (*program_id, hidden_source.clone(), key.clone()),
        (*program_id, hidden_source, hidden_key),
    ]
}

pub(crate) const FORGET_ATTEMPTS: &str = "update webhook_attempt
     set problem = null
     from webhook_message as message
     where message.endpoint_id = webhook_attempt.endpoint_id
         and message.number = webhook_attempt.number
         and message.leaf_index = any($1)
         and problem is not null";

/// What webhooks' receivers answered when they were told of these leaves: in words that are theirs, and may name the member.
/// That they were told, when and with which status stays.
async fn forget_attempts(conn: &mut PgConnection, leaves: &[i64]) -> Result<(), StoreError> {
    sqlx::query(FORGET_ATTEMPTS).bind(leaves).execute(conn).await?;
    Ok(())
}

/// Whether an event's bytes name whom `$2` lists: as JSON has names, in quotes or as a field's number, since a short one may stand
/// within a longer one.
macro_rules! payload_names {
    () => {
        concat!(
            "exists (
             select from unnest($2::text[]) as name
             where position(
                     encode(convert_to(lower(to_jsonb(name)::text), 'UTF8'), 'escape') in lower(encode(payload, 'escape'))
                 ) > 0
                 or name ~ '^-?[0-9]'
                     and lower(encode(payload, 'escape')) ~ (
                         ':[[:space:]]*' || ",
            $crate::erasure::name_itself!(),
            " || '[[:space:],}]'
                     )
         )"
        )
    };
}
pub(crate) use payload_names;

/// Rejected events and sessions that name the member. Answers how many events there were.
async fn forget_elsewhere(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberToErase,
) -> Result<u64, StoreError> {
    let rejected = sqlx::query(concat!(
        "delete from rejected_event
         where program_id = $1
             and (",
        payload_names!(),
        " or ",
        text_names!("detail"),
        ")"
    ))
    .bind(program_id)
    .bind(member.names())
    .execute(&mut *conn)
    .await?;
    let parked = sqlx::query(concat!(
        "delete from parked_event
         where program_id = $1
             and (
                 member_id = $3
                 or external_id = any($2)
                 or ",
        payload_names!(),
        "
             )"
    ))
    .bind(program_id)
    .bind(member.names())
    .bind(member.member_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query("delete from member_session where program_id = $1 and member = any($2)")
        .bind(program_id)
        .bind(member.names())
        .execute(conn)
        .await?;
    Ok(rejected.rows_affected() + parked.rows_affected())
}

pub(crate) const FORGET_BURNS: &str = "update gateway_burn
     set member_id = null, actor = null
     from gateway
     where gateway.chain_id = gateway_burn.chain_id and gateway.contract = gateway_burn.contract
         and gateway.program_id = $1 and gateway_burn.member_id = $2";

/// Gives the accounts to somebody who is nobody, and remembers that these names were erased.
async fn bury(
    conn: &mut PgConnection,
    pepper: &Pepper,
    program_id: i16,
    member: &MemberToErase,
) -> Result<(), StoreError> {
    let nobody = Uuid::new_v4();
    let mut names = vec![MemberRef::Id(member.member_id), MemberRef::Id(nobody)];
    names.extend(member.external_id.clone().map(MemberRef::External));
    sqlx::query("insert into member (program_id, member_id) values ($1, $2)")
        .bind(program_id)
        .bind(nobody)
        .execute(&mut *conn)
        .await?;
    sqlx::query("update account set member_id = $3 where program_id = $1 and member_id = $2")
        .bind(program_id)
        .bind(member.member_id)
        .bind(nobody)
        .execute(&mut *conn)
        .await?;
    sqlx::query("delete from member where program_id = $1 and member_id = $2")
        .bind(program_id)
        .bind(member.member_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query("delete from credit_reference where program_id = $1 and member_id = $2")
        .bind(program_id)
        .bind(member.member_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(FORGET_BURNS).bind(program_id).bind(member.member_id).execute(&mut *conn).await?;
    sqlx::query(
        "insert into tombstone (program_id, name) select $1, * from unnest($2::bytea[]) on conflict do nothing",
    )
    .bind(program_id)
    .bind(names.iter().map(|it| buried(pepper, it)).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// A name as a tombstone has it.
fn buried(pepper: &Pepper, member: &MemberRef) -> Vec<u8> {
    match member {
        MemberRef::Id(id) => pepper.hash("tombstone-id", id.as_bytes()).to_vec(),
        MemberRef::External(name) => pepper.hash("tombstone-name", name.as_bytes()).to_vec(),
    }
}

/// Those of these members who were erased, by their places.
pub(crate) async fn erased_names(
    conn: &mut PgConnection,
    pepper: &Pepper,
    members: &[(i16, &MemberRef)],
) -> Result<BTreeSet<usize>, StoreError> {
    let places: Vec<i64> = sqlx::query_scalar(
        "select wanted.ordinal - 1
         from unnest($1::smallint[], $2::bytea[]) with ordinality as wanted (program_id, name, ordinal)
         join tombstone using (program_id, name)",
    )
    .bind(members.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(members.iter().map(|it| buried(pepper, it.1)).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(places.into_iter().map(|it| it as usize).collect())
}

/// Lets these people take part again, who begin anew: only an operator does that, never an event.
pub async fn readmit_members(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    members: &[MemberRef],
) -> Result<u64, StoreError> {
    let gone = sqlx::query("delete from tombstone where program_id = $1 and name = any($2)")
        .bind(program_id)
        .bind(members.iter().map(|it| buried(&keyring.pepper(), it)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(gone.rows_affected())
}

/// Takes what was erased out of the tables' pages, so that it is not written to the WAL again with them. It runs beside the
/// service, and takes as long as these tables are large.
pub async fn vacuum_erased(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("set statement_timeout = 0").execute(&mut *conn).await?;
    for table in [
        "member",
        "account",
        "posting",
        "event",
        "outcome",
        "claimed_reference",
        "rejected_event",
        "parked_event",
        "member_session",
        "credit_reference",
        "gateway_burn",
        "webhook_attempt",
    ] {
        let vacuum = format!("vacuum (index_cleanup on) {table}");
        sqlx::query(sqlx::AssertSqlSafe(vacuum)).execute(&mut *conn).await?;
    }
    sqlx::query("reset statement_timeout").execute(conn).await?;
    Ok(())
}
