//! Everything that is held about a member, told as it is read: no more of it at a time than fits in memory, and no statement
//! that looks at more than it has time for.

use std::io::{self, Write};

use ledger::MemberRef;
use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;

use crate::archives;
use crate::erasure::{MemberToErase, member_to_erase, payload_names};
use crate::error::StoreError;
use crate::told::{Told, leaves_of, outcomes_of};

/// How many rows are told at a time.
#[cfg(not(test))]
const PAGE: usize = 1000;
#[cfg(test)]
const PAGE: usize = 2;

/// Why not everything was told.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// The books could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written.
    #[error("cannot write what is held: {0}")]
    Io(#[from] io::Error),
}

impl From<sqlx::Error> for HeldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Writes everything that is held about a member, as a JSON object of a section for each table; answers whether there is such a
/// member. Bytes are hexadecimal but for events, which are text. Secrets are left out: they are ours, and say nothing of the member.
pub async fn everything_held(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberRef,
    out: &mut impl Write,
) -> Result<bool, HeldError> {
    // For longer than a snapshot may be kept.
    archives::hold_still(conn).await?;
    let told = tell_everything(conn, program_id, member, out).await;
    let let_go = archives::let_move(conn).await;
    let told = told?;
    let_go?;
    Ok(told)
}

async fn tell_everything(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberRef,
    out: &mut impl Write,
) -> Result<bool, HeldError> {
    let Some(member) = member_to_erase(conn, program_id, member).await? else { return Ok(false) };
    let numbers = member.numbers();
    let told = outcomes_of(conn, program_id, &numbers).await?;
    let mut leaves = leaves_of(conn, &numbers).await?;
    leaves.extend(told.iter().flat_map(|it| &it.leaves));
    leaves.sort_unstable();
    leaves.dedup();
    out.write_all(b"{")?;
    tell_small(conn, program_id, &member, out).await?;
    tell_postings(conn, &numbers, &leaves, out).await?;
    tell_requests(conn, program_id, &told, out).await?;
    tell_rejected(conn, program_id, &member, out).await?;
    out.write_all(b"\n}\n")?;
    Ok(true)
}

/// An array, a row at a time.
struct Section<'a, W> {
    out: &'a mut W,
    is_first: bool,
}

impl<'a, W: Write> Section<'a, W> {
    fn open(name: &str, out: &'a mut W) -> io::Result<Self> {
        write!(out, ",\n  \"{name}\": [")?;
        Ok(Self { out, is_first: true })
    }

    fn tell(&mut self, rows: Vec<String>) -> io::Result<()> {
        for row in rows {
            let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
            write!(self.out, "{comma}\n    {row}")?;
        }
        Ok(())
    }

    fn close(self) -> io::Result<()> {
        self.out.write_all(b"\n  ]")
    }
}

pub(crate) const SESSIONS: &str =
    "select jsonb_build_object('began_at', began_at, 'expires_at', expires_at, 'scopes', scopes)::text
     from member_session
     where program_id = $1
         and member = any($2)
     order by began_at, expires_at";

pub(crate) const REFERENCES: &str = "select (to_jsonb(credit_reference) - 'program_id')::text
     from credit_reference
     where program_id = $1
         and member_id = $2
     order by credit_reference";

