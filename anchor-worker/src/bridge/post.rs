//! What the books post for a chain: burns are credited, and withdrawals that were never claimed come back. Each is asked
//! under a key of its own, so asking again is harmless.

use std::collections::BTreeMap;

use chain::{ChainError, Gateway};
use futures::future::join_all;
use ledger::{Command, Day, Item, MemberRef, Points, Request};
use proof::{Details, Hash, Text};
use store::{BurnStory, OpenWithdrawal};
use uuid::Uuid;

use super::{Bridge, BridgeError, agreement};

/// Whose keys these are.
const SOURCE: &str = store::BRIDGE_SOURCE;
/// How many are looked at in a round.
const PAGE: u32 = 500;

impl Bridge {
    /// Credits what was burned, where it is known to whom; the rest keeps its reason. Gives how many were credited.
    pub(super) async fn credit(&mut self) -> Result<u64, BridgeError> {
        let open = store::burns(&mut *self.connection().await?, &self.at, true, PAGE).await?;
        let mut credited = 0;
        for story in open {
            let burn_id = story.burn.burn_id;
            let outcome = match deposit(&story) {
                Ok(command) => {
                    let what = format!("burn {burn_id} on chain {}", self.at.chain_id);
                    self.post(&store::burn_key(&self.at, burn_id), command, &what).await?
                }
                Err(problem) => Err(problem),
            };
            if let (Err(problem), None) = (&outcome, &story.problem) {
                tracing::warn!(chain_id = self.at.chain_id, burn_id, problem, "a burn is not credited");
            }
            credited += u64::from(outcome.is_ok());
            let outcome = outcome.as_ref().map(|it| *it).map_err(String::as_str);
            store::note_burn(&mut *self.connection().await?, &self.at, burn_id, outcome).await?;
        }
        Ok(credited)
    }

    /// Posts to breakage what has expired on the chain. Gives how much was.
    pub(super) async fn expire(&mut self) -> Result<u64, BridgeError> {
        let mut posted = 0;
        for expired in store::expired_on_chain(&mut *self.connection().await?, &self.at).await? {
            let mut leaf_index = None;
            if expired.points != 0 {
                let points = i64::try_from(expired.points).ok().and_then(|it| Points::new(it).ok());
                let Some(points) = points else {
                    tracing::warn!(
                        what = expired.what,
                        points = expired.points,
                        "more expired than one posting carries"
                    );
                    continue;
                };
                let what = format!("{} on chain {} has expired", expired.what, self.at.chain_id);
                let key = store::expired_key(&self.at, &expired.what);
                match self.post(&key, Command::ExpireOnChain { points }, &what).await? {
                    Ok(leaf) => leaf_index = Some(leaf),
                    Err(problem) => {
                        tracing::warn!(
                            what = expired.what,
                            problem,
                            "what expired on the chain is not posted"
                        );
                        continue;
                    }
                }
            }
            posted += expired.points;
            let conn = &mut *self.connection().await?;
            store::note_expired(conn, &self.at, &expired, leaf_index).await?;
        }
        Ok(posted)
    }

    /// Takes back what can be claimed no more and was not. Gives what is still open then, and how many were taken back.
    pub(super) async fn take_back(&mut self) -> Result<(Vec<OpenWithdrawal>, u64), BridgeError> {
        let mut conn = self.connection().await?;
        // Before the withdrawals: whatever is in the log below this size is seen by what is read next.
        let size = store::log_size(&mut conn).await?;
        let state = store::gateway_state(&mut conn, &self.at).await?;
        let (block, known_until) = state.map_or((0, 0), |it| (it.block, it.known_until));
        let open = store::open_withdrawals(&mut conn, &self.config.keyring, &self.at, PAGE).await?;
        store::note_open_from(&mut conn, &self.at, open.first().map_or(size, |it| it.leaf_index)).await?;
        drop(conn);
        self.refused.retain(|leaf, _| open.iter().any(|it| it.leaf_index == *leaf));
        let (over, open): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|it| it.withdrawal.claim_before <= known_until);
        let (mut taken_back, mut paid) = (0, Vec::new());
        for withdrawal in over {
            let command = Command::Reverse { posting: withdrawal.posting_id, points: None };
            let what = format!("not claimed on chain {}", self.at.chain_id);
            // An event may have been hidden from us, and then it would be given twice.
            let id = &withdrawal.withdrawal.withdrawal_id;
            let is_paid = self.is_paid(id, block).await?;
            store::note_paid(&mut *self.connection().await?, &self.at, id, is_paid).await?;
            let posted = match is_paid {
                true => Err("the gateway has paid it, and no event that was read says so".to_owned()),
                false => self.post(&store::withdrawal_key(&withdrawal.withdrawal), command, &what).await?,
            };
            match posted {
                Ok(_) => taken_back += 1,
                Err(problem) => {
                    let leaf_index = withdrawal.leaf_index;
                    if self.refused.insert(leaf_index, problem.clone()).as_ref() != Some(&problem) {
                        tracing::warn!(leaf_index, problem, "a withdrawal cannot be taken back");
                    }
                }
            }
            if is_paid {
                paid.push(withdrawal);
            }
        }
        self.look_for(&paid).await?;
        Ok((open, taken_back))
    }

    /// Whether the gateway has paid a withdrawal, as most endpoints say that have come to this block.
    async fn is_paid(&self, withdrawal_id: &Hash, block: u64) -> Result<bool, BridgeError> {
        let ask = async |it: &Gateway| {
            if it.chain().latest_block().await? < block {
                return Err(ChainError::Refused(format!("it has no block {block}")));
            }
            it.is_claimed(withdrawal_id).await
        };
        let answers = join_all(self.config.endpoints.iter().map(ask)).await;
        agreement::agreed(answers, "payment of a withdrawal")
    }

    /// Posts a command and gives its leaf, or why the books refuse it. A refusal is not remembered with the bridge's keys: it
    /// depends on what an operator may mend.
    async fn post(
        &self,
        key: &str,
        command: Command,
        what: &str,
    ) -> Result<Result<u64, String>, BridgeError> {
        let description = Text::new(what.to_owned()).expect("it is short");
        let details = Details { description: Some(description), ..Details::default() };
        let item = Item { posting_id: Uuid::now_v7(), command, details };
        let request = Request::one(self.config.program_id, SOURCE.to_owned(), key.to_owned(), item);
        let request = Request { unit: self.config.unit, ..request };
        let answer = self.config.committer.submit(request).await?;
        Ok(answer.outcome.map(|items| items[0].leaf_index).map_err(|it| it.refusal.to_string()))
    }
}

/// The deposit that credits a burn, or why there is none.
fn deposit(story: &BurnStory) -> Result<Command, String> {
    let Some(member) = story.member_id else {
        let reference = hex::encode(story.burn.credit_to);
        return Err(format!("0x{reference} is not a reference that was given out: name a member for it"));
    };
    let mut by_day = BTreeMap::<i32, u64>::new();
    for it in &story.burn.amounts {
        let sum = by_day.entry(it.last_day).or_default();
        *sum = sum.saturating_add(it.amount);
    }
    let amount = |(day, amount): (i32, u64)| {
        let points = i64::try_from(amount).ok().and_then(|it| Points::new(it).ok());
        Some((Day::new(day)?, points?))
    };
    let amounts: Option<Vec<_>> = by_day.into_iter().map(amount).collect();
    let amounts = amounts.ok_or("its amounts are beyond what the books hold")?;
    Ok(Command::Deposit { member: MemberRef::Id(member), amounts })
}
