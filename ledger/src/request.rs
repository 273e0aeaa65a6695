//! A request: what a caller wants, under a key that makes asking twice the same as asking once.

use std::fmt;

use proof::{Details, Hash, PostingKind, Text};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::Status;
use crate::day::Day;
use crate::event::Event;
use crate::points::Points;
use crate::policy::Terms;
use crate::rules::Earning;

/// How a caller names a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberRef {
    /// By the program's own id.
    Id(Uuid),
    /// By what the operator's other systems call them.
    External(String),
}

impl MemberRef {
    /// Reads a name: a UUID in its usual form is the member's id, anything else is an external id.
    pub fn parse(name: &str) -> Self {
        match Uuid::try_parse(name) {
            Ok(id) if name.len() == 36 => Self::Id(id),
            _ => Self::External(name.to_owned()),
        }
    }

    /// An id and a name of the same bytes are not the same member.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Id(id) => [&[1], &id.as_bytes()[..]].concat(),
            Self::External(name) => [&[2], name.as_bytes()].concat(),
        }
    }
}

/// A house account, by what it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum House {
    /// Points come from here.
    Issuance,
    /// Points redeemed without a partner.
    Redemption,
    /// Points that expired.
    Breakage,
    /// Points that are on a chain.
    Bridge,
    /// Points redeemed with this partner.
    Settlement(String),
    /// What this fund gives.
    Fund(String),
}

impl House {
    /// Where points that are spent go: to the partner, or without one to redemption.
    pub fn of_partner(partner: Option<&str>) -> Self {
        partner.map_or(Self::Redemption, |it| Self::Settlement(it.to_owned()))
    }

    /// Where points that are earned come from: the fund, or without one issuance.
    pub fn of_fund(fund: Option<&str>) -> Self {
        fund.map_or(Self::Issuance, |it| Self::Fund(it.to_owned()))
    }
}

/// An account by the name that a request has for it, within its program and unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A member's.
    Member(MemberRef),
    /// One of the house.
    House(House),
}

/// When an earning can be spent. Whenever that is, its lot's end counts from the day on which it is recorded: what matures or is
/// confirmed after it expires in the same decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maturity {
    /// At once.
    #[default]
    Now,
    /// From this instant, in microseconds since 1970, unless it is confirmed or cancelled before.
    At(i64),
    /// Once it is confirmed.
    OnConfirmation,
}

