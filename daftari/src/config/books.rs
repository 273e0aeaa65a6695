//! What can be done with the books from outside: one command each.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{
    Archive, Balance, Check, Database, Feed, History, Liability, Replay, Restore, Statement,
};
use crate::roles::books::{Ask, Instant};

/// Look into the books, and do in them what an operator does.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Books {
    /// Recompute everything and name the first thing that is wrong.
    Check(Check),
    /// Make balances, lots and reservations anew from the postings alone, and compare digests.
    Replay(Replay),
    /// What a member has as of now, once what is due is done: lots, reservations, debt, status and version too.
    Balance(Balance),
    /// What an account held before a period, what counted in it, and what it held after it.
    Statement(Statement),
    /// An account's entries by version, or what it held at a point of the log.
    History(History),
    /// The program's postings in the order of the log.
    Feed(Feed),
    /// The points that members hold, by the month in which they end and who gave them.
    Liability(Liability),
    /// Move the rows of old postings into a file.
    Archive(Archive),
    /// Bring archived postings back.
    Restore(Restore),
    /// List the events that were not posted, with the reason.
    Rejects(Rejects),
    /// Print every kind of posting, every field of a policy and of rules, and every refusal.
    Kinds(Kinds),
    /// Ask one thing of the books, or the several of a file together, and print what came of it.
    Post(Post),
    /// Take in balances and history from another system.
    Import(Import),
    /// Settle what has fallen due on idle accounts.
    Sweep(SweepBooks),
    /// Print the program's policy, or settle a new version of it.
    Policy(Policy),
    /// Print from when on which rules say what events earn, or settle new ones.
    Rules(Rules),
    /// Print from when on a point is worth what, or settle another worth.
    Rate(Rate),
    /// Close the program's periods up to an instant: nothing that takes effect before it is posted any more.
    ClosePeriod(Settle<ClosePeriod>),
    /// Have postings of a kind or an amount anchored soon from now on, at every place and whatever the price.
    Hurry(Settle<Hurry>),
    /// Make a program, unless it is there.
    Program(Settle<MakeProgram>),
    /// Make a partner with its settlement account, unless it is there.
    Partner(Settle<MakePartner>),
    /// Make a fund, from which earnings can be given, unless it is there.
    Fund(Settle<MakeFund>),
    /// Count in a further unit, besides the program's points.
    Unit(Settle<MakeUnit>),
    /// Enrol members, and open accounts for those who have none in the unit.
    Enrol(Settle<Enrol>),
}

/// List the events that were not posted, with the reason.
#[derive(Clone, Debug, Args)]
pub(crate) struct Rejects {
    #[command(flatten)]
    pub(crate) database: Database,
    /// Only those after this number.
    #[arg(long, default_value_t = 0)]
    pub(crate) after: i64,
}

/// Ask one thing of the books, or the several of a file together, and print what came of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Post {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) words: Words,
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What goes with a posting.
#[derive(Clone, Debug, Args)]
pub(crate) struct Words {
    /// Who asks.
    #[arg(long, env = "ACTOR", global = true)]
    pub(crate) actor: Option<String>,
    /// Why.
    #[arg(long, global = true)]
    pub(crate) reason: Option<String>,
    /// In your own words.
    #[arg(long, global = true)]
    pub(crate) description: Option<String>,
    /// The merchant's own name for it.
    #[arg(long, global = true)]
    pub(crate) merchant_reference: Option<String>,
    /// What makes asking twice the same as asking once. Without it: of a file its hash, else a new one.
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// The unit; 1 is the program's points.
    #[arg(long, global = true)]
    pub(crate) unit: Option<u16>,
    /// The version that the first account must have.
    #[arg(long, global = true)]
    pub(crate) expected_version: Option<u64>,
    /// Only say what would come of it.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What is asked.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum What {
    #[command(flatten)]
    One(Ask),
    /// Ask what a JSON file says: `{"items": [{"kind": …}, …]}`, all of it posted or nothing.
    File {
        /// The file, or `-` for standard input.
        file: PathBuf,
    },
}

/// Print every kind of posting, every field of a policy and of rules, and every refusal.
#[derive(Clone, Debug, Args)]
pub(crate) struct Kinds {
    /// Print only this part.
    #[arg(value_enum)]
    pub(crate) part: Option<KindsPart>,
}

