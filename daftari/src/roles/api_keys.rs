//! `daftari keys`: what an operator does about API keys.

use anyhow::{Context, bail, ensure};
use serde_json::json;
use store::{Credential, KeyFacts, NewKey, Role};

use crate::config::{CreateKey, KeyRole, Keys};
use crate::roles::books::Instant;
use crate::roles::{OpenBooks, deed};

/// Others keep our keys for five minutes, and our processes for half a minute.
const NOTICE_S: u32 = 600;
/// A token is good for an hour.
const OVERLAP_S: u32 = 3600 + 60;

pub(crate) async fn run(command: Keys) -> anyhow::Result<()> {
    match command {
        Keys::Create(config) => create(config).await,
        Keys::List { database } => {
            let books = OpenBooks::open(&database).await?;
            let mut conn = books.pool.acquire().await?;
            let keys = store::keys(&mut conn, books.program.program_id, None, i64::MAX).await?;
            keys.iter().for_each(|it| println!("{}", line(it)));
            Ok(())
        }
        Keys::RotateSigning { database, who, leaked } => {
            let books = OpenBooks::open(&database).await?;
            let (notice_s, overlap_s) = if leaked { (0, 0) } else { (NOTICE_S, OVERLAP_S) };
            let (program_id, keyring) = (books.program.program_id, books.keyring()?);
            let mut acting = books.acting().await?;
            let id =
                store::rotate_token_key(acting.conn(), &keyring, program_id, notice_s, overlap_s).await?;
            let after =
                json!({ "signs_in_s": notice_s, "others_end_in_s": notice_s + overlap_s, "leaked": leaked });
            books.done(acting, &who, deed("token_key.made", id.to_string(), None, Some(after))).await?;
            println!("The key {id} signs in {notice_s} seconds.");
            Ok(())
        }
        Keys::Revoke { database, who, key_id } => {
            let books = OpenBooks::open(&database).await?;
            let mut acting = books.acting().await?;
            let (conn, program_id) = (acting.conn(), books.program.program_id);
            store::lock_program(conn, program_id).await?;
            let before = store::key_facts(conn, program_id, &key_id).await?;
            let before = before.with_context(|| format!("the program has no key {key_id}"))?;
            store::revoke_key(conn, program_id, &key_id).await?;
            let after = store::key_facts(conn, program_id, &key_id).await?.map(api::key_as_shown);
            // Withdrawing it twice changes nothing.
            if before.revoked_us.is_none() {
                let before = Some(api::key_as_shown(before));
                books.done(acting, &who, deed("key.revoked", &key_id, before, after)).await?;
            }
            println!("The key {key_id} is withdrawn.");
            Ok(())
        }
    }
}

async fn create(config: CreateKey) -> anyhow::Result<()> {
    let CreateKey { database, who, owner, role, partner, scopes, addresses, lifetime } = config;
    for scope in &scopes {
        let known = api::Scope::ALL.map(api::Scope::as_str);
        ensure!(known.contains(&scope.as_str()), "{scope} is no scope: there are {}", known.join(", "));
    }
    let (role, delegated) = match role {
        KeyRole::Partner => (Role::Partner, false),
        KeyRole::App => (Role::Member, true),
        KeyRole::Viewer => (Role::Viewer, false),
        KeyRole::Editor => (Role::Editor, false),
        KeyRole::Approver => (Role::Approver, false),
        KeyRole::Auditor => (Role::Auditor, false),
    };
    let partner_id = match (role, partner) {
        (Role::Partner, partner) => Some(partner.unwrap_or_else(|| owner.clone())),
        (_, None) => None,
        (role, Some(_)) => bail!("{} speaks for no partner: leave --partner out", role.as_str()),
    };
    let books = OpenBooks::open(&database).await?;
    let program_id = books.program.program_id;
    let new = NewKey {
        credential: Credential { program_id, owner, scopes, partner_id, delegated },
        role,
        addresses: addresses.iter().map(ToString::to_string).collect(),
        lifetime_s: lifetime.map(|it| it.0.as_secs() as i64),
    };
    let mut acting = books.acting().await?;
    let key = store::issue_key(acting.conn(), &books.keyring()?, &new).await?;
    let key_id = &key[..16];
    let after = store::key_facts(acting.conn(), program_id, key_id).await?.map(api::key_as_shown);
    books.done(acting, &who, deed("key.created", key_id, None, after)).await?;
    println!("{key}");
    eprintln!("This is the only time that the key is shown.");
    Ok(())
}

/// Name, owner, role, scopes, and what has become of it.
fn line(key: &KeyFacts) -> String {
    let role = Role::ALL.into_iter().find(|it| *it as i16 == key.role).map_or("unknown", Role::as_str);
    let role = if key.delegated && key.partner_id.is_none() { "app" } else { role };
    let when =
        |us: Option<i64>, words: &str| us.map(|it| format!("  {words} {}", Instant(it))).unwrap_or_default();
    let partner = key.partner_id.as_ref().map(|it| format!(" for {it}")).unwrap_or_default();
    format!(
        "{}  {}  {role}{partner}  {}  {}{}{}{}",
        key.key_id,
        key.owner,
        key.scopes.join(","),
        if key.is_active { "active" } else { "ended" },
        when(key.expires_us, "expires"),
        when(key.last_used_us, "used"),
        when(key.revoked_us, "withdrawn"),
    )
}
