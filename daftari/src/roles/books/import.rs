//! `daftari books import`: balances and history of another system, through the committer like everything else.
//!
//! A request's key is the hash of the whole file and the number of its first line, so an import that was cut off is begun
//! again and posts nothing twice. What is refused is imported from another file, under other keys: so an import that came to its
//! end with lines refused is noted, and posts nothing more.

mod lines;

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ledger::{
    Account, AccountKind, Books, House, MemberRef, Name, Refusal, Refused, Request, Strangers, Terms,
};
use proof::Text;
use store::{Answer, Committer, PgConnection, SubmitError};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::post::contents;
use crate::config::Import;
use crate::roles::OpenBooks;
use lines::{Common, Format, Group, Source};

/// How many requests are under way: enough for a batch that commits, one that gathers, and what else the queue takes.
const UNDER_WAY_MAX: usize = 4000;
/// How many members are enrolled together.
const ENROLLED_TOGETHER: usize = 1000;
/// How often it is said how far the import is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

pub(crate) async fn run(config: Import) -> anyhow::Result<()> {
    let source = Source::new(contents(&config.file)?, format_of(&config.file));
    let books = OpenBooks::open(&config.database).await?;
    let program = books.program.clone();
    let mut conn = books.pool.acquire().await?;
    let terms = store::terms(&mut conn, program.program_id).await?;
    let has_ended = store::begin_import(&mut conn, program.program_id, &source.name()).await?;
    let actor = Text::new(config.actor.clone()).context("the actor")?;
    let Import { unit, approver, .. } = config.clone();
    let dry_run = config.dry_run || has_ended;
    let common = Common { program: program.program_id, unit, actor, approver, terms: &terms, dry_run };

    // Nothing is posted while a line is not understood: a file that is mended has another hash, and would be another
    // import from its first line on.
    let problems: Vec<_> = source.groups(&common).filter_map(Result::err).collect();
    for problem in &problems {
        eprintln!("line {}: {}", problem.line, problem.problem);
    }
    if !problems.is_empty() {
        bail!(
            "{} lines cannot be understood: nothing was posted. Mend them and import the file anew",
            problems.len()
        );
    }

    let (committer, committing) = books.committer().await?;
    let enrols = !has_ended && (config.enrol || terms.policy.strangers(program.enrols) == Strangers::Enrol);
    let mut importer = Importer::new(committer, &terms, enrols, has_ended);
    let (chunks, enrolled) = mpsc::channel(1);
    let groups = source.groups(&common).filter_map(Result::ok);
    let (handed_in, posted) = tokio::join!(
        enrol_ahead(&books, &mut conn, &common, enrols, groups, chunks),
        importer.post_all(enrolled)
    );
    let Importer { report, committer, .. } = importer;
    // The last handle: what waits is committed, then the committer ends.
    drop(committer);
    committing.await?;
    posted?;
    let handed_in = handed_in?;
    if !dry_run && !report.refused.is_empty() {
        // Before there is a file from which these lines could be posted.
        store::end_import(&mut conn, program.program_id, &source.name()).await?;
    }
    report.tell(&source, &config, handed_in)
}

/// Hands the groups in, a thousand at a time. Their members are enrolled while those before them are being committed.
/// Gives how many these were.
async fn enrol_ahead(
    books: &OpenBooks,
    conn: &mut PgConnection,
    common: &Common<'_>,
    enrols: bool,
    groups: impl Iterator<Item = Group>,
    chunks: mpsc::Sender<Vec<Group>>,
) -> anyhow::Result<usize> {
    let keyring = books.keyring()?;
    let mut groups = groups.peekable();
    let (mut enrolled, mut would_be) = (0, HashSet::new());
    while groups.peek().is_some() {
        let chunk: Vec<Group> = groups.by_ref().take(ENROLLED_TOGETHER).collect();
        if enrols {
            let members: Vec<MemberRef> = chunk.iter().map(|it| it.member.clone()).collect();
            let (program, unit) = (common.program, common.unit);
            if common.dry_run {
                would_be.extend(store::unknown_members(conn, &keyring, program, unit, &members).await?);
            } else {
                enrolled += store::enrol_members(conn, &keyring, program, unit, &members).await?;
            }
        }
        if chunks.send(chunk).await.is_err() {
            // The posting has stopped, and says why.
            break;
        }
    }
    Ok(enrolled + would_be.len())
}

