use crate::*;

const ACCOUNT: Id = [7; 16];

fn available(available: i64) -> Balances {
    Balances { available, ..Balances::default() }
}

/// Receipts of entries of these changes, at every third leaf, as they are after their own verification.
fn receipts(changes: &[i64]) -> Vec<Verified> {
    let mut receipts: Vec<Verified> = Vec::new();
    let mut after = 0;
    for (change, sequence) in changes.iter().zip(1..) {
        after += change;
        let before = receipts.last().map(|it| (it.leaf_index, it.leaf.entries[1].commitment()));
        let entry = Entry {
            account: ACCOUNT,
            unit: 1,
            sequence,
            change: available(*change),
            after: available(after),
            lots_digest: Hash::default(),
            previous_leaf_index: before.map_or(NO_LEAF, |it| it.0),
            previous_commitment: before.map_or(Hash::default(), |it| it.1),
        };
        let leaf_index = 3 * sequence;
        let leaf = OpenedLeaf {
            kind: LeafKind::Posting,
            log_id: [1; 32],
            header: Part::Closed([2; 32]),
            details: Part::Closed([3; 32]),
            body: None,
            entries: vec![Part::Closed([4; 32]), Part::Opened { salt: [5; 32], value: entry }],
            hints: Vec::new(),
        };
        let checkpoint = Checkpoint { origin: "log".to_owned(), size: 1000, root: [6; 32] };
        receipts.push(Verified { leaf, leaf_index, path: Vec::new(), checkpoint, witnesses: Vec::new() });
    }
    receipts
}

fn change(receipt: &mut Verified, change: impl FnOnce(&mut Entry)) {
    let Part::Opened { value, .. } = &mut receipt.leaf.entries[1] else { unreachable!("it is opened") };
    change(value);
}

fn map(receipts: &[Verified], sequence: usize, log_size: u64) -> (MapAccount, MapValue) {
    let receipt = &receipts[sequence - 1];
    let entry = receipt.leaf.entries[1].opened().unwrap();
    let value = MapValue {
        sequence: entry.sequence,
        balances: entry.after,
        leaf_index: receipt.leaf_index,
        commitment: receipt.leaf.entries[1].commitment(),
    };
    (MapAccount { account: ACCOUNT, unit: 1, log_size }, value)
}

#[test]
fn receipts_of_an_account_are_a_chain() {
    let all = receipts(&[100, -30, 5, -75, 10]);
    let history = |receipts: &[Verified]| verify_history(receipts, &[]).map(|it| (it[0].first, it[0].last));
    assert_eq!(history(&all), Ok((1, 5)));
    let mut shuffled = [&all[2..], &all[..2], &all[1..3]].concat();
    shuffled.reverse();
    assert_eq!(history(&shuffled), Ok((1, 5)), "in any order, also several of one entry");
    assert_eq!(history(&all[2..4]), Ok((3, 4)));
    assert_eq!(verify_history(&all, &[]).unwrap()[0].balances, available(10));
    assert_eq!(history(&[]), Err(HistoryRefusal::Empty));
    let mut holed = all.clone();
    holed.remove(2);
    assert_eq!(history(&holed), Err(HistoryRefusal::Missing { after: 2, next: 4 }));
    let spoilt = |at: usize, spoil: fn(&mut Entry)| {
        let mut receipts = all.clone();
        change(&mut receipts[at], spoil);
        history(&receipts)
    };
    assert_eq!(spoilt(2, |it| it.after.available += 1), Err(HistoryRefusal::Broken { sequence: 3 }));
    assert_eq!(spoilt(2, |it| it.after.held += 1), Err(HistoryRefusal::Broken { sequence: 3 }));
    assert_eq!(spoilt(2, |it| it.previous_leaf_index = 5), Err(HistoryRefusal::Broken { sequence: 3 }));
    assert_eq!(spoilt(2, |it| it.previous_commitment = [0; 32]), Err(HistoryRefusal::Broken { sequence: 3 }));
    assert_eq!(spoilt(2, |it| it.change.available = i64::MAX), Err(HistoryRefusal::Broken { sequence: 3 }));
    // The last one changed breaks nothing behind it: only a map, or its own receipt, tells.
    let mut twice = all.clone();
    twice.push(all[4].clone());
    change(&mut twice[5], |it| it.lots_digest = [9; 32]);
    assert_eq!(history(&twice), Err(HistoryRefusal::Twice { sequence: 5 }));
}

#[test]
fn a_map_says_that_nothing_is_missing_up_to_it() {
    let all = receipts(&[100, -30, 5]);
    let complete = |receipts: &[Verified], map: (MapAccount, MapValue)| {
        verify_history(receipts, &[map]).map(|it| it[0].complete_to)
    };
    assert_eq!(complete(&all, map(&all, 3, 10)), Ok(Some(10)));
    assert_eq!(complete(&all, map(&all, 2, 9)), Ok(Some(9)), "the third entry lies beyond this map");
    let behind = HistoryRefusal::Behind { log_size: 10, map: 3, held: 2 };
    assert_eq!(complete(&all[..2], map(&all, 3, 10)), Err(behind));
    let disagrees = Err(HistoryRefusal::MapDisagrees { log_size: 10, sequence: 3 });
    assert_eq!(complete(&all, map(&all, 2, 10)), disagrees, "the map knows less than was posted below it");
    let (account, value) = map(&all, 3, 10);
    assert_eq!(complete(&all, (account, MapValue { balances: available(1), ..value })), disagrees);
    assert_eq!(complete(&all, (account, MapValue { commitment: [0; 32], ..value })), disagrees);
    // Another account's map says nothing of this one.
    let other = MapAccount { account: [8; 16], ..account };
    assert_eq!(complete(&all, (other, value)), Ok(None));
}
