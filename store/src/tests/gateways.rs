use ledger::{Command, Day, Destination, Gateway, MemberRef, Refusal, Request, Status};
use proof::Hash;
use uuid::Uuid;

use super::fixture::{Fixture, keyring};
use super::world::points;
use crate::*;

pub(super) const GATEWAY: GatewayAt = GatewayAt { chain_id: 31337, contract: [1; 20] };
const TERMS: Gateway = Gateway { unit: 1, token: [7; 20], epoch_s: 30 * 24 * 3600, zone_s: 3 * 3600 };

pub(super) fn facts(program_id: i16) -> GatewayFacts {
    GatewayFacts { program_id, terms: TERMS, first_block: 1 }
}

/// An hour from now, by which what is withdrawn is to be claimed.
pub(super) async fn in_an_hour(conn: &mut PgConnection) -> u64 {
    (clock_us(conn).await.unwrap() / 1_000_000) as u64 + 3600
}

/// Books with a gateway, and a member who has ten points.
struct Bridged {
    books: Fixture,
    conn: Pooled,
    member: Uuid,
    claim_before: u64,
    asked: u8,
}

impl Bridged {
    async fn new() -> Self {
        let books = Fixture::new().await;
        let mut conn = books.pool.acquire().await.unwrap();
        ensure_gateway(&mut conn, &GATEWAY, &facts(books.program.program_id)).await.unwrap();
        let member = books.member_with("asha", 10).await;
        let claim_before = in_an_hour(&mut conn).await;
        Self { books, conn, member, claim_before, asked: 0 }
    }

    async fn ask(&self, source: &str, key: &str, command: Command) -> Result<Uuid, Refusal> {
        let request = self.books.request(source, key, command);
        let outcome = self.books.committer.submit(request).await.unwrap().outcome;
        outcome.map(|it| it[0].posting_id).map_err(|it| it.refusal)
    }

    async fn does(&mut self, command: Command) -> Result<Uuid, Refusal> {
        self.asked += 1;
        self.ask("operator:test", &self.asked.to_string(), command).await
    }

    fn withdraw(&self, id: u8, amount: i64) -> Command {
        let destination = Destination {
            chain_id: GATEWAY.chain_id,
            gateway: GATEWAY.contract,
            holder: [2; 20],
            withdrawal_id: [id; 32],
            claim_before: self.claim_before,
        };
        Command::Withdraw { member: MemberRef::Id(self.member), points: points(amount), destination }
    }

    /// The next final block, at this time, with these claims and burns.
    async fn sees(&mut self, time_s: u64, paid: &[u8], burns: Vec<Burn>) {
        assert!(self.would_see(time_s, paid, burns).await.unwrap());
    }

    async fn would_see(&mut self, time_s: u64, paid: &[u8], burns: Vec<Burn>) -> Result<bool, StoreError> {
        let state = gateway_state(&mut self.conn, &GATEWAY).await.unwrap().unwrap();
        let claim = |id: &u8| PaidClaim {
            withdrawal_id: [*id; 32],
            holder: [2; 20],
            minted: vec![(1, 1)],
            lapsed: 0,
            block: state.block + 1,
            transaction: [0; 32],
        };
        let claims = paid.iter().map(claim).collect();
        let block = state.block + 1;
        let events =
            GatewayEvents { block, block_hash: [7; 32], time_s, claims, burns, ..GatewayEvents::default() };
        record_gateway_events(&mut self.conn, &GATEWAY, state.block, &events).await
    }

    async fn open(&mut self) -> Vec<Uuid> {
        let open = open_withdrawals(&mut self.conn, &keyring(), &GATEWAY, 10).await.unwrap();
        open.iter().map(|it| it.posting_id).collect()
    }

    fn closes(&self) -> Command {
        Command::SetStatus { member: MemberRef::Id(self.member), status: Status::Closed }
    }
}

