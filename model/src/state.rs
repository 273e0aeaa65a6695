//! What there is: members with their pieces of points, and house accounts with a number.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Day, Flow, Fund, Lot, Reservation, ReservationKind, Status};
use proof::{Balances, Hash, PostingKind};
use uuid::Uuid;

/// Some points of one lot, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub lot: Lot,
    pub place: Place,
    pub points: i64,
}

/// Where points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// They can be spent.
    Free,
    /// In this hold.
    Held(Uuid),
    /// In this earning, which has not matured.
    Pending(Uuid),
}

/// A hold or a pending earning, besides its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub place: Place,
    pub house: Uuid,
    pub due_us: Option<i64>,
    pub due_us_max: i64,
}

/// How much flowed each way on each day.
pub(crate) type Flows = BTreeMap<(u8, Day), i64>;

/// A member's account.
#[derive(Clone, Debug)]
pub struct Member {
    pub unit: u16,
    pub version: u64,
    pub status: Status,
    pub active_day: Day,
    pub debt: i64,
    pub pieces: Vec<Piece>,
    pub set_aside: Vec<SetAside>,
    /// By posting, what was withdrawn under which id, less what came back.
    pub(crate) withdrawn: BTreeMap<Uuid, (Hash, i64)>,
    pub(crate) flows: Flows,
}

/// A house account.
#[derive(Clone, Debug)]
pub struct House {
    pub unit: u16,
    pub version: u64,
    pub points: i128,
    pub partner: Option<String>,
    pub fund: Option<Fund>,
    pub(crate) flows: Flows,
}

/// A posting that others may go on from.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) kind: PostingKind,
    pub(crate) member: Uuid,
    pub(crate) house: Option<Uuid>,
    /// What came to the member, or went from them where it is below zero.
    pub(crate) points: i64,
    /// From or to which lots. Of what was spent, what was given back is no more in it.
    pub(crate) parts: Vec<(Lot, i64)>,
    pub(crate) reversed: i64,
    /// Of a withdrawal, its id and when it can be claimed no more.
    pub(crate) withdrawal: Option<(Hash, u64)>,
}

/// What the chains show of withdrawals.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    /// The Unix second up to which all claims are known.
    pub known_until: u64,
    /// Which were paid.
    pub paid: BTreeSet<Hash>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) members: BTreeMap<Uuid, Member>,
    pub(crate) houses: BTreeMap<Uuid, House>,
    pub(crate) pasts: BTreeMap<(i16, Uuid), Past>,
}

impl Place {
    /// The posting that set the points aside.
    pub fn posting(self) -> Option<Uuid> {
        match self {
            Self::Free => None,
            Self::Held(posting) | Self::Pending(posting) => Some(posting),
        }
    }

    fn of(self, points: i64) -> Balances {
        match self {
            Self::Free => Balances { available: points, held: 0, pending: 0 },
            Self::Held(_) => Balances { available: 0, held: points, pending: 0 },
            Self::Pending(_) => Balances { available: 0, held: 0, pending: points },
        }
    }
}

impl Member {
    pub(crate) fn new(unit: u16) -> Self {
        Self {
            unit,
            version: 0,
            status: Status::Active,
            active_day: Day::default(),
            debt: 0,
            pieces: vec![],
            set_aside: vec![],
            withdrawn: BTreeMap::new(),
            flows: Flows::new(),
        }
    }

    /// What the pieces come to, less what is owed.
    pub fn balances(&self) -> Balances {
        let debt = Place::Free.of(-self.debt);
        self.pieces.iter().fold(debt, |sum, piece| plus(sum, piece.place.of(piece.points)))
    }

    /// What the pieces come to, by lot.
    pub fn lots(&self) -> BTreeMap<Lot, Balances> {
        let mut lots = BTreeMap::<Lot, Balances>::new();
        for piece in &self.pieces {
            let lot = lots.entry(piece.lot).or_default();
            *lot = plus(*lot, piece.place.of(piece.points));
        }
        lots
    }