fn format_of(file: &Path) -> Format {
    let is_json = file.extension().is_some_and(|it| it == "jsonl" || it == "ndjson");
    if is_json { Format::JsonLines } else { Format::Csv }
}

/// What has come of an import so far.
#[derive(Default)]
struct Report {
    lines: u64,
    requests: u64,
    postings: u64,
    replayed: u64,
    refused: Vec<Range<usize>>,
    /// Whether some were refused since their member is unknown.
    has_strangers: bool,
}

struct Importer<'a> {
    committer: Committer,
    terms: &'a Terms,
    /// Whether unknown members are enrolled before their groups are posted, which a dry run does not do.
    enrols: bool,
    /// Whether the import has come to its end before, so that nothing is posted any more.
    has_ended: bool,
    report: Report,
    begun: Instant,
    told: Instant,
}

type Answered = (Group, Result<Answer, SubmitError>);

impl<'a> Importer<'a> {
    fn new(committer: Committer, terms: &'a Terms, enrols: bool, has_ended: bool) -> Self {
        let now = Instant::now();
        Self { committer, terms, enrols, has_ended, report: Report::default(), begun: now, told: now }
    }

    /// Posts the groups, many at a time. Those of one member follow one another: what they spend, they have earned.
    async fn post_all(&mut self, mut chunks: mpsc::Receiver<Vec<Group>>) -> anyhow::Result<()> {
        let (mut waiting, mut members) = (VecDeque::<Group>::new(), HashSet::new());
        let mut under_way = FuturesUnordered::new();
        let mut stopped = None;
        let mut is_open = true;
        loop {
            while stopped.is_none()
                && under_way.len() < UNDER_WAY_MAX
                && let Some(group) = waiting.pop_front_if(|it| !members.contains(&it.member))
            {
                members.insert(group.member.clone());
                let committer = self.committer.clone();
                under_way.push(async move {
                    let answer = committer.submit(group.request.clone()).await;
                    (group, answer)
                });
            }
            let has_room = is_open && stopped.is_none() && waiting.len() < ENROLLED_TOGETHER;
            tokio::select! {
                Some(answered) = under_way.next() => {
                    let answered: Answered = answered;
                    members.remove(&answered.0.member);
                    stopped = stopped.or(self.take(answered));
                }
                chunk = chunks.recv(), if has_room => match chunk {
                    Some(chunk) => waiting.extend(chunk),
                    None => is_open = false,
                },
                else => break,
            }
        }
        match stopped {
            None => Ok(()),
            Some((line, problem)) => bail!("stopped at line {line}: {problem}"),
        }
    }

    /// Takes what came of a group; gives the line and the reason, where the import cannot go on.
    fn take(&mut self, (group, answer): Answered) -> Option<(u64, String)> {
        let answer = match answer {
            Ok(answer) => answer,
            // The database refuses this one, and said so in the log; the others go on.
            Err(SubmitError::Failed) => {
                self.refuse(&group, 0, "the database refuses it: see the log", "mend the line");
                return None;
            }
            // It is in the books' archive, so it is no refused one either.
            Err(error @ SubmitError::Archived { .. }) => return Some((group.lines.start, error.to_string())),
            Err(error) => {
                let problem =
                    format!("{error}. Import the same file again: what was posted is not posted twice");
                return Some((group.lines.start, problem));
            }
        };
        // The line may be in the books already, so it is no refused one: those are for another file, under keys of its own.
        if let Err(Refused { refusal: Refusal::KeyReused { differs }, .. }) = &answer.outcome {
            let problem = format!(
                "it was imported before under other terms or flags (other {differs}). Import the file under the expiry \
                 policy, the unit and the approver with which it was begun"
            );
            return Some((group.lines.start, problem));
        }
        self.report.lines += group.lines.end - group.lines.start;
        self.report.requests += 1;
        self.report.replayed += u64::from(answer.replayed);
        let mut outcome = answer.outcome.map(|items| items.len()).map_err(|it| (it.item, it.refusal));
        if outcome == Err((0, Refusal::MemberUnknown)) && group.request.dry_run && self.enrols {
            outcome = decide_as_newcomer(&group, self.terms, answer.recorded_at_us);
        }
        match outcome {
            Ok(_) if self.has_ended && !answer.replayed => {
                let remedy = "import the file of refused lines";
                self.refuse(&group, 0, "refused when this file was imported", remedy);
            }
            Ok(postings) if !answer.replayed => self.report.postings += postings as u64,
            Ok(_) => {}
            Err((item, refusal)) => {
                let again = if answer.replayed { ", as before" } else { "" };
                let problem = format!("{}{again}: {refusal}", refusal.name());
                self.report.has_strangers |= refusal == Refusal::MemberUnknown;
                // Nobody names the keys of an import: another file has others.
                let remedy =
                    refusal.remedy().replace("ask with a new key", "import the file of refused lines");
                let remedy = remedy.replace("with a new key", "in the file of refused lines");
                self.refuse(&group, item, &problem, &remedy);
            }
        }
        if PROGRESS_EVERY < self.told.elapsed() {
            self.told = Instant::now();
            tracing::info!(lines = self.report.lines, seconds = self.begun.elapsed().as_secs(), "importing");
        }
        None
    }