/// What is asked of the books. Where a member is named, it is their account of the request's unit.
#[derive(Clone, Debug, PartialEq, Eq, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Command {
    /// Points from a fund, or from issuance, to a member, because of an event.
    Earn {
        /// How much.
        points: Points,
        /// What rounding took away from it, in smallest units.
        remainder: Decimal,
        /// The rule set that said so.
        rule_set_hash: Hash,
        /// What happened. The fingerprint covers it, the maturity and the fund, and not the points: the same event delivered
        /// again after the rules have changed is still the same event.
        event: Event,
        /// The event's bytes, as they were received.
        payload: Vec<u8>,
        /// When they can be spent.
        maturity: Maturity,
        /// The fund that gives them.
        fund: Option<String>,
    },
    /// A pending earning can be spent now.
    Confirm {
        /// The earning.
        earning: Uuid,
    },
    /// A pending earning goes back to where it came from.
    Cancel {
        /// The earning.
        earning: Uuid,
    },
    /// A member's points to a partner's settlement, or without a partner to redemption.
    Redeem {
        /// Who spends.
        member: MemberRef,
        /// How much.
        points: Points,
        /// With whom.
        partner: Option<String>,
        /// Whether less is taken where there is less, as long as it is something: less than is asked, and down to the floor. Other
        /// limits refuse it all the same.
        up_to: bool,
    },
    /// A member's points to another member. They keep the day on which they end.
    Transfer {
        /// Who gives.
        from: MemberRef,
        /// Who receives.
        to: MemberRef,
        /// How much.
        points: Points,
    },
    /// A correction, by somebody, for a reason: the request's details name both.
    Adjust {
        /// Whose account.
        member: MemberRef,
        /// What is added, or taken where it is below zero.
        change: i64,
        /// Who approved it besides the actor, as the caller says; over HTTP, as their own credential says.
        approver: Option<String>,
        /// From when it counts; from now where it is not said.
        effective_at_us: Option<i64>,
    },
    /// A posting is undone, or a part of it.
    Reverse {
        /// Which.
        posting: Uuid,
        /// How much of it; what is left of it where it is not said.
        points: Option<Points>,
    },
    /// A member's points are set aside for a while.
    Hold {
        /// Whose.
        member: MemberRef,
        /// How much.
        points: Points,
        /// For whom.
        partner: Option<String>,
        /// How long, in seconds; the program's usual time where it is not said.
        seconds: Option<u32>,
    },
    /// Points of a hold go to whom they were set aside for.
    Capture {
        /// The hold.
        hold: Uuid,
        /// How much; what is left of it where it is not said.
        points: Option<Points>,
        /// Whether the rest stays set aside rather than being released.
        keep_rest: bool,
    },
    /// A hold is given up.
    Void {
        /// The hold.
        hold: Uuid,
    },
    /// More points are set aside in a hold.
    Increase {
        /// The hold.
        hold: Uuid,
        /// How many more.
        points: Points,
    },
    /// A hold lasts longer. The API calls it extend; its posting's kind is `extend`, as that of `Extend` is.
    Prolong {
        /// The hold.
        hold: Uuid,
        /// How long from now, in seconds.
        seconds: u32,
    },
    /// A member's points that end on or before a day end on a later one.
    Extend {
        /// Whose.
        member: MemberRef,
        /// Those that end until then.
        through: Day,
        /// The later day, on which they end instead.
        last_day: Day,
    },
    /// A member joins another: the first one's points go over and the account is closed.
    Merge {
        /// Who is closed.
        from: MemberRef,
        /// Who goes on.
        to: MemberRef,
    },
    /// A member is suspended, made active again, or closed: what a closed member has expires.
    SetStatus {
        /// Who.
        member: MemberRef,
        /// What they are now.
        status: Status,
    },
    /// A member's points go to a chain.
    Withdraw {
        /// Whose.
        member: MemberRef,
        /// How much.
        points: Points,
        /// To whom there, through what, and until when.
        destination: Destination,
    },
    /// Points come from a chain, where they were burned.
    Deposit {
        /// To whom.
        member: MemberRef,
        /// How much, by the last day on which it can be spent.
        amounts: Vec<(Day, Points)>,
    },
    /// Points that are on a chain have expired there: they go from the bridge to breakage.
    ExpireOnChain {
        /// How much.
        points: Points,
    },
    /// Points that another system kept before.
    Import {
        /// Whose.
        member: MemberRef,
        /// How much, by the day on which it ends, which comes first, and the day on which it was earned. Neither is checked: what has
        /// ended expires in the same decision.
        lots: Vec<(Day, Day, Points)>,
        /// From when it counts.
        effective_at_us: Option<i64>,
    },
    /// Points between issuance and a fund's budget.
    Budget {
        /// Which fund.
        fund: String,
        /// What is put into it, or taken where it is below zero.
        change: i64,
    },
    /// What has fallen due on an account is posted, and nothing else. The sweep asks it, and it is remembered under no key.
    Settle {
        /// The account.
        account: Uuid,
    },
}

/// Where a withdrawal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The chain.
    pub chain_id: u64,
    /// The gateway contract on it.
    pub gateway: [u8; 20],
    /// Who receives.
    pub holder: [u8; 20],
    /// Random; what the gateway knows it by.
    pub withdrawal_id: Hash,
    /// From this Unix second on it is refused there; it may be reversed once a final block of then or later is known.
    pub claim_before: u64,
}

/// One thing that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The id that the posting gets if there is one.
    pub posting_id: Uuid,
    /// What is asked.
    pub command: Command,
    /// The words that go into the leaf with it.
    pub details: Details,
}

