use proof::Part;
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, keyring};
use crate::*;

/// What is read back, opened with the derived salts, gives the very commitments that were logged.
#[tokio::test]
async fn an_opened_posting_is_the_leaf_that_was_logged() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let mut request = books.redeem("k", member, 30);
    request.items[0].details.merchant_reference = Some(proof::Text::new("order-1").unwrap());
    books.committer.submit(request.clone()).await.unwrap();
    let mut conn = books.pool.acquire().await.unwrap();
    let open = async |conn: &mut PgConnection, viewer| {
        let program = books.program.program_id;
        opened_posting(conn, &keyring(), &books.log, program, request.items[0].posting_id, &viewer)
            .await
            .unwrap()
    };

    let (index, theirs) = open(&mut conn, Viewer::Member(member)).await.unwrap();
    let (_, partners) = open(&mut conn, Viewer::Partner(PARTNER.to_owned())).await.unwrap();
    let logged: Vec<u8> = sqlx::query_scalar("select commitment from leaf where leaf_index = 1")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(index, 1);
    for leaf in [&theirs, &partners] {
        assert_eq!(leaf.leaf(1).commitment[..], logged[..]);
        let reference = leaf.details.opened().unwrap().merchant_reference.as_ref().unwrap();
        assert_eq!(reference.as_str(), "order-1");
    }
    let changes = |leaf: &proof::OpenedLeaf| -> Vec<i64> {
        leaf.entries.iter().filter_map(Part::opened).map(|it| it.change.available).collect()
    };
    assert_eq!(changes(&theirs), [-30], "a member sees their own side only");
    assert_eq!(changes(&partners), [30], "a partner sees its own side only");

    assert_eq!(open(&mut conn, Viewer::Member(Uuid::new_v4())).await, None);
    assert_eq!(open(&mut conn, Viewer::Partner("another".to_owned())).await, None);
}
