//! A program with three members, two partners, two funds and a clock that the test sets.

use proof::{Details, PostingKind, Text};
use uuid::Uuid;

use crate::*;

const PROGRAM: i16 = 1;
const NAMES: [(&str, AccountKind); 12] = [
    ("asha", AccountKind::Member),
    ("juma", AccountKind::Member),
    ("neema", AccountKind::Member),
    ("issuance", AccountKind::Issuance),
    ("redemption", AccountKind::Redemption),
    ("breakage", AccountKind::Breakage),
    ("bridge", AccountKind::Bridge),
    ("duka", AccountKind::Settlement),
    ("cafe", AccountKind::Settlement),
    // Its points can be spent with duka only.
    ("spring", AccountKind::Fund),
    // It gives only what was put into it.
    ("prize", AccountKind::Fund),
    ("brekkie", AccountKind::Breakage),
];

/// The token that the shop's gateway mints: its epochs are days.
pub(super) const TOKEN: [u8; 20] = [9; 20];
/// An hour after the shop has opened, as a Unix second.
pub(super) const SOON: u64 = 1_768_474_800;

/// The program, and the time there.
pub(super) struct Shop {
    pub(super) books: Books,
    pub(super) terms: Terms,
    pub(super) now: Moment,
    /// What the chain shows of every withdrawal that is asked for from now on.
    pub(super) chain: Claim,
    asked: u64,
}

/// The account of this name.
pub(super) fn id(name: &str) -> Uuid {
    let at = NAMES.iter().position(|it| it.0 == name).expect("the shop knows the name");
    Uuid::from_u128(at as u128 + 1)
}

impl Shop {
    /// The program under a policy, on 2026-01-15 at ten.
    pub(super) fn under(policy: &str) -> Self {
        let mut terms = Terms::parse(policy.as_bytes()).expect("it is a policy");
        terms.merchants.insert(1, "duka".to_owned());
        let gateway = Gateway { unit: 1, token: TOKEN, epoch_s: 24 * 3600, zone_s: 3 * 3600 };
        terms.gateways.insert((137, [1; 20]), gateway);
        let mut books = Books::default();
        for (name, kind) in NAMES {
            let mut account = Account::new(id(name), kind, 1);
            let house = match kind {
                AccountKind::Member => None,
                AccountKind::Issuance => Some(House::Issuance),
                AccountKind::Redemption => Some(House::Redemption),
                AccountKind::Breakage => Some(House::Breakage),
                AccountKind::Bridge => Some(House::Bridge),
                AccountKind::Settlement => {
                    account.partner = Some(name.to_owned());
                    Some(House::Settlement(name.to_owned()))
                }
                AccountKind::Fund => {
                    let number = if name == "spring" { 1 } else { 2 };
                    account.fund = Some(Fund { number, budgeted: name == "prize" });
                    Some(House::Fund(name.to_owned()))
                }
            };
            // The last one is breakage of another unit, with a member of its own.
            account.unit = if name == "brekkie" { 2 } else { 1 };
            let unit = account.unit;
            books.insert(account);
            books.name(PROGRAM, unit, house.map_or_else(|| Name::Member(who(name)), Name::House), id(name));
        }
        let chain = Claim { before: 0, is_paid: false, known_until: 0 };
        let mut shop = Self { books, terms, now: Moment { us: 0, day: Day::default() }, chain, asked: 0 };
        shop.at("2026-01-15T10:00:00Z");
        shop
    }

    /// The time is now this.
    pub(super) fn at(&mut self, instant: &str) {
        let instant: jiff::Timestamp = instant.parse().expect("it is an instant");
        self.now = self.terms.moment(instant.as_microsecond());
    }

    pub(super) fn later(&mut self, us: i64) {
        self.now = self.terms.moment(self.now.us + us);
    }

    pub(super) fn account(&self, name: &str) -> &Account {
        self.books.account(id(name))
    }

