//! A decision while it is made: the desk at which a request's items are worked through. What each command does stands
//! in a file of its own subject.

use proof::{Balances, PostingKind};
use uuid::Uuid;

use crate::account::{
    Account, AccountKind, Flow, LOTS_MAX, Lot, Parts, Reservation, ReservationKind, Status, total,
};
use crate::books::{Books, Done, Original, Refused, item_count_is_right};
use crate::day::Moment;
use crate::points::{HOUSE_LIMIT, MEMBER_LIMIT};
use crate::policy::{Gateway, Limit, Terms};
use crate::posting::{Entry, Posting};
use crate::refusal::Refusal;
use crate::request::{Command, Destination, House, Item, MemberRef, Name, Request, Screening};
use crate::side::Side;

/// An event's time may be this far ahead of ours, for clocks that are not quite right: five minutes.
pub(crate) const AHEAD_US_MAX: i64 = 5 * 60 * 1_000_000;

/// Where a request is decided.
pub(crate) struct Desk<'a> {
    pub(crate) books: &'a mut Books,
    pub(crate) terms: &'a Terms,
    pub(crate) now: Moment,
    pub(crate) postings: Vec<Posting>,
    request: &'a Request,
    item: usize,
}

/// What an item comes to, once its posting stands on the desk.
pub(crate) type Decided = Result<Done, Refusal>;

impl<'a> Desk<'a> {
    pub(crate) fn new(books: &'a mut Books, request: &'a Request, terms: &'a Terms, now: Moment) -> Self {
        Self { books, terms, now, postings: Vec::new(), request, item: 0 }
    }

    /// Posts what has fallen due on an account. It never fails: whoever decides would end by it, and again after a restart.
    pub(crate) fn post_due(&mut self, account: Uuid) {
        while let Some(due) = self.books.account(account).due(self.terms, self.now) {
            let id = self.books.account(account).due_id();
            let (kind, side) = self.books.change(account).settle(&due);
            let taken = -side.change.available;
            let mut sides = vec![side];
            if kind == PostingKind::EXPIRE {
                sides.push(Side::house(self.breakage(account), taken));
            }
            let posted = self.post(kind, id, sides);
            // Breakage may be full: every fund and the bridge can give as much as issuance. Then what has ended stays in its account,
            // and is not spent either, unless an idle member begins anew.
            if kind == PostingKind::EXPIRE && posted.is_err() {
                return;
            }
            posted.expect("what moves from one part of a balance to another always finds room");
            self.last().item = None;
            self.last().follows = due.reservation();
        }
    }

    /// Works through the items, until one is refused.
    pub(crate) fn items(&mut self) -> Result<Vec<Done>, Refused> {
        let refused = |item: usize, refusal| Refused { item: item as u16, refusal };
        if !item_count_is_right(self.request) {
            return Err(refused(0, Refusal::ItemCount));
        }
        let mut done = Vec::with_capacity(self.request.items.len());
        for (at, item) in self.request.items.iter().enumerate() {
            self.item = at;
            if at == 0 {
                self.check_version(item).map_err(|refusal| refused(at, refusal))?;
            }
            done.push(self.decide(item).map_err(|refusal| refused(at, refusal))?);
        }
        Ok(done)
    }

    fn decide(&mut self, item: &Item) -> Decided {
        self.screen(&item.command)?;
        match &item.command {
            Command::Earn { points, event, maturity, fund, .. } => {
                self.earn(item, *points, event, *maturity, fund)
            }
            Command::Confirm { earning } => self.confirm(item, *earning),
            Command::Cancel { earning } => self.cancel(item, *earning),
            Command::Import { member, lots, effective_at_us } => {
                self.import(item, member, lots, *effective_at_us)
            }
            Command::Deposit { member, amounts } => self.deposit(item, member, amounts),
            Command::ExpireOnChain { points } => self.expire_on_chain(item, *points),
            Command::Redeem { member, points, partner, up_to } => {
                self.redeem(item, member, *points, partner.as_deref(), *up_to)
            }
            Command::Transfer { from, to, points } => self.transfer(item, from, to, *points),
            Command::Withdraw { member, points, destination } => {
                self.withdraw(item, member, *points, destination)
            }
            Command::Hold { member, points, partner, seconds } => {
                self.hold(item, member, *points, partner.as_deref(), *seconds)
            }
            Command::Capture { hold, points, keep_rest } => self.capture(item, *hold, *points, *keep_rest),
            Command::Void { hold } => self.void(item, *hold),
            Command::Increase { hold, points } => self.increase(item, *hold, *points),
            Command::Prolong { hold, seconds } => self.prolong(item, *hold, *seconds),
            Command::Reverse { posting, points } => self.reverse(item, *posting, *points),
            Command::Adjust { member, change, approver, effective_at_us } => {
                self.adjust(item, member, *change, approver.as_deref(), *effective_at_us)
            }
            Command::Extend { member, through, last_day } => self.extend(item, member, *through, *last_day),
            Command::Merge { from, to } => self.merge(item, from, to),
            Command::SetStatus { member, status } => self.set_status(item, member, *status),
            Command::Budget { fund, change } => self.budget(item, fund, *change),
            // What is due was posted before, and that is all.
            Command::Settle { account } if self.books.is_known(*account) => {
                Ok(Done { posting: self.postings.len(), points: 0, account: *account })
            }
            Command::Settle { .. } => Err(Refusal::MemberUnknown),
        }
    }

