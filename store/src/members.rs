//! Members whom an operator enrols, and their tiers. Whom an event or an import enrols, the committer does.

use std::collections::BTreeSet;

use ledger::MemberRef;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::accounts;
use crate::directory::MemberKey;
use crate::erasure;
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::programs::POINTS_UNIT;

/// Those of these members who have no account in the unit.
pub async fn unknown_members(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: u16,
    members: &[MemberRef],
) -> Result<BTreeSet<MemberRef>, StoreError> {
    let wanted: Vec<MemberKey> = members.iter().map(|it| (program_id, unit, it.clone())).collect();
    let known = accounts::member_accounts(conn, keyring, &wanted).await?;
    Ok(wanted.into_iter().filter(|it| !known.contains_key(it)).map(|it| it.2).collect())
}

/// Enrols those of these members who are not known yet, and opens an account in the unit for those who have none. Gives
/// how many these were.
pub async fn enrol_members(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: u16,
    members: &[MemberRef],
) -> Result<usize, StoreError> {
    let mut transaction = conn.begin().await?;
    let counts: bool = sqlx::query_scalar(
        "select exists (select from account where program_id = $1 and unit = $2 and kind = 2)",
    )
    .bind(program_id)
    .bind(unit as i16)
    .fetch_one(&mut *transaction)
    .await?;
    if !counts {
        return Err(StoreError::Missing(format!("the program has no unit {unit}: make it first")));
    }
    let strangers = unknown_members(&mut transaction, keyring, program_id, unit, members).await?;
    let strangers: BTreeSet<MemberKey> = strangers.into_iter().map(|it| (program_id, unit, it)).collect();
    if !strangers.is_empty() {
        accounts::enrol(&mut transaction, keyring, &strangers).await?;
    }
    transaction.commit().await?;
    Ok(strangers.len())
}

/// What came of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The member.
    pub member_id: Uuid,
    /// The account of their points, as leaves name it.
    pub account: Uuid,
    /// What is new of them, if anything.
    pub new: Option<New>,
}

/// What is new of a member who is enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// The member: nobody was called so before.
    Member,
    /// That they have points.
    Account,
    /// What others call them.
    Name,
}

/// Why a member cannot be enrolled under these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// One of the names is another member's.
    Another,
    /// One of the names was erased.
    Erased,
}

/// Enrols a member under an id of the program's, another's name, or both, in the unit of the points. Whoever takes part
/// already goes on as they are; without a name besides their id they are given one where whoever asks may name them.
pub async fn enrol_member(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    member_id: Option<Uuid>,
    external_id: Option<&str>,
    may_name: bool,
) -> Result<Result<Enrolment, NameTaken>, StoreError> {
    let mut transaction = conn.begin().await?;
    let names: Vec<MemberRef> = member_id
        .map(MemberRef::Id)
        .into_iter()
        .chain(external_id.map(|it| MemberRef::External(it.to_owned())))
        .collect();
    let named: Vec<(i16, &MemberRef)> = names.iter().map(|it| (program_id, it)).collect();
    if !erasure::erased_names(&mut transaction, &keyring.pepper(), &named).await?.is_empty() {
        return Ok(Err(NameTaken::Erased));
    }
    // Whoever enrols one of these names meanwhile is waited for, and then found.
    let made = sqlx::query(
        "insert into member (program_id, member_id, external_id) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(program_id)
    .bind(member_id.unwrap_or_else(Uuid::new_v4))
    .bind(external_id)
    .execute(&mut *transaction)
    .await?;
    let given = match (member_id, external_id) {
        (Some(id), Some(name)) if may_name => give_name(&mut transaction, program_id, id, name).await?,
        _ => Ok(false),
    };
    let Ok(given) = given else { return Ok(Err(NameTaken::Another)) };
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select member_id from member where program_id = $1 and (member_id = $2 or external_id = $3)",
    )
    .bind(program_id)
    .bind(member_id)
    .bind(external_id)
    .fetch_all(&mut *transaction)
    .await?;
    let [found] = found[..] else { return Ok(Err(NameTaken::Another)) };
    let name = self::external_id(&mut transaction, program_id, found).await?;
    let is_other =
        member_id.is_some_and(|it| it != found) || (external_id.is_some() && name.as_deref() != external_id);
    if is_other {
        return Ok(Err(NameTaken::Another));
    }
    let key = (program_id, POINTS_UNIT as u16, MemberRef::Id(found));
    let opened = accounts::enrol(&mut transaction, keyring, &BTreeSet::from([key.clone()])).await?;
    let accounts = accounts::member_accounts(&mut transaction, keyring, std::slice::from_ref(&key)).await?;
    let account =
        accounts.get(&key).ok_or_else(|| StoreError::Damaged("an account has vanished".to_owned()))?.id;
    transaction.commit().await?;
    let new = match made.rows_affected() == 1 {
        true => Some(New::Member),
        false if opened => Some(New::Account),
        false => given.then_some(New::Name),
    };
    Ok(Ok(Enrolment { member_id: found, account, new }))
}

