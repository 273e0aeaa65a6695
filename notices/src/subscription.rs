//! One reader's notices in order, from any place on: nothing missed, nothing twice. What happened before comes from the
//! books, what happens now from the hub, and a listener who was let go for being slow is given what it missed in one piece.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger::{MemberRef, Name};
use proof::PostingKind;
use schemars::JsonSchema;
use serde::Serialize;
use store::{AsOf, PgConnection, StoreError};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::examples;
use crate::hub::{Hub, Told};
use crate::notice::{Amounts, Notice, Reader};

/// So many notices are read at once.
const PAGE: u32 = 200;

/// A part of what a reader may see, from a place on.
#[derive(Debug)]
pub struct Page {
    /// The notices, oldest first.
    pub notices: Vec<Notice>,
    /// The place after them: where to go on.
    pub seq: u64,
    /// Whether there is more now. A page may be empty although there is.
    pub has_more: bool,
}

/// What this reader is told after the place `seq`, at most so many notices.
pub async fn page(
    conn: &mut PgConnection,
    program_id: i16,
    reader: &Reader,
    seq: u64,
    limit: u32,
) -> Result<Page, StoreError> {
    if let Reader::Member(id, unit) = reader {
        let name = Name::Member(MemberRef::Id(*id));
        let account = store::account_number(conn, program_id, *unit, &name).await?;
        let postings = match account {
            Some(account) => store::feed_of(conn, account, seq, limit).await?,
            None => vec![],
        };
        let notices: Vec<Notice> = postings.iter().filter_map(|it| Notice::of(it, reader)).collect();
        let last = notices.last().map_or(seq, |it| it.seq);
        return Ok(Page { has_more: notices.len() == limit as usize, notices, seq: last });
    }
    let page = store::feed(conn, program_id, seq, limit).await?;
    let notices = page.postings.iter().filter_map(|it| Notice::of(it, reader)).collect();
    Ok(Page { notices, seq: page.next_leaf_index, has_more: page.next_leaf_index < page.log_size })
}

/// A reader's notices as they come.
pub struct Subscription {
    hub: Arc<Hub>,
    reader: Reader,
    /// The place after the last notice that was given.
    seq: u64,
    phase: Phase,
    ready: VecDeque<Told>,
    is_slow: bool,
}

enum Phase {
    /// Nobody hands us anything.
    Apart,
    /// We are handed what is new, from the leaf `until` on; what is before it we still read, after the place `from`.
    Behind { queue: mpsc::Receiver<Told>, until: u64, from: u64 },
    /// We are handed everything.
    Live(mpsc::Receiver<Told>),
}

/// The type of [`Caught`].
pub const CAUGHT_UP: &str = "points.caught_up";

/// Several notices in one: for a reader who fell behind, the newest balance and the id of each transaction up to it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CaughtUp")]
pub struct Caught {
    /// What it is.
    r#type: &'static str,
    /// The reader's place after them.
    seq: u64,
    /// When the last of them was recorded.
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
    /// What they came to.
    data: CaughtData,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CaughtUpData")]
struct CaughtData {
    /// The place of the first of them.
    first_seq: u64,
    /// Each of them, oldest first.
    transactions: Vec<CaughtOne>,
    /// The reader's newest balance, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Amounts>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CaughtUpTransaction")]
struct CaughtOne {
    /// The posting.
    transaction_id: Uuid,
    /// The reader's place after it.
    seq: u64,
}

impl Caught {
    fn of(notices: &[Notice]) -> Option<Self> {
        let (first, last) = (notices.first()?, notices.last()?);
        let one = |it: &Notice| CaughtOne { transaction_id: it.transaction_id(), seq: it.seq };
        Some(Self {
            r#type: CAUGHT_UP,
            seq: last.seq,
            timestamp: last.timestamp.clone(),
            data: CaughtData {
                first_seq: first.seq,
                transactions: notices.iter().map(one).collect(),
                balance: notices.iter().rev().find_map(Notice::balance),
            },
        })
    }

