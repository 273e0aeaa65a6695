//! The API, the sealer, PostgreSQL and their connections are ended again and again under load, and nothing comes of it.

use journeys::{answer_of, daftari};
use uuid::Uuid;

const KILLS: u64 = 30;

#[tokio::test]
async fn kills_lose_nothing_and_double_nothing() {
    // Another one each time; a run that fails prints it.
    let seed = Uuid::new_v4().as_fields().0.to_string();
    println!("--seed {seed}");
    let mut bench = daftari();
    bench.args(["bench", "crash", "--json", "--seed", &seed, "--kills", &KILLS.to_string()]);
    let report = answer_of(bench).await.expect(0).json();
    let figure = |name: &str| report["figures"][name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
    for never in ["lost", "doubled", "unbalanced", "drained_unanswered"] {
        assert_eq!(figure(never), 0.0, "{never}: {report}");
    }
    assert_eq!(figure("kills"), KILLS as f64, "{report}");
    // Each kind has come, and both things have happened that a caller cannot tell apart without asking again.
    for always in [
        "kills_of_the_api",
        "kills_of_the_sealer",
        "kills_of_postgres",
        "kills_of_sessions",
        "connections_cut",
        "drains",
        "acknowledged",
        "failed",
        "failed_yet_persisted",
    ] {
        assert!(0.0 < figure(always), "{always}: {report}");
    }
    assert_eq!(figure("leaves_checked"), figure("acknowledged"), "{report}");
}
