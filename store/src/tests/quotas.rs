use super::fixture::Fixture;
use crate::*;

async fn kept(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from quota").fetch_one(pool).await.unwrap()
}

/// More than are forgotten at once, and whoever asks again at that moment waits for nothing and is not waited for.
#[tokio::test]
async fn who_has_not_asked_for_two_hours_is_forgotten_and_nobody_else() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let slice = clock_us(&mut conn).await.unwrap() / 1_000_000 / SLICE_S;
    sqlx::query(
        "insert into quota (subject, slice, used)
         select convert_to(number::text, 'UTF8'), $1 - case when number <= 3 then 60 else 130 end, ''
         from generate_series(1, 25000) as number",
    )
    .bind(slice)
    .execute(&mut *conn)
    .await
    .unwrap();
    let mut other = books.pool.begin().await.unwrap();
    sqlx::query("select from quota where subject = '25000' for no key update")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(forget_quotas(&mut conn).await.unwrap(), 24_996);
    assert_eq!(kept(&books.pool).await, 4);
    other.rollback().await.unwrap();
    assert_eq!(forget_quotas(&mut conn).await.unwrap(), 1);
    assert_eq!(kept(&books.pool).await, 3);
}