/// What a member has few of.
async fn tell_small(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberToErase,
    out: &mut impl Write,
) -> Result<(), HeldError> {
    let row: String = sqlx::query_scalar(
        "select (to_jsonb(member) - 'program_id')::text from member where program_id = $1 and member_id = $2",
    )
    .bind(program_id)
    .bind(member.member_id)
    .fetch_one(&mut *conn)
    .await?;
    write!(out, "\n  \"member\": {row}")?;
    let by_account = [
        (
            "accounts",
            "select (to_jsonb(it) - 'program_id')::text
             from (
                 select account.id, account.unit, balance.*
                 from account
                 join balance using (account_id)
                 where account_id = any($1)
                 order by account.unit
             ) as it",
        ),
        ("lots", "select to_jsonb(lot)::text from lot where account_id = any($1) order by lot"),
        (
            "reservations",
            "select to_jsonb(reservation)::text from reservation where account_id = any($1) order by reservation",
        ),
    ];
    for (name, question) in by_account {
        tell_one(conn, name, sqlx::query_scalar(question).bind(member.numbers()), out).await?;
    }
    let sessions = sqlx::query_scalar(SESSIONS).bind(program_id).bind(member.names());
    tell_one(conn, "sessions", sessions, out).await?;
    let references = sqlx::query_scalar(REFERENCES).bind(program_id).bind(member.member_id);
    tell_one(conn, "chain_references", references, out).await?;
    let parked = sqlx::query_scalar(
        "select jsonb_build_object(
             'origin', origin, 'payload', encode(payload, 'escape'), 'parked_at', parked_at
         )::text
         from parked_event
         where program_id = $1
             and (member_id = $2 or external_id = any($3))
         order by parked_at, payload",
    );
    let parked = parked.bind(program_id).bind(member.member_id).bind(member.names());
    tell_one(conn, "parked_events", parked, out).await
}

async fn tell_one(
    conn: &mut PgConnection,
    name: &str,
    question: QueryScalar<'_, sqlx::Postgres, String, PgArguments>,
    out: &mut impl Write,
) -> Result<(), HeldError> {
    let rows = question.fetch_all(conn).await?;
    let mut section = Section::open(name, out)?;
    section.tell(rows)?;
    Ok(section.close()?)
}

async fn tell_postings(
    conn: &mut PgConnection,
    accounts: &[i64],
    leaves: &[i64],
    out: &mut impl Write,
) -> Result<(), HeldError> {
    let mut section = Section::open("postings", out)?;
    for page in leaves.chunks(PAGE) {
        let rows = sqlx::query_scalar(
            "select (to_jsonb(posting) - 'program_id' || jsonb_build_object(
                 'entries', (
                     select coalesce(jsonb_agg(to_jsonb(entry) order by ordinal), '[]')
                     from entry
                     where entry.leaf_index = posting.leaf_index and entry.account_id = any($1)
                 ),
                 'event', (
                     select encode(event.payload, 'escape') from event where event.leaf_index = posting.leaf_index
                 ),
                 'act', (
                     select convert_from(act.document, 'UTF8')::jsonb from act where act.leaf_index = posting.leaf_index
                 )
             ))::text
             from posting
             where leaf_index = any($2)
             order by leaf_index",
        );
        section.tell(rows.bind(accounts).bind(page).fetch_all(&mut *conn).await?)?;
    }
    Ok(section.close()?)
}

async fn tell_requests(
    conn: &mut PgConnection,
    program_id: i16,
    told: &[Told],
    out: &mut impl Write,
) -> Result<(), HeldError> {
    let mut section = Section::open("requests", out)?;
    for page in told.chunks(PAGE) {
        let rows = sqlx::query_scalar(
            "select (to_jsonb(outcome) - 'program_id')::text
             from outcome
             join unnest($2::text[], $3::text[]) as told (source, key) using (source, key)
             where program_id = $1
             order by source, key",
        )
        .bind(program_id)
        .bind(page.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.key.as_str()).collect::<Vec<_>>());
        section.tell(rows.fetch_all(&mut *conn).await?)?;
    }
    Ok(section.close()?)
}

async fn tell_rejected(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberToErase,
    out: &mut impl Write,
) -> Result<(), HeldError> {
    let mut section = Section::open("rejected_events", out)?;
    let mut after = 0_i64;
    loop {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(concat!(
            "select rejected_event_id, case when ",
            payload_names!(),
            " then jsonb_build_object(
                 'origin', origin, 'reason', reason, 'detail', detail, 'payload', encode(payload, 'escape'),
                 'first_seen_at', first_seen_at
             )::text end
             from rejected_event
             where program_id = $1
                 and rejected_event_id > $3
             order by rejected_event_id
             limit $4"
        ))
        .bind(program_id)
        .bind(member.names())
        .bind(after)
        .bind(PAGE as i64)
        .fetch_all(&mut *conn)
        .await?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        section.tell(rows.into_iter().filter_map(|it| it.1).collect())?;
    }
    Ok(section.close()?)
}
