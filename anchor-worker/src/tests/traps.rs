//! What breaks transaction senders, one test for each of the traps that others fell into. The simulator meets them all too;
//! here each stands alone, in the smallest world that shows it.

use std::collections::BTreeMap;

use chain::Fees;
use store::AttemptState::{self, *};

use crate::machine::*;
use crate::schedule::{Timing, Verdict};

const GWEI: u128 = 1_000_000_000;
const HASH: [u8; 32] = [7; 32];

fn policy() -> AnchorPolicy {
    AnchorPolicy {
        fee_ceiling_wei: 600 * GWEI,
        fee_limit_wei: 2_000 * GWEI,
        // What warns of the sender's balance has a test of its own.
        warn_days: 0.0,
        ..AnchorPolicy::new(137, Default::default())
    }
}

fn attempt(id: i64, nonce: u64, state: AttemptState) -> Attempt {
    let fees = Fees { fee_wei_max: 400 * GWEI, tip_wei_max: 25 * GWEI };
    let (stored_ms, sent_ms) = (990_000, (state != Armed).then_some(995_000));
    let block_hash = matches!(state, Included | Final).then_some(HASH);
    Attempt {
        id,
        is_foreign: false,
        nonce,
        extends: 10,
        size: 20,
        fees,
        state,
        stored_ms,
        sent_ms,
        refusals: 0,
        block_hash,
    }
}

/// An honest endpoint at block 5,000 whose chain has used nonces below 3 and anchored 10 of 20 leaves.
fn report(sights: &[(i64, Sight)]) -> Report {
    let owed = Some(Owed { size: 20, oldest_ms: 900_000, hurried_ms: None });
    Report {
        block: 5_000,
        base_fee_wei: 300 * GWEI,
        finalized: Some(4_990),
        head: HeadSeen { size: 10, is_ours: true, admits_us: true, owed },
        nonce: 3,
        nonce_final: Some(3),
        balance_wei: 1_000_000_000 * GWEI,
        sights: sights.iter().copied().collect(),
    }
}

/// The same once our transaction of nonce 3 is in this block.
fn anchored(id: i64, block: u64) -> Report {
    let sight = Sight::Mined { block, block_hash: HASH, succeeded: true };
    let head = HeadSeen { size: 20, is_ours: true, admits_us: true, owed: None };
    Report { head, nonce: 4, ..report(&[(id, sight)]) }
}

fn look(reports: &[Option<Report>], attempts: &[Attempt], timing: Timing) -> Decision {
    look_again(&mut Memory::default(), 1_000_000, reports, attempts, timing)
}

fn look_again(
    memory: &mut Memory,
    now_ms: u64,
    reports: &[Option<Report>],
    attempts: &[Attempt],
    timing: Timing,
) -> Decision {
    let world = World {
        now_ms,
        reports,
        attempts,
        settled_size: 10,
        nonce_next: attempts.iter().map(|it| it.nonce + 1).max().or(Some(3)),
        gas_max: 100_000,
        pinned: Default::default(),
        spent_wei: 0,
        block_ms: 2_000,
    };
    decide(&policy(), memory, &world, &|_| Verdict { timing, due_ms: 2_000_000, why: "now".to_owned() })
}

fn armed(decision: &Decision) -> &Plan {
    match &decision.act {
        Act::Arm(plan) => plan,
        other => panic!("it does not sign: {other:?}, {}", decision.why),
    }
}

#[test]
fn trap_1_a_nonce_comes_from_the_chain_and_no_counter_runs_ahead() {
    // What was signed and never stored has used nothing: the next one has the same nonce.
    assert_eq!(armed(&look(&[Some(report(&[]))], &[], Timing::Send)).nonce, 3);
    assert_eq!(armed(&look(&[Some(report(&[]))], &[], Timing::Send)).nonce, 3);
}

#[test]
fn trap_2_a_replacement_is_stored_before_it_is_sent_and_each_hash_is_followed() {
    let (old, new) = (attempt(1, 3, Broadcast), attempt(2, 3, Armed));
    let unseen = [(1, Sight::Unknown), (2, Sight::Unknown)];
    let decision = look(&[Some(report(&unseen))], &[old.clone(), new.clone()], Timing::Send);
    assert_eq!(decision.act, Act::Broadcast(vec![2]), "from what is stored");
    // It was the first of the two that got in.
    let decision = look(&[Some(anchored(1, 4_999))], &[old, new], Timing::Send);
    assert_eq!(decision.notes.len(), 1);
    assert_eq!((decision.notes[0].id, decision.notes[0].state), (1, Included));
}

