//! `daftari books kinds`: what can be asked, what postings there are, what a policy and rules settle, why something is refused. It
//! is read off the code that does it, so none of it can be out of date; what a posting arises from is said here, and tested.

use clap::{Command, Subcommand};
use ledger::{Policy, Refusal, RuleDocument};
use proof::PostingKind;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::config::{Kinds, KindsPart};
use crate::roles::books::Ask;

pub(crate) fn run(config: &Kinds) -> anyhow::Result<()> {
    let part = |part| config.part.is_none_or(|it| it == part);
    if part(KindsPart::Postings) {
        println!(
            "What can be asked, by `daftari books post KIND` or as an item of a file:\n\n{}",
            postings()
        );
        println!(
            "Every kind of posting, as `books history` and `books feed` name it, and what it arises from:\n\n{}",
            kinds()
        );
    }
    if part(KindsPart::Policy) {
        println!("What a policy settles, by `daftari books policy set FILE`:\n\n{}", fields::<Policy>()?);
    }
    if part(KindsPart::Rules) {
        println!("What rules settle, by `daftari books rules set FILE`:\n\n{}", fields::<RuleDocument>()?);
    }
    if part(KindsPart::Refusals) {
        println!("Why something is refused, and what to do:\n\n{}", refusals());
    }
    Ok(())
}

/// The commands, as the command line is made of them.
fn asks() -> Command {
    Ask::augment_subcommands(Command::new("post").disable_help_subcommand(true))
}

fn postings() -> String {
    let mut told = String::new();
    for kind in asks().get_subcommands() {
        let about = kind.get_about().map(ToString::to_string).unwrap_or_default();
        told += &format!("{}: {about}.\n", field(kind.get_name()));
        for argument in kind.get_arguments().filter(|it| it.get_id() != "help") {
            let name = field(argument.get_id().as_str());
            let optional = if argument.is_required_set() { "" } else { " (optional)" };
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            told += &format!("    {name}{optional}: {help}.\n");
        }
    }
    told
}

fn kinds() -> String {
    let named = (1..=u8::MAX).map(PostingKind).map_while(|it| Some((it, it.name()?)));
    named.map(|(kind, name)| format!("{name}: {}.\n", origin(kind, name))).collect()
}

/// What a posting of this kind arises from: what is asked stands in backquotes.
fn origin(kind: PostingKind, name: &str) -> String {
    match kind {
        PostingKind::EXPIRE => {
            "by itself, when points have ended or their member is closed; `expire_on_chain`".to_owned()
        }
        PostingKind::LAPSE => "by itself, when the time of a hold, or of a review, is over".to_owned(),
        PostingKind::MATURE => "by itself, when the time of a pending earning has come; `confirm`".to_owned(),
        PostingKind::ADJUST => "`adjust`, `budget`".to_owned(),
        PostingKind::HOLD => "`hold`, and `redeem` where it is to be reviewed".to_owned(),
        PostingKind::EXTEND => "`extend`, `prolong`".to_owned(),
        PostingKind::ACT => "`set_status`, and whatever an operator settles or does".to_owned(),
        _ => format!("`{name}`"),
    }
}

/// A name as JSON files have it.
fn field(name: &str) -> String {
    name.replace('-', "_")
}

/// What a document of this kind settles.
fn fields<T: Default + JsonSchema + Serialize>() -> anyhow::Result<String> {
    let schema = schemars::schema_for!(T);
    let mut told = String::new();
    tell_fields(&schema, schema.as_value(), &serde_json::to_value(T::default())?, 0, &mut told);
    Ok(told)
}

/// Each property of an object with what is said of it and its usual value, and those of the objects in it below it.
fn tell_fields(root: &Schema, object: &Value, usual: &Value, depth: usize, told: &mut String) {
    let Some(properties) = object["properties"].as_object() else { return };
    let indent = "    ".repeat(depth);
    for (name, property) in properties {
        let description = described(property);
        let target = resolved(root, property);
        let is_object = target["type"] == "object";
        let value = if is_object || usual.is_null() { String::new() } else { format!(" [{}]", usual[name]) };
        *told += &format!("{indent}{name}{value}: {description}\n");
        tell_fields(root, target, &usual[name], depth + 1, told);
        for variant in target["oneOf"].as_array().into_iter().flatten() {
            let variant_of = described(variant);
            if let Some(word) = variant["const"].as_str() {
                *told += &format!("{indent}    {word:?}: {variant_of}\n");
            }
            for (word, inner) in variant["properties"].as_object().into_iter().flatten() {
                *told += &format!("{indent}    {{{word:?}: {{…}}}}: {variant_of}\n");
                tell_fields(root, inner, &Value::Null, depth + 2, told);
            }
        }
    }
}

/// What a property is, where it only refers to it.
fn resolved<'a>(root: &'a Schema, property: &'a Value) -> &'a Value {
    let reference = property["$ref"].as_str().or_else(|| property["anyOf"][0]["$ref"].as_str());
    let name = reference.and_then(|it| it.strip_prefix("#/$defs/"));
    name.map_or(property, |name| &root.as_value()["$defs"][name])
}

