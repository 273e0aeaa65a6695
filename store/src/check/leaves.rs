//! The first pass, leaf by leaf: holes, sums, shapes, times, commitments, and the tree against every checkpoint.

use std::collections::{BTreeMap, HashMap};

use ledger::{AccountKind, Terms};
use proof::{Body, Commitments, Frontier, Hash, LeafKind, LotMovement, OpenedLeaf, PostingKind};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{BooksReport, Progress, Scope, Watch, ensure, lots, reversals, shape};
use crate::accounts::hash;
use crate::error::StoreError;
use crate::{declarations, log_head, postings, programs};

/// How many leaves are read at a time.
const STRIDE: i64 = 10_000;
const OPENING_STRIDE: i64 = 1_000;

/// One bit for each leaf: whether it was asked for, so that an outcome must tell of it.
pub(super) struct Asked(Vec<u64>);

impl Asked {
    fn new(size: i64) -> Self {
        Self(vec![0; (size as usize).div_ceil(64)])
    }

    fn set(&mut self, leaf_index: i64) {
        self.0[leaf_index as usize / 64] |= 1 << (leaf_index % 64);
    }

    /// Whether it was still set; now it is not.
    pub(super) fn clear(&mut self, leaf_index: i64) -> bool {
        let word = &mut self.0[leaf_index as usize / 64];
        let bit = 1 << (leaf_index % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    pub(super) fn first(&self) -> Option<usize> {
        let at = self.0.iter().position(|it| *it != 0)?;
        Some(at * 64 + self.0[at].trailing_zeros() as usize)
    }
}

#[derive(FromRow)]
struct LeafRow {
    leaf_index: i64,
    kind: i16,
    commitment: Vec<u8>,
    posting_id: Option<Uuid>,
    program_id: Option<i16>,
    posting_kind: Option<i16>,
    recorded_at: Option<i64>,
    effective_at: Option<i64>,
    rule_set_hash: Option<Vec<u8>>,
    event_hash: Option<Vec<u8>>,
    reverses: Option<Uuid>,
    body: Option<Vec<u8>>,
    header_commitment: Option<Vec<u8>>,
    details_commitment: Option<Vec<u8>>,
    body_commitment: Option<Vec<u8>>,
    has_event: bool,
    has_act: bool,
    is_lost: bool,
    is_erased: bool,
    is_repeated: bool,
}

#[derive(FromRow)]
struct EntryRow {
    leaf_index: i64,
    ordinal: i16,
    sequence: i64,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    lots: Option<Vec<u8>>,
    commitment: Vec<u8>,
    /// All of these are null where there is no such account.
    account: Option<Uuid>,
    account_kind: Option<i16>,
    account_program: Option<i16>,
    unit: Option<i16>,
    fund_id: Option<i32>,
    partner_id: Option<String>,
}

/// Looks at all leaves up to the scope's size.
pub(super) async fn check(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    watch: &mut Watch<'_>,
) -> Result<(BooksReport, Asked), StoreError> {
    let log = log_head::log_identity(conn).await?;
    let rules = programs::all_rule_sets(conn).await?;
    let mut asked = Asked::new(scope.size);
    let mut frontier = Frontier::default();
    let mut entries_seen = 0;
    let mut recorded_at = i64::MIN;
    // Leaves that were taken back as they were published, until an orphan names them.
    let mut lost = BTreeMap::new();
    for begin in (0..scope.size).step_by(STRIDE as usize) {
        watch(Progress { what: "leaves", done: begin as u64, total: scope.size as u64 });
        let end = scope.size.min(begin + STRIDE);
        let roots = roots_between(conn, begin, end).await?;
        let leaves = leaves_between(conn, begin, end).await?;
        let entries = entries_between(conn, begin, end).await?;
        let declarations = declarations::declarations_between(conn, &log, begin as u64, end as u64).await?;
        entries_seen += entries.len() as u64;
        let mut declarations = declarations.into_iter().peekable();
        let mut entries = entries.into_iter().peekable();
        for (leaf_index, leaf) in (begin..).zip(&leaves) {
            ensure(leaf.leaf_index == leaf_index, || format!("leaf {leaf_index} is missing"))?;
            let own: Vec<EntryRow> =
                std::iter::from_fn(|| entries.next_if(|it| it.leaf_index == leaf_index)).collect();
            let at = |problem: String| StoreError::Damaged(format!("leaf {leaf_index}: {problem}"));
            let declaration = declarations.next_if(|(it, _)| *it == leaf_index as u64).map(|it| it.1);
            let encoded = rehash(leaf, &own, declaration.as_ref(), log.log_id).map_err(at)?;
            match declaration.as_ref().and_then(|it| it.body.as_ref()?.opened()) {
                Some(Body::Orphan(bytes)) => {
                    let named = proof::Leaf::decode(bytes).ok().and_then(|it| lost.remove(&it.leaf_index));
                    ensure(named.as_ref() == Some(bytes), || {
                        format!("leaf {leaf_index}: its orphan is no leaf that was lost")
                    })?;
                }
                _ if leaf.is_lost => drop(lost.insert(leaf_index as u64, encoded)),
                _ => {}
            }
            if leaf.is_lost {
                frontier.push(proof::leaf_hash(&encoded), |_, _| {});
                check_root(&roots, leaf_index + 1, &frontier)?;
                continue;
            }
            let told_at = declaration.as_ref().and_then(|it| it.header.opened()).map(|it| it.recorded_at_us);
            let now = told_at.or(leaf.recorded_at).unwrap_or_default();
            ensure(recorded_at <= now, || {
                format!("leaf {leaf_index}: it was recorded before the leaf before")
            })?;
            recorded_at = now;
            if declaration.is_none() {
                check_posting(leaf, &own, scope).map_err(at)?;
                // What an operator did to the program itself, nobody asked for under a key.
                if !fell_due(leaf, &own) && !leaf.has_act {
                    asked.set(leaf_index);
                }
            }
            frontier.push(proof::leaf_hash(&encoded), |_, _| {});
            check_root(&roots, leaf_index + 1, &frontier)?;
        }
        ensure(leaves.len() as i64 == end - begin, || {
            format!("leaf {} is missing", begin + leaves.len() as i64)
        })?;
        ensure(declarations.peek().is_none(), || {
            format!("a declaration between {begin} and {end} belongs to no leaf")
        })?;
        ensure(entries.peek().is_none(), || {
            format!("an entry between {begin} and {end} belongs to no leaf")
        })?;
        if leaves.iter().any(|it| it.reverses.is_some()) {
            reversals::check(conn, begin, end).await?;
        }
        if let Some(keyring) = scope.keyring {
            // Events may be long: fewer at a time.
            for first in (begin..end).step_by(OPENING_STRIDE as usize) {
                let last = end.min(first + OPENING_STRIDE);
                postings::check_openings(conn, keyring, &log, &rules, first, last).await?;
            }
        }
    }
    ensure(lost.is_empty(), || {
        let first = lost.keys().next().copied().unwrap_or_default();
        format!("leaf {first} was lost, and no orphan names it")
    })?;
    Ok((
        BooksReport { leaves: scope.size as u64, entries: entries_seen, closed: 0, root: frontier.root() },
        asked,
    ))
}

fn check_root(roots: &HashMap<i64, Vec<u8>>, size: i64, frontier: &Frontier) -> Result<(), StoreError> {
    let holds = roots.get(&size).is_none_or(|root| root[..] == frontier.root());
    ensure(holds, || format!("the checkpoint of size {size} was signed over another history"))
}

async fn roots_between(
    conn: &mut PgConnection,
    begin: i64,
    end: i64,
) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
    let roots: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select size, root from checkpoint where size > $1 and size <= $2")
            .bind(begin)
            .bind(end)
            .fetch_all(conn)
            .await?;
    Ok(roots.into_iter().collect())
}

async fn leaves_between(conn: &mut PgConnection, begin: i64, end: i64) -> Result<Vec<LeafRow>, StoreError> {
    let rows = sqlx::query_as(
        "select leaf_index, leaf.kind, leaf.commitment, posting_id, posting.program_id, posting.kind as posting_kind, recorded_at,
             effective_at, rule_set_hash, event_hash, reverses, body, header_commitment, details_commitment,
             body_commitment,
             event.leaf_index is not null as has_event,
             act.leaf_index is not null as has_act,
             lost_leaf.leaf_index is not null as is_lost,
             exists (select from erased_leaf where erased_leaf.leaf_index = leaf.leaf_index) as is_erased,
             exists (
                 select
                 from posting as earlier
                 where earlier.posting_id = posting.posting_id
                     and earlier.program_id = posting.program_id
                     and earlier.leaf_index < posting.leaf_index
             ) as is_repeated
         from leaf
         left join posting using (leaf_index)
         left join event using (leaf_index)
         left join act using (leaf_index)
         left join lost_leaf using (leaf_index)
         where leaf_index >= $1
             and leaf_index < $2
         order by leaf_index",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn entries_between(conn: &mut PgConnection, begin: i64, end: i64) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(
        "select entry.leaf_index, ordinal, sequence, available_change, held_change, pending_change, lots, commitment,
             account.id as account, account.kind as account_kind, account.program_id as account_program, account.unit, account.fund_id, account.partner_id
         from entry
         left join account using (account_id)
         where leaf_index >= $1
             and leaf_index < $2
         order by leaf_index, ordinal",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The leaf's bytes, if its commitment is that of its parts. A declaration has no secret: what its row says is hashed anew.
fn rehash(
    leaf: &LeafRow,
    entries: &[EntryRow],
    declaration: Option<&OpenedLeaf>,
    log_id: Hash,
) -> Result<[u8; proof::LEAF_BYTES], String> {
    let digest = |bytes: &[u8]| hash(bytes).map_err(|error| error.to_string());
    let kind = u8::try_from(leaf.kind).ok().and_then(LeafKind::from_u8).ok_or("its kind is unknown")?;
    let commitment = digest(&leaf.commitment)?;
    if leaf.is_lost {
        let is_bare = declaration.is_none() && leaf.posting_id.is_none() && entries.is_empty();
        return match is_bare {
            true => Ok(proof::Leaf { kind, log_id, leaf_index: leaf.leaf_index as u64, commitment }.encode()),
            false => Err("it was lost, and has a posting, a declaration or entries".to_owned()),
        };
    }
    let parts = match declaration {
        Some(_) if leaf.posting_id.is_some() || !entries.is_empty() => {
            return Err("it is a declaration, and has a posting or entries".to_owned());
        }
        Some(declaration) => declaration.commitments(),
        None if !kind.is_posting() => return Err("it has no declaration".to_owned()),
        None => {
            let (Some(header), Some(details)) = (&leaf.header_commitment, &leaf.details_commitment) else {
                return Err("it has no posting".to_owned());
            };
            let entries = entries.iter().map(|it| digest(&it.commitment)).collect::<Result<_, _>>()?;
            let body = leaf.body_commitment.as_deref().map(digest).transpose()?;
            Commitments { header: digest(header)?, details: digest(details)?, body, entries }
        }
    };
    if parts.commitment() != commitment {
        return Err("its commitment is not that of its parts".to_owned());
    }
    Ok(proof::Leaf { kind, log_id, leaf_index: leaf.leaf_index as u64, commitment }.encode())
}

/// What a posting must be, whoever asked for it.
fn check_posting(leaf: &LeafRow, entries: &[EntryRow], scope: &Scope<'_>) -> Result<(), String> {
    let kind = PostingKind(leaf.posting_kind.and_then(|it| u8::try_from(it).ok()).unwrap_or_default());
    let require = |holds: bool, problem: &str| if holds { Ok(()) } else { Err(problem.to_owned()) };
    require(!leaf.is_repeated, "another posting of its program has its id")?;
    let kinds: Option<Vec<AccountKind>> =
        entries.iter().map(|it| it.account_kind.and_then(AccountKind::from_i16)).collect();
    let kinds = kinds.ok_or("an entry is of no account")?;
    let sum: i128 = entries.iter().map(|it| i128::from(it.total())).sum();
    require(sum == 0, "its entries do not sum to zero")?;
    require(
        entries.iter().all(|it| it.account_program == leaf.program_id),
        "an entry is of another program's account",
    )?;
    require(entries.windows(2).all(|pair| pair[0].unit == pair[1].unit), "its entries are of several units")?;
    require(
        entries.windows(2).all(|pair| pair[0].account < pair[1].account),
        "its entries are not in their order",
    )?;
    require((0..).zip(entries).all(|(at, it)| it.ordinal == at), "an entry is missing")?;
    require(shape::fits(kind, &kinds), "its accounts are not those of its kind")?;
    let program = leaf.program_id.unwrap_or_default();
    let terms = scope.history.terms(program, leaf.leaf_index).ok_or("its program is not known")?;
    check_lots(kind, entries, terms)?;
    let effective_at = leaf.effective_at.unwrap_or_default();
    require(leaf.recorded_at.is_some_and(|it| effective_at <= it), "it takes effect after it was recorded")?;
    require(
        scope.history.closed_before(program, leaf.leaf_index) <= effective_at,
        "it takes effect in a period that was closed",
    )?;
    let is_earning = kind == PostingKind::EARN;
    require(
        leaf.has_event == (is_earning && !leaf.is_erased),
        "an earning has an event, and nothing else has: this one is otherwise",
    )?;
    require(
        !leaf.has_act || kind == PostingKind::ACT,
        "only an administrative act has a document of what was done",
    )?;
    require(
        leaf.event_hash.is_some() == (is_earning || leaf.has_act)
            && leaf.rule_set_hash.is_some() == is_earning,
        "an earning names its event and its rules, an act its document, and nothing else does: this one is otherwise",
    )?;
    let reverses = [PostingKind::REVERSE, PostingKind::CANCEL].contains(&kind);
    require(leaf.reverses.is_some() == reverses, "it undoes nothing, or is not what undoes")?;
    let withdraws = kind == PostingKind::WITHDRAW;
    require(
        (leaf.kind == LeafKind::Withdrawal as i16) == withdraws,
        "a withdrawal and its leaf are of one kind: this one is not",
    )?;
    require(
        leaf.body.is_some() == withdraws && leaf.body_commitment.is_some() == withdraws,
        "only a withdrawal has a body",
    )?;
    require(
        !withdraws || pays_out(leaf, entries) == Some(true),
        "its body does not pay out what its entry takes",
    )
}

/// Whether the lots of a member's entry may come from the account on the other side, or go there.
fn check_lots(kind: PostingKind, entries: &[EntryRow], terms: &Terms) -> Result<(), &'static str> {
    if let (PostingKind::TRANSFER | PostingKind::MERGE, [one, other]) = (kind, entries) {
        let is_kept = lots::keeps(one.lots(), other.lots());
        return if is_kept { Ok(()) } else { Err("one gains other lots than the other gives") };
    }
    let is_member = |it: &&EntryRow| it.account_kind == Some(AccountKind::Member as i16);
    let theirs = entries.iter().find(is_member).and_then(|it| it.lots.as_deref());
    let house = entries.iter().find(|it| !is_member(it));
    let (Some(bytes), Some(house)) = (theirs, house) else { return Ok(()) };
    let fund = house.fund_id.and_then(|it| u32::try_from(it).ok()).unwrap_or_default();
    lots::check(kind, bytes, fund, house.partner_id.as_deref(), terms)
}

/// Whether a withdrawal's body pays out what the member's entry takes, day by day.
fn pays_out(leaf: &LeafRow, entries: &[EntryRow]) -> Option<bool> {
    let Body::Withdrawal(body) = Body::decode(LeafKind::Withdrawal, leaf.body.as_deref()?).ok()? else {
        return None;
    };
    let theirs = entries.iter().find(|it| it.account_kind == Some(AccountKind::Member as i16))?;
    let mut taken = std::collections::BTreeMap::<i32, i64>::new();
    for movement in LotMovement::decode_all(theirs.lots.as_deref()?).ok()? {
        *taken.entry(movement.last_spendable_day).or_default() -= movement.change.available;
    }
    Some(body.amounts.iter().map(|it| (it.day, it.amount as i64)).eq(taken))
}

/// Whether a posting was made because it had fallen due, so that nobody asked for it: its id follows from its account.
fn fell_due(leaf: &LeafRow, entries: &[EntryRow]) -> bool {
    let falls_due = [PostingKind::MATURE, PostingKind::LAPSE, PostingKind::EXPIRE];
    let theirs = entries.iter().find(|it| it.account_kind == Some(AccountKind::Member as i16));
    leaf.posting_kind.is_some_and(|kind| falls_due.iter().any(|it| i16::from(it.0) == kind))
        && theirs.and_then(|it| Some(ledger::due_id(it.account?, it.sequence as u64))) == leaf.posting_id
}

impl EntryRow {
    fn lots(&self) -> &[u8] {
        self.lots.as_deref().unwrap_or_default()
    }

    fn total(&self) -> i64 {
        self.available_change.wrapping_add(self.held_change).wrapping_add(self.pending_change)
    }
}

/// Nothing stands beyond the log's size of now.
pub(super) async fn check_nothing_beyond(conn: &mut PgConnection) -> Result<(), StoreError> {
    // One statement, one snapshot.
    let beyond: Option<i64> = sqlx::query_scalar(
        "select size
         from log_head
         where size <= greatest(
                 (select max(leaf_index) from leaf), (select max(leaf_index) from posting),
                 (select max(leaf_index) from entry), (select max(leaf_index) from event),
                 (select max(leaf_index) from declaration), (select max(leaf_index) from act)
             )
             or size < (select max(size) from checkpoint)",
    )
    .fetch_optional(conn)
    .await?;
    ensure(beyond.is_none(), || {
        format!("there are rows beyond the log's size of {}", beyond.unwrap_or_default())
    })
}