/// A part of what `books kinds` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindsPart {
    /// What can be asked, and what postings there are.
    Postings,
    /// What a policy settles.
    Policy,
    /// What rules settle.
    Rules,
    /// Why something is refused.
    Refusals,
}

/// Settle what has fallen due on idle accounts.
#[derive(Clone, Debug, Args)]
pub(crate) struct SweepBooks {
    #[command(flatten)]
    pub(crate) database: Database,
}

/// Take in balances and history from another system.
#[derive(Clone, Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) database: Database,
    /// The file: CSV with a header, or JSON lines where its name ends in `.jsonl`.
    pub(crate) file: PathBuf,
    /// Who imports.
    #[arg(long, env = "ACTOR")]
    pub(crate) actor: String,
    /// Who approved it besides the actor, where the policy asks for that.
    #[arg(long)]
    pub(crate) approver: Option<String>,
    /// The unit; 1 is the program's points.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
    /// Enrol unknown members, also in a program that enrols nobody by itself.
    #[arg(long)]
    pub(crate) enrol: bool,
    /// Only say what would come of it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where the lines that were refused are kept, to be mended and imported by themselves.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) refused: Option<PathBuf>,
}

/// Something that an operator settles for a program.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settle<A: Args> {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(flatten)]
    pub(crate) what: A,
}

/// Make the program that `--program` names, unless it is there.
#[derive(Clone, Debug, Args)]
pub(crate) struct MakeProgram {
    /// What one point is worth, as in 0.10.
    #[arg(long, value_parser = worth)]
    pub(crate) point_value: String,
    /// In which currency, as in KES.
    #[arg(long, value_parser = currency)]
    pub(crate) currency: String,
    /// The file with the rule set, which says what events earn.
    #[arg(long)]
    pub(crate) rules: PathBuf,
    /// Enrol unknown members with their first event or import.
    #[arg(long)]
    pub(crate) enrols: bool,
    /// A sandbox: its points are worth nothing, and its keys open nothing else.
    #[arg(long)]
    pub(crate) sandbox: bool,
    /// The program that this sandbox is for: what a partner shows here counts before it goes live there.
    #[arg(long, requires = "sandbox")]
    pub(crate) sandbox_of: Option<String>,
}

/// Make a partner with its settlement account, unless it is there.
#[derive(Clone, Debug, Args)]
pub(crate) struct MakePartner {
    /// The partner's id.
    #[arg(value_parser = name::<100>)]
    pub(crate) partner: String,
    /// How the partner shows who it is.
    #[arg(long, value_enum)]
    pub(crate) auth_mode: Option<PartnerAuth>,
    /// How many requests an hour it has.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) requests_per_hour: Option<i64>,
    /// Whether each of its references names one redemption, one hold, one capture and one reversal at most.
    #[arg(long)]
    pub(crate) references_once: Option<bool>,
}

/// How a partner shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartnerAuth {
    /// By a token or a key, as the contract has it.
    Either,
    /// By a token.
    Token,
    /// By a key.
    Key,
    /// By both at once.
    Both,
}

/// Have postings of a kind or an amount anchored soon from now on, at every place and whatever the price.
#[derive(Clone, Debug, Args)]
pub(crate) struct Hurry {
    /// The kind of posting, as in `redeem`; any where it is left out.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// The least change of a balance, in the program's smallest unit.
    #[arg(long, default_value_t = 0)]
    pub(crate) amount_min: u64,
    /// Postings of this kind are in no hurry any more.
    #[arg(long)]
    pub(crate) never: bool,
}

/// Count in a further unit, besides the program's points.
#[derive(Clone, Debug, Args)]
pub(crate) struct MakeUnit {
    /// The unit's number, from 2 on.
    #[arg(value_parser = clap::value_parser!(i16).range(2..))]
    pub(crate) unit: i16,
}