#[test]
fn trap_3_receipts_of_all_hashes_are_polled_from_every_endpoint() {
    // The endpoint that was asked to send it never shows it; another does.
    let silent = Report { sights: BTreeMap::from([(1, Sight::Unknown)]), ..anchored(1, 4_999) };
    let reports = [Some(anchored(1, 4_999)), Some(anchored(1, 4_999)), Some(silent)];
    let decision = look(&reports, &[attempt(1, 3, Broadcast)], Timing::Send);
    assert_eq!(decision.notes[0].state, Included);
}

#[test]
fn trap_4_a_bump_is_an_eighth_and_one_wei_more_in_both_and_refusals_count() {
    let last = Fees { fee_wei_max: 400 * GWEI, tip_wei_max: 25 * GWEI };
    let fees = bumped(&policy(), last, GWEI, true, 0);
    assert_eq!(fees, Fees { fee_wei_max: 450 * GWEI + 1, tip_wei_max: 28_125_000_001 });
    assert!(fees.fee_wei_max < bumped(&policy(), last, GWEI, true, 1).fee_wei_max);
    let refused = Attempt { refusals: 1, ..attempt(1, 3, Broadcast) };
    let decision = look(&[Some(report(&[(1, Sight::Pooled)]))], &[refused], Timing::Send);
    assert_eq!((armed(&decision).replaces, armed(&decision).nonce), (Some(1), 3));
}

#[test]
fn trap_5_what_was_silently_dropped_is_sent_again_as_it_is() {
    let decision = look(&[Some(report(&[(1, Sight::Unknown)]))], &[attempt(1, 3, Broadcast)], Timing::Send);
    assert_eq!(decision.notes[0].state, Dropped);
    assert_eq!(decision.act, Act::Broadcast(vec![1]));
    // A node that merely says that it has it is not believed for ever.
    let before = Attempt { sent_ms: Some(960_000), ..attempt(1, 3, Broadcast) };
    let decision = look(&[Some(report(&[(1, Sight::Pooled)]))], &[before], Timing::Send);
    assert_eq!(decision.act, Act::Broadcast(vec![1]));
}

#[test]
fn trap_6_a_dropped_transaction_leaves_no_gap_behind_which_others_wait() {
    // With one in the pool, `pending` would say 4; the nonce stays the one that is open.
    let stuck = Attempt { stored_ms: 900_000, sent_ms: Some(999_000), ..attempt(1, 3, Broadcast) };
    let decision = look(&[Some(report(&[(1, Sight::Pooled)]))], &[stuck], Timing::Press);
    assert_eq!(armed(&decision).nonce, 3);
}

#[test]
fn trap_8_a_restart_before_finality_asks_the_contract_first() {
    let decision = look(&[Some(anchored(1, 4_999))], &[attempt(1, 3, Broadcast)], Timing::Press);
    assert_eq!(decision.act, Act::Rest, "{}", decision.why);
}

#[test]
fn trap_9_an_answer_from_the_past_is_stale() {
    let (mut memory, attempts) = (Memory::default(), [attempt(1, 3, Included)]);
    let now =
        |memory: &mut Memory, at, report| look_again(memory, at, &[Some(report)], &attempts, Timing::Send);
    let decision = now(&mut memory, 1_000_000, anchored(1, 4_999));
    assert_eq!(decision.believed, Some(0));
    let past = Report { block: 4_998, ..report(&[(1, Sight::Unknown)]) };
    let decision = now(&mut memory, 1_001_000, past.clone());
    assert_eq!((decision.believed, decision.notes.len()), (None, 0));
    assert_eq!(decision.alarms, [Alarm::NoEndpoint]);
    // Unless it stays so: then the chain itself was rewound.
    let decision = now(&mut memory, 1_012_000, past);
    assert_eq!((decision.notes[0].state, &decision.act), (Orphaned, &Act::Broadcast(vec![1])));
}

#[test]
fn trap_10_a_revert_stops_the_sender_and_is_never_tried_again() {
    let refused = Sight::Mined { block: 4_999, block_hash: HASH, succeeded: false };
    let reverted = Report { nonce: 4, ..report(&[(1, refused)]) };
    let decision = look(&[Some(reverted.clone())], &[attempt(1, 3, Broadcast)], Timing::Press);
    assert_eq!(decision.act, Act::Halt(Doubt::Reverted { size: 20, block: 4_999 }));
    // One of three says so and the others do not answer: neither stopped for good nor sent again.
    let decision = look(&[Some(reverted), None, None], &[attempt(1, 3, Broadcast)], Timing::Press);
    assert_eq!((decision.act, decision.alarms), (Act::Rest, vec![Alarm::Disagreement]));
}

