//! `daftari anchors rotate`: moves a role to another key, step by step; and `reconcile`, which holds our rows against the
//! contract's events. Both ask the chain.

use std::time::Duration;

use anchor_worker::{Rotation, next_rotation};
use anyhow::ensure;
use chain::{AuditLog, Chain, RoleCall};
use proof::AnchorPlace;
use store::PgConnection;

use super::instant;
use crate::config::{RotateRole, parse_address};
use crate::keys;

/// How often a rotation that waits looks at the chain's clock.
const LOOKS: Duration = Duration::from_secs(2);

pub(super) async fn rotate(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    told: RotateRole,
) -> anyhow::Result<()> {
    let (to, role) = (parse_address(&told.to)?, told.role.into());
    let account = keys::account(&told.key).await?;
    let audit_log = audit_log(conn, place, &told.chain_rpc_url.0).await?;
    loop {
        let roles = audit_log.roles(role).await?;
        match next_rotation(&roles, role, to, told.at_once)? {
            Rotation::Done => {
                println!("{} is the {} of this log", told.to, told.role.name());
                return Ok(());
            }
            Rotation::Wait { ready_at_s } => {
                println!("announced: it can be taken over from {} on", instant(ready_at_s)?);
                if told.dry_run || !told.wait {
                    return Ok(());
                }
                while audit_log.chain().latest_time_s().await? < ready_at_s {
                    tokio::time::sleep(LOOKS).await;
                }
            }
            Rotation::Send(call) => {
                let (contract, data) = audit_log.role_call(call);
                let what = meaning(call, roles.delay_s);
                let Some(account) = account.as_ref().filter(|_| !told.dry_run) else {
                    println!("next: {what}. Whoever may do so sends to {contract}\n{data}");
                    return Ok(());
                };
                let address = account.address();
                let may_send =
                    address == roles.admin || call == RoleCall::TakeOver && address == roles.writer;
                let admin = hex::encode(roles.admin);
                ensure!(may_send, "this key may not {what}: the log's admin is 0x{admin}");
                let hash = audit_log.change_role(account, call).await?;
                println!("done: {what}, by 0x{}", hex::encode(hash));
            }
        }
    }
}

fn meaning(call: RoleCall, delay_s: u64) -> String {
    match call {
        RoleCall::Propose(..) => format!("announce the change, {delay_s} s before it can be made"),
        RoleCall::Enact(_) => "make the announced change".to_owned(),
        RoleCall::TakeOver => "let the standby take the writer's place at once".to_owned(),
    }
}

pub(super) async fn reconcile(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    rpc_url: &str,
    dry_run: bool,
) -> anyhow::Result<()> {
    let audit_log = audit_log(conn, place, rpc_url).await?;
    let found = anchor_worker::reconcile(conn, &audit_log, dry_run).await?;
    println!("the contract's head has {} leaves; its events show {} anchors", found.head, found.anchored);
    let say = |sizes: &[u64], what: &str| {
        if !sizes.is_empty() {
            let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
            println!("{what}: {}", sizes.join(", "));
        }
    };
    let done = if dry_run { "to be" } else { "now" };
    say(&found.written, &format!("missing in our rows, {done} written down"));
    say(&found.vanished, &format!("in our rows and in no event, {done} forgotten"));
    say(&found.broken, "final in our rows and in no event");
    say(&found.strangers, "anchored, and not checkpoints of this log");
    ensure!(
        !found.is_doubtful(),
        "our rows and the contract cannot both be right: docs/runbook.md, Anchoring"
    );
    Ok(())
}

async fn audit_log(conn: &mut PgConnection, place: &AnchorPlace, rpc_url: &str) -> anyhow::Result<AuditLog> {
    let log = store::log_identity(conn).await?;
    let chain = Chain::connect(rpc_url).await?;
    let audit_log = AuditLog::new(chain, *place, &log.log_id)?;
    audit_log.check_code().await?;
    Ok(audit_log)
}
