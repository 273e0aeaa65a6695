use ledger::{Fingerprint, MemberRef};

use super::fixture::{Fixture, keyring};
use crate::*;

#[tokio::test]
async fn what_can_be_released_is_found_from_any_event_on() {
    let books = Fixture::new().await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    let program = books.program.program_id;
    let mut numbers = Vec::new();
    for (at, name) in ["amina", "baraka", "amina", "amina", "baraka"].into_iter().enumerate() {
        let event = ToPark {
            member: &MemberRef::parse(name),
            source: "event:test",
            key: &at.to_string(),
            fingerprint: &Fingerprint([7; 32]),
            origin: "http",
            partner: None,
            payload: b"{}",
        };
        numbers.push(park(conn, program, event).await.unwrap().unwrap());
    }
    assert!(releasable_events(conn, 0, None, 100).await.unwrap().is_empty());
    enrol_members(conn, &keyring(), program, 1, &[MemberRef::parse("amina")]).await.unwrap();
    for (after, before, limit, expected) in [
        (0, None, 100, vec![numbers[0], numbers[2], numbers[3]]),
        (0, None, 2, vec![numbers[0], numbers[2]]),
        (numbers[2], None, 100, vec![numbers[3]]),
        (numbers[0], Some(numbers[3]), 100, vec![numbers[2]]),
    ] {
        let found = releasable_events(conn, after, before, limit).await.unwrap();
        let found: Vec<i64> = found.iter().map(|it| it.parked_event_id).collect();
        assert_eq!(found, expected, "after {after}, before {before:?}, at most {limit}");
    }
    assert_eq!(parked_event_beyond(conn, 0, 3).await.unwrap(), Some(numbers[3]));
    assert_eq!(parked_event_beyond(conn, numbers[0], 3).await.unwrap(), Some(numbers[4]));
    assert_eq!(parked_event_beyond(conn, 0, 5).await.unwrap(), None);
}
