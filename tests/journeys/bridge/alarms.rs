//! The bridge's alarms, read as an operator reads them.

use devstack::RpcFate;
use journeys::eventually;

use super::{Crossing, FRIEND, OPERATOR};
use crate::anchors::{Contract, gauge, log_id};
use crate::purchase;

impl Crossing {
    /// What the bridge shows under this name.
    async fn figure(&self, name: &str) -> Option<f64> {
        gauge(&self.system.api(), name, &["chain_id=\"31337\""]).await
    }

    /// Waits until it shows this.
    pub(super) async fn shows(&self, name: &str, value: f64) {
        eventually(&format!("{name} is {value}"), async || {
            (self.figure(name).await == Some(value)).then_some(())
        })
        .await;
    }

    /// While no endpoint answers, the bridge stands still and says so, and a burn waits. Then it goes on by itself.
    pub(super) async fn hears_nothing_of_a_burn(&self, points: u64, reference: &str) {
        const FIGURE: &str = "daftari_bridge_known_until";
        self.wire.set(|_| RpcFate::Unavailable);
        self.waits_once_more().await;
        let (known, credited) = (self.figure(FIGURE).await, self.points(FRIEND).await);
        assert!(known.is_some());
        self.burn(points, reference).await;
        self.mine(10).await;
        self.waits_once_more().await;
        assert_eq!((self.figure(FIGURE).await, self.points(FRIEND).await), (known, credited));
        self.wire.set(|_| RpcFate::Pass);
        eventually("it reads on", async || (known < self.figure(FIGURE).await).then_some(())).await;
    }

    /// The running bridge finds by itself what `bridge check` finds, and sees when it is right again.
    pub(super) async fn is_told_while_it_is_wrong(&self, change: &str, undo: &str) {
        const FIGURE: &str = "daftari_bridge_problems";
        self.shows(FIGURE, 0.0).await;
        self.tamper(change).await;
        eventually("it is told", async || self.figure(FIGURE).await.filter(|it| *it > 0.0)).await;
        self.tamper(undo).await;
        self.shows(FIGURE, 0.0).await;
    }

    /// Waits until another round has ended in waiting: from then on no round that began before has anything to show.
    async fn waits_once_more(&self) {
        let told = async || self.system.logged("the bridge waits").len();
        let before = told().await;
        eventually("the bridge waits", async || (before < told().await).then_some(())).await;
    }

    /// Whoever has stolen the writer's key anchors leaves that this log does not have: nothing of them is settled, nothing more
    /// is anchored, and everything else goes on.
    pub(super) async fn a_stolen_key_anchors(&self) {
        let api = self.system.api();
        let id = log_id(&self.system);
        let contract = Contract {
            rpc: &self.chain,
            address: self.system.fact("contract").to_owned(),
            registrant: self.system.fact("registrant").to_owned(),
            log_id: id,
        };
        // From here on a proof of one hash extends the head.
        let mut size = self.leaves().await;
        while !size.is_power_of_two() {
            let filler = purchase(&format!("filler-{size}"), FRIEND, 10);
            assert_eq!(api.event(&filler).await.status, 200);
            size = self.leaves().await;
        }
        eventually("all is anchored", async || (contract.head().await.0 == size).then_some(())).await;
        self.anchors(&["pause", "the key is stolen"]).await.expect(0);
        let withdrawn = self.withdraw(1, 24 * 3600).await;
        assert_eq!(withdrawn["leaf_index"], size, "{withdrawn}");
        self.shows("daftari_bridge_strange_head", 0.0).await;
        let forged = contract.is_forged_by(OPERATOR).await;
        self.shows("daftari_bridge_strange_head", 1.0).await;
        assert!(!self.system.logged("an endpoint shows a head that is none of this log's").is_empty());
        self.shows("daftari_anchor_halted", 1.0).await;
        let listed = self.anchors(&["list"]).await.expect(0).stdout;
        assert!(listed.contains(&format!("halted: the contract's head of {forged} leaves")), "{listed}");
        // The thief's head may be settled by anybody: the guardian cancels it, and the claim waits.
        assert_eq!(api.event(&purchase("after", FRIEND, 10)).await.status, 200);
    }

    async fn leaves(&self) -> u64 {
        let pool = store::connect(self.system.fact("database_url"), 1).await.expect("the database answers");
        let conn = &mut *pool.acquire().await.expect("a connection");
        store::log_size(conn).await.expect("it has a size")
    }

    async fn anchors(&self, words: &[&str]) -> journeys::Answered {
        let (database, contract) = (self.system.fact("database_url"), self.system.fact("contract"));
        let place =
            ["--chain-id", "31337", "--contract", contract, "--registrant", self.system.fact("registrant")];
        self.run(&[&["anchors", "--database-url", database], &place[..], words].concat()).await
    }
}
