//! An earning is of whom its event names, and its outcome stands where the same event, delivered again, looks for it: elsewhere
//! it would be posted twice.
//!
//! An event asks under its own source and id, and leaves no actor. The operator's events are named after the key. Whoever else
//! asks by hand says who they are, and chooses source and key as they like. By hand one also asks when points mature and which fund
//! gives them, and when they mature stands nowhere once they have: that part of the fingerprint is believed then, and of a request of
//! several items all of it.

use std::collections::HashMap;

use ledger::{Command, Earning, Event, Fingerprint, Maturity, MemberRef, Points};
use proof::Hash;
use sqlx::PgConnection;
use uuid::Uuid;

use super::reserved::{self, Reserved};
use super::{Posted, Row};
use crate::error::StoreError;
use crate::outcomes::{EVENT_SOURCE, OPERATOR_SOURCE};

/// How many events are read at a time: they may be long.
const STRIDE: usize = 1_000;

/// An earning that an outcome tells of.
pub(super) struct Earned<'a> {
    pub(super) leaf_index: i64,
    pub(super) row: &'a Row,
    /// Its place among the outcome's items.
    pub(super) place: usize,
    pub(super) posted: Posted,
}

/// Holds these earnings against their events.
pub(super) async fn check(conn: &mut PgConnection, earned: &[Earned<'_>]) -> Result<(), StoreError> {
    for some in earned.chunks(STRIDE) {
        let events = events_of(conn, some).await?;
        let pending: Vec<(&Row, Uuid)> = some
            .iter()
            .filter(|it| it.posted.pending_change != 0 && it.row.rest.is_none())
            .map(|it| (it.row, it.posted.posting_id))
            .collect();
        let pending = reserved::open(conn, &pending).await?;
        for it in some {
            // What was erased has none any more, and nothing else lacks one: the pass over leaves has seen to it.
            let Some(payload) = events.get(&it.leaf_index) else { continue };
            it.check(payload, pending.get(&it.leaf_index))
                .map_err(|problem| StoreError::Damaged(format!("leaf {}: {problem}", it.leaf_index)))?;
        }
    }
    Ok(())
}

async fn events_of(
    conn: &mut PgConnection,
    earned: &[Earned<'_>],
) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select event.leaf_index, event.payload
         from unnest($1::bigint[]) as item (leaf_index)
         join event on event.leaf_index = item.leaf_index",
    )
    .bind(earned.iter().map(|it| it.leaf_index).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().collect())
}

impl Earned<'_> {
    fn check(&self, payload: &[u8], pending: Option<&Reserved>) -> Result<(), &'static str> {
        let event = Event::parse(payload).map_err(|_| "its event cannot be read")?;
        let is_theirs = match &event.member {
            MemberRef::Id(id) => self.posted.member_id == Some(*id),
            MemberRef::External(name) => self.posted.external_id.as_ref() == Some(name),
        };
        if !is_theirs {
            return Err("its event names another member");
        }
        // Whether somebody was erased is known by now: then a key that named them is another, and nothing tells what was asked.
        if self.row.fingerprint() == Fingerprint::ERASED {
            return Ok(());
        }
        if !self.is_found_by(&event) {
            return Err("its outcome stands under another key than its event's");
        }
        if !self.is_what_was_asked(event, pending) {
            return Err("its outcome has the fingerprint of another event");
        }
        Ok(())
    }

    fn is_by_event(&self) -> bool {
        self.row.source.starts_with(EVENT_SOURCE)
    }

    fn is_found_by(&self, event: &Event) -> bool {
        let Row { source, key, .. } = self.row;
        // An event leaves no actor, and an operator always one.
        let is_by_hand = !self.is_by_event() && self.posted.actor.is_some();
        if source == OPERATOR_SOURCE {
            let id = if self.place == 0 { key.clone() } else { format!("{key}#{}", self.place) };
            return is_by_hand && event.id == id;
        }
        is_by_hand || *source == format!("{EVENT_SOURCE}{}", event.source) && *key == event.id
    }

    fn is_what_was_asked(&self, event: Event, pending: Option<&Reserved>) -> bool {
        if self.row.rest.is_some() {
            return true;
        }
        // It covers neither what the event earned nor its bytes.
        let points = Points::new(1).expect("a point is points");
        let earning = Earning { points, remainder: Default::default(), rule_set_hash: Hash::default() };
        let mut command = Command::earn(earning, event, vec![]);
        if let (Some(pending), Command::Earn { maturity, fund, .. }) = (pending, &mut command) {
            *maturity = pending.due_at.map_or(Maturity::OnConfirmation, Maturity::At);
            fund.clone_from(&pending.fund);
        }
        let asked = self.posted.fingerprint(self.row, command, false);
        let kept = self.row.fingerprint();
        let is_believed = pending.is_none() && !self.is_by_event();
        kept == asked || is_believed && kept.differences(&asked).names().all(|it| it == "counterpart")
    }
}