    pub(super) fn request(&mut self, commands: Vec<Command>) -> Request {
        let mut item = |command| {
            self.asked += 1;
            let text = |it: &str| Some(Text::new(it).unwrap());
            let details = Details { actor: text("neema"), reason: text("goodwill"), ..Details::default() };
            Item { posting_id: Uuid::from_u64_pair(1, self.asked), command, details }
        };
        let items: Vec<Item> = commands.into_iter().map(&mut item).collect();
        let (source, key) = ("app".to_owned(), format!("k-{}", items.len()));
        Request {
            program: PROGRAM,
            unit: 1,
            source,
            key,
            items,
            expected_version: None,
            dry_run: false,
            hurried: false,
            screening: Screening::Allow,
        }
    }

    /// Decides a request, and remembers its postings as the store does.
    pub(super) fn decide(&mut self, request: &Request) -> Decision {
        let decision = self.books.decide(request, &self.terms, self.now);
        let sum: i64 = NAMES.iter().map(|it| account::total(&self.account(it.0).balances)).sum();
        assert_eq!(sum, 0, "the books balance");
        for posting in decision.postings.iter().filter(|_| !request.dry_run) {
            let is_member = |id: &Uuid| self.books.account(*id).kind == AccountKind::Member;
            let Some(entry) = posting.entries().iter().find(|it| is_member(&it.account)) else { continue };
            let original = Original {
                kind: posting.kind(),
                member: entry.account,
                house: posting.entries().iter().find(|it| !is_member(&it.account)).map(|it| it.account),
                lots: entry.lots.clone(),
                change: entry.change,
                reversed: 0,
                claim: posting.withdrawal.as_ref().map(|it| Claim { before: it.claim_before, ..self.chain }),
            };
            self.books.recall(PROGRAM, posting.id, original);
        }
        decision
    }

    /// What comes of one command: its posting's id, or the refusal.
    pub(super) fn ask(&mut self, command: Command) -> Result<Uuid, Refusal> {
        let request = self.request(vec![command]);
        let decision = self.decide(&request);
        decision.result.map(|_| request.items[0].posting_id).map_err(|it| it.refusal)
    }

    /// Asks for what must be accepted.
    #[track_caller]
    pub(super) fn does(&mut self, command: Command) -> Uuid {
        self.ask(command).expect("it is accepted")
    }

    /// An account by its name and balances: `asha 70 held 30 pending 5`.
    pub(super) fn shows(&self, name: &str) -> String {
        let it = self.account(name).balances;
        let part = |word: &str, points: i64| {
            if points == 0 { String::new() } else { format!(" {word} {points}") }
        };
        format!("{name} {}{}{}", it.available, part("held", it.held), part("pending", it.pending))
    }

