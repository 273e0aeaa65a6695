//! Whom to believe: endpoints that are in step, grouped by what they say.

use super::{Alarm, AnchorPolicy, HeadSeen, Report, World};

/// What a process remembers of its endpoints between two rounds. A new process begins with none of it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    endpoints: Vec<Endpoint>,
    round: usize,
    since_disagreed_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Endpoint {
    block_max: u64,
    since_lower_ms: Option<u64>,
    failures: u32,
}

impl Memory {
    /// The view of the endpoint whose turn it is.
    pub(super) fn turn(&mut self, views: &[View]) -> View {
        self.round = self.round.wrapping_add(1);
        let members: Vec<usize> = views.iter().flat_map(|it| it.members.iter().copied()).collect();
        let endpoint = members[self.round % members.len()];
        let view = views.iter().find(|it| it.members.contains(&endpoint)).expect("it is a member of one");
        View { endpoint, ..view.clone() }
    }

    /// Notes that an endpoint failed at what it was asked: others are asked first.
    pub fn note_failure(&mut self, endpoint: usize) {
        if let Some(it) = self.endpoints.get_mut(endpoint) {
            it.failures = (it.failures + 4).min(64);
        }
    }

    /// How badly each endpoint did lately; 0 is well.
    pub fn failures(&self) -> impl Iterator<Item = u32> {
        self.endpoints.iter().map(|it| it.failures)
    }
}

/// What some endpoints say together.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The best of them.
    pub(super) endpoint: usize,
    pub(super) members: Vec<usize>,
    pub(super) count: usize,
}

impl View {
    pub(super) fn report<'a>(&self, world: &'a World<'_>) -> &'a Report {
        world.reports[self.endpoint].as_ref().expect("a view is of endpoints that answered")
    }

    pub(super) fn head(&self, world: &World<'_>) -> HeadSeen {
        self.report(world).head
    }
}

/// What there is to believe.
#[derive(Clone, Debug)]
pub(super) struct Agreement {
    /// The endpoints in step.
    pub(super) healthy: Vec<usize>,
    /// What they say; the first is to be believed first.
    pub(super) views: Vec<View>,
    /// How many endpoints must say the same before something counts as final: more than half of all, reachable or not.
    pub(super) quorum: usize,
    pub(super) alarms: Vec<Alarm>,
}

/// For how long endpoints may differ, as they do while a block travels, before it is called a disagreement.
const DISAGREEMENT_PATIENCE_MS: u64 = 30_000;

pub(super) fn agree(policy: &AnchorPolicy, memory: &mut Memory, world: &World<'_>) -> Agreement {
    let quorum = world.reports.len() / 2 + 1;
    memory.endpoints.resize(world.reports.len(), Endpoint::default());
    let mut healthy: Vec<usize> =
        (0..world.reports.len()).filter(|it| is_in_step(policy, memory, world, *it)).collect();
    let report = |it: &usize| world.reports[*it].as_ref().expect("it has answered");
    // The lower middle: one endpoint that shows too many blocks does not make all others late.
    let mut blocks: Vec<u64> = healthy.iter().map(|it| report(it).block).collect();
    blocks.sort_unstable();
    let usual = blocks.get(blocks.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    healthy.retain(|it| usual <= report(it).block.saturating_add(policy.lag_blocks));
    // A head that is not ours is a reason to stop where most show it; else it is a reason to doubt the few.
    let strangers = healthy.iter().filter(|it| !report(it).head.is_ours).count();
    let mut odd = 0 < strangers;
    if 2 * strangers <= healthy.len() {
        healthy.retain(|it| report(it).head.is_ours);
    }

    let key = |it: &usize| (report(it).nonce, report(it).head.size, report(it).head.admits_us);
    let mut views: Vec<View> = Vec::new();
    for it in &healthy {
        let better =
            |one: usize, other: usize| memory.endpoints[one].failures < memory.endpoints[other].failures;
        match views.iter_mut().find(|view| key(&view.endpoint) == key(it)) {
            Some(view) => {
                view.count += 1;
                view.members.push(*it);
                view.endpoint = if better(*it, view.endpoint) { *it } else { view.endpoint };
            }
            None => views.push(View { endpoint: *it, members: vec![*it], count: 1 }),
        }
    }
    // A nonce beyond those that we have used is somebody else's doing, or a lie: it takes more than half to believe it.
    // Our very first is one that we have not used.
    let before = views.len();
    let is_known = |nonce: u64| world.nonce_next.is_some_and(|next| nonce <= next);
    views.retain(|view| is_known(report(&view.endpoint).nonce) || quorum <= view.count);
    odd |= views.len() < before;
    // Most voices first; among equals the one that has more to do, which is harmless where it is wrong.
    views.sort_by_key(|view| {
        let (nonce, size, admits_us) = key(&view.endpoint);
        (std::cmp::Reverse(view.count), nonce, size, !admits_us)
    });
    let mut alarms = Vec::new();
    if odd || 1 < views.len() {
        let since_ms = *memory.since_disagreed_ms.get_or_insert(world.now_ms);
        if DISAGREEMENT_PATIENCE_MS <= world.now_ms.saturating_sub(since_ms) {
            alarms.push(Alarm::Disagreement);
        }
    } else {
        memory.since_disagreed_ms = None;
    }
    Agreement { healthy, views, quorum, alarms }
}

fn is_in_step(policy: &AnchorPolicy, memory: &mut Memory, world: &World<'_>, number: usize) -> bool {
    let endpoint = &mut memory.endpoints[number];
    let Some(report) = &world.reports[number] else {
        endpoint.failures = (endpoint.failures + 4).min(64);
        return false;
    };
    endpoint.failures = endpoint.failures.saturating_sub(1);
    if report.block < endpoint.block_max {
        // A lower answer is an old one, unless it lasts: then the chain itself was rewound.
        let since_ms = *endpoint.since_lower_ms.get_or_insert(world.now_ms);
        if world.now_ms.saturating_sub(since_ms) < policy.rewind_patience_ms {
            return false;
        }
    }
    endpoint.block_max = report.block;
    endpoint.since_lower_ms = None;
    world.settled_size <= report.head.size
}