    /// Every spend passes here. A redemption that somebody must look at goes on, to be held.
    fn screen(&self, command: &Command) -> Result<(), Refusal> {
        match self.request.screening {
            Screening::Deny if command.is_spend() => Err(Refusal::ScreenDenied),
            Screening::Review if command.is_spend() && !matches!(command, Command::Redeem { .. }) => {
                Err(Refusal::ScreenReview)
            }
            _ => Ok(()),
        }
    }

    /// Whether a redemption is held until somebody has looked at it.
    pub(crate) fn is_reviewed(&self) -> bool {
        self.request.screening == Screening::Review
    }

    fn check_version(&self, item: &Item) -> Result<(), Refusal> {
        let Some(expected) = self.request.expected_version else { return Ok(()) };
        let account = match (item.command.names().first(), item.command.original()) {
            (Some(name), _) => self.named(name)?,
            (None, Some(original)) => self.original(original)?.member,
            (None, None) => return Ok(()),
        };
        let version = self.books.account(account).sequence;
        if version == expected { Ok(()) } else { Err(Refusal::VersionMismatch { version }) }
    }

    /// A member's account, if they take part.
    pub(crate) fn member(&self, member: &MemberRef) -> Result<&Account, Refusal> {
        let account = self.anyone(member)?;
        if account.status == Status::Closed { Err(Refusal::MemberClosed) } else { Ok(account) }
    }

    /// A member's account, also where they take part no more.
    pub(crate) fn anyone(&self, member: &MemberRef) -> Result<&Account, Refusal> {
        Ok(self.books.account(self.named(&Name::Member(member.clone()))?))
    }

    /// A member's account, if they may spend.
    pub(crate) fn spender(&self, member: &MemberRef) -> Result<&Account, Refusal> {
        let account = self.member(member)?;
        if account.status == Status::Suspended { Err(Refusal::MemberSuspended) } else { Ok(account) }
    }

    pub(crate) fn house(&self, house: House) -> Result<&Account, Refusal> {
        Ok(self.books.account(self.named(&Name::House(house))?))
    }

    /// Where the account's expired points go: breakage of the same unit.
    fn breakage(&self, account: Uuid) -> Uuid {
        let unit = self.books.account(account).unit;
        let breakage = self.books.named(self.request.program, unit, &Name::House(House::Breakage));
        breakage.expect("a program's own accounts are brought in")
    }

    fn named(&self, name: &Name) -> Result<Uuid, Refusal> {
        let unknown = || match name {
            Name::Member(_) => Refusal::MemberUnknown,
            Name::House(House::Fund(_)) => Refusal::FundUnknown,
            Name::House(_) => Refusal::PartnerUnknown,
        };
        self.books.named(self.request.program, self.request.unit, name).ok_or_else(unknown)
    }

    /// The posting that a command goes on from: one of the request's program and unit.
    pub(crate) fn original(&self, id: Uuid) -> Result<&Original, Refusal> {
        let original = self.books.original(self.request.program, id);
        let of_unit = |it: &&Original| self.books.account(it.member).unit == self.request.unit;
        original.filter(of_unit).ok_or(Refusal::PostingUnknown)
    }

    /// The open reservation of a posting, with the member's account; the refusal where there is none any more.
    pub(crate) fn reserved(
        &self,
        id: Uuid,
        kind: ReservationKind,
    ) -> Result<(&Account, &Reservation), Refusal> {
        let (posting, over) = match kind {
            ReservationKind::Hold => (PostingKind::HOLD, Refusal::HoldOver),
            ReservationKind::Pending => (PostingKind::EARN, Refusal::PendingOver),
        };
        let original = self.original(id)?;
        if original.kind != posting {
            return Err(Refusal::WrongKind);
        }
        let account = self.books.account(original.member);
        account.reservations.get(&id).map(|it| (account, it)).ok_or(over)
    }

    /// The gateway of the request's program and unit through which a withdrawal goes.
    pub(crate) fn gateway(&self, destination: &Destination) -> Result<Gateway, Refusal> {
        let gateway = self.terms.gateways.get(&(destination.chain_id, destination.gateway));
        gateway.copied().filter(|it| it.unit == self.request.unit).ok_or(Refusal::GatewayUnknown)
    }

