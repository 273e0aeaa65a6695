//! The machine on a real chain, behind wires on which the test chooses the weather.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chain::{AuditLog, Chain};
use devstack::{RpcFate, RpcWire};
use uuid::Uuid;

use super::anchor::{Anchored, account, policy};
use crate::*;

const PATIENCE: Duration = Duration::from_secs(120);
const SEND: &str = "eth_sendRawTransaction";

/// A log that sees its chain through three wires.
struct Weathered {
    it: Anchored,
    wires: Vec<RpcWire>,
    size: u64,
}

impl Weathered {
    async fn new() -> Self {
        let it = Anchored::new().await;
        let port = it.anvil.port();
        let wires = (0..3).map(|_| RpcWire::start(port).unwrap()).collect();
        let mut new = Self { it, wires, size: 0 };
        // The very first nonce is believed only where most say so.
        new.anchors_one_more("fair weather").await;
        new
    }

    fn anchorer(&self) -> Anchorer {
        self.anchorer_through(&self.wires)
    }

    fn anchorer_through(&self, wires: &[RpcWire]) -> Anchorer {
        let endpoint = |wire: &RpcWire| {
            let chain = Chain::of_id(&wire.url(), 31337).unwrap();
            AuditLog::new(chain, self.it.audit_log.place(), &self.it.log.log.log_id).unwrap()
        };
        let endpoints = wires.iter().map(endpoint).collect();
        let folder = Arc::clone(&self.it.log.folder);
        Anchorer::with_endpoints(self.it.log.pool.clone(), folder, endpoints, account(), policy())
            .of_holder(self.it.holder)
    }

    /// Grows the log, anchors it in this weather, and finds one transaction for it, and no more.
    async fn anchors_one_more(&mut self, weather: &str) {
        let nonce = self.it.nonce().await;
        self.it.grow(1).await;
        self.size += 1;
        let mut anchorer = self.anchorer();
        let started = Instant::now();
        while self.it.latest().await.is_none_or(|it| it.size < self.size) {
            let stepped = anchorer.step().await;
            assert!(!matches!(stepped, Err(AnchorError::Halt(_))), "{weather}: {stepped:?}");
            assert!(started.elapsed() < PATIENCE, "{weather}: not anchored in time, {stepped:?}");
        }
        assert_eq!(self.it.audit_log.head().await.unwrap().size, self.size, "{weather}");
        assert_eq!(self.it.nonce().await, nonce + 1, "{weather}: one transaction");
    }
}

const WEATHERS: [RpcFate; 6] = [
    RpcFate::Unavailable,
    RpcFate::Error,
    RpcFate::Lose,
    RpcFate::CutAnswer,
    RpcFate::Stale,
    RpcFate::Silence,
];

#[tokio::test]
async fn one_endpoint_in_bad_weather_delays_nothing() {
    let mut it = Weathered::new().await;
    for fate in WEATHERS {
        it.wires[0].set(move |_| fate);
        it.anchors_one_more(&format!("one endpoint: {fate:?}")).await;
        // And one that begins in the middle of a look.
        let asked = AtomicU32::new(0);
        it.wires[0]
            .set(move |_| if asked.fetch_add(1, Ordering::Relaxed) < 4 { RpcFate::Pass } else { fate });
        it.anchors_one_more(&format!("one endpoint, from its fifth answer on: {fate:?}")).await;
    }
}

#[tokio::test]
async fn a_look_takes_no_longer_for_many_open_transactions() {
    let mut it = Weathered::new().await;
    for _ in 0..15 {
        it.anchors_one_more("fair weather").await;
    }
    assert!(12 < it.it.open_attempts().await.len(), "none of them is deep enough to be forgotten");
    for wire in &it.wires {
        wire.set(|_| RpcFate::Late(Duration::from_millis(250)));
    }
    it.anchors_one_more("every answer takes a quarter of a second").await;
}

#[tokio::test]
async fn a_round_with_silent_endpoints_ends_before_its_lease() {
    let mut it = Weathered::new().await;
    it.it.grow(1).await;
    it.size += 1;
    // One says nothing at all, another nothing to what is sent.
    it.wires[0].set(|_| RpcFate::Silence);
    it.wires[1].set(|method| if method == SEND { RpcFate::Silence } else { RpcFate::Pass });
    let (mut holder, mut standby) = (it.anchorer(), it.anchorer().of_holder(Uuid::new_v4()));
    for expected in [Stepped::Armed, Stepped::Broadcast] {
        assert_eq!(holder.step().await.unwrap(), expected);
        assert_eq!(standby.step().await.unwrap(), Stepped::StoodBy, "after it has {expected:?}");
    }
}

