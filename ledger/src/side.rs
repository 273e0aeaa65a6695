//! One account's side of a posting while it is put together: the change of its balances, and of its lots with them.

use std::collections::BTreeMap;

use proof::{Balances, LotMovement, PostingKind};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::{Account, AccountKind, Due, Lot, Parts, ReservationKind, in_lots, sum, total};
use crate::day::Moment;
use crate::policy::Terms;

/// One account's side of a posting.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) account: Uuid,
    pub(crate) change: Balances,
    lots: BTreeMap<Lot, Balances>,
    /// What the account would lack of zero: what comes in pays it off before it is in any lot.
    debt: i64,
}

impl Side {
    /// A member's side in which nothing changes yet.
    pub(crate) fn of(account: &Account) -> Self {
        let debt = (-account.balances.available).max(0);
        Self { account: account.id, change: Balances::default(), lots: BTreeMap::new(), debt }
    }

    /// A house account's side: it has no lots.
    pub(crate) fn house(account: Uuid, points: i64) -> Self {
        let change = Balances { available: points, held: 0, pending: 0 };
        Self { account, change, lots: BTreeMap::new(), debt: 0 }
    }

    /// These parts become available; first they pay off what the account lacks.
    pub(crate) fn give(mut self, parts: &Parts) -> Self {
        for (lot, points) in parts {
            let paid_off = self.debt.min(*points);
            self.debt -= paid_off;
            self.change.available += points;
            self.lots.entry(*lot).or_default().available += points - paid_off;
        }
        self
    }

    /// These parts are available no more.
    pub(crate) fn take(mut self, parts: &Parts) -> Self {
        for (lot, points) in parts {
            self.change.available -= points;
            self.lots.entry(*lot).or_default().available -= points;
        }
        self
    }

    /// So much is taken beyond what there is: it is in no lot.
    pub(crate) fn owe(mut self, points: i64) -> Self {
        self.change.available -= points;
        self
    }

    /// These parts are set aside.
    pub(crate) fn set_aside(mut self, kind: ReservationKind, parts: &Parts) -> Self {
        self.reserve(kind, parts, 1);
        self
    }

    /// These parts are set aside no more.
    pub(crate) fn release(mut self, kind: ReservationKind, parts: &Parts) -> Self {
        self.reserve(kind, parts, -1);
        self
    }

    fn reserve(&mut self, kind: ReservationKind, parts: &Parts, sign: i64) {
        let field = |balances: &mut Balances, points: i64| match kind {
            ReservationKind::Hold => balances.held += points,
            ReservationKind::Pending => balances.pending += points,
        };
        for (lot, points) in parts {
            field(&mut self.change, sign * points);
            field(self.lots.entry(*lot).or_default(), sign * points);
        }
    }

    /// What it does to the account's lots, in ascending order of id.
    pub(crate) fn movements(&self) -> Vec<LotMovement> {
        let moved = self.lots.iter().filter(|(_, change)| **change != Balances::default());
        let movement = |(lot, change): (&Lot, &Balances)| LotMovement {
            lot: lot.id(),
            change: *change,
            last_spendable_day: lot.last_day.number(),
            earned_day: lot.earned_day.number(),
        };
        moved.map(movement).collect()
    }
}

impl Account {
    /// Ends what has fallen due: the kind of its posting, and the member's side of it.
    pub(crate) fn settle(&mut self, due: &Due) -> (PostingKind, Side) {
        match due {
            Due::Mature(id) => (PostingKind::MATURE, self.free(*id)),
            Due::Lapse(id) => (PostingKind::LAPSE, self.free(*id)),
            Due::Expire(parts) => (PostingKind::EXPIRE, Side::of(self).take(parts)),
        }
    }

    /// Ends a reservation: all that is left of it becomes available.
    pub(crate) fn free(&mut self, id: Uuid) -> Side {
        let reservation = self.reservations.remove(&id).expect("what is freed was reserved");
        let parts: Parts = reservation.parts.into_iter().collect();
        Side::of(self).release(reservation.kind, &parts).give(&parts)
    }

    /// The account as it is once what is due has been posted: what a reader is shown, and what a decision would find.
    #[must_use]
    pub fn when_due(&self, terms: &Terms, now: Moment) -> Self {
        let mut account = self.clone();
        while let Some(due) = account.due(terms, now) {
            let (_, side) = account.settle(&due);
            account.apply(side.change, &side.movements());
        }
        account
    }

    /// The balances after a change; the room that there was for it, where it is larger than that. What is available, held
    /// and pending is bounded as one, so that what moves from one to another always finds room.
    pub(crate) fn after(&self, change: Balances) -> Result<Balances, i64> {
        let max = i128::from(self.kind.balance_max());
        let (points, available) = (i128::from(total(&change)), i128::from(self.balances.available));
        let up = match self.kind {
            AccountKind::Member => max - i128::from(in_lots(&self.balances)),
            _ => max - available,
        };
        let down = max + available;
        let room = if 0 < points { up } else { down };
        if points.abs() <= room { Ok(sum(self.balances, change)) } else { Err(room.max(0) as i64) }
    }

    /// The id of the next posting that falls due on the account.
    pub(crate) fn due_id(&self) -> Uuid {
        due_id(self.id, self.sequence + 1)
    }
}

/// The id of a posting that fell due on an account, as the entry of this number. It follows from the two, so that nobody
/// has to choose it.
pub fn due_id(account: Uuid, sequence: u64) -> Uuid {
    let hash = Sha256::new()
        .chain_update(b"daftari/v1/due")
        .chain_update(account.as_bytes())
        .chain_update(sequence.to_be_bytes())
        .finalize();
    uuid::Builder::from_custom_bytes(hash[..16].try_into().expect("a hash has 32 bytes")).into_uuid()
}