impl Item {
    /// The words of a posting of this kind that was asked for, and takes effect then: a redemption that is held says why,
    /// what is spent says what a point is worth, and a correction says who approved it.
    pub fn told(&self, kind: PostingKind, terms: &Terms, effective_at_us: i64) -> Details {
        let mut details = self.details.clone();
        details.rate = self.rate(terms, effective_at_us);
        if kind == PostingKind::HOLD && matches!(self.command, Command::Redeem { .. }) {
            details.reason = Text::new(HELD_FOR_REVIEW).ok();
        }
        if let Command::Adjust { approver: Some(approver), .. } = &self.command
            && !approver.is_empty()
        {
            details.description = approved(details.description, approver);
        }
        details
    }

    /// What a point is worth to what takes effect then: of what is spent, the rate of that instant, where none is said. Of what
    /// was under review it is the rate by which it was asked for: who approves it reads that off the hold into the details.
    pub fn rate(&self, terms: &Terms, effective_at_us: i64) -> Option<Text> {
        let spends = matches!(self.command, Command::Redeem { .. } | Command::Capture { .. });
        let of_then = || terms.rates.at(effective_at_us).filter(|_| spends).cloned();
        self.details.rate.clone().or_else(of_then)
    }
}

/// A request to the books: one item, or several that are posted all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The program, as the store numbers it.
    pub program: i16,
    /// The unit; 1 is the program's points.
    pub unit: u16,
    /// Who chose the key: the credential's owner, or the event's source.
    pub source: String,
    /// The caller's key.
    pub key: String,
    /// What is asked.
    pub items: Vec<Item>,
    /// The version that the first item's account must have, once what is due has been posted.
    pub expected_version: Option<u64>,
    /// Whether it is only asked what would come of it.
    pub dry_run: bool,
    /// Whether what is posted is to be anchored soon.
    pub hurried: bool,
    /// What the screening says of its spends. The fingerprint does not cover it: asked again, the first answer stands.
    pub screening: Screening,
}

/// What is said of a spend before it is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screening {
    /// Nothing speaks against it.
    #[default]
    Allow,
    /// Somebody must look at it: a redemption is held until then, or until the longest hold is over; anything else is refused.
    Review,
    /// It is refused.
    Deny,
}

/// A description that says who approved it, too. Where there is no room for both, it says only that.
fn approved(description: Option<Text>, approver: &str) -> Option<Text> {
    let approved = format!("approved by {approver}");
    let both = description.as_ref().map(|it| format!("{}; {approved}", it.as_str()));
    both.and_then(|it| Text::new(it).ok()).or_else(|| Text::new(approved).ok()).or(description)
}

/// The reason of a hold that stands for a redemption under review. Callers cannot give a hold a reason.
pub const HELD_FOR_REVIEW: &str = "screening: held for review";

impl Command {
    /// What an event earns, to be spent at once, from issuance.
    pub fn earn(earning: Earning, event: Event, payload: Vec<u8>) -> Self {
        let Earning { points, remainder, rule_set_hash } = earning;
        Self::Earn { points, remainder, rule_set_hash, event, payload, maturity: Maturity::Now, fund: None }
    }

    /// The accounts that it names.
    pub fn names(&self) -> Vec<Name> {
        let member = |it: &MemberRef| Name::Member(it.clone());
        match self {
            Self::Earn { event, fund, .. } => {
                vec![member(&event.member), Name::House(House::of_fund(fund.as_deref()))]
            }
            Self::Redeem { member: who, partner: with, .. }
            | Self::Hold { member: who, partner: with, .. } => {
                vec![member(who), Name::House(House::of_partner(with.as_deref()))]
            }
            Self::Transfer { from, to, .. } | Self::Merge { from, to } => vec![member(from), member(to)],
            Self::Adjust { member: who, .. } | Self::Import { member: who, .. } => {
                vec![member(who), Name::House(House::Issuance)]
            }
            Self::Extend { member: who, .. } | Self::SetStatus { member: who, .. } => vec![member(who)],
            Self::Withdraw { member: who, .. } | Self::Deposit { member: who, .. } => {
                vec![member(who), Name::House(House::Bridge)]
            }
            Self::ExpireOnChain { .. } => vec![Name::House(House::Bridge), Name::House(House::Breakage)],
            Self::Budget { fund, .. } => {
                vec![Name::House(House::Fund(fund.clone())), Name::House(House::Issuance)]
            }
            Self::Confirm { .. }
            | Self::Cancel { .. }
            | Self::Reverse { .. }
            | Self::Capture { .. }
            | Self::Void { .. }
            | Self::Increase { .. }
            | Self::Prolong { .. }
            | Self::Settle { .. } => vec![],
        }
    }

