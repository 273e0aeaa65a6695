//! Books in which everything has happened once: each kind of posting, in two units, under two policies.

use ledger::{Command, Day, Destination, Maturity, MemberRef, Points, Refusal, Request, Status};
use proof::Text;
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, keyring};
use super::gateways::{self, GATEWAY};
use crate::*;

pub(super) const NAIROBI: &[u8] =
    br#"{"time_zone":"Africa/Nairobi","expiry":{"after":{"months":12}},"debt_max":1000}"#;
const QUARTERS: &[u8] = br#"{"time_zone":"America/Sao_Paulo","expiry":{"after":{"months":6,"end_of":"quarter"}},"debt_max":1000}"#;

pub(super) fn points(points: i64) -> Points {
    Points::new(points).unwrap()
}

pub(super) fn named(name: &str) -> MemberRef {
    MemberRef::External(name.to_owned())
}

/// Books with everything in them.
pub(super) struct World {
    pub(super) books: Fixture,
    asked: u32,
    claim_before: u64,
}

impl World {
    pub(super) async fn new() -> Self {
        let books = Fixture::new().await;
        let mut world = Self { books, asked: 0, claim_before: 0 };
        world.settle_terms().await;
        world.earn_and_spend().await;
        world.reserve().await;
        let mut conn = world.books.pool.acquire().await.unwrap();
        add_policy(&mut conn, world.books.program.program_id, QUARTERS).await.unwrap();
        drop(conn);
        world.undo().await;
        world.operate().await;
        world.fall_due().await;
        world.come_back_from_a_chain().await;
        world
    }

    /// Asks, and demands that it is done: the id of the first item's posting.
    pub(super) async fn ask(&mut self, command: Command) -> Uuid {
        let answer = self.answer(command).await;
        answer.outcome.expect("it is done")[0].posting_id
    }

    async fn answer(&mut self, command: Command) -> Answer {
        self.asked += 1;
        let mut request = self.books.request("operator:test", &format!("w{}", self.asked), command);
        request.items[0].details.actor = Some(Text::new("ops").unwrap());
        request.items[0].details.reason = Some(Text::new("because").unwrap());
        self.books.committer.submit(request).await.unwrap()
    }

    pub(super) async fn earn(&mut self, name: &str, amount: i64) -> Uuid {
        self.asked += 1;
        let request = self.books.earn(&format!("w{}", self.asked), name, amount);
        let answer = self.books.committer.submit(request).await.unwrap();
        answer.outcome.expect("it is done")[0].posting_id
    }

    async fn earn_later(&mut self, name: &str, amount: i64, when: Maturity, from: Option<&str>) -> Uuid {
        self.asked += 1;
        let mut request = self.books.earn(&format!("w{}", self.asked), name, amount);
        // An event asks for neither.
        request.source = OPERATOR_SOURCE.to_owned();
        request.items[0].details.actor = Some(Text::new("ops").unwrap());
        if let Command::Earn { maturity, fund, .. } = &mut request.items[0].command {
            (*maturity, *fund) = (when, from.map(str::to_owned));
        }
        let answer = self.books.committer.submit(request).await.unwrap();
        answer.outcome.expect("it is done")[0].posting_id
    }

    async fn settle_terms(&mut self) {
        let program = self.books.program.program_id;
        let mut conn = self.books.pool.acquire().await.unwrap();
        add_policy(&mut conn, program, NAIROBI).await.unwrap();
        ensure_unit(&mut conn, &keyring(), program, 2).await.unwrap();
        for (name, merchant, budgeted) in [("spring", Some(PARTNER), true), ("gift", None, false)] {
            let spec = FundSpec {
                name: name.to_owned(),
                funder: "acme".to_owned(),
                merchant: merchant.map(str::to_owned),
                budgeted,
            };
            ensure_fund(&mut conn, &keyring(), program, &spec).await.unwrap();
        }
        ensure_gateway(&mut conn, &GATEWAY, &gateways::facts(program)).await.unwrap();
        self.claim_before = gateways::in_an_hour(&mut conn).await;
        let now = log_head::clock_us(&mut conn).await.unwrap();
        close_period(&mut conn, program, now - 86_400_000_000, "ops").await.unwrap();
    }

