use super::fixture::{Fixture, PARTNER, keyring};
use crate::*;

fn wished(books: &Fixture, owner: &str) -> NewKey {
    let credential = Credential {
        program_id: books.program.program_id,
        owner: owner.into(),
        scopes: vec!["loyalty:read".into()],
        partner_id: Some(PARTNER.into()),
        delegated: false,
    };
    NewKey { credential, role: Role::Partner, addresses: Vec::new(), lifetime_s: None }
}

#[tokio::test]
async fn a_key_is_good_until_it_is_withdrawn_and_two_of_an_owner_at_once() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let (pepper, new) = (keyring().pepper(), wished(&books, "shop"));
    let first = issue_key(&mut conn, &keyring(), &new).await.unwrap();
    let second = issue_key(&mut conn, &keyring(), &new).await.unwrap();
    assert_eq!(Environment::of(&first), Some(Environment::Live));
    let third = issue_key(&mut conn, &keyring(), &new).await;
    assert!(matches!(third, Err(KeyRefusal::TwoAreActive(_))), "{third:?}");
    let another = NewKey { role: Role::Auditor, ..new.clone() };
    let another =
        NewKey { credential: Credential { partner_id: None, ..another.credential.clone() }, ..another };
    let refused = issue_key(&mut conn, &keyring(), &another).await;
    assert!(matches!(refused, Err(KeyRefusal::OwnerIsAnother(_))), "{refused:?}");

    let known = credential_of(&mut conn, &pepper, CredentialKind::ApiKey, &first).await.unwrap().unwrap();
    assert_eq!((&known.credential, known.role), (&new.credential, Role::Partner));
    // As another kind, and under another pepper, it is nobody's.
    let as_token = credential_of(&mut conn, &pepper, CredentialKind::BearerToken, &first).await.unwrap();
    assert_eq!(as_token, None);
    let other = Keyring::new(&[99; 32]).pepper();
    assert_eq!(credential_of(&mut conn, &other, CredentialKind::ApiKey, &first).await.unwrap(), None);

    let program_id = books.program.program_id;
    assert!(!revoke_key(&mut conn, program_id + 1, &first[..16]).await.unwrap(), "another program's");
    assert!(revoke_key(&mut conn, program_id, &first[..16]).await.unwrap());
    assert!(revoke_key(&mut conn, program_id, &first[..16]).await.unwrap(), "twice is as good as once");
    assert_eq!(credential_of(&mut conn, &pepper, CredentialKind::ApiKey, &first).await.unwrap(), None);
    let other = credential_of(&mut conn, &pepper, CredentialKind::ApiKey, &second).await.unwrap().unwrap();
    note_use(&mut conn, other.credential_id).await.unwrap();
    // There is room for its successor now.
    issue_key(&mut conn, &keyring(), &new).await.unwrap();

    let listed = keys(&mut conn, program_id, None, 100).await.unwrap();
    let active: Vec<bool> = listed.iter().map(|it| it.is_active).collect();
    assert_eq!(active, [true, true, false]);
    assert!(listed[1].last_used_us.is_some() && listed[0].last_used_us.is_none());
    assert_eq!(listed[2].key_id, first[..16]);
}

#[tokio::test]
async fn a_key_ends_and_needs_its_partner() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let over = NewKey { lifetime_s: Some(0), ..wished(&books, "shop") };
    let key = issue_key(&mut conn, &keyring(), &over).await.unwrap();
    let known = credential_of(&mut conn, &keyring().pepper(), CredentialKind::ApiKey, &key).await.unwrap();
    assert_eq!(known, None);
    let mut nobody = wished(&books, "ghost");
    nobody.credential.partner_id = Some("ghost".into());
    let refused = issue_key(&mut conn, &keyring(), &nobody).await;
    assert!(matches!(refused, Err(KeyRefusal::PartnerUnknown(_))), "{refused:?}");
}

#[tokio::test]
async fn no_secret_is_in_the_table() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let key = issue_key(&mut conn, &keyring(), &wished(&books, "shop")).await.unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("select credential::text from credential").fetch_all(&mut *conn).await.unwrap();
    let plain =
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), &key));
    let plain: String = plain.iter().map(|it| format!("{it:02x}")).collect();
    assert!(!rows.is_empty());
    for row in rows {
        assert!(!row.contains(&key[16..]) && !row.contains(&plain), "{row}");
    }
}