#[test]
fn trap_11_a_sender_that_cannot_pay_waits_and_goes_on_by_itself() {
    let poor = Report { balance_wei: GWEI, ..report(&[]) };
    let decision = look(&[Some(poor)], &[], Timing::Press);
    assert_eq!((&decision.act, &decision.alarms[..]), (&Act::Rest, &[Alarm::NoFunds][..]));
    armed(&look(&[Some(report(&[]))], &[], Timing::Press));
}

#[test]
fn a_balance_that_lasts_for_days_only_is_told_before_it_is_gone() {
    // 1 POL at 325 gwei and 100,000 gas an anchor is 30 anchors: a day and a quarter, hourly.
    let hourly = AnchorPolicy { staleness_max_ms: 3_600_000, ..policy() };
    let days = days_left(&hourly, 100_000, 300 * GWEI, 1_000_000_000 * GWEI);
    assert!((1.28..1.29).contains(&days), "{days}");
    let alarms = |warn_days| {
        let policy = AnchorPolicy { warn_days, ..hourly };
        let world = World {
            now_ms: 1_000_000,
            reports: &[Some(report(&[]))],
            attempts: &[],
            settled_size: 10,
            nonce_next: Some(3),
            gas_max: 100_000,
            pinned: Default::default(),
            spent_wei: 0,
            block_ms: 2_000,
        };
        let wait = |_: &Owed| Verdict { timing: Timing::Wait, due_ms: 2_000_000, why: String::new() };
        decide(&policy, &mut Memory::default(), &world, &wait).alarms
    };
    assert_eq!((alarms(1.2), alarms(1.3)), (vec![], vec![Alarm::LowFunds]));
}

#[test]
fn a_nonce_that_a_stranger_used_while_nothing_waited_is_an_alarm_too() {
    let used = Report { nonce: 4, ..report(&[]) };
    assert!(
        look(&[Some(used.clone()), Some(used)], &[], Timing::Wait).alarms.contains(&Alarm::StrangerNonce)
    );
    assert!(look(&[Some(report(&[]))], &[], Timing::Wait).alarms.is_empty());
}

#[test]
fn one_lying_or_stale_endpoint_never_makes_anything_final() {
    let lie = Report { finalized: Some(9_999), nonce_final: Some(99), ..anchored(1, 4_999) };
    let honest = Report { finalized: Some(4_990), ..anchored(1, 4_999) };
    let attempts = [attempt(1, 3, Included)];
    for reports in [
        vec![Some(lie.clone()), Some(honest.clone())],
        vec![Some(lie.clone()), Some(honest.clone()), Some(honest.clone())],
        vec![Some(lie), None, None],
    ] {
        assert!(look(&reports, &attempts, Timing::Send).notes.is_empty());
    }
    // Most say so, it is deep enough, and it was seen in this block before.
    let deep = Report { finalized: Some(5_010), block: 5_012, ..honest };
    let notes = look(&[Some(deep.clone()), Some(deep.clone()), None], &attempts, Timing::Send).notes;
    assert_eq!((notes[0].state, notes[0].block), (Final, Some((4_999, HASH))));
    let first_look = look(&[Some(deep.clone()), Some(deep), None], &[attempt(1, 3, Broadcast)], Timing::Send);
    assert_eq!(first_look.notes[0].state, Included, "one look is not enough");
}

#[test]
fn a_nonce_that_a_stranger_used_is_an_alarm() {
    let used = Report { nonce: 4, nonce_final: Some(4), ..report(&[(1, Sight::Unknown)]) };
    let decision = look(&[Some(used.clone()), Some(used)], &[attempt(1, 3, Broadcast)], Timing::Send);
    assert_eq!(decision.notes[0].state, Abandoned);
    assert!(decision.alarms.contains(&Alarm::StrangerNonce));
    assert_eq!((armed(&decision).nonce, armed(&decision).size), (4, 20), "what is owed is still owed");
}

