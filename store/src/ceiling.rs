//! The limit of this PostgreSQL: the rows of redemptions, written as a batch writes them, without a decision behind them.
//! For benchmarks only, on books that nobody needs afterwards.

use ledger::{Account, AccountKind, Day, Fingerprint, Lot, Posting, Request, Screening};
use proof::{Balances, Commitments, Details, Entry, Hash, Header, LeafKind, LotMovement, PostingKind};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::StoreError;
use crate::log_head;
use crate::outcomes::Accepted;
use crate::rows::Rows;

/// Writes and commits a batch of rows: a redemption of each of these accounts.
pub async fn write_bare_rows(
    conn: &mut PgConnection,
    log_id: &Hash,
    program_id: i16,
    accounts: &[i64],
    house: i64,
) -> Result<(), StoreError> {
    sqlx::raw_sql("begin").execute(&mut *conn).await?;
    let (head, now_us, _) = log_head::lock(conn, log_id).await?;
    let never = Lot { last_day: Day::NEVER, earned_day: Day::default(), fund: 0 };
    let mut rows = Rows::default();
    for (leaf_index, account) in (head.size as u64..).zip(accounts) {
        let posting_id = Uuid::now_v7();
        let header = Header {
            posting_id: posting_id.into_bytes(),
            posting_kind: PostingKind::REDEEM,
            program: [1; 16],
            recorded_at_us: now_us,
            effective_at_us: now_us,
            rule_set_hash: Hash::default(),
            event_hash: Hash::default(),
            reverses: [0; 16],
        };
        let commitments =
            Commitments { header: [1; 32], details: [2; 32], body: None, entries: vec![[3; 32]; 2] };
        let movement = LotMovement {
            lot: never.id(),
            change: Balances { available: -1, held: 0, pending: 0 },
            last_spendable_day: i32::MAX,
            earned_day: 0,
        };
        for (ordinal, number, lots) in
            [(0, *account, LotMovement::encode_all(&[movement])), (1, house, vec![])]
        {
            let entry = Entry {
                account: [4; 16],
                unit: 1,
                sequence: leaf_index + 1,
                change: movement.change,
                after: Balances { available: 1 << 40, held: 0, pending: 0 },
                lots_digest: Hash::default(),
                previous_leaf_index: leaf_index,
                previous_commitment: [5; 32],
            };
            rows.entry(leaf_index, ordinal, number, &entry, lots, &[3; 32]);
        }
        rows.leaf(leaf_index, LeafKind::Posting, &[6; 32]);
        let posting = Posting::new(PostingKind::ACT, posting_id, vec![]).expect("an act has no entries");
        rows.posting(leaf_index, program_id, &header, &Details::default(), &commitments, &posting);
        let left = Balances { available: 1 << 40, held: 0, pending: 0 };
        let request = Request {
            program: program_id,
            unit: 1,
            source: "credential:bench".to_owned(),
            key: posting_id.to_string(),
            items: vec![],
            expected_version: None,
            dry_run: false,
            hurried: false,
            screening: Screening::Allow,
        };
        let id = Uuid::nil();
        let accepted = Accepted {
            posting_id,
            leaf_index,
            points: 1,
            account: id,
            after: left,
            version: 1,
            lots: vec![],
            rate: None,
        };
        rows.remember(&request, &Fingerprint([7; 32]), &Ok(vec![accepted]), now_us, |_| *account);
        let state = Account { sequence: leaf_index + 1, ..Account::new(id, AccountKind::Member, 1) };
        rows.balance(*account, &state, Some(&(leaf_index, [8; 32])));
        rows.lots.push(*account, &never, Some(&left));
    }
    rows.insert(conn).await?.append(conn, log_id, &head, now_us).await?;
    sqlx::raw_sql("commit").execute(conn).await?;
    Ok(())
}

/// The numbers of members' accounts, and of issuance.
pub async fn account_numbers(conn: &mut PgConnection) -> Result<(Vec<i64>, i64), StoreError> {
    let members = sqlx::query_scalar("select account_id from account where kind = 1").fetch_all(&mut *conn);
    let members = members.await?;
    let house = sqlx::query_scalar("select min(account_id) from account where kind = 2").fetch_one(conn);
    Ok((members, house.await?))
}