    /// Whether a member's points leave them at their own wish, or are bound to: what is screened.
    pub fn is_spend(&self) -> bool {
        matches!(
            self,
            Self::Redeem { .. }
                | Self::Transfer { .. }
                | Self::Hold { .. }
                | Self::Increase { .. }
                | Self::Withdraw { .. }
        )
    }

    /// The posting that it goes on from.
    pub fn original(&self) -> Option<Uuid> {
        match self {
            Self::Confirm { earning: id }
            | Self::Cancel { earning: id }
            | Self::Reverse { posting: id, .. }
            | Self::Capture { hold: id, .. }
            | Self::Void { hold: id }
            | Self::Increase { hold: id, .. }
            | Self::Prolong { hold: id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// The hash of what was asked: the same key with another fingerprint is another request. Version, 16 bytes over
/// everything, and three bytes over each of five parts, so that it can be said what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// The parts of a request that a fingerprint tells apart.
const PARTS: [&str; 5] = ["command", "member", "amount", "counterpart", "details"];

/// The parts in which two requests differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    parts: [bool; 5],
    /// What whoever asked calls the amount and the counterpart.
    words: Option<&'static [&'static str; 2]>,
}

impl Differences {
    /// Their names: of `command`, `member`, `amount`, `counterpart`, `details`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        PARTS.into_iter().zip(self.parts).filter_map(|(part, differs)| differs.then_some(part))
    }

    /// The same, to be told in the words of what is asked now, where all its items have the same.
    pub fn in_words_of(self, request: &Request) -> Self {
        let mut words = request.items.iter().map(|it| it.command.words());
        let first = words.next();
        Self { words: first.filter(|first| words.all(|it| it == *first)), ..self }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [amount, counterpart] = *self.words.unwrap_or(&["amount", "other side"]);
        let words =
            ["kind or unit or priority", "member", amount, counterpart, "reference or reason or description"];
        let differing =
            words.into_iter().zip(self.parts).filter_map(|(word, differs)| differs.then_some(word));
        f.write_str(&differing.collect::<Vec<_>>().join(", "))
    }
}

impl Fingerprint {
    /// Of a request whose member was erased. No request has it: its version is 0.
    pub const ERASED: Self = Self([0; 32]);

    /// Whether it is of this request. One that was erased may be of any: that it was answered is all that is known.
    pub fn is_of(&self, asked: &Self) -> bool {
        self == asked || *self == Self::ERASED
    }

    /// The parts in which two requests differ; all of them, where one was taken in another version.
    pub fn differences(&self, other: &Self) -> Differences {
        let part = |it: &Self, at: usize| [it.0[17 + 3 * at], it.0[18 + 3 * at], it.0[19 + 3 * at]];
        let differs = |at| self.0[0] != other.0[0] || part(self, at) != part(other, at);
        Differences { parts: std::array::from_fn(differs), words: None }
    }
}

/// What of an item a fingerprint covers: the canonical bytes of each part.
struct Canonical<'a> {
    name: &'a str,
    member: Vec<u8>,
    amount: Vec<u8>,
    counterpart: Vec<u8>,
}

impl Request {
    /// A request of one item in the program's points.
    pub fn one(program: i16, source: String, key: String, item: Item) -> Self {
        Self {
            program,
            unit: 1,
            source,
            key,
            items: vec![item],
            expected_version: None,
            dry_run: false,
            hurried: false,
            screening: Screening::Allow,
        }
    }

