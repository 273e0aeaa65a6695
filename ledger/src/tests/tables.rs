//! Each command does something, each refusal is given: a new one without a row here fails.

use super::shop::*;
use crate::*;

/// A member with points, a hold and a pending earning.
fn busy(policy: &str) -> (Shop, uuid::Uuid, uuid::Uuid) {
    let mut shop = Shop::under(policy);
    shop.does(earn("asha", 100));
    shop.does(budget("prize", 10));
    let held = shop.does(hold("asha", 10, "duka", 60));
    let pending = shop.does(earn_as("asha", 10, Maturity::OnConfirmation, None));
    (shop, held, pending)
}

/// A command's place in the table. The compiler asks for a new one here, and the test then for its row.
fn place(command: &Command) -> usize {
    match command {
        Command::Earn { .. } => 0,
        Command::Confirm { .. } => 1,
        Command::Cancel { .. } => 2,
        Command::Redeem { up_to: false, .. } => 3,
        Command::Redeem { up_to: true, .. } => 4,
        Command::Transfer { .. } => 5,
        Command::Adjust { .. } => 6,
        Command::Reverse { .. } => 7,
        Command::Hold { .. } => 8,
        Command::Capture { .. } => 9,
        Command::Void { .. } => 10,
        Command::Increase { .. } => 11,
        Command::Prolong { .. } => 12,
        Command::Extend { .. } => 13,
        Command::Merge { .. } => 14,
        Command::SetStatus { .. } => 15,
        Command::Withdraw { .. } => 16,
        Command::Deposit { .. } => 17,
        Command::Import { .. } => 18,
        Command::Budget { .. } => 19,
        Command::ExpireOnChain { .. } => 20,
        Command::Settle { .. } => 21,
    }
}

#[test]
fn each_command_posts_its_kind() {
    let (_, held, pending) = busy("{}");
    let rows = [
        (earn("asha", 1), "earn", "asha 91 held 10 pending 10"),
        (Command::Confirm { earning: pending }, "mature", "asha 100 held 10"),
        (Command::Cancel { earning: pending }, "cancel", "asha 90 held 10"),
        (redeem("asha", 1, "duka"), "redeem", "asha 89 held 10 pending 10"),
        (redeem_up_to("asha", 500), "redeem", "asha 0 held 10 pending 10"),
        (transfer("asha", "juma", 1), "transfer", "asha 89 held 10 pending 10"),
        (adjust("asha", -1), "adjust", "asha 89 held 10 pending 10"),
        (reverse(uuid::Uuid::from_u64_pair(1, 1), 1), "reverse", "asha 89 held 10 pending 10"),
        (hold("asha", 1, "cafe", 60), "hold", "asha 89 held 11 pending 10"),
        (capture(held, 9, false), "capture", "asha 91 pending 10"),
        (Command::Void { hold: held }, "void", "asha 100 pending 10"),
        (Command::Increase { hold: held, points: pts(1) }, "increase", "asha 89 held 11 pending 10"),
        (Command::Prolong { hold: held, seconds: 90 }, "extend", "asha 90 held 10 pending 10"),
        (extend("asha", "never", "never"), "", "asha 90 held 10 pending 10"),
        (merge("juma", "asha"), "merge", "asha 90 held 10 pending 10"),
        (status("asha", Status::Suspended), "act", "asha 90 held 10 pending 10"),
        (withdraw("asha", 1, SOON), "withdraw", "asha 89 held 10 pending 10"),
        (deposit("asha", &[("never", 1)]), "deposit", "asha 91 held 10 pending 10"),
        (import("asha", &[("never", 1)]), "import", "asha 91 held 10 pending 10"),
        (budget("prize", -1), "adjust", "asha 90 held 10 pending 10"),
        (expire_on_chain(1), "expire", "asha 90 held 10 pending 10"),
        (Command::Settle { account: id("asha") }, "", "asha 90 held 10 pending 10"),
    ];
    for (at, (command, kind, shows)) in rows.into_iter().enumerate() {
        assert_eq!(place(&command), at, "{} has a row", command.name());
        let (mut shop, ..) = busy("{}");
        let name = command.name();
        let request = shop.request(vec![command]);
        let decision = shop.decide(&request);
        assert_eq!(kinds(&decision).join(" "), kind, "{name}");
        assert_eq!(shop.shows("asha"), shows, "{name}");
        // Points that never end cannot be made to end later.
        let expected = if name == "extend" { Err(Refusal::NothingToExtend) } else { Ok(()) };
        assert_eq!(decision.result.map(|_| ()).map_err(|it| it.refusal), expected, "{name}");
    }
}

