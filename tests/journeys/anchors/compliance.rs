//! What compliance needs on a chain soon does not wait for what may wait for hours.

use journeys::{System, answer_of, daftari, eventually};
use serde_json::json;
use uuid::Uuid;

use super::chain::Chain;
use super::office::{MEMBER, Office, WRITER, Worker, log_id};

#[tokio::test]
async fn what_compliance_marks_is_anchored_at_once_and_its_receipt_says_so() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let chain = Chain::still(folder.path(), 4245, &log_id(&system)).await;
    let mut office = Office::open(folder.path(), system, vec![chain]).await;
    let places = office.places("places.json", &[json!({"staleness": "6h"})]);
    let worker = office.worker_at("patient", &places, office.system.fact("database_url")).await;

    office.hurries(&["--kind", "redeem", "--amount-min", "9"]).await;
    for _ in 0..3 {
        office.grow().await;
    }
    let small = office.redeems(8).await;
    office.waits(&worker, 5).await;
    // By its amount, and by being named: what is marked takes along what came before.
    let large = office.redeems(9).await;
    office.is_soon_final(&[&large]).await;
    office.grow().await;
    let named = office.redeems(1).await;
    office.waits(&worker, 2).await;
    office.anchors(0, &["hurry", "--transaction", &named]).await.expect(0);
    office.is_soon_final(&[&large, &named]).await;
    assert_eq!(office.priority(&small).await, None, "it came along, and was not marked");
    // Nothing was sent for what may wait.
    office.grow().await;
    office.waits(&worker, 1).await;
    assert_eq!(office.chains[0].nonce(WRITER).await, 2, "one transaction for each that was marked");
    worker.stop().await;
    office.close().await;
}

impl Office {
    /// Marks what of the program is in a hurry, which is a leaf by itself.
    async fn hurries(&mut self, words: &[&str]) {
        let mut command = daftari();
        command.args(["books", "hurry", "--database-url", self.system.fact("database_url")]);
        command.arg("--wrapping-key-file").arg(self.folder.join("keys/wrapping.key")).args(words);
        answer_of(command).await.expect(0);
        self.posted += 1;
    }

    /// Redeems over HTTP; gives the transaction's id.
    async fn redeems(&mut self, points: i64) -> String {
        let redeemed = self.system.api().redeem(MEMBER, Uuid::new_v4(), points).await;
        assert_eq!(redeemed.status, 200, "{}", redeemed.text);
        self.posted += 1;
        redeemed.body["transaction_id"].as_str().expect("a redemption has an id").to_owned()
    }

    /// Waits until the worker has looked at leaves that may wait.
    async fn waits(&self, worker: &Worker, leaves: u64) {
        worker.shows("daftari_unanchored_leaves", self.chains[0].id, leaves as f64).await;
    }

    /// The newest of these is anchored although nothing is due for hours, and all of them say that they were to be.
    async fn is_soon_final(&self, marked: &[&String]) {
        self.is_anchored(0).await;
        let story = self.is_told(0, "included").await;
        let is_why = |it: &str| it.contains("armed: ") && it.contains("in a hurry");
        assert!(story.lines().any(is_why), "{story}");
        self.chains[0].mine(8).await;
        self.is_told(0, "final in block").await;
        for id in marked {
            assert_eq!(self.priority(id).await.as_deref(), Some("soon"), "{id}");
        }
    }

    /// What the receipt of this transaction says of its anchor's priority.
    async fn priority(&self, id: &str) -> Option<String> {
        let api = self.system.api();
        let receipt = eventually("it is sealed", async || {
            let receipt = api.get(&format!("/v1/receipts/{id}")).await;
            (receipt.status == 200).then_some(receipt)
        })
        .await;
        receipt.anchor_priority
    }
}
