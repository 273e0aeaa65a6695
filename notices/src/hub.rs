//! The tail of the log, once in a process: it reads new postings while somebody listens, and hands each to those whom it
//! concerns. A listener who does not keep up is let go, and comes back for what it missed: nobody waits for anybody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ledger::AccountKind;
use store::{Fed, FeedPage, PgPool, StoreError};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::notice::{Notice, Reader};

/// So many postings are read at once.
const PAGE: u32 = 1000;
/// From the beginning of one look at the log's head to the next. It is one row by its key, and what comes in between is
/// read together.
const GAP: Duration = Duration::from_millis(20);
/// When the database did not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the places of those who have gone are cleared.
const CLEAR_GAP: Duration = Duration::from_secs(1);
/// So many who come back read what they missed at once; the others wait without holding a connection.
const READERS_MAX: usize = 4;
/// So many notices wait for one listener.
const QUEUE_MAX: usize = 32;

/// A notice as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The reader's place after it.
    pub seq: u64,
    /// The notice, in JSON.
    pub json: Arc<str>,
}

/// Hands out what happens in one program.
pub struct Hub {
    pub(crate) pool: PgPool,
    pub(crate) program_id: i16,
    listening: Mutex<Listening>,
    somebody: Notify,
    pub(crate) reading: Semaphore,
    ended: CancellationToken,
}

#[derive(Default)]
struct Listening {
    /// Everything before it was handed out to whoever listened then.
    next_leaf_index: u64,
    listeners: HashMap<Reader, Vec<mpsc::Sender<Told>>>,
}

impl Hub {
    /// A hub of the program's log; it works while [`Hub::run`] does.
    pub fn new(pool: PgPool, program_id: i16) -> Arc<Self> {
        Arc::new(Self {
            pool,
            program_id,
            listening: Mutex::default(),
            somebody: Notify::new(),
            reading: Semaphore::new(READERS_MAX),
            ended: CancellationToken::new(),
        })
    }

    /// Cancelled when nothing more is told.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Follows the log until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut cleared = Instant::now();
        while let Some(()) = stop.run_until_cancelled(self.somebody_listens()).await {
            let begun = Instant::now();
            let gap = match self.look().await {
                Ok(true) => continue,
                Ok(false) => GAP,
                Err(error) => {
                    tracing::warn!(%error, "the tail of the log could not be read");
                    PAUSE
                }
            };
            if CLEAR_GAP <= cleared.elapsed() {
                self.clear();
                cleared = Instant::now();
            }
            if stop.run_until_cancelled(tokio::time::sleep_until(begun + gap)).await.is_none() {
                break;
            }
        }
        self.ended.cancel();
        // Whoever listens is told by the end of their queue.
        self.listening().listeners.clear();
    }

    /// What this reader is told from here on, and the leaf index that it begins with.
    pub(crate) async fn listen(&self, reader: &Reader) -> Result<(mpsc::Receiver<Told>, u64), StoreError> {
        let log_size = store::log_size(&mut *self.pool.acquire().await?).await?;
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let mut listening = self.listening();
        if listening.listeners.is_empty() {
            // Nobody listened for a while, so nothing was read, and nobody is owed it.
            listening.next_leaf_index = listening.next_leaf_index.max(log_size);
        }
        listening.listeners.entry(reader.clone()).or_default().push(sender);
        self.somebody.notify_one();
        Ok((receiver, listening.next_leaf_index))
    }

    async fn somebody_listens(&self) {
        loop {
            let notified = self.somebody.notified();
            if !self.listening().listeners.is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// Reads what is new and hands it out; says whether there is more.
    async fn look(&self) -> Result<bool, StoreError> {
        let next = self.listening().next_leaf_index;
        let mut conn = self.pool.acquire().await?;
        let page = store::feed(&mut conn, self.program_id, next, PAGE).await?;
        drop(conn);
        let is_more = page.next_leaf_index < page.log_size;
        self.hand_out(&page);
        Ok(is_more)
    }

    fn hand_out(&self, page: &FeedPage) {
        let mut listening = self.listening();
        let Listening { next_leaf_index, listeners } = &mut *listening;
        for posting in page.postings.iter().filter(|it| *next_leaf_index <= it.leaf_index) {
            for reader in concerned(posting) {
                if let Entry::Occupied(mut waiting) = listeners.entry(reader) {
                    let Some(notice) = Notice::of(posting, waiting.key()) else { continue };
                    let told = Told { seq: notice.seq, json: notice.json().into() };
                    // A full queue is a slow listener: let go, it finds the rest in the books.
                    waiting.get_mut().retain(|it| it.try_send(told.clone()).is_ok());
                    if waiting.get().is_empty() {
                        waiting.remove();
                    }
                }
            }
        }
        *next_leaf_index = page.next_leaf_index.max(*next_leaf_index);
    }

    /// Takes away the places of those who have gone and whom nothing concerns.
    fn clear(&self) {
        self.listening().listeners.retain(|_, waiting| {
            waiting.retain(|it| !it.is_closed());
            !waiting.is_empty()
        });
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().expect("nobody panics with the lock")
    }
}

/// Whom a posting may concern.
fn concerned(posting: &Fed) -> Vec<Reader> {
    let mut readers = vec![Reader::Operator];
    for entry in &posting.entries {
        match (entry.kind, entry.member_id, &entry.partner_id) {
            (AccountKind::Member, Some(id), _) => readers.push(Reader::Member(id, entry.unit)),
            (AccountKind::Settlement, _, Some(partner)) => readers.push(Reader::Partner(partner.clone())),
            _ => {}
        }
    }
    if let Some(partner) = posting.partner_id.clone().map(Reader::Partner)
        && !readers.contains(&partner)
    {
        readers.push(partner);
    }
    readers
}