    /// The open holds and pending earnings, as the ledger writes them.
    pub fn reservations(&self) -> BTreeMap<Uuid, Reservation> {
        let written = |it: &SetAside| {
            let (posting, kind) = match it.place {
                Place::Held(posting) => (posting, ReservationKind::Hold),
                Place::Pending(posting) => (posting, ReservationKind::Pending),
                Place::Free => unreachable!("what is free is not set aside"),
            };
            let parts = self.parts(it.place).into_iter().collect();
            let (house, due_us, due_us_max) = (it.house, it.due_us, it.due_us_max);
            (posting, Reservation { kind, house, due_us, due_us_max, parts })
        };
        self.set_aside.iter().map(written).collect()
    }

    /// How much flowed this way on the day, and in its month.
    pub fn flowed(&self, flow: Flow, day: Day) -> (i64, i64) {
        flowed(&self.flows, flow, day)
    }

    /// What is in a place, in the order of spending.
    pub(crate) fn parts(&self, place: Place) -> Vec<(Lot, i64)> {
        let mut parts: Vec<_> =
            self.pieces.iter().filter(|it| it.place == place).map(|it| (it.lot, it.points)).collect();
        parts.sort();
        parts
    }

    pub(crate) fn put(&mut self, lot: Lot, place: Place, points: i64) {
        match self.pieces.iter_mut().find(|it| it.lot == lot && it.place == place) {
            Some(piece) => piece.points += points,
            None => self.pieces.push(Piece { lot, place, points }),
        }
        assert!(self.pieces.iter().all(|it| 0 <= it.points), "a piece is below zero");
        self.pieces.retain(|it| it.points != 0);
    }

    /// Points come in: what is owed is paid first.
    pub(crate) fn give(&mut self, parts: &[(Lot, i64)]) {
        for (lot, points) in parts {
            let paid = self.debt.min(*points);
            self.debt -= paid;
            self.put(*lot, Place::Free, points - paid);
        }
    }

    pub(crate) fn take(&mut self, place: Place, parts: &[(Lot, i64)]) {
        for (lot, points) in parts {
            self.put(*lot, place, -points);
        }
    }

    /// All that is in a place becomes free.
    pub(crate) fn free(&mut self, place: Place) {
        let parts = self.parts(place);
        self.take(place, &parts);
        self.give(&parts);
        self.forget(place);
    }

    pub(crate) fn forget(&mut self, place: Place) {
        self.set_aside.retain(|it| it.place != place);
    }
}

impl House {
    pub(crate) fn new(unit: u16, partner: Option<String>, fund: Option<Fund>) -> Self {
        Self { unit, version: 0, points: 0, partner, fund, flows: Flows::new() }
    }

    /// How much flowed this way on the day, and in its month.
    pub fn flowed(&self, flow: Flow, day: Day) -> (i64, i64) {
        flowed(&self.flows, flow, day)
    }
}

fn flowed(flows: &Flows, flow: Flow, day: Day) -> (i64, i64) {
    let same = flows.iter().filter(|((way, at), _)| *way == flow as u8 && at.month() == day.month());
    let month = same.map(|(_, points)| points).sum();
    (flows.get(&(flow as u8, day)).copied().unwrap_or(0), month)
}

/// The first so many points of these parts; all of them, where they are fewer.
pub(crate) fn first(parts: Vec<(Lot, i64)>, points: i64) -> Vec<(Lot, i64)> {
    let mut rest = points;
    let mut taken = vec![];
    for (lot, part) in parts {
        let part = part.min(rest);
        rest -= part;
        if part != 0 {
            taken.push((lot, part));
        }
    }
    taken
}

pub(crate) fn points_of(parts: &[(Lot, i64)]) -> i64 {
    parts.iter().map(|it| it.1).sum()
}

pub(crate) fn plus(one: Balances, other: Balances) -> Balances {
    Balances {
        available: one.available + other.available,
        held: one.held + other.held,
        pending: one.pending + other.pending,
    }
}

pub(crate) fn minus(one: Balances, other: Balances) -> Balances {
    plus(one, Balances { available: -other.available, held: -other.held, pending: -other.pending })
}

pub(crate) fn total(it: &Balances) -> i64 {
    it.available + it.held + it.pending
}