    fn refuse(&mut self, group: &Group, item: u16, problem: &str, remedy: &str) {
        let line = group.item_lines[usize::from(item).min(group.item_lines.len() - 1)];
        let others = if group.lines.end - group.lines.start == 1 {
            String::new()
        } else {
            format!(" (with it lines {} to {}, of the same member)", group.lines.start, group.lines.end - 1)
        };
        eprintln!("line {line}: {problem}{others}. What to do: {remedy}");
        self.report.refused.push(group.bytes.clone());
    }
}

/// What would come of a group whose member is not enrolled yet. The committer knows that only of events and imports in a
/// program that enrols: not of whom `--enrol` enrols, and not of a history with points that went.
fn decide_as_newcomer(group: &Group, terms: &Terms, now_us: i64) -> Result<usize, (u16, Refusal)> {
    let Request { program, unit, .. } = group.request;
    let mut books = Books::default();
    let accounts = [
        (Name::Member(group.member.clone()), AccountKind::Member),
        (Name::House(House::Issuance), AccountKind::Issuance),
        (Name::House(House::Breakage), AccountKind::Breakage),
    ];
    for (name, kind) in accounts {
        let account = Account::new(Uuid::new_v4(), kind, unit);
        books.name(program, unit, name, account.id);
        books.insert(account);
    }
    let decision = books.decide(&group.request, terms, terms.moment(now_us));
    decision.result.map(|items| items.len()).map_err(|it| (it.item, it.refusal))
}

impl Report {
    fn tell(&self, source: &Source, config: &Import, enrolled: usize) -> anyhow::Result<()> {
        let refused = self.refused.len();
        let done = if config.dry_run { "would be posted" } else { "posted" };
        println!("source sha256:{}", source.digest);
        println!(
            "{} lines, {} requests: {} postings {done}, {} requests answered as before, {refused} refused",
            self.lines, self.requests, self.postings, self.replayed
        );
        println!("{enrolled} members {}", if config.dry_run { "would be enrolled" } else { "enrolled" });
        if refused == 0 {
            return Ok(());
        }
        if config.dry_run {
            bail!("{refused} requests would be refused");
        }
        let enrolling =
            if self.has_strangers { ", with --enrol where their members are to be enrolled" } else { "" };
        let Some(path) = &config.refused else {
            bail!(
                "{refused} requests were refused, and nothing more is posted from this file. Unless that was done, import \
                 their lines from a file of their own, which --refused FILE writes{enrolling}"
            );
        };
        let mut ranges = self.refused.clone();
        ranges.sort_by_key(|it| it.start);
        std::fs::write(path, source.with_header(&ranges))
            .with_context(|| format!("cannot write {}", path.display()))?;
        bail!(
            "{refused} requests were refused, and nothing more is posted from this file: mend their lines in {} and \
             import that one{enrolling}",
            path.display()
        );
    }
}
