//! What a partner checks with the command that we give them.

use journeys::{System, answer_of, daftari};

/// The specification's vector, and the verdict on it with this in place of a part.
async fn verdict(body: &str, secret: &str, tolerance: &str) -> Option<i32> {
    let file = System::folder();
    let path = file.path().join("body");
    std::fs::write(&path, body).unwrap();
    let mut command = daftari();
    command.args(["webhook", "verify", "--id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "--timestamp", "1614265330"]);
    command.args(["--signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="]);
    command.args(["--tolerance", tolerance]).arg(&path).env("WEBHOOK_SECRET", secret);
    let answered = answer_of(command).await;
    assert!(!format!("{answered:?}").contains(secret), "a secret is not printed");
    answered.code
}

#[tokio::test]
async fn a_partner_checks_a_message_by_its_headers() {
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(verdict(BODY, SECRET, "1000000h").await, Some(0));
    assert_eq!(verdict(BODY, SECRET, "5m").await, Some(1), "it was sent years ago");
    assert_eq!(verdict(r#"{"test": 2432232315}"#, SECRET, "1000000h").await, Some(1));
    assert_eq!(verdict(BODY, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "1000000h").await, Some(1));
    assert_eq!(verdict(BODY, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "1000000h").await, Some(2));
}