    /// Checks an amount against the limits of its flow. The merchant's day counts where there is a merchant.
    pub(crate) fn check_limits(
        &self,
        flow: Flow,
        points: i64,
        member: &Account,
        house: Option<&Account>,
    ) -> Result<(), Refusal> {
        let merchant =
            house.filter(|it| it.kind == AccountKind::Settlement).map(|it| it.used.on(self.now.day));
        let used = member.used.on(self.now.day);
        match self.terms.limits(flow).passed(flow, points, &used, merchant.as_ref()) {
            Some((limit, left)) => Err(Refusal::LimitExceeded { limit, left, required: points }),
            None => Ok(()),
        }
    }

    /// Counts an amount against the limits of its flow. They count what was begun: a void, a lapse, a cancellation or a reversal
    /// gives nothing back, and a capture counts nothing.
    pub(crate) fn count(&mut self, flow: Flow, points: i64, accounts: &[Uuid]) {
        let day = self.now.day;
        for id in accounts {
            let account = self.books.change(*id);
            account.used = account.used.on(day);
            account.used.add(flow, points);
        }
    }

    /// Takes the day as one on which the member was active.
    pub(crate) fn was_active(&mut self, member: Uuid) {
        self.books.change(member).active_day = self.now.day;
    }

    /// Puts a posting on the desk and takes it into the books, unless a balance would be beyond what it can be.
    pub(crate) fn post(&mut self, kind: PostingKind, id: Uuid, sides: Vec<Side>) -> Result<(), Refusal> {
        let mut entries = Vec::with_capacity(sides.len());
        for side in &sides {
            let account = self.books.account(side.account);
            let required = total(&side.change).abs();
            let after = account.after(side.change).map_err(|left| Refusal::LimitExceeded {
                limit: Limit::Balance,
                left,
                required,
            })?;
            let (unit, sequence) = (account.unit, account.sequence + 1);
            let lots = side.movements();
            if LOTS_MAX < lots.len() {
                return Err(Refusal::AmountOutOfRange);
            }
            entries.push(Entry { account: side.account, unit, sequence, change: side.change, after, lots });
        }
        let mut posting = Posting::new(kind, id, entries).expect("its sides were made to balance");
        posting.effective_at_us = self.now.us;
        posting.item = Some(self.item);
        for entry in posting.entries() {
            self.books.change(entry.account).apply(entry.change, &entry.lots);
        }
        for side in &sides {
            self.wake(side.account, side.change);
        }
        self.postings.push(posting);
        Ok(())
    }

    /// Who begins anew with what they are given: else it would expire at once.
    fn wake(&mut self, account: Uuid, change: Balances) {
        let member = self.books.account(account);
        let given = 0 < total(&change) && member.kind == AccountKind::Member;
        if given && member.begins_anew(self.terms, self.now.day) {
            self.was_active(account);
        }
    }

    /// What came of the item whose posting was put on the desk last.
    pub(crate) fn done(&self, points: i64, account: Uuid) -> Done {
        Done { posting: self.postings.len() - 1, points, account }
    }

    /// Counts so much of a posting as undone.
    pub(crate) fn undone(&mut self, posting: Uuid, points: i64) {
        self.books.change_original(self.request.program, posting).reversed += points;
    }

    pub(crate) fn last(&mut self) -> &mut Posting {
        self.postings.last_mut().expect("it was just posted")
    }

    /// Where points that are earned or given now belong.
    pub(crate) fn lot_of_today(&self, fund: u32) -> Lot {
        Lot { last_day: self.terms.last_day(self.now.day), earned_day: self.now.day, fund }
    }

    /// The instant from which a posting counts: the one that was asked for, if its period is still open.
    pub(crate) fn effective(&self, asked_us: Option<i64>) -> Result<i64, Refusal> {
        match asked_us {
            Some(us) if self.now.us.saturating_add(AHEAD_US_MAX) < us => Err(Refusal::InFuture),
            // The books' dates begin with 1970: before it, every period is closed.
            Some(us) if us < self.terms.closed_before_us.max(0) => Err(Refusal::PeriodClosed),
            Some(us) => Ok(us.min(self.now.us)),
            None => Ok(self.now.us),
        }
    }
}

/// The sum of parts, if there is one that a posting can carry.
pub(crate) fn amount(parts: &Parts) -> Result<i64, Refusal> {
    let sum = parts.iter().try_fold(0_i64, |sum, (_, points)| sum.checked_add(*points));
    sum.filter(|it| (1..=MEMBER_LIMIT).contains(it)).ok_or(Refusal::AmountOutOfRange)
}

/// A change that an operator asks for, if it is one.
pub(crate) fn change_in_range(change: i64) -> Result<(), Refusal> {
    let range = 1..=HOUSE_LIMIT.unsigned_abs();
    if range.contains(&change.unsigned_abs()) { Ok(()) } else { Err(Refusal::AmountOutOfRange) }
}