/// Gives a member a name besides their id, where they have none; says whether it did.
async fn give_name(
    conn: &mut PgConnection,
    program_id: i16,
    member_id: Uuid,
    name: &str,
) -> Result<Result<bool, NameTaken>, StoreError> {
    let given = sqlx::query(
        "update member
         set external_id = $3
         where program_id = $1
             and member_id = $2
             and external_id is null",
    )
    .bind(program_id)
    .bind(member_id)
    .bind(name)
    .execute(conn)
    .await;
    match given.map_err(StoreError::from) {
        Ok(given) => Ok(Ok(given.rows_affected() == 1)),
        Err(error) if error.is_duplicate() => Ok(Err(NameTaken::Another)),
        Err(error) => Err(error),
    }
}

/// What others call the member, where that is not the id itself.
pub async fn external_id(
    conn: &mut PgConnection,
    program_id: i16,
    member_id: Uuid,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar("select external_id from member where program_id = $1 and member_id = $2");
    Ok(name.bind(program_id).bind(member_id).fetch_optional(conn).await?.flatten())
}

/// What a member has come to, where an operator has settled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The first.
    Bronze = 1,
    /// The second.
    Silver,
    /// The third.
    Gold,
    /// The last.
    Platinum,
}

impl Tier {
    /// As rows and answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bronze => "BRONZE",
            Self::Silver => "SILVER",
            Self::Gold => "GOLD",
            Self::Platinum => "PLATINUM",
        }
    }

    /// What a row says of it.
    pub(crate) fn of_row(name: Option<&str>) -> Result<Option<Self>, StoreError> {
        let Some(name) = name else { return Ok(None) };
        let all = [Self::Bronze, Self::Silver, Self::Gold, Self::Platinum];
        match all.into_iter().find(|it| it.name() == name) {
            Some(tier) => Ok(Some(tier)),
            None => Err(StoreError::Damaged(format!("{name} is no tier"))),
        }
    }
}

/// A member whose tier is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiered {
    /// The account of their points, as leaves name it: what is said of that names nobody once the member is erased.
    pub account: Uuid,
    /// What they have come to so far.
    pub tier: Option<Tier>,
}

/// What the member has come to, while nobody else settles it; `None` where there is no such member.
pub async fn lock_tier(
    conn: &mut PgConnection,
    program_id: i16,
    member_id: Uuid,
) -> Result<Option<Tiered>, StoreError> {
    let found: Option<(Uuid, Option<String>)> = sqlx::query_as(
        "select account.id, member.tier
         from member
         join account on account.program_id = member.program_id and account.member_id = member.member_id
         where member.program_id = $1
             and member.member_id = $2
             and account.unit = $3
         for no key update of member",
    )
    .bind(program_id)
    .bind(member_id)
    .bind(POINTS_UNIT)
    .fetch_optional(conn)
    .await?;
    let Some((account, tier)) = found else { return Ok(None) };
    Ok(Some(Tiered { account, tier: Tier::of_row(tier.as_deref())? }))
}

/// Settles what the member has come to. Whoever remembers their balance learns of it by the act's leaf.
pub async fn set_tier(
    conn: &mut PgConnection,
    program_id: i16,
    member_id: Uuid,
    tier: Option<Tier>,
) -> Result<(), StoreError> {
    sqlx::query("update member set tier = $3 where program_id = $1 and member_id = $2")
        .bind(program_id)
        .bind(member_id)
        .bind(tier.map(Tier::name))
        .execute(conn)
        .await?;
    Ok(())
}
