//! An endpoint as its callers are told of it: method, path, who may, what goes in, what comes out, what can go wrong.
//! Router, documents and the walk of the tests all come from the same list of these.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::access::Access;
use crate::code::Code;
use crate::version;

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Its name, by which generated clients call it.
    pub name: &'static str,
    /// What it does, in one sentence without a stop.
    pub summary: &'static str,
    /// Who may; `None` where anybody may.
    pub access: Option<Access>,
    /// What stands in path, query and headers.
    pub parameters: Vec<Parameter>,
    /// What stands in the body.
    pub body: Option<Content>,
    /// What it answers where nothing is wrong.
    pub answers: Vec<Answer>,
    /// What can go wrong besides what can go wrong everywhere.
    pub refusals: Vec<Code>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it says.
    pub meaning: &'static str,
    /// What it may be.
    pub schema: SchemaOf,
}

/// Makes a type's schema.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A body by its media type; without a schema it is bytes or text.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// The media type.
    pub media_type: &'static str,
    /// What it may be.
    pub schema: Option<SchemaOf>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When it is given.
    pub meaning: &'static str,
    /// What it carries.
    pub content: Option<Content>,
    /// Whether it comes with the ETag that a change must match.
    pub is_tagged: bool,
}

const JSON: &str = "application/json";

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Endpoint {
    /// An endpoint under a path. Its parameters in the path are texts until one of them is said to be something else.
    pub fn new(method: Method, path: &'static str, name: &'static str, summary: &'static str) -> Self {
        let parameters = version::is_versioned(path).then(version::parameter).into_iter().collect();
        let (answers, refusals) = Default::default();
        Self { method, path, name, summary, access: None, parameters, body: None, answers, refusals }
    }

    /// A parameter of the path.
    pub fn path<T: JsonSchema>(self, name: &'static str, meaning: &'static str) -> Self {
        self.parameter::<T>(name, Place::Path, true, meaning)
    }

    /// A parameter of the query, which may be left out.
    pub fn query<T: JsonSchema>(self, name: &'static str, meaning: &'static str) -> Self {
        self.parameter::<T>(name, Place::Query, false, meaning)
    }

    /// A parameter of the query that must be there.
    pub fn required_query<T: JsonSchema>(self, name: &'static str, meaning: &'static str) -> Self {
        self.parameter::<T>(name, Place::Query, true, meaning)
    }

    /// A header, which may be left out.
    pub fn header<T: JsonSchema>(self, name: &'static str, meaning: &'static str) -> Self {
        self.parameter::<T>(name, Place::Header, false, meaning)
    }

    /// A header that must be there.
    pub fn required_header<T: JsonSchema>(self, name: &'static str, meaning: &'static str) -> Self {
        self.parameter::<T>(name, Place::Header, true, meaning)
    }

    fn parameter<T: JsonSchema>(
        mut self,
        name: &'static str,
        place: Place,
        is_required: bool,
        meaning: &'static str,
    ) -> Self {
        self.parameters.push(Parameter { name, place, is_required, meaning, schema: schema_of::<T> });
        self
    }

    /// A body in JSON.
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Content { media_type: JSON, schema: Some(schema_of::<T>) });
        self
    }

    /// A body of another media type.
    pub fn plain_body(mut self, media_type: &'static str) -> Self {
        self.body = Some(Content { media_type, schema: None });
        self
    }

    /// An answer in JSON.
    pub fn answers<T: JsonSchema>(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, Some(Content { media_type: JSON, schema: Some(schema_of::<T>) }))
    }

    /// An answer of another media type.
    pub fn answers_plain(self, status: u16, media_type: &'static str, meaning: &'static str) -> Self {
        self.answer(status, meaning, Some(Content { media_type, schema: None }))
    }

    /// An answer without a body.
    pub fn answers_empty(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, None)
    }

    fn answer(mut self, status: u16, meaning: &'static str, content: Option<Content>) -> Self {
        self.answers.push(Answer { status, meaning, content, is_tagged: false });
        self
    }

    /// An answer in JSON, with the ETag that a change must match.
    pub(crate) fn answers_tagged<T: JsonSchema>(self, status: u16, meaning: &'static str) -> Self {
        let mut endpoint = self.answers::<T>(status, meaning);
        endpoint.answers.iter_mut().filter(|it| it.status == status).for_each(|it| it.is_tagged = true);
        endpoint
    }

    /// What can go wrong here.
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend_from_slice(codes);
        self
    }

    /// What the body is held against, in one piece.
    pub(crate) fn body_schema(&self) -> Value {
        let settings =
            SchemaSettings::draft2020_12().for_deserialize().with(|it| it.inline_subschemas = true);
        let schema = self.body.and_then(|it| it.schema);
        schema.map_or(Value::Bool(true), |it| it(&mut settings.into_generator()).to_value())
    }

    /// All that can go wrong, in the order of statuses.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = self.refusals.clone();
        codes.extend([Code::InternalError, Code::DependencyUnavailable]);
        if self.access.is_some() {
            codes.extend([Code::Unauthorized, Code::Forbidden, Code::RateLimited]);
        }
        if !self.parameters.is_empty() || self.body.is_some() {
            codes.push(Code::InvalidRequest);
        }
        if self.body.is_some() {
            codes.push(Code::PayloadTooLarge);
        }
        if self.body.is_some_and(|it| it.media_type == JSON) {
            codes.push(Code::UnsupportedMediaType);
        }
        Code::ALL.iter().copied().filter(|it| codes.contains(it)).collect()
    }
}
