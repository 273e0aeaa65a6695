//! What a point is worth in money, from one instant on.

use proof::Text;

/// What one point is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    point_value: String,
    currency: String,
}

impl Rate {
    /// A rate of a decimal with up to 12 digits before the point and 8 after, in a currency of three capital letters.
    pub fn new(point_value: &str, currency: &str) -> Option<Self> {
        let digits =
            |text: &str, max| (1..=max).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        let is_decimal = match point_value.split_once('.') {
            Some((whole, part)) => digits(whole, 12) && digits(part, 8),
            None => digits(point_value, 12),
        };
        let is_currency = currency.len() == 3 && currency.bytes().all(|it| it.is_ascii_uppercase());
        let rate = || Self { point_value: point_value.to_owned(), currency: currency.to_owned() };
        (is_decimal && is_currency).then(rate)
    }

    /// The decimal.
    pub fn point_value(&self) -> &str {
        &self.point_value
    }

    /// The currency.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// As a leaf says it: `<decimal> <currency>`.
    pub fn text(&self) -> Text {
        let text = format!("{} {}", self.point_value, self.currency);
        Text::new(text).expect("a decimal and a currency are short")
    }
}

/// A program's rates, each from an instant on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(Vec<(i64, Text)>);

impl Rates {
    /// The rates in the order in which they were settled, each with the instant from which it counts, in microseconds since
    /// 1970: of two that count from the same one, the later.
    pub fn new(settled: &[(i64, Rate)]) -> Self {
        let mut rates: Vec<(i64, Text)> = settled.iter().map(|(from, rate)| (*from, rate.text())).collect();
        rates.sort_by_key(|it| it.0);
        Self(rates)
    }

    /// The rate that counts at an instant. Before the first there is none: nothing was spent then.
    pub fn at(&self, effective_at_us: i64) -> Option<&Text> {
        let begun = self.0.partition_point(|it| it.0 <= effective_at_us);
        self.0[..begun].last().map(|it| &it.1)
    }
}
