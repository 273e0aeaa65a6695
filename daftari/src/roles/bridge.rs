//! `daftari bridge`: points between the books and a chain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{
    AnchorPolicy, BridgeAudit, BridgeConfig, Pacing, agreed_terms, audit_bridge, bridge_until,
};
use anyhow::{Context, ensure};
use chain::{Account, Addresses, AuditLog, Chain, Gateway};
use ledger::MemberRef;
use serde_json::{Value, json};
use store::{Committer, GatewayAt, PgConnection};
use tiles::TileStore;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::config::{Bridge, BridgeAt, BridgeRun, ChainKeyAt, SecretText, Who};
use crate::roles::{OpenBooks, contracts, deed, serve_operations, watch};
use crate::{keys, logging, signals};

/// How much is listed at most.
const LIST_MAX: u32 = 1000;

pub(crate) async fn run(command: Bridge) -> anyhow::Result<ExitCode> {
    match command {
        Bridge::Run(config) => serve(*config).await?,
        Bridge::List { at, json } => list(&at, json).await?,
        Bridge::Reference { at, member, actor } => {
            let books = OpenBooks::open(&at.database).await?;
            let program_id = books.program.program_id;
            let mut acting = books.acting().await?;
            let conn = acting.conn();
            let member = member_id(conn, program_id, &member).await?;
            let reference = store::give_reference(conn, program_id, at.unit, member, &actor).await?;
            let reference = format!("0x{}", hex::encode(reference));
            // To whom, its row says, which goes with the member: an act names no member.
            let after = json!({ "unit": at.unit });
            let who = Who { actor, reason: None };
            books.done(acting, &who, deed("reference.given", &reference, None, Some(after))).await?;
            println!("{reference}");
        }
        Bridge::Credit { at, burn, member, actor } => {
            let books = OpenBooks::open(&at.database).await?;
            let (_, gateway) = gateway_at(&at)?;
            let mut acting = books.acting().await?;
            let conn = acting.conn();
            let member = member_id(conn, books.program.program_id, &member).await?;
            let assigned = store::assign_burn(conn, &gateway, burn, member, &actor).await?;
            ensure!(
                assigned,
                "there is no burn {burn} that is open and whose reference is not that of a member who takes part"
            );
            // To whom, the posting will say: an act names no member.
            let contract = format!("0x{}", hex::encode(gateway.contract));
            let after = json!({ "chain_id": gateway.chain_id, "gateway": contract, "burn_id": burn });
            let who = Who { actor, reason: None };
            books.done(acting, &who, deed("burn.assigned", burn.to_string(), None, Some(after))).await?;
            println!("burn {burn} is credited in the bridge's next round");
        }
        Bridge::Check { at, chain_rpc_url, json } => return Ok(check(&at, &chain_rpc_url, json).await),
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: BridgeRun) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let (addresses, _) = gateway_at(&config.at)?;
    let account = keys::account(&ChainKeyAt {
        chain_key_file: config.bridge_key_file,
        chain_key_password_file: None,
        chain_key: None,
        chain_key_command: config.bridge_key_command,
        chain_sender: config.bridge_sender,
    })
    .await?;
    let books = OpenBooks::open(&config.at.database).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let (committer, committing) = books.lasting_committer().await?;
    let commits = Some(committer.commits());
    let committing = tokio::spawn(watch(committing, stop.clone()));
    let served = Served {
        rpc_urls: config.chain_rpc_url.urls(),
        addresses,
        account,
        unit: config.at.unit,
        first_block: config.first_block,
        accepted_claims: config.accept_claim.iter().map(|it| it.0).collect(),
        fee_ceiling_wei: u128::from(config.bridge_ceiling_gwei) * 1_000_000_000,
        check_every: config.check_every.0,
    };
    let bridge = assemble(&books, committer, config.tiles.open()?, served).await?;
    let operations =
        tokio::spawn(serve_operations(listener, books.pool.clone(), commits, metrics, stop.clone()));
    let gap = config.gap.0;
    bridge_until(bridge, Pacing { gap, back_off_max: 60 * gap.max(Duration::from_secs(1)) }, stop.clone())
        .await;
    stop.cancel();
    operations.await??;
    committing.await?
}