#[test]
fn each_refusal_is_given() {
    let limits = r#"{
        "approval_above": 50, "debt_max": 5, "floor": 10,
        "earn": {"per_posting": 100},
        "redeem": {"per_day": 40, "per_month": 60, "per_merchant_day": 20}
    }"#;
    let given = |policy: &str, commands: &dyn Fn(&mut Shop, uuid::Uuid, uuid::Uuid) -> Vec<Command>| {
        let (mut shop, held, pending) = busy(policy);
        let commands = commands(&mut shop, held, pending);
        let request = shop.request(commands);
        shop.decide(&request).result.expect_err("it is refused").refusal
    };
    let plain = |command: Command| given("{}", &|_, _, _| vec![command.clone()]);
    let limited = |command: Command| given(limits, &|_, _, _| vec![command.clone()]);
    let late_correction = |effective_at_us| Command::Adjust {
        member: who("asha"),
        change: 1,
        approver: None,
        effective_at_us: Some(effective_at_us),
    };
    let now_us = Shop::under("{}").now.us;
    let days: Vec<(Day, Day, Points)> =
        (0..65).map(|it| (Day::new(30_000 + it).unwrap(), Day::default(), pts(1))).collect();
    let on_many_days = Command::Import { member: who("juma"), lots: days, effective_at_us: None };
    let earned = uuid::Uuid::from_u64_pair(1, 1);
    let rows = [
        (plain(earn("nobody", 1)), Refusal::MemberUnknown),
        (plain(redeem("asha", 1, "nobody")), Refusal::PartnerUnknown),
        (plain(budget("none", 1)), Refusal::FundUnknown),
        (plain(redeem("asha", 91, "duka")), lacks(90, 91)),
        (limited(earn("asha", 101)), beyond(Limit::PerPosting, 100, 101)),
        (limited(redeem("asha", 31, "")), beyond(Limit::PerDay, 30, 31)),
        (
            given(limits, &|shop, _, _| {
                shop.does(redeem("asha", 30, ""));
                shop.at("2026-01-16T00:00:00Z");
                vec![redeem("asha", 21, "")]
            }),
            beyond(Limit::PerMonth, 20, 21),
        ),
        (limited(redeem("asha", 11, "duka")), beyond(Limit::PerMerchantDay, 10, 11)),
        (limited(redeem("asha", 81, "")), beyond(Limit::Floor, 80, 81)),
        (limited(budget("prize", -11)), beyond(Limit::Budget, 10, 11)),
        (
            given(limits, &|shop, _, _| {
                shop.does(transfer("asha", "juma", 80));
                vec![reverse(earned, 100)]
            }),
            beyond(Limit::Debt, 15, 100),
        ),
        (
            plain(import("asha", &[("never", MEMBER_LIMIT)])),
            beyond(Limit::Balance, MEMBER_LIMIT - 110, MEMBER_LIMIT),
        ),
        (
            given("{}", &|_, _, _| vec![status("asha", Status::Suspended), redeem("asha", 1, "duka")]),
            Refusal::MemberSuspended,
        ),
        (
            given("{}", &|_, _, _| vec![status("juma", Status::Closed), earn("juma", 1)]),
            Refusal::MemberClosed,
        ),
        (plain(merge("asha", "juma")), Refusal::MemberReserved),
        (plain(transfer("asha", "asha", 1)), Refusal::SameMember),
        (plain(reverse(uuid::Uuid::nil(), 1)), Refusal::PostingUnknown),
        (given("{}", &|_, hold, _| vec![Command::Void { hold }, Command::Void { hold }]), Refusal::HoldOver),
        (
            given("{}", &|_, _, earning| vec![Command::Confirm { earning }, Command::Cancel { earning }]),
            Refusal::PendingOver,
        ),
        (given("{}", &|_, held, _| vec![Command::Confirm { earning: held }]), Refusal::WrongKind),
        (
            given("{}", &|_, held, _| vec![capture(held, 11, false)]),
            Refusal::MoreThanLeft { left: 10, required: 11 },
        ),
        (
            given("{}", &|_, held, _| vec![Command::Prolong { hold: held, seconds: 1 }]),
            Refusal::HoldTime { latest: now_us / 1_000_000 + 30 * 24 * 3600 },
        ),
        (given("{}", &|_, _, pending| vec![reverse(pending, 1)]), Refusal::StillPending),
        (
            given("{}", &|shop, _, _| {
                let withdrawn = shop.does(withdraw("asha", 1, SOON));
                vec![reverse(withdrawn, 1)]
            }),
            Refusal::StillClaimable { until: i64::try_from(SOON).unwrap() },
        ),
        (
            given("{}", &|shop, _, _| {
                shop.chain.is_paid = true;
                let withdrawn = shop.does(withdraw("asha", 1, SOON));
                vec![reverse(withdrawn, 1)]
            }),
            Refusal::AlreadyClaimed,
        ),
        (plain(stray_withdrawal(136, [1; 20])), Refusal::GatewayUnknown),
        (plain(stray_withdrawal(137, [2; 20])), Refusal::GatewayUnknown),
        (plain(extend("asha", "never", "never")), Refusal::NothingToExtend),
        (
            given("{}", &|_, _, _| vec![on_many_days.clone(), withdraw("juma", 65, SOON)]),
            Refusal::TooManyDays,
        ),
        (plain(withdraw_to([0; 20], SOON)), Refusal::HolderUnfit),
        (plain(withdraw("asha", 1, 0)), Refusal::ClaimTime { latest: now_us / 1_000_000 + 90 * 24 * 3600 }),
        (
            given("{}", &|_, _, _| vec![import("juma", &[("2026-01-15", 9)]), withdraw("juma", 9, SOON)]),
            Refusal::EndsTooSoon { lasting: 0, until: i64::try_from(SOON).unwrap() + 24 * 3600 },
        ),
        (plain(late_correction(-1)), Refusal::PeriodClosed),
        (plain(late_correction(i64::MAX)), Refusal::InFuture),
        (limited(adjust("asha", 51)), Refusal::ApprovalRequired { above: 50 }),
        (plain(adjust("asha", 0)), Refusal::AmountOutOfRange),
        (plain(import("asha", &[])), Refusal::AmountOutOfRange),
        (given("{}", &|_, _, _| vec![]), Refusal::ItemCount),
        (screened(redeem("asha", 1, "duka"), Screening::Deny), Refusal::ScreenDenied),
        (screened(transfer("asha", "juma", 1), Screening::Review), Refusal::ScreenReview),
        (unnamed(), Refusal::ReasonRequired),
        (outdated(), Refusal::VersionMismatch { version: 3 }),
    ];
    for (given, expected) in &rows {
        assert_eq!(given, expected);
    }
    // The store gives these two: it knows keys, and which units a program counts in.
    let same = |one: &Refusal, other: &Refusal| match (one, other) {
        (Refusal::LimitExceeded { limit: one, .. }, Refusal::LimitExceeded { limit: other, .. }) => {
            one == other
        }
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    };
    let in_the_store = |it: &Refusal| matches!(it, Refusal::KeyReused { .. } | Refusal::UnitUnknown);
    for refusal in Refusal::all() {
        let is_shown = rows.iter().any(|(given, _)| same(given, &refusal));
        assert!(is_shown || in_the_store(&refusal), "{refusal:?} has no row");
        assert!(!refusal.to_string().is_empty());
    }
}

