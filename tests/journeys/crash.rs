//! The API, the sealer, PostgreSQL and their connections are ended again and again under load, also by power cuts, and
//! nothing comes of it.

use journeys::{answer_of, daftari};
use serde_json::Value;
use uuid::Uuid;

#[tokio::test]
async fn kills_lose_nothing_and_double_nothing() {
    let report = report_of("crash", 30).await;
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
        assert!(0.0 < figure(&report, always), "{always}: {report}");
    }
}

#[tokio::test]
async fn power_cuts_lose_nothing_and_double_nothing() {
    let report = report_of("power", 8).await;
    assert_eq!(figure(&report, "power_cuts"), 8.0, "{report}");
    // The cuts do cut, and what they take of a server whose syncs come to nothing is found.
    for always in ["sectors_lost", "acknowledged", "lost_by_a_lying_disk"] {
        assert!(0.0 < figure(&report, always), "{always}: {report}");
    }
}

/// What a benchmark that ends things so many times has found, which is nothing.
async fn report_of(bench: &str, kills: u64) -> Value {
    // Another one each time; a run that fails prints it.
    let seed = Uuid::new_v4().as_fields().0.to_string();
    println!("bench {bench} --seed {seed}");
    let mut command = daftari();
    command.args(["bench", bench, "--json", "--seed", &seed, "--kills", &kills.to_string()]);
    let report = answer_of(command).await.expect(0).json();
    for never in ["lost", "doubled", "unbalanced", "drained_unanswered"] {
        assert_eq!(figure(&report, never), 0.0, "{never}: {report}");
    }
    assert_eq!(figure(&report, "kills"), kills as f64, "{report}");
    assert_eq!(figure(&report, "leaves_checked"), figure(&report, "acknowledged"), "{report}");
    report
}

fn figure(report: &Value, name: &str) -> f64 {
    report["figures"][name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"))
}