/// Which gateway is served, and by whom.
pub(crate) struct Served {
    pub(crate) rpc_urls: Vec<String>,
    pub(crate) addresses: Addresses,
    pub(crate) account: Option<Account>,
    pub(crate) unit: u16,
    pub(crate) first_block: u64,
    pub(crate) accepted_claims: Vec<[u8; 32]>,
    pub(crate) fee_ceiling_wei: u128,
    pub(crate) check_every: Duration,
}

/// No local time is further from UTC.
const ZONE_S_MAX: i32 = 14 * 3600;

/// A bridge over these books, once most endpoints have shown what the gateway is.
pub(crate) async fn assemble(
    books: &OpenBooks,
    committer: Committer,
    tiles: TileStore,
    served: Served,
) -> anyhow::Result<anchor_worker::Bridge> {
    let Served { rpc_urls, addresses, account, unit, first_block, .. } = served;
    let points = addresses.points.context("the addresses name no gateway")?;
    let log_id = books.log.log_id;
    let chain_of = |url: &String| Chain::of_id(url, addresses.chain_id);
    let gateway = |url| Ok(Gateway::new(chain_of(url)?, points.points_gateway.into_array(), &log_id));
    let endpoints = rpc_urls.iter().map(gateway).collect::<anyhow::Result<Vec<_>>>()?;
    let audit_log = |url| Ok(AuditLog::new(chain_of(url)?, addresses.place(), &log_id)?);
    let audit_logs = rpc_urls.iter().map(audit_log).collect::<anyhow::Result<Vec<_>>>()?;
    let terms = agreed_terms(&endpoints).await?;
    ensure!(
        terms.points == points.loyalty_points.into_array() && terms.zone_s.abs() <= ZONE_S_MAX,
        "most endpoints show the gateway with another token than the addresses name, or with a local time that is nowhere"
    );
    let policy = AnchorPolicy::new(addresses.chain_id, Duration::ZERO);
    let bridge = anchor_worker::Bridge::open(BridgeConfig {
        pool: books.pool.clone(),
        keyring: books.keyring()?,
        committer,
        tiles: Arc::new(tiles),
        endpoints,
        audit_logs,
        terms,
        program_id: books.program.program_id,
        unit,
        first_block,
        account,
        accepted_claims: served.accepted_claims,
        fee_ceiling_wei: served.fee_ceiling_wei,
        check_every: served.check_every,
        final_depth_min: policy.final_depth_min,
        final_depth_alone: policy.final_depth_alone,
    });
    Ok(bridge.await?)
}

fn gateway_at(at: &BridgeAt) -> anyhow::Result<(Addresses, GatewayAt)> {
    let addresses = contracts::addresses(&at.addresses)?;
    let points = addresses.points.with_context(|| format!("{} names no gateway", at.addresses.display()))?;
    let contract = points.points_gateway.into_array();
    Ok((addresses, GatewayAt { chain_id: addresses.chain_id, contract }))
}

async fn member_id(conn: &mut PgConnection, program_id: i16, name: &str) -> anyhow::Result<Uuid> {
    match MemberRef::parse(name) {
        MemberRef::Id(id) => Ok(id),
        MemberRef::External(name) => store::member_id(conn, program_id, &name)
            .await?
            .with_context(|| format!("the program has no member {name:?}")),
    }
}