    async fn earn_and_spend(&mut self) {
        self.earn("amina", 1000).await;
        self.ask(Command::Budget { fund: "spring".to_owned(), change: 500 }).await;
        self.earn_later("amina", 200, Maturity::Now, Some("spring")).await;
        self.earn_later("amina", 50, Maturity::Now, Some("gift")).await;
        for partner in [Some(PARTNER), None] {
            let (member, partner) = (named("amina"), partner.map(str::to_owned));
            self.ask(Command::Redeem { member, points: points(30), partner, up_to: false }).await;
        }
        self.earn("baraka", 5).await;
        let (member, partner) = (named("baraka"), Some(PARTNER.to_owned()));
        self.ask(Command::Redeem { member, points: points(99), partner, up_to: true }).await;
        self.ask(Command::Transfer { from: named("amina"), to: named("baraka"), points: points(40) }).await;
        self.ask(Command::Withdraw {
            member: named("amina"),
            points: points(25),
            destination: self.destination([3; 32]),
        })
        .await;
        let amounts = vec![(Day::NEVER, points(7)), (Day::parse("2040-01-31").unwrap(), points(8))];
        self.ask(Command::Deposit { member: named("amina"), amounts }).await;
        let (member, partner) = (named("baraka"), None);
        let refused =
            self.answer(Command::Redeem { member, points: points(1_000_000), partner, up_to: false }).await;
        let refusal = refused.outcome.unwrap_err().refusal;
        assert!(matches!(refusal, Refusal::InsufficientBalance { .. }), "{refusal:?}");
        // Two linked postings under one key, the second in another order of members.
        let give = |from, to| Command::Transfer { from: named(from), to: named(to), points: points(3) };
        let mut linked = self.books.request("operator:test", "linked", give("amina", "baraka"));
        linked.items.push(self.books.request("", "", give("baraka", "amina")).items.remove(0));
        self.submit(linked).await;
        let mut other_unit = self.books.earn("other-unit", "amina", 77);
        other_unit.unit = 2;
        self.submit(other_unit).await;
    }

    async fn submit(&self, request: Request) {
        assert!(self.books.committer.submit(request).await.unwrap().outcome.is_ok());
    }

    async fn hold(&mut self, name: &str, amount: i64, seconds: Option<u32>) -> Uuid {
        let (member, partner) = (named(name), Some(PARTNER.to_owned()));
        self.ask(Command::Hold { member, points: points(amount), partner, seconds }).await
    }

    async fn reserve(&mut self) {
        let hold = self.hold("amina", 100, None).await;
        self.ask(Command::Increase { hold, points: points(10) }).await;
        self.ask(Command::Prolong { hold, seconds: 3600 }).await;
        self.ask(Command::Capture { hold, points: Some(points(20)), keep_rest: true }).await;
        self.ask(Command::Capture { hold, points: Some(points(15)), keep_rest: true }).await;
        let over = self.hold("amina", 60, None).await;
        self.ask(Command::Capture { hold: over, points: Some(points(45)), keep_rest: false }).await;
        let voided = self.hold("baraka", 6, None).await;
        self.ask(Command::Void { hold: voided }).await;
        self.hold("baraka", 4, None).await;
        let first = self.earn_later("chema", 80, Maturity::OnConfirmation, None).await;
        self.ask(Command::Confirm { earning: first }).await;
        let second = self.earn_later("chema", 70, Maturity::OnConfirmation, None).await;
        self.ask(Command::Cancel { earning: second }).await;
        self.earn_later("chema", 60, Maturity::OnConfirmation, None).await;
    }

