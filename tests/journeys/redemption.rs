//! Redemptions that are sent more than once: at the same moment, and again after a crash.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use journeys::{Api, Reply, System, answer_of, daftari, lasting_port};
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "7d1c4f0e-5b1a-4c46-9d35-0b6c2f9d7a01";
const EARNED: i64 = 10_000;
/// How many different redemptions the burst has, how many are on their way at once, and after how many answers it is
/// cut off: enough before the cut to be remembered, and many that the server never sees.
const BURST: usize = 300;
const AT_ONCE: usize = 16;
const ANSWERS_BEFORE_THE_CUT: usize = 100;

#[tokio::test]
async fn a_redemption_sent_twice_is_one_posting() {
    let folder = System::folder();
    // Answers name the address of the receipt, so the second start must be found where the first was.
    let listen = format!("127.0.0.1:{}", lasting_port());
    let system = System::up(folder.path(), &["--listen", &listen]).await;
    let api = system.api();
    let earned = api.event(&purchase("burst", MEMBER, 10 * EARNED)).await;
    assert_eq!(earned.body["points"], EARNED, "{}", earned.text);

    let key = Uuid::new_v4();
    let replies = join_all((0..20).map(|_| api.redeem(MEMBER, key, 100))).await;
    let answer = &replies[0];
    assert_eq!(answer.body["new_balance"], EARNED - 100, "{}", answer.text);
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (200, &answer.text));
    }
    assert_eq!(replies.iter().filter(|it| !it.replayed).count(), 1, "one of them was the first");
    let other = api.redeem(MEMBER, key, 101).await;
    assert_eq!((other.status, &other.body["error"]), (422, &"IDEMPOTENCY_KEY_REUSED".into()));

    let wishes: Vec<(Uuid, i64)> = (0..BURST).map(|it| (Uuid::new_v4(), 1 + it as i64 % 7)).collect();
    let mut process = Some(system.process);
    let mut first: Vec<Option<Reply>> = vec![None; BURST];
    let mut answers = 0;
    let mut burst = redeem_all(&api, &wishes);
    while let Some((number, reply)) = burst.next().await {
        answers += usize::from(reply.is_some());
        first[number] = reply;
        if ANSWERS_BEFORE_THE_CUT <= answers
            && let Some(process) = process.take()
        {
            process.kill().await;
        }
    }
    drop(burst);
    assert!(process.is_none(), "the burst was cut off after {answers} answers");
    assert!(answers < BURST, "all {BURST} were answered: nothing was cut off");

    let system = System::up(folder.path(), &["--listen", &listen]).await;
    let second = ask_again(&api, &wishes).await;
    for (before, after) in first.iter().zip(&second) {
        assert_eq!(after.status, 200, "{}", after.text);
        if let Some(before) = before {
            assert_eq!((before.status, &before.text, true), (200, &after.text, after.replayed));
        }
    }
    let third = ask_again(&api, &wishes).await;
    for (before, after) in second.iter().zip(&third) {
        assert_eq!((&before.text, true), (&after.text, after.replayed));
    }
    let postings: BTreeSet<&str> =
        second.iter().filter_map(|it| it.body["transaction_id"].as_str()).collect();
    assert_eq!(postings.len(), BURST, "each key has a posting of its own");
    let again = api.redeem(MEMBER, key, 100).await;
    assert_eq!((&again.text, again.replayed), (&answer.text, true));

    let spent: i64 = wishes.iter().map(|it| it.1).sum();
    assert_eq!(api.balance(MEMBER).await, Some(EARNED - 100 - spent));
    assert_eq!(system.check_books().await.leaves as usize, 2 + BURST, "each key stands once");
    the_books_can_be_looked_into(&system, EARNED - 100 - spent).await;
    system.interrupt().await;
}

/// What an operator asks of the books, by the commands.
async fn the_books_can_be_looked_into(system: &System, left: i64) {
    let ask = async |words: &[&str]| {
        let mut command = daftari();
        command.arg("books").args(words).args(["--database-url", system.fact("database_url")]);
        answer_of(command).await.expect(0).stdout
    };
    let key = system.home().join("keys/wrapping.key");
    let checked = ask(&["check", "--wrapping-key-file", &key.to_string_lossy()]).await;
    assert!(checked.starts_with("The books are right: "), "{checked}");
    let replayed = ask(&["replay"]).await;
    assert!(replayed.contains("The books hold the same."), "{replayed}");
    let history = ask(&["history", MEMBER, "--limit", "3"]).await;
    assert!(history.lines().count() == 3 && history.contains(&format!("available {left} ")), "{history}");
    let begun = ask(&["history", MEMBER, "--size", "1"]).await;
    assert!(begun.contains(&format!("available {EARNED} ")), "{begun}");
    let period = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"];
    let statement = ask(&[&["statement", MEMBER][..], &period].concat()).await;
    assert!(statement.starts_with("opening  available 0 "), "{statement}");
    assert!(statement.contains(&format!("closing  available {left} ")), "{statement}");
    let issued = ask(&["history", "issuance", "--house", "--at", "2100-01-01T00:00:00Z"]).await;
    assert!(issued.contains(&format!("available {} ", -EARNED)), "{issued}");
    let liability = ask(&["liability"]).await;
    let outstanding: i64 =
        liability.lines().filter_map(|it| it.rsplit_once("  ")?.1.parse::<i64>().ok()).sum();
    assert_eq!(outstanding, left, "{liability}");
}

/// Sends them all, some at once; gives each one's number and its answer, where there was one.
fn redeem_all<'a>(
    api: &'a Api,
    wishes: &'a [(Uuid, i64)],
) -> impl StreamExt<Item = (usize, Option<Reply>)> + Unpin + 'a {
    let sent = wishes.iter().enumerate().map(move |(number, &(key, points))| async move {
        let reply = api.try_redeem(MEMBER, key, points).await.ok();
        (number, reply.filter(|it| it.status == 200))
    });
    Box::pin(stream::iter(sent).buffer_unordered(AT_ONCE))
}

async fn ask_again(api: &Api, wishes: &[(Uuid, i64)]) -> Vec<Reply> {
    stream::iter(wishes)
        .map(|&(key, points)| api.redeem(MEMBER, key, points))
        .buffered(AT_ONCE)
        .collect()
        .await
}