#[test]
fn the_deadline_wins_over_the_ceiling_and_the_spend_cap_as_the_operator_chose() {
    let dear = Report { base_fee_wei: 700 * GWEI, ..report(&[]) };
    assert_eq!(look(&[Some(dear.clone())], &[], Timing::Send).act, Act::Rest);
    armed(&look(&[Some(dear.clone())], &[], Timing::Press));
    let beyond = Report { base_fee_wei: 1_001 * GWEI, ..dear };
    let decision = look(&[Some(beyond)], &[], Timing::Press);
    assert_eq!((decision.act, &decision.alarms[..]), (Act::Rest, &[Alarm::PriceLimit][..]));
    for (at_spend_cap, sends) in [(AtSpendCap::DeadlineWins, true), (AtSpendCap::Stop, false)] {
        let policy = AnchorPolicy { spend_cap_wei: Some(1), at_spend_cap, ..policy() };
        let world = World {
            now_ms: 0,
            reports: &[Some(report(&[]))],
            attempts: &[],
            settled_size: 0,
            nonce_next: None,
            gas_max: 100_000,
            pinned: Default::default(),
            spent_wei: 0,
            block_ms: 2_000,
        };
        let press = |_: &Owed| Verdict { timing: Timing::Press, due_ms: 0, why: String::new() };
        let decision = decide(&policy, &mut Memory::default(), &world, &press);
        assert_eq!((decision.act != Act::Rest, &decision.alarms[..]), (sends, &[Alarm::SpendCap][..]));
    }
}

#[test]
fn a_replacement_carries_the_newest_checkpoint_unless_later_ones_extend_the_old() {
    let stuck = Attempt { stored_ms: 900_000, sent_ms: Some(999_000), size: 15, ..attempt(1, 3, Broadcast) };
    let pooled = report(&[(1, Sight::Pooled), (2, Sight::Pooled)]);
    assert_eq!(armed(&look(&[Some(pooled.clone())], std::slice::from_ref(&stuck), Timing::Press)).size, 20);
    let later = Attempt { extends: 15, size: 18, ..attempt(2, 4, Orphaned) };
    assert_eq!(armed(&look(&[Some(pooled)], &[stuck, later], Timing::Press)).size, 15);
}

#[test]
fn a_stuck_pin_gives_its_nonce_to_no_anchor_that_may_wait() {
    let pin = Attempt { stored_ms: 900_000, sent_ms: Some(999_000), size: 10, ..attempt(1, 3, Broadcast) };
    let pooled = report(&[(1, Sight::Pooled)]);
    let moved = Report { head: HeadSeen { size: 15, ..pooled.head }, ..pooled.clone() };
    let plan = |report: &Report, timing| {
        let decision = look(&[Some(report.clone())], std::slice::from_ref(&pin), timing);
        let plan = armed(&decision);
        (plan.nonce, plan.extends, plan.size)
    };
    assert_eq!(plan(&pooled, Timing::Wait), (3, 10, 10));
    assert_eq!(plan(&moved, Timing::Wait), (3, 15, 15), "it is a pin of the head that is there now");
    assert_eq!(plan(&pooled, Timing::Send), (3, 10, 20));
    assert_eq!(plan(&moved, Timing::Send), (3, 15, 20));
}

#[test]
fn what_a_key_signed_that_was_moved_is_followed_and_not_replaced() {
    // The old key's transaction has the nonce that is ours to use next.
    let old = Attempt { is_foreign: true, ..attempt(1, 3, Broadcast) };
    let pooled = report(&[(1, Sight::Pooled)]);
    let decision = look(&[Some(pooled)], std::slice::from_ref(&old), Timing::Press);
    let plan = armed(&decision);
    assert_eq!((plan.nonce, plan.replaces, plan.size), (3, None, 20));
    assert_eq!((decision.notes[0].id, decision.notes[0].state), (1, Abandoned), "only we may anchor now");
    // Until the contract takes anchors from us it may still get in.
    let head = HeadSeen { admits_us: false, ..report(&[]).head };
    let waits = Report { head, ..report(&[(1, Sight::Pooled)]) };
    let decision = look(&[Some(waits)], std::slice::from_ref(&old), Timing::Press);
    assert!(decision.notes.is_empty() && decision.alarms.contains(&Alarm::NotAdmitted));
    // It came too late: one transaction's gas, and no doubt.
    let late = Sight::Mined { block: 4_999, block_hash: HASH, succeeded: false };
    let decision = look(&[Some(report(&[(1, late)]))], std::slice::from_ref(&old), Timing::Press);
    assert_eq!((decision.notes[0].state, decision.alarms[0]), (Reverted, Alarm::LostRace));
    armed(&decision);
    // It got in before, under a nonce that our own account has not come to.
    let in_time = Report { nonce: 0, ..anchored(1, 4_999) };
    let decision = look(&[Some(in_time)], &[Attempt { nonce: 7, ..old }], Timing::Press);
    assert_eq!((decision.notes[0].state, &decision.alarms[..]), (Included, &[][..]));
}