    async fn undo(&mut self) {
        let (member, partner) = (named("amina"), Some(PARTNER.to_owned()));
        let spent = self.ask(Command::Redeem { member, points: points(90), partner, up_to: false }).await;
        self.ask(Command::Reverse { posting: spent, points: Some(points(30)) }).await;
        self.ask(Command::Reverse { posting: spent, points: Some(points(20)) }).await;
        let earned = self.earn("dalila", 100).await;
        let (member, partner) = (named("dalila"), None);
        self.ask(Command::Redeem { member, points: points(80), partner, up_to: false }).await;
        // What is lacking is owed, and paid first from what comes next.
        self.ask(Command::Reverse { posting: earned, points: None }).await;
        self.earn("dalila", 95).await;
    }

    async fn operate(&mut self) {
        let adjust = |change| Command::Adjust {
            member: named("amina"),
            change,
            approver: None,
            effective_at_us: None,
        };
        self.ask(adjust(12)).await;
        self.ask(adjust(-5)).await;
        let (through, last_day) = (Day::parse("2039-01-01").unwrap(), Day::parse("2041-12-31").unwrap());
        self.ask(Command::Extend { member: named("amina"), through, last_day }).await;
        self.earn("esi", 33).await;
        self.ask(Command::Merge { from: named("esi"), to: named("dalila") }).await;
        self.earn("fatuma", 21).await;
        for status in [Status::Suspended, Status::Active, Status::Closed] {
            self.ask(Command::SetStatus { member: named("fatuma"), status }).await;
        }
        self.earn("goma", 9).await;
        self.ask(Command::SetStatus { member: named("goma"), status: Status::Suspended }).await;
        let day = |text| Day::parse(text).unwrap();
        let lots = vec![
            (day("2020-06-30"), day("2019-06-30"), points(11)),
            (day("2045-06-30"), day("2019-07-30"), points(22)),
        ];
        self.ask(Command::Import { member: named("hamisi"), lots, effective_at_us: None }).await;
    }

    /// An earning matures and a hold lapses by themselves; both are waited for, each with its settlement.
    async fn fall_due(&mut self) {
        let mut conn = self.books.pool.acquire().await.unwrap();
        let now = log_head::clock_us(&mut conn).await.unwrap();
        // Long enough to be posted before it matures, on a machine that does much else.
        self.earn_later("imani", 44, Maturity::At(now + 1_500_000), None).await;
        self.earn("imani", 10).await;
        self.hold("imani", 10, Some(1)).await;
        let account: Uuid = sqlx::query_scalar(
            "select account.id from account join member using (program_id, member_id) where external_id = 'imani'",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        while self.books.balance("imani").await.unwrap().available != 54 {
            tokio::task::yield_now().await;
        }
        self.ask_settlement(account).await;
        let posted: Vec<i16> = sqlx::query_scalar("select distinct kind from posting order by kind")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        assert_eq!(posted, (1..=19).collect::<Vec<i16>>(), "every kind of posting stands in the books");
    }

    /// One withdrawal is never claimed and is undone, and some of what went there expires there.
    async fn come_back_from_a_chain(&mut self) {
        let mut conn = self.books.pool.acquire().await.unwrap();
        let events = GatewayEvents { block: 1, time_s: self.claim_before, ..GatewayEvents::default() };
        assert!(record_gateway_events(&mut conn, &GATEWAY, 0, &events).await.unwrap());
        self.earn("safari", 90).await;
        let destination = self.destination(NEVER_CLAIMED);
        let withdrawn =
            self.ask(Command::Withdraw { member: named("safari"), points: points(90), destination }).await;
        self.ask(Command::Reverse { posting: withdrawn, points: None }).await;
        self.ask(Command::ExpireOnChain { points: points(2) }).await;
    }

    fn destination(&self, withdrawal_id: [u8; 32]) -> Destination {
        let GatewayAt { chain_id, contract } = GATEWAY;
        Destination {
            chain_id,
            gateway: contract,
            holder: [2; 20],
            withdrawal_id,
            claim_before: self.claim_before,
        }
    }

    async fn ask_settlement(&mut self, account: Uuid) {
        self.answer(Command::Settle { account }).await.outcome.expect("it is done");
    }
}

/// The id of the withdrawal that is undone.
const NEVER_CLAIMED: [u8; 32] = [5; 32];
