//! Instants and days as the API writes and reads them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

fn instant(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .expect("a recorded time is between 1970 and 9999")
}

/// An instant in UTC.
pub(crate) fn rfc3339(micros: i64) -> String {
    instant(micros).format(&Rfc3339).expect("a recorded time is between 1970 and 9999")
}

/// The microseconds of an instant.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(instant.unix_timestamp_nanos() / 1000).ok()
}

/// The last whole second before a day is over.
pub(crate) fn last_second(end_us: i64) -> String {
    rfc3339((end_us - 1) / 1_000_000 * 1_000_000)
}

/// An instant as HTTP writes it.
pub(crate) fn http_date(micros: i64) -> String {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    instant(micros).format(&form).expect("a recorded time is between 1970 and 9999")
}
