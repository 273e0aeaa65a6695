//! `daftari members`: what the law gives a member a right to, and their tiers.

use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ledger::{Command, Item, MemberRef, Request, Status};
use proof::{Details, Text};
use serde_json::json;
use store::{Accepted, MemberToErase, Tier};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::{EraseMember, ExportMember, Members, SettleTier};
use crate::keys;
use crate::roles::books::archive;
use crate::roles::{OpenBooks, deed};

/// How often it is looked whether the member's leaves are sealed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) async fn run(act: Members) -> anyhow::Result<()> {
    match act {
        Members::Erase(config) => erase(config).await,
        Members::Export(config) => export(config).await,
        Members::Tier(config) => settle_tier(config).await,
    }
}

async fn erase(config: EraseMember) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let program = books.program.program_id;
    let named = MemberRef::parse(&config.member);
    let conn = &mut *books.pool.acquire().await?;
    let member = store::member_to_erase(conn, program, &named).await?;
    let member = member.context("there is no such member: nothing was erased")?;
    store::demand_unarchived(conn, &member)
        .await
        .context("the member has postings in files: nothing was erased")?;
    store::demand_undoubted(conn, program, &member).await?;
    store::demand_settled(conn).await.context("nothing was erased")?;
    if config.dry_run {
        return foretell(&books, conn, &member, &config.actor).await;
    }
    let acts = close(&books, &member, &config.actor, false).await?;
    until_sealed(conn, &member, &acts, config.patience.0).await?;
    let leaves: Vec<u64> = acts.iter().map(|it| it.leaf_index).collect();
    let erased = store::erase_member(conn, &books.keyring()?, program, &member, &leaves)
        .await
        .context("the accounts are closed: run it again to erase them")?;
    store::vacuum_erased(conn)
        .await
        .context("the member is erased, but VACUUM did not end: run it by hand")?;
    println!(
        "Erased: {} accounts, the words and events of {} leaves, what was asked of {} outcomes, {} rejected events.",
        erased.accounts, erased.leaves, erased.outcomes, erased.rejected_events
    );
    for (account, act) in member.accounts.iter().zip(&acts) {
        println!(
            "Account {} keeps its amounts; leaf {} says that it was erased, transaction {}.",
            account.id, act.leaf_index, act.posting_id
        );
    }
    println!("Backups and archived WAL name the member until they end: see docs/runbook.md.");
    Ok(())
}

/// Says what an erasure would take, what it would wait for, and what stands in its way.
async fn foretell(
    books: &OpenBooks,
    conn: &mut store::PgConnection,
    member: &MemberToErase,
    actor: &str,
) -> anyhow::Result<()> {
    println!(
        "{} accounts would be closed and erased, and every name, word and event of theirs:",
        member.accounts.len()
    );
    let (reader, named) = (store::Reader::new(books.pool.clone()), MemberRef::Id(member.member_id));
    for account in &member.accounts {
        let has = reader.balance(books.program.program_id, account.unit as u16, &named).await?;
        let has = has.context("the member was erased meanwhile")?;
        println!(
            "  account {}, unit {}: {} points would expire into breakage; {} held, {} pending",
            account.id,
            account.unit,
            has.available.max(0),
            has.held,
            has.pending
        );
    }
    let (last, sealed) = store::sealed_of(conn, member).await?;
    println!(
        "It would wait until the leaves that close them are sealed, and leaf {last}, the member's last: {sealed} leaves are."
    );
    close(books, member, actor, true).await?;
    Ok(())
}

/// Closes each account, which lets what is left in it expire. Asking again is answered the same, so that an erasure that was
/// cut off goes on.
async fn close(
    books: &OpenBooks,
    member: &MemberToErase,
    actor: &str,
    dry_run: bool,
) -> anyhow::Result<Vec<Accepted>> {
    let (committer, committing) = books.committer().await?;
    let mut acts = Vec::new();
    for account in &member.accounts {
        let details = Details {
            actor: Some(Text::new(actor).context("--actor")?),
            reason: Some(Text::new(store::ERASURE_REASON)?),
            description: Some(Text::new(format!("{}{}", store::ERASED_ACCOUNT, account.id))?),
            ..Details::default()
        };
        let command = Command::SetStatus { member: MemberRef::Id(member.member_id), status: Status::Closed };
        let item = Item { posting_id: Uuid::now_v7(), command, details };
        let mut key = format!("erasure:{}", account.id);
        let answer = loop {
            let (program, source) = (books.program.program_id, "erasure".to_owned());
            let mut request = Request::one(program, source, key.clone(), item.clone());
            (request.unit, request.dry_run) = (account.unit as u16, dry_run);
            let answer = committer.submit(request).await?;
            // What stood in the way may be over, and a refusal stays with its key.
            if answer.outcome.is_ok() || !answer.replayed {
                break answer;
            }
            key.push('+');
        };
        match answer.outcome {
            Ok(items) => acts.extend(items),
            Err(refused) => bail!(
                "the account {} cannot be closed: {}. What to do: {}",
                account.id,
                refused.refusal,
                refused.refusal.remedy()
            ),
        }
    }
    drop(committer);
    committing.await?;
    Ok(acts)
}

async fn until_sealed(
    conn: &mut store::PgConnection,
    member: &MemberToErase,
    acts: &[Accepted],
    patience: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let (last, sealed) = store::sealed_of(conn, member).await?;
        let last = acts.iter().map(|it| it.leaf_index).fold(last, u64::max);
        if last < sealed {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "leaf {last} is not sealed yet, {sealed} are: the accounts are closed and nothing is erased; run it again"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn export(config: ExportMember) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let (conn, program) = (&mut *books.pool.acquire().await?, books.program.program_id);
    archive::read(conn, &config.archived).await?;
    let named = MemberRef::parse(&config.member);
    store::member_to_erase(conn, program, &named).await?.context("there is no such member")?;
    match &config.file {
        Some(path) => {
            let mut file = BufWriter::new(keys::create_private(path)?);
            store::everything_held(conn, program, &named, &mut file).await?;
            file.flush()?;
        }
        None => {
            store::everything_held(conn, program, &named, &mut std::io::stdout()).await?;
        }
    }
    Ok(())
}

async fn settle_tier(config: SettleTier) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let (program, named) = (books.program.program_id, MemberRef::parse(&config.member));
    let mut acting = books.acting().await?;
    let member_id = match &named {
        MemberRef::Id(id) => Some(*id),
        MemberRef::External(name) => store::member_id(acting.conn(), program, name).await?,
    };
    let member_id = member_id.context("there is no such member")?;
    let before = store::lock_tier(acting.conn(), program, member_id).await?;
    let before = before.context("there is no such member")?;
    let after = config.tier.tier();
    if before.tier != after {
        store::set_tier(acting.conn(), program, member_id, after).await?;
        let shown = |tier: Option<Tier>| Some(json!({ "tier": tier.map(Tier::name) }));
        // The account, and not whose it is: an act is not erased with the member.
        let deed =
            deed("member.tier", format!("account {}", before.account), shown(before.tier), shown(after));
        books.done(acting, &config.who, deed).await?;
    }
    match after {
        Some(tier) => println!("From now on the member is {}.", tier.name()),
        None => println!("From now on the member has no tier."),
    }
    Ok(())
}
