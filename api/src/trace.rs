//! Where a request belongs in its caller's trace, as W3C Trace Context has it.

use axum::http::HeaderMap;

/// The id of the trace, where the caller names one in the standard's form; whatever else stands there is not looked at.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all("traceparent").iter();
    let only = given.next()?;
    if given.next().is_some() {
        return None;
    }
    named(only.to_str().ok()?)
}

fn named(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let [version, trace, parent, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    // Versions to come may say more after these; `ff` is none.
    let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let is_id = |part: &str, digits| is_hex(part, digits) && part.bytes().any(|it| it != b'0');
    (is_version && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2)).then_some(trace)
}

fn is_hex(part: &str, digits: usize) -> bool {
    part.len() == digits && part.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[track_caller]
    fn check(given: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for it in given {
            headers.append("traceparent", HeaderValue::from_str(it).unwrap());
        }
        assert_eq!(trace_id(&headers), expected, "{given:?}");
    }

    #[test]
    fn a_trace_is_named_as_the_standard_has_it() {
        check(&[], None);
        let good = format!("00-{TRACE}-{PARENT}-01");
        check(&[&good], Some(TRACE));
        check(&[&format!("00-{TRACE}-{PARENT}-00")], Some(TRACE));
        check(&[&format!("cc-{TRACE}-{PARENT}-01")], Some(TRACE));
        check(&[&format!("cc-{TRACE}-{PARENT}-01-what-is-to-come")], Some(TRACE));
        check(&[&good, &good], None);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("{good}-more"),
            format!("cc-{TRACE}-{PARENT}-01.more"),
            good.to_uppercase(),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{TRACE}-{PARENT}"),
        ] {
            check(&[&bad], None);
        }
    }
}
