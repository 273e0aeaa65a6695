//! What becomes of a message after an attempt: a function of what was answered and of what came before.

use std::time::Duration;

use store::Then;

/// The waits before each attempt, as Standard Webhooks has them: 75 hours, 35 minutes and 5 seconds in all.
pub const SCHEDULE: [Duration; 10] = {
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
    const H: u64 = 3600;
    [s(0), s(5), s(300), s(1800), s(2 * H), s(5 * H), s(10 * H), s(14 * H), s(20 * H), s(24 * H)]
};

/// An endpoint that has failed for so long is disabled: five days.
pub(crate) const FAILING_MAX: Duration = Duration::from_secs(120 * 3600);
/// One that is overloaded is left in peace for so long at least.
const THROTTLE: Duration = Duration::from_secs(60);
/// What `Retry-After` may ask for at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// What an endpoint said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It answered with this status, and perhaps asked for time.
    Status(u16, Option<Duration>),
    /// It could not be asked, or did not answer in time.
    Nothing(String),
}

/// Decides after an attempt, where this many attempts at the message have failed before it and the endpoint has been failing for
/// so long.
pub(super) fn next(schedule: &[Duration], failed_before: usize, failing: Duration, said: &Said) -> Then {
    let (throttle, asked) = match said {
        Said::Status(200..=299, _) => return Then::Delivered,
        Said::Status(410, _) => return Then::Disable("it answered 410 Gone"),
        Said::Status(429 | 502 | 504, asked) => (THROTTLE, *asked),
        Said::Status(_, asked) => (Duration::ZERO, *asked),
        Said::Nothing(_) => (Duration::ZERO, None),
    };
    if FAILING_MAX <= failing {
        return Then::Disable("it has failed for 120 hours");
    }
    match schedule.get(failed_before + 1) {
        Some(wait) => Then::Again((*wait).max(throttle).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))),
        None => Then::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn check(failed_before: usize, said: Said, expected: Then) {
        assert_eq!(next(&SCHEDULE, failed_before, S(0), &said), expected, "{said:?}");
    }

    #[test]
    fn a_message_is_tried_on_the_specifications_schedule() {
        assert_eq!(SCHEDULE.iter().sum::<Duration>(), S(75 * 3600 + 35 * 60 + 5));
        for failed_before in 0..9 {
            check(failed_before, Said::Status(500, None), Then::Again(SCHEDULE[failed_before + 1]));
        }
        check(9, Said::Status(500, None), Then::GiveUp);
        check(0, Said::Nothing("it is away".to_owned()), Then::Again(S(5)));
    }

    #[test]
    fn an_endpoint_is_heard() {
        check(3, Said::Status(204, None), Then::Delivered);
        check(0, Said::Status(302, None), Then::Again(S(5)));
        check(0, Said::Status(410, None), Then::Disable("it answered 410 Gone"));
        for status in [429, 502, 504] {
            check(0, Said::Status(status, None), Then::Again(S(60)));
            check(2, Said::Status(status, None), Then::Again(S(1800)));
        }
        check(0, Said::Status(429, Some(S(90))), Then::Again(S(90)));
        check(0, Said::Status(503, Some(S(7))), Then::Again(S(7)));
        check(4, Said::Status(503, Some(S(7))), Then::Again(S(5 * 3600)));
        check(0, Said::Status(503, Some(S(1_000_000))), Then::Again(S(24 * 3600)));
        let said = Said::Status(500, None);
        assert_eq!(next(&SCHEDULE, 0, FAILING_MAX, &said), Then::Disable("it has failed for 120 hours"));
        assert_eq!(next(&SCHEDULE, 0, FAILING_MAX, &Said::Status(200, None)), Then::Delivered);
    }
}
