//! The screening: every spend of a caller passes one function before it is decided. Today it allows everything.

use ledger::{Command, Screening};

use crate::caller::Identity;

/// What is asked of the screening. The books carry its answer out, and remember it with the request's key: asked again, a
/// request gets the answer that it got, whatever the screening would say by then.
#[cfg_attr(not(test), expect(dead_code, reason = "what a rule may ask: that of today asks nothing"))]
pub(crate) struct Spend<'a> {
    /// Who asks.
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
