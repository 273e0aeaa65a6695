//! What became of every transaction that may have left this machine.

use std::collections::BTreeMap;

use store::AttemptState;

use super::view::Agreement;
use super::{Alarm, AnchorPolicy, Attempt, Doubt, Note, Sight, World};

pub(super) struct Followed {
    pub(super) notes: Vec<Note>,
    /// The state of each attempt after the notes.
    pub(super) states: BTreeMap<i64, AttemptState>,
    pub(super) alarms: Vec<Alarm>,
    /// Why to stop, and whether enough endpoints say so; else a second opinion is waited for.
    pub(super) doubt: Option<(Doubt, bool)>,
}

/// How many endpoints in step show an attempt how.
#[derive(Default)]
struct Seen {
    mined: BTreeMap<(u64, [u8; 32]), usize>,
    reverted: BTreeMap<u64, usize>,
    pooled: usize,
}

pub(super) fn follow(policy: &AnchorPolicy, world: &World<'_>, agreement: &Agreement) -> Followed {
    let mut followed =
        Followed { notes: Vec::new(), states: BTreeMap::new(), alarms: Vec::new(), doubt: None };
    for attempt in world.attempts {
        followed.states.insert(attempt.id, attempt.state);
        let seen = seen(world, agreement, attempt, &mut followed.alarms);
        let (state, block) = state_of(policy, world, agreement, attempt, &seen, &mut followed);
        if (state, block.map(|it| it.1)) != (attempt.state, attempt.block_hash) {
            followed.notes.push(Note { id: attempt.id, state, block });
        }
        followed.states.insert(attempt.id, state);
    }
    end_the_passed_over(world, agreement, &mut followed);
    followed
}

fn seen(world: &World<'_>, agreement: &Agreement, attempt: &Attempt, alarms: &mut Vec<Alarm>) -> Seen {
    let mut seen = Seen::default();
    for report in agreement.healthy.iter().filter_map(|it| world.reports[*it].as_ref()) {
        match report.sights.get(&attempt.id) {
            Some(Sight::Mined { block, block_hash, succeeded: true }) => {
                // The contract is the truth: a receipt without its effect is none.
                let is_unused = !attempt.is_foreign && report.nonce <= attempt.nonce;
                if report.head.size < attempt.size || is_unused {
                    alarms.push(Alarm::Disagreement);
                } else {
                    *seen.mined.entry((*block, *block_hash)).or_default() += 1;
                }
            }
            Some(Sight::Mined { block, .. }) => *seen.reverted.entry(*block).or_default() += 1,
            Some(Sight::Pooled) => seen.pooled += 1,
            Some(Sight::Unknown) | None => {}
        }
    }
    seen
}

fn state_of(
    policy: &AnchorPolicy,
    world: &World<'_>,
    agreement: &Agreement,
    attempt: &Attempt,
    seen: &Seen,
    followed: &mut Followed,
) -> (AttemptState, Option<(u64, [u8; 32])>) {
    let first = agreement.views[0].report(world);
    if let Some((block, count)) =
        seen.reverted.iter().find(|(_, count)| agreement.healthy.len() < 2 * **count)
    {
        // It extended a head that was not there when it came: a reorganisation or another sender moved it. The contract
        // did its work, and what is owed is still owed.
        // So did one of ours that extended the same head under another nonce.
        let is_twin = |it: &Attempt| it.extends == attempt.extends && it.nonce != attempt.nonce;
        // So did the change of the writer.
        let is_explained =
            first.head.size != attempt.extends || attempt.is_foreign || world.attempts.iter().any(is_twin);
        let block_hash = [0; 32];
        if attempt.state == AttemptState::Reverted {
            let is_deep = |it: &&usize| {
                let report = world.reports[**it].as_ref();
                report.is_some_and(|it| block + policy.archive_depth <= it.block)
            };
            let is_spent = agreement.quorum <= agreement.healthy.iter().filter(is_deep).count();
            let state = if is_spent { AttemptState::Spent } else { AttemptState::Reverted };
            return (state, Some((*block, block_hash)));
        }
        let doubt = Doubt::Reverted { size: attempt.size, block: *block };
        if *count < agreement.quorum {
            followed.doubt = followed.doubt.or((!is_explained).then_some((doubt, false)));
            return (attempt.state, attempt.block_hash.map(|it| (*block, it)));
        }
        if is_explained {
            followed.alarms.push(Alarm::LostRace);
        } else {
            followed.doubt = Some((doubt, true));
        }
        return (AttemptState::Reverted, Some((*block, block_hash)));
    }
    let block = seen.mined.iter().max_by_key(|(_, count)| **count).map(|(block, _)| *block);
    // Whoever is believed first must show it too: else a single voice would turn the story back and forth.
    let is_believed = matches!(first.sights.get(&attempt.id), Some(Sight::Mined { succeeded: true, .. }));
    match block.filter(|_| is_believed) {
        Some(block) => {
            // Final needs two looks that show the same block.
            let was_seen = attempt.block_hash == Some(block.1)
                && matches!(attempt.state, AttemptState::Included | AttemptState::Final);
            let deep = |depth| {
                was_seen && votes(policy, world, agreement, attempt, block, depth) >= agreement.quorum
            };
            let state = match attempt.state {
                _ if deep(policy.archive_depth.max(policy.final_depth_min)) => AttemptState::Archived,
                AttemptState::Final if was_seen => AttemptState::Final,
                _ if deep(policy.final_depth_min) => AttemptState::Final,
                _ => AttemptState::Included,
            };
            (state, Some(block))
        }
        None => match unmined(world, agreement, attempt, seen, followed) {
            // Still believed, so nothing changes.
            state @ (AttemptState::Final | AttemptState::Reverted) => {
                (state, attempt.block_hash.map(|it| (0, it)))
            }
            state => (state, None),
        },
    }
}