async fn list(at: &BridgeAt, is_json: bool) -> anyhow::Result<()> {
    let books = OpenBooks::open(&at.database).await?;
    let conn = &mut *books.pool.acquire().await?;
    let (_, gateway) = gateway_at(at)?;
    let state = store::gateway_state(conn, &gateway).await?;
    let state = state.context("nothing was read of this gateway yet: run daftari bridge run first")?;
    let withdrawals = store::open_withdrawals(conn, &books.keyring()?, &gateway, LIST_MAX).await?;
    let burns = store::burns(conn, &gateway, true, LIST_MAX).await?;
    let withdrawals: Vec<Value> = withdrawals
        .iter()
        .map(|it| {
            json!({
                "transaction_id": it.posting_id,
                "leaf_index": it.leaf_index,
                "points": it.points(),
                "holder": format!("0x{}", hex::encode(it.withdrawal.holder)),
                "withdrawal_id": format!("0x{}", hex::encode(it.withdrawal.withdrawal_id)),
                "claim_before": it.withdrawal.claim_before,
            })
        })
        .collect();
    let burns: Vec<Value> = burns
        .iter()
        .map(|it| {
            json!({
                "burn_id": it.burn.burn_id,
                "points": it.burn.amounts.iter().map(|it| it.amount).sum::<u64>(),
                "holder": format!("0x{}", hex::encode(it.burn.holder)),
                "credit_to": format!("0x{}", hex::encode(it.burn.credit_to)),
                "member_id": it.member_id,
                "problem": it.problem,
            })
        })
        .collect();
    if is_json {
        let known = json!({"block": state.block, "known_until": state.known_until});
        println!("{}", json!({"known": known, "withdrawals": withdrawals, "burns": burns}));
        return Ok(());
    }
    println!("read up to block {}, whose time is second {} after 1970", state.block, state.known_until);
    for it in withdrawals {
        println!(
            "withdrawal of {} points at leaf {} to {}, claimable before second {}",
            it["points"], it["leaf_index"], it["holder"], it["claim_before"]
        );
    }
    for it in burns {
        let problem = it["problem"].as_str().unwrap_or("it is credited in the next round");
        println!("burn {} of {} points by {}: {problem}", it["burn_id"], it["points"], it["holder"]);
    }
    Ok(())
}

async fn check(at: &BridgeAt, rpc_urls: &SecretText, is_json: bool) -> ExitCode {
    match audit(at, rpc_urls).await {
        Ok(audit) => {
            print!("{}", told(&audit, is_json));
            ExitCode::from(u8::from(!audit.problems.is_empty()))
        }
        Err(error) => {
            eprintln!("Could not check: {}.", crate::told(&error));
            ExitCode::from(2)
        }
    }
}

async fn audit(at: &BridgeAt, rpc_urls: &SecretText) -> anyhow::Result<BridgeAudit> {
    let books = OpenBooks::open(&at.database).await?;
    let (addresses, gateway) = gateway_at(at)?;
    let endpoint = |url: String| {
        let chain = Chain::of_id(&url, addresses.chain_id)?;
        Ok(Gateway::new(chain, gateway.contract, &books.log.log_id))
    };
    let endpoints = rpc_urls.urls().into_iter().map(endpoint).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(audit_bridge(&books.pool, &endpoints).await?)
}

fn told(audit: &BridgeAudit, is_json: bool) -> String {
    let BridgeAudit { block, bridge, elsewhere, unexpired, unclaimed, uncredited, gone, problems } = audit;
    if is_json {
        let told = json!({
            "block": block,
            "bridge": bridge,
            "elsewhere": elsewhere,
            "unexpired": unexpired,
            "unclaimed": unclaimed,
            "uncredited": uncredited,
            "gone": gone,
            "problems": problems,
        });
        return format!("{told}\n");
    }
    let mut text: String = problems.iter().map(|it| format!("Found: {it}.\n")).collect();
    text += &format!(
        "The account bridge has {bridge} points as of block {block}:\n{unexpired:>20} with holders on the chain\n\
         {unclaimed:>20} withdrawn and not claimed\n{uncredited:>20} burned and not credited\n\
         {gone:>20} expired there or burned for nobody, and not posted\n{elsewhere:>20} not by this gateway\n"
    );
    text
}