#[tokio::test]
async fn one_gateway_of_a_token_is_followed_and_stays_as_it_was() {
    let Bridged { books, mut conn, .. } = Bridged::new().await;
    let known = facts(books.program.program_id);
    let mut refused = async |at: GatewayAt, facts: GatewayFacts, why: &str| {
        let error = ensure_gateway(&mut conn, &at, &facts).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let second = GatewayAt { contract: [2; 20], ..GATEWAY };
    refused(second, known, "another gateway mints the same token").await;
    for terms in [
        Gateway { unit: 2, ..TERMS },
        Gateway { token: [8; 20], ..TERMS },
        Gateway { epoch_s: 3600, ..TERMS },
        Gateway { zone_s: 0, ..TERMS },
    ] {
        refused(GATEWAY, GatewayFacts { terms, ..known }, "or with another token").await;
    }
    ensure_gateway(&mut conn, &GATEWAY, &known).await.unwrap();
    // On another chain the same address is another token.
    ensure_gateway(&mut conn, &GatewayAt { chain_id: 137, ..second }, &known).await.unwrap();
}

/// As the books had it before they knew of tokens.
#[tokio::test]
async fn nothing_is_sent_through_a_gateway_whose_epochs_are_not_known() {
    let mut it = Bridged::new().await;
    sqlx::query("update gateway set token = null, epoch_s = null, zone_s = null")
        .execute(&mut *it.conn)
        .await
        .unwrap();
    sqlx::query("update log_head set epoch = epoch + 1").execute(&mut *it.conn).await.unwrap();
    assert_eq!(it.does(it.withdraw(3, 4)).await, Err(Refusal::GatewayUnknown));
    ensure_gateway(&mut it.conn, &GATEWAY, &facts(it.books.program.program_id)).await.unwrap();
    assert!(it.does(it.withdraw(3, 4)).await.is_ok());
    // A lot that ends in two weeks is not worth an epoch of thirty days.
    let last_day = Day::new((it.claim_before / 86_400) as i32 + 14).unwrap();
    let amounts = vec![(last_day, points(5))];
    it.does(Command::Deposit { member: MemberRef::Id(it.member), amounts }).await.unwrap();
    let until = it.claim_before as i64 + 30 * 24 * 3600;
    assert_eq!(it.does(it.withdraw(4, 7)).await, Err(Refusal::EndsTooSoon { lasting: 6, until }));
    assert!(it.does(it.withdraw(4, 6)).await.is_ok());
    // What was left behind in the order of spending is no fault.
    it.books.check_books().await;
}

#[tokio::test]
async fn nobody_leaves_before_what_they_withdrew_is_claimed_or_back() {
    let mut it = Bridged::new().await;
    it.books.member_with("juma", 1).await;
    let merges =
        Command::Merge { from: MemberRef::Id(it.member), to: MemberRef::External("juma".to_owned()) };
    it.does(it.withdraw(3, 4)).await.unwrap();
    let second = it.does(it.withdraw(4, 2)).await.unwrap();
    it.sees(1, &[3], vec![]).await;
    assert_eq!(it.open().await, [second]);
    for command in [it.closes(), merges.clone()] {
        assert_eq!(it.does(command).await, Err(Refusal::MemberReserved));
    }
    it.sees(it.claim_before, &[], vec![]).await;
    it.does(Command::Reverse { posting: second, points: Some(points(1)) }).await.unwrap();
    assert_eq!(it.open().await, [second], "what is back in part is open for the rest");
    assert_eq!(it.does(it.closes()).await, Err(Refusal::MemberReserved));
    it.does(Command::Reverse { posting: second, points: None }).await.unwrap();
    assert!(it.open().await.is_empty());
    it.does(merges).await.unwrap();
    assert_eq!(it.books.balance("juma").await.unwrap().available, 1 + 6);
    it.books.check_books().await;
}

/// What is refused now may be mended: the key is asked again.
#[tokio::test]
async fn what_the_bridge_is_refused_is_not_remembered() {
    let mut it = Bridged::new().await;
    let withdrawn = it.does(it.withdraw(3, 4)).await.unwrap();
    let back = || Command::Reverse { posting: withdrawn, points: None };
    let refused = Err(Refusal::StillClaimable { until: it.claim_before as i64 });
    assert_eq!(it.ask(BRIDGE_SOURCE, "back", back()).await, refused);
    assert_eq!(it.ask("operator:test", "back", back()).await, refused);
    it.sees(it.claim_before, &[], vec![]).await;
    assert_eq!(it.ask("operator:test", "back", back()).await, refused, "anybody else's answer stands");
    let request: Request = it.books.request(BRIDGE_SOURCE, "back", back());
    let id = request.items[0].posting_id;
    for replayed in [false, true] {
        let answer = it.books.committer.submit(request.clone()).await.unwrap();
        assert_eq!((answer.outcome.unwrap()[0].posting_id, answer.replayed), (id, replayed));
    }
}

/// Whoever asks again reads it off the clock again, so it is no part of what a key stands for.
#[tokio::test]
async fn a_withdrawal_asked_for_again_with_another_claim_before_is_the_first_one() {
    let mut it = Bridged::new().await;
    let first_before = it.claim_before;
    let first = it.ask("operator:test", "out", it.withdraw(3, 4)).await;
    it.claim_before += 60;
    assert_eq!(it.ask("operator:test", "out", it.withdraw(4, 4)).await, first);
    let open = open_withdrawals(&mut it.conn, &keyring(), &GATEWAY, 10).await.unwrap();
    let open: Vec<([u8; 32], u64)> =
        open.iter().map(|it| (it.withdrawal.withdrawal_id, it.withdrawal.claim_before)).collect();
    assert_eq!((first.is_ok(), open), (true, vec![([3; 32], first_before)]));
    let other = it.ask("operator:test", "out", it.withdraw(3, 5)).await;
    assert!(matches!(other, Err(Refusal::KeyReused { .. })), "{other:?}");
}

fn burn(burn_id: u64, credit_to: Hash) -> Burn {
    Burn {
        burn_id,
        holder: [2; 20],
        credit_to,
        amounts: vec![BurnedEpoch { epoch: 1, last_day: 20_000, amount: 5 }],
        block: 1,
        transaction: [0; 32],
    }
}

#[tokio::test]
async fn a_burn_behind_a_hole_is_not_written_down() {
    let mut it = Bridged::new().await;
    // Read from where others had been.
    it.sees(1, &[], vec![burn(4, [9; 32]), burn(5, [9; 32])]).await;
    for burns in [vec![burn(7, [9; 32])], vec![burn(6, [9; 32]), burn(8, [9; 32])], vec![burn(5, [9; 32])]] {
        let error = it.would_see(2, &[], burns).await.unwrap_err().to_string();
        assert!(error.contains("was not shown"), "{error}");
    }
    assert_eq!(gateway_state(&mut it.conn, &GATEWAY).await.unwrap().unwrap().known_until, 1);
    it.sees(2, &[], vec![burn(6, [9; 32]), burn(7, [9; 32])]).await;
    let known = burns(&mut it.conn, &GATEWAY, true, 10).await.unwrap();
    assert_eq!(known.iter().map(|it| it.burn.burn_id).collect::<Vec<_>>(), [4, 5, 6, 7]);
}

#[tokio::test]
async fn a_burn_for_whom_nobody_is_any_more_is_credited_to_whom_an_operator_names() {
    let mut it = Bridged::new().await;
    let program = it.books.program.program_id;
    let juma = it.books.member_with("juma", 1).await;
    let reference = give_reference(&mut it.conn, program, 1, it.member, "ops").await.unwrap();
    it.sees(1, &[], vec![burn(1, reference), burn(2, [9; 32])]).await;
    let assign =
        async |conn: &mut PgConnection, burn| assign_burn(conn, &GATEWAY, burn, juma, "ops").await.unwrap();
    assert!(!assign(&mut it.conn, 1).await, "it is its member's");
    assert!(assign(&mut it.conn, 2).await, "nobody gave that reference out");
    it.does(it.closes()).await.unwrap();
    assert!(assign(&mut it.conn, 1).await, "its member is nobody any more");
    let open = burns(&mut it.conn, &GATEWAY, true, 10).await.unwrap();
    assert_eq!(open.iter().map(|it| it.member_id).collect::<Vec<_>>(), [Some(juma); 2]);
    note_burn(&mut it.conn, &GATEWAY, 1, Ok(0)).await.unwrap();
    assert!(!assign(&mut it.conn, 1).await, "it is credited");
}
