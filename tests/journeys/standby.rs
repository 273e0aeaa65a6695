//! A primary dies, and its standby takes over.

use journeys::{answer_of, daftari};
use uuid::Uuid;

#[tokio::test]
async fn a_synchronous_standby_takes_over_without_loss_and_a_lagging_ones_loss_is_named() {
    // Another one each time; a run that fails prints it.
    let seed = Uuid::new_v4().as_fields().0.to_string();
    println!("--seed {seed}");
    let mut bench = daftari();
    bench.args(["bench", "standby", "--json", "--failovers", "1", "--seed", &seed]);
    let report = answer_of(bench).await.expect(0).json();
    let figure = |name: &str| report["figures"][name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
    assert_eq!((figure("lost"), figure("doubled")), (0.0, 0.0), "{report}");
    assert!(figure("out_worst_ms") < 60_000.0, "{report}");

    let lost = figure("lagging_lost");
    assert!(0.0 < lost, "the standby did not lag: {report}");
    assert_eq!(lost, figure("lagging_published_leaves") - figure("lagging_known_leaves"), "{report}");
    let said = |name: &str| report["settings"][name].as_str().unwrap_or_default();
    assert!(said("lagging_lost").starts_with(&format!("{lost} lost: key ")), "{report}");
    let published = figure("lagging_published_leaves");
    let halts = format!("sealing halts: a checkpoint of {published} leaves is published");
    assert!(said("lagging_sealer").contains(&halts), "{report}");
    // The service halts as well, and gives no leaf away a second time.
    let shows = format!("shows {published} leaves of the log, and the database holds {}", published - lost);
    assert!(said("lagging_api").contains(&shows), "{report}");
    assert_eq!(figure("lagging_posted_over"), 0.0, "{report}");

    // A commit of which PostgreSQL warns that its standby may not have it is not acknowledged.
    assert_eq!(figure("cancelled_wait_lost"), 0.0, "{report}");
    // Asking again on a primary that came back alone waits for the standby, as the first time did.
    assert_eq!(figure("restarted_alone_lost"), 0.0, "{report}");
}