/// Make a fund, from which earnings can be given, unless it is there.
#[derive(Clone, Debug, Args)]
pub(crate) struct MakeFund {
    /// The fund's name.
    pub(crate) name: String,
    /// Who pays for it.
    #[arg(long)]
    pub(crate) funder: String,
    /// The only merchant with whom its points can be spent.
    #[arg(long)]
    pub(crate) merchant: Option<String>,
    /// Give only what was put into it, by `books post budget`.
    #[arg(long)]
    pub(crate) budgeted: bool,
}

/// Enrol members, and open accounts for those who have none in the unit.
#[derive(Clone, Debug, Args)]
pub(crate) struct Enrol {
    /// The members' names.
    #[arg(required = true, value_parser = member_name)]
    pub(crate) members: Vec<String>,
    /// The unit; 1 is the program's points.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
}

/// Close the program's periods up to an instant: nothing that takes effect before it is posted any more.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClosePeriod {
    /// The instant, which has passed, as in 2026-01-01T00:00:00Z.
    pub(crate) before: Instant,
}

/// Print the program's policy, or settle a new version of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) act: PolicyAct,
}

/// What is done with a policy.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyAct {
    /// Print the policy that holds, with every field.
    Show {
        #[command(flatten)]
        database: Database,
    },
    /// Settle what a JSON file says; what it leaves out has its usual value.
    Set {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        who: Who,
        /// Only say how many accounts would lose how much at once, since their members have been idle for too long.
        #[arg(long)]
        dry_run: bool,
        /// The file, or `-` for standard input.
        file: PathBuf,
    },
}

/// Print from when on which rules say what events earn, or settle new ones.
#[derive(Clone, Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) act: RulesAct,
}

/// What is done with rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RulesAct {
    /// Print the instant from which each rule set counts, the hash by which postings name it, and what it says.
    Show {
        #[command(flatten)]
        database: Database,
    },
    /// Let a JSON file say what events earn that happen from an instant on, however late they come. What was posted stays.
    Set {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        who: Who,
        /// The file, or `-` for standard input.
        file: PathBuf,
        /// The instant, as in 2026-01-31T00:00:00Z; without it, now.
        #[arg(long)]
        from: Option<Instant>,
    },
}

/// Print from when on a point is worth what, or settle another worth.
#[derive(Clone, Debug, Args)]
pub(crate) struct Rate {
    #[command(subcommand)]
    pub(crate) act: RateAct,
}

/// What is done with rates.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RateAct {
    /// Print the instant from which each rate counts, and the rate.
    Show {
        #[command(flatten)]
        database: Database,
    },
    /// Settle what a point is worth to what is spent from an instant on. What was posted keeps the rate that it names.
    Set {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        who: Who,
        /// What one point is worth, as in 0.10.
        #[arg(long, value_parser = worth)]
        point_value: String,
        /// In which currency, as in KES.
        #[arg(long, value_parser = currency)]
        currency: String,
        /// The instant, which has not passed, as in 2026-01-31T00:00:00Z; without it, now.
        #[arg(long)]
        from: Option<Instant>,
    },
}

/// Who acts, and why: the log says so.
#[derive(Clone, Debug, Args)]
pub(crate) struct Who {
    /// Who acts.
    #[arg(long, env = "ACTOR", default_value = "command line")]
    pub(crate) actor: String,
    /// Why.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// The name of a member, as the books keep it.
pub(crate) fn member_name(text: &str) -> Result<String, String> {
    name::<200>(text)
}

/// A name of at most so many characters.
fn name<const CHARACTERS_MAX: usize>(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= CHARACTERS_MAX && !text.chars().any(char::is_control);
    match fits && !text.trim().is_empty() {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name has 1 to {CHARACTERS_MAX} characters, not only blanks, and no control character"
        )),
    }
}

/// What a point is worth, as the books keep it.
fn worth(text: &str) -> Result<String, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let counts = |digits: &str, most| {
        (1..=most).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
    };
    match counts(whole, 12) && counts(decimals, 8) {
        true => Ok(text.to_owned()),
        false => Err("it is a number as in 0.10, of at most 12 digits and 8 decimals".to_owned()),
    }
}

fn currency(text: &str) -> Result<String, String> {
    match text.len() == 3 && text.bytes().all(|it| it.is_ascii_uppercase()) {
        true => Ok(text.to_owned()),
        false => Err("a currency has three capitals, as in KES".to_owned()),
    }
}