/// How many endpoints call this block final, at least so deep.
fn votes(
    policy: &AnchorPolicy,
    world: &World<'_>,
    agreement: &Agreement,
    attempt: &Attempt,
    (block, block_hash): (u64, [u8; 32]),
    depth_min: u64,
) -> usize {
    let reports = agreement.healthy.iter().filter_map(|it| world.reports[*it].as_ref());
    reports
        .filter(|report| {
            let sight = Sight::Mined { block, block_hash, succeeded: true };
            let depth = report.block.saturating_sub(block);
            let promised = match report.finalized {
                Some(finalized) => block <= finalized || policy.final_depth_alone <= depth,
                None => policy.final_depth_alone <= depth,
            };
            report.sights.get(&attempt.id) == Some(&sight) && promised && depth_min <= depth
        })
        .count()
}

fn unmined(
    world: &World<'_>,
    agreement: &Agreement,
    attempt: &Attempt,
    seen: &Seen,
    followed: &mut Followed,
) -> AttemptState {
    let view = &agreement.views[0];
    let is_used = !attempt.is_foreign && attempt.nonce < view.report(world).nonce;
    match attempt.state {
        // What was final is believed to be gone only where most endpoints say so.
        AttemptState::Final if view.count < agreement.quorum => AttemptState::Final,
        AttemptState::Final => {
            followed.alarms.push(Alarm::FinalityBroken);
            AttemptState::Orphaned
        }
        // A revert that was undone may yet come to pass, and the other way round.
        AttemptState::Reverted if view.count < agreement.quorum => AttemptState::Reverted,
        AttemptState::Included | AttemptState::Reverted => AttemptState::Orphaned,
        // For a block's time a node may take in what it was sent.
        AttemptState::Broadcast
            if !is_used
                && seen.pooled == 0
                && attempt.sent_ms.unwrap_or(attempt.stored_ms) + world.block_ms <= world.now_ms =>
        {
            AttemptState::Dropped
        }
        AttemptState::Dropped if 0 < seen.pooled => AttemptState::Broadcast,
        state => state,
    }
}

/// Of the transactions of one nonce one is there for good: the others are replaced. None is ours: a stranger used it.
fn end_the_passed_over(world: &World<'_>, agreement: &Agreement, followed: &mut Followed) {
    // Endpoints for whom the nonce was used for good, though by none of ours.
    let strangers = |nonce: u64| {
        let reports = agreement.healthy.iter().filter_map(|it| world.reports[*it].as_ref());
        let ours =
            |id: &i64| world.attempts.iter().any(|it| it.id == *id && it.nonce == nonce && !it.is_foreign);
        let shows_ours = |sights: &BTreeMap<i64, Sight>| {
            sights.iter().any(|(id, sight)| ours(id) && matches!(sight, Sight::Mined { .. }))
        };
        reports.filter(|it| it.nonce_final.is_some_and(|end| nonce < end) && !shows_ours(&it.sights)).count()
    };
    for attempt in world.attempts {
        let state = followed.states[&attempt.id];
        if matches!(
            state,
            AttemptState::Included
                | AttemptState::Final
                | AttemptState::Archived
                | AttemptState::Reverted
                | AttemptState::Spent
        ) {
            continue;
        }
        let is_sibling = |it: &&Attempt| {
            (it.nonce, it.is_foreign) == (attempt.nonce, attempt.is_foreign) && it.id != attempt.id
        };
        let siblings = world.attempts.iter().filter(is_sibling);
        let siblings: Vec<AttemptState> = siblings.map(|it| followed.states[&it.id]).collect();
        let has = |states: &[AttemptState]| siblings.iter().any(|it| states.contains(it));
        let ended = if has(&[AttemptState::Archived, AttemptState::Spent]) {
            AttemptState::Replaced
        } else if attempt.is_foreign {
            // The contract takes anchors from us, so no more from whoever signed this.
            let admit_us = |it: &&usize| world.reports[**it].as_ref().is_some_and(|it| it.head.admits_us);
            if agreement.healthy.iter().filter(admit_us).count() < agreement.quorum {
                continue;
            }
            AttemptState::Abandoned
        } else if agreement.quorum <= strangers(attempt.nonce) {
            followed.alarms.push(Alarm::StrangerNonce);
            AttemptState::Abandoned
        } else {
            continue;
        };
        followed.states.insert(attempt.id, ended);
        followed.notes.retain(|it| it.id != attempt.id);
        followed.notes.push(Note { id: attempt.id, state: ended, block: None });
    }
}
