//! `daftari up`: the whole system in one process, with an embedded default for everything outside.

mod greeting;
mod home;
mod parts;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{BridgeError, BridgeObstacle, LogKey, Pacing, PlaceConfig};
use anyhow::{Context, bail};
use api::{Operations, StreamLimits};
use chain::{Account, Addresses, Chain, dev};
use ingest::{ConsumerConfig, Intake};
use proof::AnchorPlace;
use store::{Credential, CredentialKind, ProgramSpec};
use tiles::TileStore;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Database, Door, Outside, SecretText, SecretUrl, Tiles, Up};
use crate::roles::log::Mapping;
use crate::roles::policy_file::PolicyFile;
use crate::roles::{OpenBooks, anchor, api as api_role, bridge, sweep, verifier as verifier_role, watch};
use crate::{keys, logging, signals};
use greeting::Facts;
use home::Home;
use parts::{DATABASE_NAMED, Parts};

const PROGRAM: &str = "default";
const PARTNER: &str = "duka";
const RULE_SET: &[u8] = br#"{"rates":{"purchase":"0.1","airtime":"0.05"}}"#;
const USUAL_PORT: u16 = 8080;
const SWEEP_GAP: Duration = Duration::from_secs(5);
/// The books of a beginner are small.
const BRIDGE_CHECK_EVERY: Duration = Duration::from_secs(2);
const MAP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) async fn run(config: Up) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    if !config.web_dir.join("index.html").exists() {
        bail!("{} holds no page: build it with web/fetch and npm run build", config.web_dir.display());
    }
    let home = Home::open(&config.data_dir)?;
    let listener = listen(config.listen, &home).await?;
    let page_origin = format!("http://{}", listener.local_addr()?);
    let parts = tokio::select! {
        parts = Parts::start(&config, &home, &page_origin) => parts?,
        () = stop.cancelled() => return Ok(()),
    };
    let served = serve(&config, &home, &parts, listener, stop).await;
    eprintln!("up: stopping what was started");
    parts.stop().await?;
    served
}

/// Whether the gateway's local time is behind the program's.
fn is_behind(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BridgeError::Retry(BridgeObstacle::LocalTime { .. })))
}

/// Listens where it was told to; else where it listened the last time, so that addresses it has given out stay good;
/// else on the usual port, or a free one.
async fn listen(asked: Option<SocketAddr>, home: &Home) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"));
    }
    let before = std::fs::read_to_string(home.path("port")).ok().and_then(|it| it.trim().parse().ok());
    let port = before.unwrap_or(USUAL_PORT);
    let listener = match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(_) => {
            eprintln!("up: port {port} is taken: using a free one");
            TcpListener::bind(("127.0.0.1", 0)).await?
        }
    };
    std::fs::write(home.path("port"), listener.local_addr()?.port().to_string())?;
    Ok(listener)
}