    /// One as a stream tells it.
    pub fn example() -> Self {
        Self::of(&[examples::told_to_a_member(PostingKind::REDEEM)]).expect("one notice is told")
    }
}

impl Subscription {
    /// Begins after the place `seq`, or where the reader is now.
    pub async fn begin(hub: Arc<Hub>, reader: Reader, seq: Option<u64>) -> Result<Self, StoreError> {
        let _turn = hub.reading.acquire().await;
        let mut conn = hub.pool.acquire().await?;
        let newest = newest(&mut conn, hub.program_id, &reader).await?;
        drop((conn, _turn));
        // Beyond the newest place nothing was ever told: whoever has seen more asks another log.
        let seq = seq.unwrap_or(newest).min(newest);
        Ok(Self { hub, reader, seq, phase: Phase::Apart, ready: VecDeque::new(), is_slow: false })
    }

    /// The place after the last notice that was given.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next notice; none when the hub ends. It may be dropped and asked again at any time. What asks the database has its
    /// room only while it does: thousands of streams wait here.
    pub async fn next(&mut self) -> Result<Option<Told>, StoreError> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                self.seq = told.seq;
                return Ok(Some(told));
            }
            match &mut self.phase {
                Phase::Apart if self.hub.ended().is_cancelled() => return Ok(None),
                Phase::Apart => {
                    let _turn = self.hub.reading.acquire().await;
                    let (queue, until) = Box::pin(self.hub.listen(&self.reader)).await?;
                    self.phase = Phase::Behind { queue, until, from: self.seq };
                }
                Phase::Behind { until, from, .. } => {
                    let (until, from) = (*until, *from);
                    Box::pin(self.read_on(until, from)).await?;
                }
                Phase::Live(queue) => match queue.recv().await {
                    Some(told) if told.seq <= self.seq => {}
                    Some(told) => self.ready.push_back(told),
                    None => {
                        self.phase = Phase::Apart;
                        self.is_slow = true;
                    }
                },
            }
        }
    }

    /// Reads the next page of what was before we were handed things.
    async fn read_on(&mut self, until: u64, from: u64) -> Result<(), StoreError> {
        let turn = self.hub.reading.acquire().await;
        let mut conn = self.hub.pool.acquire().await?;
        let page = page(&mut conn, self.hub.program_id, &self.reader, from, PAGE).await?;
        drop((conn, turn));
        let is_done = match self.reader {
            Reader::Member(..) => !page.has_more,
            _ => until <= page.seq,
        };
        if self.is_slow {
            self.ready.extend(caught(&page.notices));
        } else {
            let told = page.notices.iter().map(|it| Told { seq: it.seq, json: it.json().into() });
            self.ready.extend(told);
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Apart) {
            Phase::Behind { queue, .. } if is_done => {
                self.is_slow = false;
                Phase::Live(queue)
            }
            Phase::Behind { queue, until, .. } => Phase::Behind { queue, until, from: page.seq },
            other => other,
        };
        Ok(())
    }
}

/// Where the reader's newest notice stands.
async fn newest(conn: &mut PgConnection, program_id: i16, reader: &Reader) -> Result<u64, StoreError> {
    let Reader::Member(id, unit) = reader else { return store::log_size(conn).await };
    let name = Name::Member(MemberRef::Id(*id));
    match store::account_number(conn, program_id, *unit, &name).await? {
        Some(account) => Ok(store::balance_as_of(conn, account, AsOf::Size(u64::MAX)).await?.version),
        None => Ok(0),
    }
}

fn caught(notices: &[Notice]) -> Option<Told> {
    let caught = Caught::of(notices)?;
    let json = serde_json::to_string(&caught).expect("texts and numbers are JSON");
    Some(Told { seq: caught.seq, json: json.into() })
}
