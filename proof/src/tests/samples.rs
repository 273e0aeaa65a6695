//! A small log of every kind of leaf, the same on every run, from which the golden vectors are made.

use crate::*;

pub(super) const ORIGIN: &str = "daftari.example/vectors";

pub(super) fn signer() -> Signer {
    Signer::new(ORIGIN, &[7; 32]).unwrap()
}

pub(super) fn log() -> Hash {
    log_id(ORIGIN, signer().verifier_key().public_key())
}

pub(super) const PROGRAM_SECRET: [u8; 32] = [0xa1; 32];
pub(super) const MEMBER: Id = [0x11; 16];
pub(super) const MEMBER_SECRET: [u8; 32] = [0xb2; 32];
pub(super) const ISSUANCE: Id = [0x01; 16];
pub(super) const ISSUANCE_SECRET: [u8; 32] = [0xc3; 32];
pub(super) const PARTNER: Id = [0x33; 16];
pub(super) const PARTNER_SECRET: [u8; 32] = [0xd4; 32];

const PROGRAM: Id = [0x22; 16];
const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 20_300 * DAY_US;

fn text(text: &str) -> Option<Text> {
    Some(Text::new(text).unwrap())
}

fn header(index: u64, posting_kind: PostingKind) -> Header {
    let mut posting_id = [0x40; 16];
    posting_id[15] = index as u8;
    Header {
        posting_id,
        posting_kind,
        program: PROGRAM,
        recorded_at_us: START_US + index as i64 * 1_000_003,
        effective_at_us: START_US + index as i64 * 1_000_000,
        rule_set_hash: Hash::default(),
        event_hash: Hash::default(),
        reverses: Id::default(),
    }
}

fn opened<T>(secret: &[u8; 32], header: &Header, part: SaltPart, value: T) -> Part<T> {
    Part::Opened { salt: salt(secret, &header.posting_id, part), value }
}

fn posting(header: Header, details: Details, entries: Vec<(Entry, [u8; 32])>) -> OpenedLeaf {
    OpenedLeaf {
        kind: LeafKind::Posting,
        log_id: log(),
        details: opened(&PROGRAM_SECRET, &header, SaltPart::Details, details),
        body: None,
        entries: entries
            .into_iter()
            .map(|(entry, secret)| opened(&secret, &header, SaltPart::Entry, entry))
            .collect(),
        hints: Vec::new(),
        header: opened(&PROGRAM_SECRET, &header, SaltPart::Header, header.clone()),
    }
}

fn available(available: i64) -> Balances {
    Balances { available, ..Balances::default() }
}