#[tokio::test]
async fn a_sender_that_sees_nothing_gives_way_to_a_standby_that_sees() {
    let mut it = Weathered::new().await;
    it.it.grow(1).await;
    it.size += 1;
    let (mut blind, mut standby) =
        (it.anchorer_through(&it.wires[..1]), it.anchorer_through(&it.wires[1..]).of_holder(Uuid::new_v4()));
    let is_away = |stepped| matches!(stepped, Err(AnchorError::Retry(AnchorObstacle::Chain(_))));
    it.wires.iter().for_each(|wire| wire.set(|_| RpcFate::Unavailable));
    for round in 1..=3 {
        assert!(is_away(blind.step().await));
        if round < 3 {
            assert_eq!(standby.step().await.unwrap(), Stepped::StoodBy, "round {round}");
        }
    }
    // Both are blind: each has its rounds, and then nobody holds what none can use.
    for _ in 0..4 {
        assert!(is_away(blind.step().await) && is_away(standby.step().await));
    }
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    let place = it.it.audit_log.place();
    let stranger = Uuid::new_v4();
    assert!(store::hold_lease(conn, &place, stranger, 0).await.unwrap().is_some(), "nobody holds it");

    it.wires[1..].iter().for_each(|wire| wire.set(|_| RpcFate::Pass));
    assert_eq!(standby.step().await.unwrap(), Stepped::Armed, "whoever sees takes it");
    assert!(is_away(blind.step().await));
    assert!(blind.alarms().contains(&Alarm::NoEndpoint));
    assert_eq!(standby.step().await.unwrap(), Stepped::Broadcast);
    it.wires[0].set(|_| RpcFate::Pass);
    assert_eq!(blind.step().await.unwrap(), Stepped::StoodBy);
    assert!(blind.alarms().is_empty(), "whoever holds the lease has the say");
}

#[tokio::test]
async fn what_was_sent_perhaps_is_sent_once() {
    let mut it = Weathered::new().await;
    // The chain has it, and nobody hears so.
    for fate in [RpcFate::Lose, RpcFate::CutAnswer] {
        for wire in &it.wires {
            wire.set(move |method| if method == SEND { fate } else { RpcFate::Pass });
        }
        it.anchors_one_more(&format!("sending: {fate:?}")).await;
    }
    // The chain has never heard of it the first three times.
    for fate in [RpcFate::Unavailable, RpcFate::Error] {
        let times = Arc::new(AtomicU32::new(0));
        for wire in &it.wires {
            let times = Arc::clone(&times);
            wire.set(move |method| match method {
                SEND if times.fetch_add(1, Ordering::Relaxed) < 3 => fate,
                _ => RpcFate::Pass,
            });
        }
        it.anchors_one_more(&format!("sending, at first: {fate:?}")).await;
    }
}

#[tokio::test]
async fn when_all_endpoints_fail_nothing_is_sent_and_afterwards_one_anchor_covers_everything() {
    let mut it = Weathered::new().await;
    for fate in WEATHERS {
        it.wires.iter().for_each(|wire| wire.set(move |_| fate));
        it.it.grow(2).await;
        it.size += 2;
        let mut anchorer = it.anchorer();
        let nonce = it.it.nonce().await;
        for _ in 0..2 {
            let stepped = anchorer.step().await;
            match fate {
                // All of them stand still together: there is no telling that from a chain that does.
                RpcFate::Stale => assert!(stepped.is_ok(), "{stepped:?}"),
                _ => assert!(matches!(stepped, Err(AnchorError::Retry(_))), "{fate:?}: {stepped:?}"),
            }
            let alarms = anchorer.alarms();
            assert_eq!(alarms.contains(&Alarm::NoEndpoint), fate != RpcFate::Stale, "{fate:?}: {alarms:?}");
        }
        if fate != RpcFate::Stale {
            assert_eq!(it.it.nonce().await, nonce);
        }
        it.wires.iter().for_each(|wire| wire.set(|_| RpcFate::Pass));
        anchorer.leave().await.unwrap();
        it.anchors_one_more_after(nonce, &format!("after {fate:?}")).await;
    }
}

impl Weathered {
    /// What waited is anchored together with what comes, by one transaction since this nonce.
    async fn anchors_one_more_after(&mut self, nonce: u64, weather: &str) {
        let mut anchorer = self.anchorer();
        let started = Instant::now();
        while self.it.latest().await.is_none_or(|it| it.size < self.size) {
            anchorer.step().await.unwrap();
            assert!(started.elapsed() < PATIENCE, "{weather}: not anchored in time");
        }
        assert_eq!(self.it.nonce().await, nonce + 1, "{weather}");
    }
}
