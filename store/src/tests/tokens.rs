use futures::future::join_all;

use super::fixture::{Fixture, explain, keyring};
use crate::*;

async fn app(books: &Fixture) -> i64 {
    let mut conn = books.pool.acquire().await.unwrap();
    let credential = Credential {
        program_id: books.program.program_id,
        owner: "app".into(),
        scopes: vec!["loyalty:read".into()],
        partner_id: None,
        delegated: true,
    };
    let new = NewKey { credential, role: Role::Member, addresses: Vec::new(), lifetime_s: None };
    let key = issue_key(&mut conn, &keyring(), &new).await.unwrap();
    let known = credential_of(&mut conn, &keyring().pepper(), CredentialKind::ApiKey, &key).await.unwrap();
    known.unwrap().credential_id
}

#[tokio::test]
async fn the_first_keys_of_many_processes_are_one_and_a_new_one_overlaps() {
    let books = Fixture::new().await;
    let program_id = books.program.program_id;
    let keyring = keyring();
    let all = join_all((0..4).map(async |_| {
        let mut conn = books.pool.acquire().await.unwrap();
        token_keys(&mut conn, &keyring, program_id).await.unwrap()[0].id
    }))
    .await;
    assert!(all.iter().all(|it| *it == all[0]), "{all:?}");

    let mut conn = books.pool.acquire().await.unwrap();
    let announced = rotate_token_key(&mut conn, &keyring, program_id, 300, 3900).await.unwrap();
    let signs: Vec<_> = token_keys(&mut conn, &keyring, program_id)
        .await
        .unwrap()
        .iter()
        .map(|it| (it.id, it.signs))
        .collect();
    assert_eq!(signs, [(announced, false), (all[0], true)], "it is shown before it signs");
    // A key has leaked: a new one signs at once, and nothing else is believed.
    let next = rotate_token_key(&mut conn, &keyring, program_id, 0, 0).await.unwrap();
    let known = token_keys(&mut conn, &keyring, program_id).await.unwrap();
    assert_eq!(known.iter().map(|it| (it.id, it.signs)).collect::<Vec<_>>(), [(next, true)]);
}

#[tokio::test]
async fn a_refresh_token_turns_once_and_its_second_use_ends_the_session() {
    let books = Fixture::new().await;
    let (program_id, app) = (books.program.program_id, app(&books).await);
    let mut conn = books.pool.acquire().await.unwrap();
    let scopes = ["loyalty:read".to_owned()];
    let begun = begin_session(&mut conn, program_id, app, "amina", &scopes, 60).await.unwrap();
    let id = begun.session_id;
    let next = turn_session(&mut conn, program_id, id, 0, 60).await.unwrap().unwrap();
    assert_eq!((next.turn, next.member.as_str()), (1, "amina"));
    assert_eq!(turn_session(&mut conn, program_id + 1, id, 1, 60).await.unwrap(), None, "another program's");
    let token = uuid::Uuid::new_v4();
    assert!(credential_of_token(&mut conn, app, token, Some(id)).await.unwrap().is_some());
    // Whoever shows the first again has it from somewhere.
    assert_eq!(turn_session(&mut conn, program_id, id, 0, 60).await.unwrap(), None);
    assert_eq!(
        turn_session(&mut conn, program_id, id, 1, 60).await.unwrap(),
        None,
        "the thief's and the owner's"
    );
    assert!(credential_of_token(&mut conn, app, token, Some(id)).await.unwrap().is_none());
}

#[tokio::test]
async fn of_ten_who_use_one_refresh_token_at_once_one_wins_and_then_nobody() {
    let books = Fixture::new().await;
    let (program_id, app) = (books.program.program_id, app(&books).await);
    let begun = {
        let mut conn = books.pool.acquire().await.unwrap();
        begin_session(&mut conn, program_id, app, "amina", &[], 60).await.unwrap()
    };
    let turned = join_all((0..10).map(async |_| {
        let mut conn = books.pool.acquire().await.unwrap();
        turn_session(&mut conn, program_id, begun.session_id, 0, 60).await.unwrap()
    }))
    .await;
    assert_eq!(turned.iter().flatten().count(), 1);
    let mut conn = books.pool.acquire().await.unwrap();
    assert_eq!(turn_session(&mut conn, program_id, begun.session_id, 1, 60).await.unwrap(), None);
}

#[tokio::test]
async fn a_withdrawn_token_or_its_credential_lets_nobody_in() {
    let books = Fixture::new().await;
    let app = app(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let (one, other) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let later = clock_us(&mut conn).await.unwrap() + 3_600_000_000;
    revoke_token(&mut conn, one, later).await.unwrap();
    assert!(credential_of_token(&mut conn, app, one, None).await.unwrap().is_none());
    assert!(credential_of_token(&mut conn, app, other, None).await.unwrap().is_some());
    let name = keys(&mut conn, books.program.program_id, None, 100).await.unwrap()[0].key_id.clone();
    revoke_key(&mut conn, books.program.program_id, &name).await.unwrap();
    assert!(credential_of_token(&mut conn, app, other, None).await.unwrap().is_none());
}

/// However many there are who are not to be forgotten yet; and nobody waits for who forgets the same ones.
#[tokio::test]
async fn what_is_over_is_forgotten_without_a_look_at_the_rest_and_some_at_a_time() {
    let books = Fixture::new().await;
    let (program_id, app) = (books.program.program_id, app(&books).await);
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query(
        "insert into member_session (session_id, program_id, credential_id, member, scopes, expires_at)
         select gen_random_uuid(), $1, $2, 'amina', '{}',
             now() - case when number <= 150 then interval '2 days' else interval '1 hour' end
         from generate_series(1, 20000) as number",
    )
    .bind(program_id)
    .bind(app)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "insert into revoked_token (token_id, expires_at)
         select gen_random_uuid(), now() from generate_series(1, 20000)",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze member_session, revoked_token").execute(&mut *conn).await.unwrap();
    for (forget, index) in [
        (tokens::FORGET_SESSIONS, "member_session_to_forget"),
        (tokens::FORGET_REVOKED, "revoked_token_to_forget"),
    ] {
        let plan = explain(forget).fetch_all(&mut *conn).await.unwrap().join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
    }

    let mut begin = async || {
        begin_session(&mut conn, program_id, app, "amina", &[], 60).await.unwrap();
        let kept = sqlx::query_scalar::<_, i64>("select count(*) from member_session");
        kept.fetch_one(&books.pool).await.unwrap()
    };
    let mut other = books.pool.begin().await.unwrap();
    sqlx::query("select from member_session where expires_at < now() - interval '1 day' for update")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(begin().await, 20_001);
    other.rollback().await.unwrap();
    assert_eq!(begin().await, 19_902);
    assert_eq!(begin().await, 19_853);
    assert_eq!(begin().await, 19_854, "a day has not passed");
}
