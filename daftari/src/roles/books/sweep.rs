//! `daftari books sweep`: settles once what is due on idle accounts.

use store::{Pace, Sweep};

use crate::config::SweepBooks;
use crate::roles::OpenBooks;

pub(crate) async fn run(SweepBooks { database }: SweepBooks) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let (committer, committing) = books.committer().await?;
    let swept = Sweep::new(books.pool.clone(), committer, Pace::Full).pass().await;
    committing.await?;
    let swept = swept?;
    println!("{} accounts had something due: {} postings.", swept.accounts, swept.postings);
    Ok(())
}
