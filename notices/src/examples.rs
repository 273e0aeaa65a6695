//! A posting of each kind as it might be, for the documents: what they show is what the code makes of it.

use ledger::AccountKind;
use proof::{Balances, PostingKind};
use store::{Fed, FedEntry};
use uuid::{Uuid, uuid};

use crate::notice::{Notice, Reader};

/// 2026-01-15T10:00:00.123456Z.
pub(crate) const RECORDED_AT_US: i64 = 1_768_471_200_123_456;
pub(crate) const POSTING: Uuid = uuid!("01a1fc36-4300-73ca-bbe9-abe3bc0850d4");
const BEFORE: Uuid = uuid!("01a1fc35-9e00-7b1f-8a55-20c6a7f3d911");
const MEMBER: Uuid = uuid!("550e8400-e29b-41d4-a716-446655440000");
const PARTNER: &str = "duka";

/// What a posting of this kind tells the partner who asked for it; where no partner is told of such, the operator.
pub(crate) fn told_to_a_partner(kind: PostingKind) -> Notice {
    let posting = posting(kind);
    let told = Notice::of(&posting, &Reader::Partner(PARTNER.to_owned()));
    told.or_else(|| Notice::of(&posting, &Reader::Operator)).expect("an operator is told of everything")
}

/// What it tells the member; where no member is told of such, the operator.
pub(crate) fn told_to_a_member(kind: PostingKind) -> Notice {
    let posting = posting(kind);
    let told = Notice::of(&posting, &Reader::Member(MEMBER, 1));
    told.or_else(|| Notice::of(&posting, &Reader::Operator)).expect("an operator is told of everything")
}

fn posting(kind: PostingKind) -> Fed {
    let follows = [
        PostingKind::CAPTURE,
        PostingKind::VOID,
        PostingKind::LAPSE,
        PostingKind::MATURE,
        PostingKind::CANCEL,
        PostingKind::EXTEND,
        PostingKind::INCREASE,
    ];
    let by_the_house = [PostingKind::EXPIRE, PostingKind::MERGE, PostingKind::IMPORT, PostingKind::ACT];
    let is_spent = [PostingKind::REDEEM, PostingKind::CAPTURE].contains(&kind);
    Fed {
        leaf_index: 977,
        posting_id: POSTING,
        kind,
        recorded_at_us: RECORDED_AT_US,
        effective_at_us: RECORDED_AT_US,
        reverses: (kind == PostingKind::REVERSE).then_some(BEFORE),
        follows: follows.contains(&kind).then_some(BEFORE),
        merchant_reference: is_spent.then(|| "order-981".to_owned()),
        reason: (kind == PostingKind::ADJUST).then(|| "a receipt was lost".to_owned()),
        description: is_spent.then(|| "Kahawa".to_owned()),
        rate: is_spent.then(|| "0.10 KES".to_owned()),
        partner_id: (!by_the_house.contains(&kind)).then(|| PARTNER.to_owned()),
        entries: entries(kind),
    }
}

fn entries(kind: PostingKind) -> Vec<FedEntry> {
    let [available, held, pending] = match kind {
        PostingKind::ACT => return vec![],
        PostingKind::EARN | PostingKind::REVERSE | PostingKind::ADJUST => [100, 0, 0],
        PostingKind::DEPOSIT | PostingKind::IMPORT | PostingKind::MERGE => [100, 0, 0],
        PostingKind::HOLD | PostingKind::INCREASE => [-100, 100, 0],
        PostingKind::VOID | PostingKind::LAPSE => [100, -100, 0],
        PostingKind::CAPTURE => [0, -100, 0],
        PostingKind::MATURE => [100, 0, -100],
        PostingKind::CANCEL => [0, 0, -100],
        PostingKind::EXTEND => [0, 0, 0],
        _ => [-100, 0, 0],
    };
    let mut entries = vec![FedEntry {
        account: uuid!("0c4e7a61-52f5-4f0e-9d0b-6f3d8f1b2a77"),
        kind: AccountKind::Member,
        member_id: Some(MEMBER),
        partner_id: None,
        unit: 1,
        version: 42,
        change: Balances { available, held, pending },
        after: Balances { available: 150, held: 100, pending: 0 },
    }];
    if [PostingKind::REDEEM, PostingKind::CAPTURE].contains(&kind) {
        entries.push(FedEntry {
            account: uuid!("7be2f7a4-0f2a-4c6b-8d1e-9b6a3c5d4e21"),
            kind: AccountKind::Settlement,
            member_id: None,
            partner_id: Some(PARTNER.to_owned()),
            unit: 1,
            version: 311,
            change: Balances { available: 100, held: 0, pending: 0 },
            after: Balances { available: 48_200, held: 0, pending: 0 },
        });
    }
    entries
}