    /// The fingerprint of the canonical request, version 2. It covers what the caller wishes and nothing else: not the
    /// key, the posting's id, the bytes in which the request arrived, or the rate that we add to it.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts: [Sha256; 5] = Default::default();
        parts[0].update(self.unit.to_be_bytes());
        for item in &self.items {
            let canonical = item.command.canonical();
            let details = Details { rate: None, actor: None, ..item.details.clone() }.encode();
            let bytes: [&[u8]; 5] = [
                canonical.name.as_bytes(),
                &canonical.member,
                &canonical.amount,
                &canonical.counterpart,
                &details,
            ];
            for (part, bytes) in parts.iter_mut().zip(bytes) {
                part.update((bytes.len() as u64).to_be_bytes());
                part.update(bytes);
            }
        }
        // Shorter than any item, so no list of items has these bytes. Of whoever is in no hurry nothing is said, as before.
        if self.hurried {
            parts[0].update([1]);
        }
        let mut fingerprint = [2; 32];
        let mut whole = Sha256::new();
        for (at, part) in parts.into_iter().enumerate() {
            let hash = part.finalize();
            whole.update(hash);
            fingerprint[17 + 3 * at..20 + 3 * at].copy_from_slice(&hash[..3]);
        }
        fingerprint[1..17].copy_from_slice(&whole.finalize()[..16]);
        Fingerprint(fingerprint)
    }
}