fn earn() -> OpenedLeaf {
    let mut header = header(0, PostingKind::EARN);
    header.rule_set_hash = rule_set_hash(br#"{"purchase":"0.1"}"#);
    let event_salt = salt(&PROGRAM_SECRET, &header.posting_id, SaltPart::Event);
    header.event_hash = event_hash(&event_salt, br#"{"user_id":"456","type":"purchase","amount":150}"#);
    let lot = LotMovement {
        lot: [0x55; 16],
        change: available(1500),
        last_spendable_day: 20_665,
        earned_day: 20_300,
    };
    let first = |account, amount, lots_digest| Entry {
        account,
        unit: 1,
        sequence: 1,
        change: available(amount),
        after: available(amount),
        lots_digest,
        previous_leaf_index: NO_LEAF,
        previous_commitment: Hash::default(),
    };
    posting(
        header,
        Details { reason: text("purchase"), ..Details::default() },
        vec![
            (first(ISSUANCE, -1500, Hash::default()), ISSUANCE_SECRET),
            (first(MEMBER, 1500, lots_digest(&LotMovement::encode_all(&[lot]))), MEMBER_SECRET),
        ],
    )
}

fn redeem(before: &OpenedLeaf) -> OpenedLeaf {
    let lots = [[0x55; 16], [0x56; 16]].map(|lot| LotMovement {
        lot,
        change: available(-200),
        last_spendable_day: i32::MAX,
        earned_day: 20_300,
    });
    let member = Entry {
        account: MEMBER,
        unit: 1,
        sequence: 2,
        change: available(-400),
        after: Balances { available: 1100, held: 25, pending: 7 },
        lots_digest: lots_digest(&LotMovement::encode_all(&lots)),
        previous_leaf_index: 0,
        previous_commitment: before.entries[1].commitment(),
    };
    let partner = Entry {
        account: PARTNER,
        unit: 1,
        sequence: 1,
        change: available(400),
        after: available(400),
        lots_digest: Hash::default(),
        previous_leaf_index: NO_LEAF,
        previous_commitment: Hash::default(),
    };
    posting(
        header(1, PostingKind::REDEEM),
        Details {
            merchant_reference: text("order-981"),
            actor: text("partner:duka"),
            reason: text("redeem"),
            description: text("Kahawa, 2 × 250 g"),
            rate: text("0.10 KES"),
        },
        vec![(member, MEMBER_SECRET), (partner, PARTNER_SECRET)],
    )
}

fn with_body(index: u64, body: Body) -> OpenedLeaf {
    let is_posting = body.kind().is_posting();
    let kind = if is_posting { PostingKind(10) } else { PostingKind::NONE };
    let mut leaf = posting(header(index, kind), Details::default(), Vec::new());
    let Part::Opened { value: header, .. } = &leaf.header else { unreachable!("a sample's header is open") };
    let salt = if Body::is_public(body.kind()) {
        Hash::default()
    } else {
        salt(&PROGRAM_SECRET, &header.posting_id, SaltPart::Body)
    };
    leaf.kind = body.kind();
    leaf.body = Some(Part::Opened { salt, value: body });
    leaf
}

/// One leaf of each kind, as leaves 0 to 7 of the log.
pub(super) fn leaves() -> Vec<OpenedLeaf> {
    let earn = earn();
    let redeem = redeem(&earn);
    let withdrawal = Withdrawal {
        chain_id: 137,
        gateway: [0x9a; 20],
        holder: [0x9b; 20],
        withdrawal_id: [0x9c; 32],
        claim_before: 1_786_000_000,
        amounts: vec![ExpiryAmount { day: 20_400, amount: 50 }, ExpiryAmount { day: i32::MAX, amount: 51 }],
    };
    let reason = Text::new("the standby was promoted while behind").unwrap();
    let lost = earn.leaf(0).encode();
    vec![
        earn,
        redeem,
        with_body(2, Body::Withdrawal(withdrawal)),
        with_body(3, Body::Map { log_size: 3, accounts: 3, root: [0x77; 32] }),
        with_body(4, Body::Key { retired: false, signature_type: 1, public_key: vec![0x88; 32] }),
        with_body(5, Body::Incident { first_leaf_index: 2, leaves: 1, reason }),
        with_body(6, Body::Orphan(lost)),
        with_body(7, Body::Succession { log_id: [0x66; 32], size: 9, root: [0x67; 32] }),
    ]
}

/// The receipt of a leaf in a log of these leaves, with every part open.
pub(super) fn receipt(leaves: &[OpenedLeaf], index: usize) -> Receipt {
    let hashes: Vec<Hash> =
        leaves.iter().enumerate().map(|(i, it)| leaf_hash(&it.leaf(i as u64).encode())).collect();
    let size = leaves.len() as u64;
    let path = inclusion_proof(index as u64, size, |node| Ok::<_, ()>(plain_node(&hashes, node))).unwrap();
    let root = plain_root(&hashes);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&signer()).encode();
    Receipt { leaf: leaves[index].clone(), leaf_index: index as u64, path, checkpoint }
}

/// RFC 6962's definition of the root, as plainly as it stands there.
pub(super) fn plain_root(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => empty_root(),
        1 => leaves[0],
        n => {
            let k = (1..).map(|i| 1 << i).take_while(|it| *it < n).last().unwrap_or(1);
            node_hash(&plain_root(&leaves[..k]), &plain_root(&leaves[k..]))
        }
    }
}

pub(super) fn plain_node(leaves: &[Hash], node: Node) -> Hash {
    let width = 1_usize << node.level;
    let first = node.index as usize * width;
    plain_root(&leaves[first..first + width])
}
