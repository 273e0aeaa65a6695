//! Reads that arrive together are one statement: PostgreSQL's cost is per statement, not per row.
//!
//! As with commits there is no timer. Who asks while nobody else does is answered by a statement of its own, at once; what comes
//! in meanwhile is the next one's.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::balances::{self, Row};
use crate::directory::MemberKey;
use crate::error::StoreError;
use crate::remembered::Remembered;
use crate::waiting::gather;

/// How many are read together at most, and how many may wait to be.
const GROUP_MAX: usize = 256;
const WAITING_MAX: usize = 16 * GROUP_MAX;

/// How long a read may take until each is left to itself.
const TIME_MAX: Duration = Duration::from_secs(5);

struct Question {
    member: MemberKey,
    answer: oneshot::Sender<Option<Row>>,
}

/// A task that reads for everyone. A second one would only make the groups smaller. It ends with the last clone.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: PgPool,
    queue: mpsc::Sender<Question>,
}

impl Readers {
    pub(crate) fn start(pool: PgPool) -> Self {
        let (queue, questions) = mpsc::channel(WAITING_MAX);
        tokio::spawn(work(pool.clone(), questions));
        Self { pool, queue }
    }

    /// How a member's account stands, as of an instant after the question; `None` where there is no such member.
    pub(crate) async fn read(&self, member: MemberKey) -> Result<Option<Row>, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Question { member: member.clone(), answer }).await.is_ok()
            && let Ok(row) = answered.await
        {
            return Ok(row);
        }
        // Together it went wrong: each hears what is wrong with its own question.
        let mut conn = self.pool.acquire().await?;
        Ok(balances::read(&mut conn, &[member]).await?.pop().flatten())
    }
}

async fn work(pool: PgPool, mut waiting: mpsc::Receiver<Question>) {
    let mut remembered = Remembered::default();
    loop {
        let mut questions = Vec::new();
        if waiting.recv_many(&mut questions, GROUP_MAX).await == 0 {
            return;
        }
        gather(&waiting).await;
        while questions.len() < GROUP_MAX
            && let Ok(question) = waiting.try_recv()
        {
            questions.push(question);
        }
        let (members, answers): (Vec<_>, Vec<_>) =
            questions.into_iter().map(|it| (it.member, it.answer)).unzip();
        if let Err(error) = answer_all(&pool, &mut remembered, &members, answers).await {
            tracing::debug!(%error, readers = members.len(), "a read for many failed: each reads alone");
        }
    }
}

/// Without an answer where it fails.
async fn answer_all(
    pool: &PgPool,
    remembered: &mut Remembered,
    members: &[MemberKey],
    answers: Vec<oneshot::Sender<Option<Row>>>,
) -> Result<(), StoreError> {
    let mut conn = pool.acquire().await?;
    let Ok(rows) = tokio::time::timeout(TIME_MAX, remembered.read(&mut conn, members)).await else {
        // A host that is gone without a word says nothing for a long time, and the pool must not lend it again.
        drop(conn.detach());
        return Err(StoreError::no_answer());
    };
    for (answer, row) in answers.into_iter().zip(rows?) {
        // Whoever has gone needs no answer.
        let _ = answer.send(row);
    }
    Ok(())
}