impl Command {
    /// Its name, as a fingerprint and an operator's list know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Earn { .. } => "earn",
            Self::Confirm { .. } => "confirm",
            Self::Cancel { .. } => "cancel",
            Self::Redeem { up_to: false, .. } => "redeem",
            Self::Redeem { up_to: true, .. } => "redeem_up_to",
            Self::Transfer { .. } => "transfer",
            Self::Adjust { .. } => "adjust",
            Self::Reverse { .. } => "reverse",
            Self::Hold { .. } => "hold",
            Self::Capture { .. } => "capture",
            Self::Void { .. } => "void",
            Self::Increase { .. } => "increase",
            Self::Prolong { .. } => "prolong",
            Self::Extend { .. } => "extend",
            Self::Merge { .. } => "merge",
            Self::SetStatus { .. } => "set_status",
            Self::Withdraw { .. } => "withdraw",
            Self::Deposit { .. } => "deposit",
            Self::ExpireOnChain { .. } => "expire_on_chain",
            Self::Import { .. } => "import",
            Self::Budget { .. } => "budget",
            Self::Settle { .. } => "settle",
        }
    }

    /// What whoever asks calls the amount of it and its counterpart; where it has none, these words are never told.
    fn words(&self) -> &'static [&'static str; 2] {
        match self {
            Self::Earn { .. } => &["amount", "event or fund or maturity"],
            Self::Confirm { .. } | Self::Cancel { .. } => &["amount", "earning"],
            Self::Redeem { .. } => &["points", "partner"],
            Self::Transfer { .. } | Self::Merge { .. } => &["points", "receiver"],
            Self::Adjust { .. } => &["change", "approver or effective_at"],
            Self::Reverse { .. } => &["points", "transaction"],
            Self::Hold { .. } => &["points or seconds", "partner"],
            Self::Capture { .. } => &["points or what becomes of the rest", "hold"],
            Self::Void { .. } | Self::Increase { .. } => &["points", "hold"],
            Self::Prolong { .. } => &["seconds", "hold"],
            Self::Extend { .. } => &["days", "other side"],
            Self::SetStatus { .. } => &["status", "other side"],
            Self::Withdraw { .. } => &["points", "chain or gateway or holder"],
            Self::Deposit { .. } | Self::ExpireOnChain { .. } => &["points", "other side"],
            Self::Import { .. } => &["points or days", "effective_at"],
            Self::Budget { .. } => &["change", "fund"],
            Self::Settle { .. } => &["amount", "account"],
        }
    }

    fn canonical(&self) -> Canonical<'_> {
        let points = |it: &Points| it.get().to_be_bytes().to_vec();
        let whole = |it: &Option<Points>| it.as_ref().map_or(vec![], points);
        let text = |it: &Option<String>| it.as_ref().map_or(vec![], |it| it.as_bytes().to_vec());
        let time = |it: &Option<i64>| it.map_or(vec![], |it| it.to_be_bytes().to_vec());
        let day = |it: &Day| it.number().to_be_bytes();
        let (member, amount, counterpart) = match self {
            Self::Earn { event, maturity, fund, .. } => {
                // An event asks for neither; an operator may.
                let matures = match maturity {
                    Maturity::Now => vec![],
                    Maturity::At(us) => [&[1_u8][..], &us.to_be_bytes()[..]].concat(),
                    Maturity::OnConfirmation => vec![2],
                };
                let fund = fund.as_ref().map_or(vec![], |it| [&[3_u8][..], it.as_bytes()].concat());
                (vec![], vec![], [&event.digest()[..], &matures[..], &fund[..]].concat())
            }
            Self::Confirm { earning } | Self::Cancel { earning } => {
                (vec![], vec![], earning.as_bytes().to_vec())
            }
            Self::Redeem { member, points: it, partner, .. } => (member.bytes(), points(it), text(partner)),
            Self::Transfer { from, to, points: it } => (from.bytes(), points(it), to.bytes()),
            Self::Adjust { member, change, approver, effective_at_us } => {
                let counterpart = [text(approver), vec![0], time(effective_at_us)].concat();
                (member.bytes(), change.to_be_bytes().to_vec(), counterpart)
            }
            Self::Reverse { posting, points: it } => (vec![], whole(it), posting.as_bytes().to_vec()),
            Self::Hold { member, points: it, partner, seconds } => {
                let seconds = seconds.map_or(vec![], |it| it.to_be_bytes().to_vec());
                (member.bytes(), [points(it), seconds].concat(), text(partner))
            }
            Self::Capture { hold, points: it, keep_rest } => {
                (vec![], [whole(it), vec![u8::from(*keep_rest)]].concat(), hold.as_bytes().to_vec())
            }
            Self::Void { hold } => (vec![], vec![], hold.as_bytes().to_vec()),
            Self::Increase { hold, points: it } => (vec![], points(it), hold.as_bytes().to_vec()),
            Self::Prolong { hold, seconds } => {
                (vec![], seconds.to_be_bytes().to_vec(), hold.as_bytes().to_vec())
            }
            Self::Extend { member, through, last_day } => {
                (member.bytes(), [day(through), day(last_day)].concat(), vec![])
            }
            Self::Merge { from, to } => (from.bytes(), vec![], to.bytes()),
            Self::SetStatus { member, status } => (member.bytes(), vec![*status as u8], vec![]),
            // The withdrawal's id is random and ours, as a posting's is. Its claim-before is read off the clock at each try.
            Self::Withdraw { member, points: it, destination } => {
                let chain_id = destination.chain_id.to_be_bytes();
                let counterpart = [&chain_id[..], &destination.gateway, &destination.holder].concat();
                (member.bytes(), points(it), counterpart)
            }
            Self::Deposit { member, amounts } => {
                let each = amounts.iter().flat_map(|it| [day(&it.0).to_vec(), points(&it.1)].concat());
                (member.bytes(), each.collect(), vec![])
            }
            Self::ExpireOnChain { points: it } => (vec![], points(it), vec![]),
            Self::Import { member, lots, effective_at_us } => {
                let each = lots
                    .iter()
                    .flat_map(|it| [day(&it.0).to_vec(), day(&it.1).to_vec(), points(&it.2)].concat());
                (member.bytes(), each.collect(), time(effective_at_us))
            }
            Self::Budget { fund, change } => {
                (vec![], change.to_be_bytes().to_vec(), fund.as_bytes().to_vec())
            }
            Self::Settle { account } => (vec![], vec![], account.as_bytes().to_vec()),
        };
        Canonical { name: self.name(), member, amount, counterpart }
    }
}
