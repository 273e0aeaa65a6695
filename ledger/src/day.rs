//! Time as the books know it: an instant, and the local date that it falls on in the program's zone.

use std::fmt;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

const EPOCH: Date = date(1970, 1, 1);

/// A local date, in days since 1970-01-01; from then to the end of the year 9999, or [`Day::NEVER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// After every other day: the last spendable day of what never expires.
    pub const NEVER: Self = Self(i32::MAX);

    /// The day of this number, if it is one.
    pub fn new(days: i32) -> Option<Self> {
        let last = EPOCH.until(Date::MAX).expect("both are dates").get_days();
        (days == i32::MAX || (0..=last).contains(&days)).then_some(Self(days))
    }

    /// Reads `YYYY-MM-DD`, or `never`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "never" {
            return Some(Self::NEVER);
        }
        let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
        (EPOCH <= date).then(|| Self::of(date))
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The day this long after it; of what would be after the year 9999, never.
    pub fn plus(self, period: Span) -> Self {
        match self.date().map(|it| it.checked_add(period)) {
            Some(Ok(date)) => Self::of(date),
            _ => Self::NEVER,
        }
    }

    /// The last day of this day's month, of its quarter or of its year.
    pub fn end_of(self, stretch: Stretch) -> Self {
        let Some(date) = self.date() else { return Self::NEVER };
        let month = match stretch {
            Stretch::Month => date.month(),
            Stretch::Quarter => (date.month() + 2) / 3 * 3,
            Stretch::Year => 12,
        };
        Self::of(Date::new(date.year(), month, 1).expect("a month begins").last_of_month())
    }

    /// Its year and month, which limits by the month go by.
    pub fn month(self) -> (i16, i8) {
        self.date().map_or((i16::MAX, 0), |it| (it.year(), it.month()))
    }

    fn date(self) -> Option<Date> {
        if self == Self::NEVER { None } else { EPOCH.checked_add(i64::from(self.0).days()).ok() }
    }

    fn of(date: Date) -> Self {
        Self(EPOCH.until(date).expect("both are dates").get_days())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => date.fmt(f),
            None => f.write_str("never"),
        }
    }
}

/// A stretch of the calendar to whose end a period may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stretch {
    /// To the end of the month.
    Month,
    /// To the end of the quarter: March, June, September, December.
    Quarter,
    /// To the end of the year.
    Year,
}

/// An instant, and the local date at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970 UTC.
    pub us: i64,
    /// The date in the program's zone.
    pub day: Day,
}

/// A program's time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this IANA name, such as `Africa/Nairobi`.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The instant with its date. Dates only grow: where a clock is put back across midnight, the new day has begun
    /// when it first began.
    pub fn moment(&self, us: i64) -> Moment {
        let instant = Timestamp::from_microsecond(us).unwrap_or(Timestamp::MAX);
        let day = Day::of(self.0.to_datetime(instant).date().max(EPOCH));
        let day = if self.end_of(day) <= us { day.plus(1.day()) } else { day };
        Moment { us, day }
    }

    /// When the day is over: the first existing instant of the next one, which need not be a midnight.
    pub fn end_of(&self, day: Day) -> i64 {
        let Some(Ok(next)) = day.date().map(|it| it.tomorrow()) else { return i64::MAX };
        let midnight = next.at(0, 0, 0, 0);
        // A midnight that does not exist is moved on by the whole gap. That is where the gap ends: since 1970 no clock
        // has skipped a midnight from before it.
        let begin = self.0.to_ambiguous_timestamp(midnight).compatible();
        begin.map_or(i64::MAX, Timestamp::as_microsecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(instant: &str) -> i64 {
        instant.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[track_caller]
    fn check_end(zone: &str, day: &str, end: &str) {
        let (zone, day) = (Zone::named(zone).unwrap(), Day::parse(day).unwrap());
        assert_eq!(Timestamp::from_microsecond(zone.end_of(day)).unwrap().to_string(), end);
        assert_eq!(zone.moment(zone.end_of(day) - 1).day, day);
        assert!(day < zone.moment(zone.end_of(day)).day);
    }

    #[test]
    fn a_day_ends_at_the_first_instant_of_the_next() {
        check_end("Africa/Nairobi", "2026-01-31", "2026-01-31T21:00:00Z");
        check_end("UTC", "2026-02-28", "2026-03-01T00:00:00Z");
        // The clock skips the midnight: the day begins at one.
        check_end("America/Sao_Paulo", "2018-11-03", "2018-11-04T03:00:00Z");
        // The clock is put back from midnight to eleven: the day has 25 hours.
        check_end("America/Sao_Paulo", "2018-02-17", "2018-02-18T03:00:00Z");
        // A whole day is skipped.
        check_end("Pacific/Apia", "2011-12-29", "2011-12-30T10:00:00Z");
        // The clock is put back from one minute past midnight: the day has begun by then, and stays.
        check_end("America/St_Johns", "2006-10-28", "2006-10-29T02:30:00Z");
        let newfoundland = Zone::named("America/St_Johns").unwrap();
        assert_eq!(newfoundland.moment(us("2006-10-29T02:45:00Z")).day, Day::parse("2006-10-29").unwrap());
        // The clock skips the last half hour of a year.
        check_end("Asia/Singapore", "1981-12-31", "1981-12-31T16:00:00Z");
    }

    #[test]
    fn dates_only_grow() {
        for zone in ["America/St_Johns", "America/Sao_Paulo", "Asia/Gaza", "Pacific/Apia", "Africa/Cairo"] {
            let zone = Zone::named(zone).unwrap();
            let mut last = Day::default();
            for hour in 0..10 * 366 * 24 {
                let day = zone.moment(us("2004-01-01T00:15:00Z") + hour * 3_600_000_000).day;
                assert!(last <= day, "{zone:?} {day} after {last}");
                last = day;
            }
        }
    }

    #[test]
    fn a_period_ends_where_the_calendar_says() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2026-01-31").plus(1.month()), day("2026-02-28"));
        assert_eq!(day("2024-02-29").plus(12.months()), day("2025-02-28"));
        assert_eq!(day("2026-01-31").plus(365.days()), day("2027-01-31"));
        assert_eq!(day("9999-12-31").plus(1.day()), Day::NEVER);
        assert_eq!(Day::NEVER.plus(1.day()), Day::NEVER);
        assert_eq!(day("2026-02-03").end_of(Stretch::Month), day("2026-02-28"));
        assert_eq!(day("2026-04-01").end_of(Stretch::Quarter), day("2026-06-30"));
        assert_eq!(day("2026-01-01").end_of(Stretch::Year), day("2026-12-31"));
        assert_eq!(Day::NEVER.end_of(Stretch::Year), Day::NEVER);
        assert_eq!(Day::parse("1969-12-31"), None);
        assert_eq!(Day::parse("2026-1-1"), None);
        assert_eq!(Day::new(-1), None);
        assert_eq!(Day::new(i32::MAX), Some(Day::NEVER));
        assert_eq!(day("1970-01-02").number(), 1);
    }
}