#[test]
fn a_remembered_refusal_is_asked_anew_with_a_new_key() {
    for refusal in Refusal::all() {
        // Of what was claimed nothing is left to ask for.
        let is_remembered = refusal.row().is_some() && refusal != Refusal::AlreadyClaimed;
        let is_of_keys = matches!(refusal, Refusal::KeyReused { .. });
        assert_eq!(refusal.remedy().contains("new key"), is_remembered || is_of_keys, "{refusal:?}");
    }
}

/// One through a contract that is no gateway of the program.
fn stray_withdrawal(chain_id: u64, gateway: [u8; 20]) -> Command {
    let Command::Withdraw { member, points, destination } = withdraw("asha", 1, SOON) else { unreachable!() };
    Command::Withdraw { member, points, destination: Destination { chain_id, gateway, ..destination } }
}

fn screened(command: Command, screening: Screening) -> Refusal {
    let mut shop = busy("{}").0;
    let request = Request { screening, ..shop.request(vec![command]) };
    shop.decide(&request).result.expect_err("it is refused").refusal
}

fn unnamed() -> Refusal {
    let mut shop = Shop::under("{}");
    let mut request = shop.request(vec![adjust("asha", 1)]);
    request.items[0].details.reason = None;
    shop.decide(&request).result.expect_err("it is refused").refusal
}

fn outdated() -> Refusal {
    let (mut shop, ..) = busy("{}");
    let mut request = shop.request(vec![redeem("asha", 1, "duka")]);
    request.expected_version = Some(2);
    shop.decide(&request).result.expect_err("it is refused").refusal
}