    /// A member's lots: `2026-02-14 70/30/5, never 1/0/0`, of a fund with `#` and its number.
    pub(super) fn lots(&self, name: &str) -> String {
        let one = |(lot, it): (&Lot, &proof::Balances)| {
            let fund = if lot.fund == 0 { String::new() } else { format!("#{}", lot.fund) };
            format!("{}{fund} {}/{}/{}", lot.last_day, it.available, it.held, it.pending)
        };
        self.account(name).lots.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// A command is accepted, and then the accounts named show this.
#[track_caller]
pub(super) fn check(shop: &mut Shop, command: Command, expected: &str) -> Uuid {
    let posting = shop.does(command);
    let shown: Vec<String> =
        expected.split(", ").map(|it| shop.shows(it.split(' ').next().expect("a name"))).collect();
    assert_eq!(shown.join(", "), expected);
    posting
}

/// A command is refused so.
#[track_caller]
pub(super) fn refuse(shop: &mut Shop, command: Command, refusal: Refusal) {
    assert_eq!(shop.ask(command), Err(refusal));
}

pub(super) fn lacks(available: i64, required: i64) -> Refusal {
    Refusal::InsufficientBalance { available, required }
}

pub(super) fn beyond(limit: Limit, left: i64, required: i64) -> Refusal {
    Refusal::LimitExceeded { limit, left, required }
}

/// The kinds of a decision's postings.
pub(super) fn kinds(decision: &Decision) -> Vec<&'static str> {
    decision.postings.iter().map(|it| it.kind().name().expect("it has a name")).collect()
}

pub(super) fn kind(name: &str) -> PostingKind {
    (0..20).map(PostingKind).find(|it| it.name() == Some(name)).expect("it is a kind")
}

pub(super) fn who(name: &str) -> MemberRef {
    MemberRef::External(name.to_owned())
}

pub(super) fn pts(points: i64) -> Points {
    Points::new(points).expect("an amount")
}

pub(super) fn day(text: &str) -> Day {
    Day::parse(text).expect("a day")
}

pub(super) fn earn(member: &str, points: i64) -> Command {
    earn_as(member, points, Maturity::Now, None)
}

pub(super) fn earn_as(member: &str, points: i64, maturity: Maturity, fund: Option<&str>) -> Command {
    let event = Event {
        source: "till".to_owned(),
        id: "e".to_owned(),
        member: who(member),
        kind: "purchase".to_owned(),
        amount: 1.into(),
        timestamp_us: 1_768_000_000_000_000,
    };
    Command::Earn {
        points: pts(points),
        remainder: Default::default(),
        rule_set_hash: [1; 32],
        event,
        payload: b"{}".to_vec(),
        maturity,
        fund: fund.map(str::to_owned),
    }
}

pub(super) fn redeem(member: &str, points: i64, partner: &str) -> Command {
    Command::Redeem {
        member: who(member),
        points: pts(points),
        partner: Some(partner.to_owned()).filter(|it| !it.is_empty()),
        up_to: false,
    }
}

pub(super) fn redeem_up_to(member: &str, points: i64) -> Command {
    Command::Redeem { member: who(member), points: pts(points), partner: None, up_to: true }
}

pub(super) fn transfer(from: &str, to: &str, points: i64) -> Command {
    Command::Transfer { from: who(from), to: who(to), points: pts(points) }
}

pub(super) fn adjust(member: &str, change: i64) -> Command {
    Command::Adjust { member: who(member), change, approver: None, effective_at_us: None }
}

pub(super) fn reverse(posting: Uuid, points: i64) -> Command {
    Command::Reverse { posting, points: Points::new(points).ok() }
}

pub(super) fn hold(member: &str, points: i64, partner: &str, seconds: u32) -> Command {
    let partner = Some(partner.to_owned()).filter(|it| !it.is_empty());
    Command::Hold { member: who(member), points: pts(points), partner, seconds: Some(seconds) }
}

pub(super) fn capture(hold: Uuid, points: i64, keep_rest: bool) -> Command {
    Command::Capture { hold, points: Points::new(points).ok(), keep_rest }
}

pub(super) fn merge(from: &str, to: &str) -> Command {
    Command::Merge { from: who(from), to: who(to) }
}

pub(super) fn status(member: &str, status: Status) -> Command {
    Command::SetStatus { member: who(member), status }
}

pub(super) fn extend(member: &str, through: &str, last_day: &str) -> Command {
    Command::Extend { member: who(member), through: day(through), last_day: day(last_day) }
}

pub(super) fn withdraw(member: &str, points: i64, claim_before: u64) -> Command {
    let destination = Destination {
        chain_id: 137,
        gateway: [1; 20],
        holder: [2; 20],
        withdrawal_id: [3; 32],
        claim_before,
    };
    Command::Withdraw { member: who(member), points: pts(points), destination }
}

/// One of asha's points, to this holder.
pub(super) fn withdraw_to(holder: [u8; 20], claim_before: u64) -> Command {
    let Command::Withdraw { member, points, destination } = withdraw("asha", 1, claim_before) else {
        unreachable!()
    };
    Command::Withdraw { member, points, destination: Destination { holder, ..destination } }
}

pub(super) fn deposit(member: &str, amounts: &[(&str, i64)]) -> Command {
    let amounts = amounts.iter().map(|it| (day(it.0), pts(it.1))).collect();
    Command::Deposit { member: who(member), amounts }
}

/// Lots by the day on which they end; they were earned on New Year's day.
pub(super) fn import(member: &str, lots: &[(&str, i64)]) -> Command {
    let lots = lots.iter().map(|it| (day(it.0), day("2026-01-01"), pts(it.1))).collect();
    Command::Import { member: who(member), lots, effective_at_us: None }
}

pub(super) fn expire_on_chain(points: i64) -> Command {
    Command::ExpireOnChain { points: pts(points) }
}

pub(super) fn budget(fund: &str, change: i64) -> Command {
    Command::Budget { fund: fund.to_owned(), change }
}