async fn serve(
    config: &Up,
    home: &Home,
    parts: &Parts,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = logging::collect_metrics()?;
    let public_url = format!("http://{}", listener.local_addr()?);
    let key = LogKey::open(&home.log_key(), &home.origin()?)?;
    let vkey = key.verifier_key().encode();
    let database = Database {
        database_url: SecretUrl(parts.database_url.clone()),
        database_connections: 20,
        wrapping_key_file: home.wrapping_key(),
        program: PROGRAM.to_owned(),
        outside: Outside {
            published_log: Some(home.path("log").display().to_string()),
            log_policy_file: Some(home.path("policy.txt")),
            guard_rpc_url: Some(SecretText(parts.chain_rpc_url.clone())),
        },
    };
    provision(config, &database, home, &key).await?;
    let books = OpenBooks::open(&database).await?;

    let (place, contracts) = development_place(config, parts, &books).await?;
    let anchored_at = contracts.place();
    std::fs::write(home.path("contracts.json"), contracts.to_json())?;
    std::fs::write(home.path("policy.txt"), policy(&vkey, anchored_at))?;
    let tiles = home.path("log");
    let policy = PolicyFile::open(&home.path("policy.txt"))?;
    let page =
        verifier_role::page(&config.web_dir, Arc::new(move || policy.now()), Some(&parts.chain_rpc_url));
    let gate = books.gate(&Door::default(), &public_url)?;
    let proofs = Arc::new(verifier_role::assemble(&books, TileStore::open(&tiles)?, gate.clone(), page)?);

    let (committer, committing) = books.committer().await?;
    let commits = Some(committer.commits());
    let mut roles = JoinSet::new();
    roles.spawn(watch(committing, stop.clone()));
    roles.spawn(watch::parts(parts.embedded(), stop.clone()));
    if let Some(brokers) = &parts.kafka_brokers {
        ingest::ensure_topic(brokers, ingest::EVENTS_TOPIC, 4).await?;
        let intake = Intake::new(committer.clone(), books.pool.clone(), books.program.program_id);
        let (consumer, stop) = (ConsumerConfig::new(brokers.clone()), stop.clone());
        roles.spawn(async move { Ok(ingest::consume(intake, &consumer, stop).await?) });
    }
    let (pool, sweeper, stopping) = (books.pool.clone(), committer.clone(), stop.clone());
    roles.spawn(async move {
        sweep::keep_sweeping(pool, sweeper, SWEEP_GAP, stopping).await;
        Ok(())
    });
    let mapping = Mapping {
        pool: books.pool.clone(),
        keyring: books.keyring()?,
        log: books.log.clone(),
        tiles: Tiles { tile_dir: Some(tiles.clone()), ..Tiles::default() },
        guard: committer.guard().clone(),
    };
    let stopping = stop.clone();
    roles.spawn(async move {
        mapping.keep_making(MAP_EVERY, MAP_EVERY, stopping).await;
        Ok(())
    });
    let worker = anchor::worker(books.pool.clone(), TileStore::open(&tiles)?, key, vec![place]);
    let stopping = stop.clone();
    roles.spawn(async move { Ok(anchor_worker::run(worker, stopping).await?) });

    let served = bridge::Served {
        rpc_urls: vec![parts.chain_rpc_url.clone()],
        addresses: contracts,
        account: Some(Account::from_key(dev::DEV_BRIDGE_KEY)?),
        unit: 1,
        first_block: 0,
        accepted_claims: Vec::new(),
        fee_ceiling_wei: u128::MAX,
        check_every: BRIDGE_CHECK_EVERY,
    };
    match bridge::assemble(&books, committer.clone(), TileStore::open(&tiles)?, served).await {
        Ok(bridge) => {
            let stopping = stop.clone();
            roles.spawn(async move {
                anchor_worker::bridge_until(bridge, Pacing::ANCHOR, stopping).await;
                Ok(())
            });
        }
        // The development gateway has one local time for ever. Where the program's is ahead of it, points stay in the books.
        Err(error) if is_behind(&error) => {
            tracing::warn!(error = crate::told(&error), "there is no bridge");
        }
        Err(error) => return Err(error),
    }

    let streams = StreamLimits::USUAL;
    let api = api_role::assemble(&books, committer, gate, &config.webhook_allow, streams, &public_url)?;
    let api = Arc::new(api);
    let telling = api.telling(stop.clone());
    roles.spawn(async move {
        telling.await;
        Ok(())
    });
    let operations =
        Operations { pool: books.pool.clone(), commits, metrics, public_url: public_url.clone() };
    let router = api::complete(api::routes(api).merge(verifier::routes(proofs)), operations);
    let stopping = stop.clone();
    roles.spawn(async move { Ok(api::serve(listener, router, None, stopping).await?) });

    let facts = Facts {
        api: public_url,
        chain_rpc_url: parts.chain_rpc_url.clone(),
        database_url: parts.database_url.clone(),
        kafka_brokers: parts.kafka_brokers.clone(),
        contract: format!("0x{}", hex::encode(anchored_at.contract)),
        registrant: format!("0x{}", hex::encode(anchored_at.registrant)),
        log_key: vkey,
        policy: home.path("policy.txt"),
        redemption: home.path("redemption.json"),
        api_key: home.api_key()?,
        token: home.token()?,
        partner: PARTNER,
    };
    keys::write_private(&home.path("up.json"), &serde_json::to_vec_pretty(&facts)?)?;
    print!("{}", facts.greeting());

    // The first role to end, for whatever reason, ends the others: half a system would only look like one.
    let mut outcome = Ok(());
    while let Some(ended) = roles.join_next().await {
        stop.cancel();
        let ended: anyhow::Result<()> = ended.context("a role panicked").and_then(|it| it);
        if let (Err(error), true) = (ended, outcome.is_ok()) {
            outcome = Err(error);
        }
    }
    books.pool.close().await;
    outcome
}

