//! What points are worth, exactly.

use proof::Text;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

/// An amount of money. In JSON a number with every digit of its decimal: it is never a float on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) Decimal);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "format": "decimal"})
    }
}

/// What points are worth in money.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Value<'a> {
    /// How much, with every digit.
    amount: Amount,
    /// In which currency.
    currency: &'a str,
}

/// What one point is worth.
#[derive(Clone, Debug)]
pub(crate) struct Worth {
    pub(crate) point_value: Decimal,
    pub(crate) currency: String,
}

impl Worth {
    /// Reads it as a leaf says it: `<decimal> <currency>`.
    pub(crate) fn parse(rate: &Text) -> Option<Self> {
        let (point_value, currency) = rate.as_str().split_once(' ')?;
        Some(Self { point_value: Decimal::from_str_exact(point_value).ok()?, currency: currency.to_owned() })
    }

    /// A redemption's points, up to 100,000, times a value of up to 12 digits before the point and 8 after: 26 digits,
    /// which a decimal holds.
    pub(crate) fn of(&self, points: i64) -> Value<'_> {
        Value { amount: self.amount(points), currency: &self.currency }
    }

    /// So many points in money; of more than a decimal holds, the nearest that it does.
    pub(crate) fn amount(&self, points: i64) -> Amount {
        Amount(Decimal::from(points).saturating_mul(self.point_value))
    }
}