fn described(property: &Value) -> String {
    property["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn refusals() -> String {
    let mut told = String::new();
    for refusal in Refusal::all() {
        let which = match refusal {
            Refusal::LimitExceeded { limit, .. } => format!(" ({})", limit.name()),
            _ => String::new(),
        };
        told += &format!(
            "{}{which}: {}\n    What to do: {}.\n",
            refusal.name(),
            refusal.meaning(),
            refusal.remedy()
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::FromArgMatches;
    use ledger::{Command as LedgerCommand, Limit, RuleSet, RuleSets};
    use strum::VariantNames;

    use super::*;

    const ID: &str = "018f2c5e-0000-7000-8000-000000000000";

    /// Of each kind, words that ask it and the same as an item of a file.
    const EXAMPLES: &[(&str, &str)] = &[
        (
            "earn 456 purchase 150.00 2026-01-15T10:00:00Z --fund spring --on-confirmation",
            r#"{"kind":"earn","member":"456","event_type":"purchase","amount":"150.00","at":"2026-01-15T10:00:00Z","fund":"spring","on_confirmation":true}"#,
        ),
        ("confirm ID", r#"{"kind":"confirm","earning":"ID"}"#),
        ("cancel ID", r#"{"kind":"cancel","earning":"ID"}"#),
        (
            "redeem 456 40 --partner duka --up-to",
            r#"{"kind":"redeem","member":"456","points":40,"partner":"duka","up_to":true}"#,
        ),
        ("transfer 456 457 3", r#"{"kind":"transfer","from":"456","to":"457","points":3}"#),
        (
            "adjust 456 -50 --approver amina --effective-at 2026-01-01T00:00:00Z",
            r#"{"kind":"adjust","member":"456","change":-50,"approver":"amina","effective_at":"2026-01-01T00:00:00Z"}"#,
        ),
        ("reverse ID --points 7", r#"{"kind":"reverse","posting":"ID","points":7}"#),
        ("hold 456 40 --seconds 60", r#"{"kind":"hold","member":"456","points":40,"seconds":60}"#),
        ("capture ID --keep-rest", r#"{"kind":"capture","hold":"ID","keep_rest":true}"#),
        ("void ID", r#"{"kind":"void","hold":"ID"}"#),
        ("increase ID 5", r#"{"kind":"increase","hold":"ID","points":5}"#),
        ("prolong ID 3600", r#"{"kind":"prolong","hold":"ID","seconds":3600}"#),
        (
            "extend 456 2026-12-31 never",
            r#"{"kind":"extend","member":"456","through":"2026-12-31","last_day":"never"}"#,
        ),
        ("merge 456 457", r#"{"kind":"merge","from":"456","to":"457"}"#),
        ("set-status 456 suspended", r#"{"kind":"set_status","member":"456","status":"suspended"}"#),
        (
            "withdraw 456 40 --chain-id 137 --gateway 0x1111111111111111111111111111111111111111 --holder 0x2222222222222222222222222222222222222222 --claim-before 2027-01-01T00:00:00Z",
            r#"{"kind":"withdraw","member":"456","points":40,"chain_id":137,"gateway":"0x1111111111111111111111111111111111111111","holder":"0x2222222222222222222222222222222222222222","claim_before":"2027-01-01T00:00:00Z"}"#,
        ),
        (
            "deposit 456 100@2026-12-31 5@never",
            r#"{"kind":"deposit","member":"456","amounts":["100@2026-12-31","5@never"]}"#,
        ),
        ("expire-on-chain 40", r#"{"kind":"expire_on_chain","points":40}"#),
        (
            "import 456 100@2026-12-31/2025-11-02",
            r#"{"kind":"import","member":"456","lots":["100@2026-12-31/2025-11-02"]}"#,
        ),
        ("budget spring -1000", r#"{"kind":"budget","fund":"spring","change":-1000}"#),
    ];

    fn asked(words: &str) -> Ask {
        let words = words.replace("ID", ID);
        let matches = asks().no_binary_name(true).try_get_matches_from(words.split(' '));
        Ask::from_arg_matches(&matches.unwrap_or_else(|error| panic!("{words}: {error}"))).unwrap()
    }

    #[test]
    fn every_command_of_the_books_can_be_asked_in_both_forms() {
        let rules = RuleSet::parse(br#"{"rates":{"purchase":"0.1"}}"#).unwrap();
        let rules = RuleSets::new(vec![(0, rules)]).unwrap();
        let mut names = BTreeSet::new();
        for (words, json) in EXAMPLES {
            let ask = asked(words);
            assert_eq!(ask, serde_json::from_str(&json.replace("ID", ID)).unwrap(), "{words}");
            let name = ask.command(&rules, "k").unwrap().name().trim_end_matches("_up_to");
            assert_eq!(name, field(words.split(' ').next().unwrap()));
            names.insert(name.to_owned());
        }
        let listed: BTreeSet<String> = asks().get_subcommands().map(|it| field(it.get_name())).collect();
        assert_eq!(names, listed, "each has its example");
        // What is due is asked by the sweep alone.
        let own: BTreeSet<String> =
            LedgerCommand::VARIANTS.iter().filter(|it| **it != "settle").map(ToString::to_string).collect();
        assert_eq!(listed, own, "the ledger has no command that cannot be asked");
    }

    #[test]
    fn every_kind_of_posting_is_listed_with_what_it_arises_from() {
        let told = kinds();
        let lines: Vec<(&str, &str)> = told.lines().map(|it| it.split_once(": ").unwrap()).collect();
        let known: Vec<&str> = (1..=19).map(|it| PostingKind(it).name().unwrap()).collect();
        assert_eq!(lines.iter().map(|it| it.0).collect::<Vec<_>>(), known);
        assert_eq!(PostingKind(20).name(), None, "there is one more, which this test does not know");
        let alone = lines.iter().filter(|it| it.1.starts_with("by itself")).map(|it| it.0);
        assert_eq!(alone.collect::<Vec<_>>(), ["expire", "lapse", "mature"]);
        // Whatever can be asked comes to a posting of some kind, and nothing else is named.
        let asked: BTreeSet<String> = asks().get_subcommands().map(|it| field(it.get_name())).collect();
        let named: BTreeSet<String> =
            lines.iter().flat_map(|it| it.1.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        assert_eq!(named, asked);
    }

    #[test]
    fn what_cannot_be_asked_says_what_it_should_be() {
        let check = |json: &str, problem: &str| {
            let error = serde_json::from_str::<Ask>(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{json}: {error}");
        };
        check(r#"{"kind":"redeem","member":"456"}"#, "missing field `points`");
        check(r#"{"kind":"redeem","member":"456","points":1,"pts":1}"#, "unknown field `pts`");
        check(r#"{"kind":"gift"}"#, "unknown variant `gift`, expected one of `earn`");
        check(r#"{"kind":"deposit","member":"456","amounts":["5"]}"#, "as in 100@2026-12-31");
        check(
            r#"{"kind":"extend","member":"456","through":"31.12.2026","last_day":"never"}"#,
            "as in 2026-12-31",
        );
        let rules = RuleSet::parse(br#"{"rates":{"purchase":"0.1"}}"#).unwrap();
        let rules = RuleSets::new(vec![(0, rules)]).unwrap();
        for (words, problem) in [
            ("redeem 456 0", "an amount of points is from 1 to"),
            ("deposit 456 5@never/2026-01-01", "leave the second day out"),
            ("import 456 5@never", "on which day"),
            ("earn 456 gift 1 2026-01-15T10:00:00Z", "no rule gives points"),
        ] {
            let error = format!("{:#}", asked(words).command(&rules, "k").unwrap_err());
            assert!(error.contains(problem), "{words}: {error}");
        }
    }

    #[test]
    fn every_refusal_is_listed_with_what_to_do() {
        let all: BTreeSet<&str> = Refusal::all().iter().map(|it| it.name()).collect();
        assert_eq!(all, Refusal::VARIANTS.iter().copied().collect());
        let told = refusals();
        for refusal in Refusal::all() {
            assert!(!refusal.remedy().is_empty() && !refusal.meaning().is_empty(), "{refusal:?}");
            assert!(told.contains(refusal.name()) && told.contains(refusal.meaning()), "{refusal:?}");
        }
        for limit in Limit::ALL {
            assert!(told.contains(&format!("limit_exceeded ({})", limit.name())), "{told}");
        }
    }

    #[test]
    fn every_field_of_a_policy_is_listed_with_its_meaning() {
        let told = fields::<Policy>().unwrap();
        fn names(value: &Value, found: &mut BTreeSet<String>) {
            for (name, inner) in value.as_object().into_iter().flatten() {
                found.insert(name.clone());
                names(inner, found);
            }
        }
        let mut fields = BTreeSet::new();
        names(&serde_json::to_value(Policy::default()).unwrap(), &mut fields);
        assert!(fields.contains("per_merchant_day") && fields.contains("seconds_max"));
        for name in fields.iter().map(String::as_str).chain(["after", "inactivity", "end_of", "quarter"]) {
            assert!(told.contains(name), "{name} is missing:\n{told}");
        }
        let silent: Vec<&str> = told.lines().filter(|it| it.trim_end().ends_with(':')).collect();
        assert!(silent.is_empty(), "nothing is said of {silent:?}");
    }

    #[test]
    fn what_rules_may_say_is_listed_with_its_meaning() {
        let told = fields::<RuleDocument>().unwrap();
        for said in [
            "rates: How many points",
            "scale [0]: How many decimals a point has, 0 to 4",
            "rounding [\"down\"]: What becomes of",
            "    \"down\": It is cut off.",
            "    \"up\": Any part counts as a whole.",
            "    \"half_up\": A half counts as a whole.",
            "    \"half_even\": A half goes to the even neighbour.",
        ] {
            assert!(told.lines().any(|it| it.starts_with(said)), "{said} is missing:\n{told}");
        }
    }
}
