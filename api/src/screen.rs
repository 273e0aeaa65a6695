//! The screening: every spend of a caller passes one function before it is decided. Today it allows everything.

use ledger::{Command, MemberRef, Name, Screening};
use uuid::Uuid;

use crate::caller::Identity;

/// What is asked of the screening. The books carry its answer out, and remember it with the request's key: asked again, a
/// request gets the answer that it got, whatever the screening would say by then.
pub(crate) struct Spend<'a> {
    /// Who asks.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what a rule may ask: those of today look at the command alone")
    )]
    pub(crate) caller: &'a Identity,
    /// What they ask.
    pub(crate) command: &'a Command,
}

/// A rule of screening.
pub(crate) type Rule = fn(&Spend<'_>) -> Screening;

/// The rule of today.
pub(crate) fn allow(_: &Spend<'_>) -> Screening {
    Screening::Allow
}

/// The rule of sandboxes: what it says of a spend, the spend's member says, so that a partner can try all of it.
pub(crate) fn by_name(spend: &Spend<'_>) -> Screening {
    let names = spend.command.names();
    let is = |fixed: Uuid| names.first() == Some(&Name::Member(MemberRef::Id(fixed)));
    match () {
        () if is(DENIED) => Screening::Deny,
        () if is(REVIEWED) => Screening::Review,
        () => Screening::Allow,
    }
}

/// The members whose spends a sandbox denies, or sets aside for review.
const DENIED: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_d001);
const REVIEWED: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_d002);

/// What the rule says of the commands of one request, which are posted all or not at all: the strictest of its answers.
pub(crate) fn screen<'a>(
    rule: Rule,
    caller: &Identity,
    commands: impl IntoIterator<Item = &'a Command>,
) -> Screening {
    let answers =
        commands.into_iter().filter(|it| it.is_spend()).map(|command| rule(&Spend { caller, command }));
    answers.max_by_key(|it| *it as u8).unwrap_or_default()
}
