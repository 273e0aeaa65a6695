//! What was settled for each program, by the leaf from which on it holds: a leaf is looked at by the terms that it was
//! decided by.

use std::collections::HashMap;

use ledger::{Day, Policy, Terms};
use sqlx::PgConnection;

use crate::error::StoreError;
use crate::gateways;

/// The terms of all programs through the log.
pub(crate) struct History {
    /// Under which epoch it was read.
    epoch: i64,
    terms: HashMap<i16, Vec<(i64, Terms)>>,
    closes: HashMap<i16, Vec<(i64, i64)>>,
}

impl History {
    pub(crate) async fn read(conn: &mut PgConnection) -> Result<Self, StoreError> {
        // The epoch first: what is settled in between is then read again.
        let epoch = epoch(conn).await?;
        let damaged = |error: ledger::PolicyError| StoreError::Damaged(error.to_string());
        let programs: Vec<i16> =
            sqlx::query_scalar("select program_id from program").fetch_all(&mut *conn).await?;
        let mut terms = HashMap::new();
        for program in programs {
            // Before the first policy, what a policy leaves out.
            terms.insert(program, vec![(0, Terms::new(Policy::default()).map_err(damaged)?)]);
        }
        let policies: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(
            "select program_id, first_leaf_index, document from policy order by program_id, version",
        )
        .fetch_all(&mut *conn)
        .await?;
        for (program, first, document) in policies {
            terms.entry(program).or_default().push((first, Terms::parse(&document).map_err(damaged)?));
        }
        let clocks: Vec<(i16, i64, i64)> = sqlx::query_as(
            "select program_id, first_leaf_index, ahead_us from sandbox_clock order by program_id, ahead_us",
        )
        .fetch_all(&mut *conn)
        .await?;
        for (program, first, ahead_us) in clocks {
            let all = terms.entry(program).or_default();
            let at = all.partition_point(|it| it.0 <= first);
            if let Some((_, before)) = all[..at].last() {
                let before = before.clone();
                all.insert(at, (first, before));
            }
            all[at..].iter_mut().for_each(|(_, terms)| terms.ahead_us = ahead_us);
        }
        let merchants: Vec<(i16, i32, String)> =
            sqlx::query_as("select program_id, fund_id, merchant from fund where merchant is not null")
                .fetch_all(&mut *conn)
                .await?;
        for (program, number, merchant) in merchants {
            for (_, terms) in terms.entry(program).or_default() {
                terms.merchants.insert(number as u32, merchant.clone());
            }
        }
        for (program, at, gateway) in gateways::all_terms(conn).await? {
            for (_, terms) in terms.entry(program).or_default() {
                terms.gateways.insert((at.chain_id, at.contract), gateway);
            }
        }
        let rows: Vec<(i16, i64, i64)> =
            sqlx::query_as("select program_id, first_leaf_index, closed_before from period_close")
                .fetch_all(conn)
                .await?;
        let mut closes: HashMap<i16, Vec<(i64, i64)>> = HashMap::new();
        for (program, first, before) in rows {
            closes.entry(program).or_default().push((first, before));
        }
        Ok(Self { epoch, terms, closes })
    }

    /// Whether something was settled since it was read.
    pub(crate) async fn is_outdated(&self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        Ok(epoch(conn).await? != self.epoch)
    }

    /// The terms by which the program decided this leaf, if there is such a program.
    pub(crate) fn terms(&self, program: i16, leaf_index: i64) -> Option<&Terms> {
        let all = self.terms.get(&program)?;
        all.iter().rev().find(|(first, _)| *first <= leaf_index).map(|it| &it.1)
    }

    /// The latest local date of an instant, by any terms that the program has had.
    pub(crate) fn latest_day(&self, program: i16, us: i64) -> Day {
        let all = self.terms.get(&program).into_iter().flatten();
        all.map(|(_, terms)| terms.moment(us).day).max().unwrap_or_default()
    }

    /// Before which instant nothing could take effect any more when this leaf was decided.
    pub(crate) fn closed_before(&self, program: i16, leaf_index: i64) -> i64 {
        let all = self.closes.get(&program).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|it| it.0 <= leaf_index).map(|it| it.1).max().unwrap_or(i64::MIN)
    }
}

async fn epoch(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select coalesce(max(epoch), 0) from log_head").fetch_one(conn).await?)
}
