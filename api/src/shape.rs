//! Holds a body against the schema that is documented for it, so that what is described is what is checked: each fault
//! is told with its place. Only the words that our own schemas use are understood, and a test says so where one uses more.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::body::not_json;
use crate::error::{Invalid, Problem};

/// No more faults than these are told of one body.
const FAULTS_MAX: usize = 20;

/// Reads a body of this schema.
pub(crate) fn read<T: DeserializeOwned>(schema: &Value, bytes: &[u8]) -> Result<T, Problem> {
    let Strict(value) = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    let mut faults = Faults(Vec::new());
    faults.look(schema, &value, "");
    if !faults.0.is_empty() {
        return Err(Problem::invalid(faults.0));
    }
    serde_json::from_value(value).map_err(|error| {
        Problem::invalid(vec![Invalid::in_body("body", "", "WRONG_TYPE", error.to_string())])
    })
}

/// A value in which no field stands twice: of two, nobody could say which was meant.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("the field {name} stands there twice")));
            }
            let Strict(value) = object.next_value()?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

struct Faults(Vec<Invalid>);

impl Faults {
    fn add(&mut self, pointer: &str, code: &'static str, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            let field = match pointer {
                "" => "body".to_owned(),
                _ => pointer[1..].replace('/', "."),
            };
            self.0.push(Invalid::in_body(field, pointer, code, message));
        }
    }

    fn look(&mut self, schema: &Value, value: &Value, pointer: &str) {
        if let Some(parts) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array) {
            return self.look_for_one(parts, value, pointer);
        }
        if !is_of_type(schema, value) {
            return self.add(pointer, "WRONG_TYPE", format!("it is not {}", types(schema)));
        }
        if let Some(wanted) = schema.get("const").filter(|it| *it != value) {
            return self.add(pointer, "NOT_ALLOWED", format!("it is not {wanted}"));
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array).filter(|it| !it.contains(value)) {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            return self.add(pointer, "NOT_ALLOWED", format!("it is none of {}", allowed.join(", ")));
        }
        match value {
            Value::Object(fields) => self.look_into(schema, fields, pointer),
            Value::Array(items) => self.look_along(schema, items, pointer),
            Value::String(text) => self.look_at_text(schema, text, pointer),
            Value::Number(number) => {
                let low = schema.get("minimum").and_then(Value::as_i64);
                let high = schema.get("maximum").and_then(Value::as_i64);
                let number = number.as_i64();
                if number
                    .is_none_or(|it| low.is_some_and(|low| it < low) || high.is_some_and(|high| high < it))
                {
                    let bound = |it: Option<i64>| it.map_or("any".to_owned(), |it| it.to_string());
                    let message = format!("it is a whole number from {} to {}", bound(low), bound(high));
                    self.add(pointer, "OUT_OF_RANGE", message);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Of several shapes the one whose fixed fields are those of the value; else the one with the fewest faults.
    fn look_for_one(&mut self, parts: &[Value], value: &Value, pointer: &str) {
        let mut best: Option<Vec<Invalid>> = None;
        for part in parts {
            let mut faults = Self(Vec::new());
            faults.look(part, value, pointer);
            let is_meant = |it: &&Value| {
                let fixed = it["properties"].as_object().into_iter().flatten();
                let mut fixed = fixed.filter(|(_, it)| it.get("const").is_some()).peekable();
                fixed.peek().is_some() && fixed.all(|(name, it)| value.get(name) == it.get("const"))
            };
            if faults.0.is_empty() {
                return;
            }
            if Some(part).as_ref().is_some_and(is_meant) {
                best = Some(faults.0);
                break;
            }
            if best.as_ref().is_none_or(|it| faults.0.len() < it.len()) {
                best = Some(faults.0);
            }
        }
        for fault in best.unwrap_or_default() {
            if self.0.len() < FAULTS_MAX {
                self.0.push(fault);
            }
        }
    }

    fn look_into(&mut self, schema: &Value, fields: &Map<String, Value>, pointer: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !fields.contains_key(name) {
                let place = step(pointer, name);
                self.add(&place, "REQUIRED", "it is required");
            }
        }
        for (name, value) in fields {
            let place = step(pointer, name);
            match known.and_then(|it| it.get(name)) {
                Some(schema) => self.look(schema, value, &place),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    self.add(&place, "UNKNOWN", "there is no such field");
                }
                None => {}
            }
        }
    }

    fn look_along(&mut self, schema: &Value, items: &[Value], pointer: &str) {
        let bound = |word: &str| schema.get(word).and_then(Value::as_u64).map(|it| it as usize);
        if bound("minItems").is_some_and(|it| items.len() < it) {
            self.add(pointer, "TOO_FEW", format!("it has at least {} items", bound("minItems").unwrap_or(0)));
        }
        if let Some(most) = bound("maxItems").filter(|it| *it < items.len()) {
            return self.add(pointer, "TOO_MANY", format!("it has at most {most} items"));
        }
        let Some(of_each) = schema.get("items") else { return };
        for (at, item) in items.iter().enumerate() {
            self.look(of_each, item, &step(pointer, &at.to_string()));
        }
    }

    fn look_at_text(&mut self, schema: &Value, text: &str, pointer: &str) {
        let count = text.chars().count() as u64;
        let bound = |word: &str| schema.get(word).and_then(Value::as_u64);
        if bound("minLength").is_some_and(|it| count < it) {
            self.add(pointer, "INVALID_TEXT", "it is too short");
        }
        if let Some(most) = bound("maxLength").filter(|it| *it < count) {
            self.add(pointer, "INVALID_TEXT", format!("it has more than {most} characters"));
        }
        if text.contains('\0') {
            self.add(pointer, "INVALID_TEXT", "it holds the character U+0000");
        }
        let (is_right, name) = match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => (text.len() == 36 && Uuid::try_parse(text).is_ok(), "a UUID"),
            Some("date") => (ledger::Day::parse(text).is_some(), "a date, as in 2026-01-31"),
            Some("date-time") => {
                (OffsetDateTime::parse(text, &Rfc3339).is_ok(), "an instant, as in 2026-01-31T10:00:00Z")
            }
            _ => (true, ""),
        };
        if !is_right {
            self.add(pointer, "INVALID_FORMAT", format!("it is not {name}"));
        }
    }
}

fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn names(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    let names = names(schema);
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    names.is_empty() || names.contains(&own) || (own == "integer" && names.contains(&"number"))
}

fn types(schema: &Value) -> String {
    let names: Vec<&str> = names(schema)
        .into_iter()
        .map(|it| match it {
            "integer" => "a whole number",
            "string" => "a text",
            "object" => "an object",
            "array" => "a list",
            "boolean" => "true or false",
            other => other,
        })
        .collect();
    names.join(" or ")
}
