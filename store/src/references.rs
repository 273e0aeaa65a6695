//! References that a partner uses once for each kind of thing: the request that uses one claims it, before it comes to the books.

use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keyring::{Keyring, Pepper};
use crate::outcomes::remembered_one;

/// Whether a claim's request, of which nothing is known, comes to nothing by itself: five minutes are over, and no transaction goes on that
/// began before. One that waits for a standby may be the request's, and so may one of which we may not see when it began.
macro_rules! is_abandoned {
    () => {
        "claimed_reference.claimed_at + interval '5 minutes' < least(
             clock_timestamp(),
             (
                 select min(coalesce(xact_start, '-infinity'))
                 from pg_stat_activity
                 where datname = current_database()
                     and backend_xid is not null
                     and pid <> pg_backend_pid()
             )
         )"
    };
}
pub(crate) use is_abandoned;

/// The use of a reference by an item of a request.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceUse<'a> {
    /// The program.
    pub program_id: i16,
    /// Whose reference it is.
    pub partner_id: &'a str,
    /// For what: it may be used once for each.
    pub kind: &'a str,
    /// The reference.
    pub reference: &'a str,
    /// Who chose the request's key.
    pub source: &'a str,
    /// The request's key.
    pub key: &'a str,
    /// The item's place in the request.
    pub item: i16,
}

/// Who has a reference, where a use cannot have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// This transaction.
    By(Uuid),
    /// Another item of the same request.
    ByTwin,
    /// Another request, of which nobody knows yet what comes of it.
    InDoubt,
}

#[derive(FromRow)]
struct Claim {
    source: String,
    key: String,
    item: i16,
    is_abandoned: bool,
}

/// Claims references for the items of one request: all of them, or none, and then it says of which item who has it. The same use
/// claims its own as often as it likes; another one has it where nothing came of the one before.
pub async fn claim_references(
    conn: &mut PgConnection,
    keyring: &Keyring,
    uses: &[ReferenceUse<'_>],
) -> Result<Result<(), (i16, Taken)>, StoreError> {
    let pepper = keyring.pepper();
    let mut hashed: Vec<([u8; 32], &ReferenceUse<'_>)> =
        uses.iter().map(|it| (pepper.hash("reference", it.reference.as_bytes()), it)).collect();
    // In one order for everybody, so that no two wait for each other.
    hashed.sort_by_key(|(hash, used)| (used.kind, *hash, used.item));
    let mut transaction = conn.begin().await?;
    for (hash, used) in hashed {
        if let Some(taken) = claim(&mut transaction, &pepper, &hash, used).await? {
            transaction.rollback().await?;
            // What was answered before is answered the same, also where it was before the partner chose this, or was refused, or
            // a hash stands in its key's place.
            let answered = remembered_one(conn, &pepper, used.program_id, used.source, used.key).await?;
            return Ok(if answered.is_none() { Err((used.item, taken)) } else { Ok(()) });
        }
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

async fn claim(
    conn: &mut PgConnection,
    pepper: &Pepper,
    hash: &[u8; 32],
    used: &ReferenceUse<'_>,
) -> Result<Option<Taken>, StoreError> {
    let ReferenceUse { program_id, partner_id, kind, source, key, item, .. } = *used;
    // The claim that is there is kept from others until we are done with it; our own is as good as new.
    let claim: Claim = sqlx::query_as(concat!(
        "insert into claimed_reference (program_id, partner_id, kind, reference, source, key, item)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict on constraint claimed_reference_pk do update
         set claimed_at = case
             when (claimed_reference.source, claimed_reference.key) = (excluded.source, excluded.key) then clock_timestamp()
             else claimed_reference.claimed_at
         end
         returning
             source,
             key,
             item,
             ",
        is_abandoned!(),
        " as is_abandoned"
    ))
    .bind(program_id)
    .bind(partner_id)
    .bind(kind)
    .bind(&hash[..])
    .bind(source)
    .bind(key)
    .bind(item)
    .fetch_one(&mut *conn)
    .await?;
    if (claim.source.as_str(), claim.key.as_str()) == (source, key) {
        return Ok((claim.item != item).then_some(Taken::ByTwin));
    }
    let taken = taken_by(&mut *conn, pepper, used, &claim).await?;
    if taken.is_none() {
        sqlx::query(
            "update claimed_reference
             set source = $5, key = $6, item = $7, claimed_at = clock_timestamp()
             where program_id = $1
                 and partner_id = $2
                 and kind = $3
                 and reference = $4",
        )
        .bind(program_id)
        .bind(partner_id)
        .bind(kind)
        .bind(&hash[..])
        .bind(source)
        .bind(key)
        .bind(item)
        .execute(conn)
        .await?;
    }
    Ok(taken)
}

/// Who has the reference by what came of another request's claim: nobody where that was nothing.
async fn taken_by(
    conn: &mut PgConnection,
    pepper: &Pepper,
    used: &ReferenceUse<'_>,
    claim: &Claim,
) -> Result<Option<Taken>, StoreError> {
    let known = remembered_one(conn, pepper, used.program_id, &claim.source, &claim.key).await?;
    let Some(known) = known else {
        return Ok((!claim.is_abandoned).then_some(Taken::InDoubt));
    };
    let Some(posted) = known.outcome.ok().and_then(|items| items.into_iter().nth(claim.item as usize)) else {
        return Ok(None);
    };
    // Whoever claims it with a key that was used for something else is refused, and has not used it. Words that were erased may
    // have been these.
    let words: Option<Option<String>> =
        sqlx::query_scalar("select merchant_reference from posting where leaf_index = $1")
            .bind(posted.leaf_index as i64)
            .fetch_optional(conn)
            .await?;
    let is_used = words.flatten().is_none_or(|it| it == used.reference);
    Ok(is_used.then_some(Taken::By(posted.posting_id)))
}