/// The schema, the log, and a program with a partner and a development credential; what is there already stays.
async fn provision(config: &Up, database: &Database, home: &Home, key: &LogKey) -> anyhow::Result<()> {
    let keyring = keys::keyring(&home.wrapping_key())?;
    let pool = store::connect(&database.database_url.0, 2).await.with_context(|| {
        let named = config.database_url.as_ref().map(|_| format!(" ({DATABASE_NAMED})"));
        format!("cannot use the database{}", named.unwrap_or_default())
    })?;
    store::migrate(&pool).await?;
    let mut conn = pool.acquire().await?;
    store::ensure_log(&mut conn, &key.log()).await?;
    let spec = ProgramSpec {
        name: PROGRAM.to_owned(),
        enrols: true,
        point_value: "0.10".to_owned(),
        currency: "KES".to_owned(),
        rule_set: RULE_SET.to_vec(),
    };
    let program = store::ensure_sandbox(&mut conn, &keyring, &spec).await?;
    store::ensure_partner(&mut conn, &keyring, program.program_id, PARTNER).await?;
    let credential = Credential {
        program_id: program.program_id,
        owner: "development".to_owned(),
        scopes: ["loyalty:read", "loyalty:redeem", "loyalty:earn", "loyalty:adjust"]
            .map(str::to_owned)
            .to_vec(),
        partner_id: Some(PARTNER.to_owned()),
        delegated: true,
    };
    store::ensure_credential(&mut conn, &keyring, CredentialKind::ApiKey, &home.api_key()?, &credential)
        .await?;
    store::ensure_credential(&mut conn, &keyring, CredentialKind::BearerToken, &home.token()?, &credential)
        .await?;
    drop(conn);
    pool.close().await;
    Ok(())
}

/// The contracts on the development chain, with the log registered, and anvil's well-known account that anchors.
async fn development_place(
    config: &Up,
    parts: &Parts,
    books: &OpenBooks,
) -> anyhow::Result<(PlaceConfig, Addresses)> {
    let account = Account::from_key(dev::DEV_KEY)?;
    let chain = Chain::connect(&parts.chain_rpc_url).await.context("cannot use the chain")?;
    let audit_log = dev::ensure_contract(&chain, &account, &books.log.log_id).await?;
    anchor_worker::forget_if_reset(&books.pool, &audit_log).await?;
    let contracts = dev::ensure_points(&audit_log, &account, &books.log.log_id).await?;
    Ok((anchor::place_of(audit_log, account, config.anchor_gap.0), contracts))
}

fn policy(vkey: &str, at: AnchorPlace) -> String {
    format!(
        "# What a verifier of this log trusts. Made by `daftari up` for development.\nlog {vkey}\nanchor {} 0x{} 0x{}\nquorum none\n",
        at.chain_id,
        hex::encode(at.contract),
        hex::encode(at.registrant)
    )
}
