//! The OpenAPI 3.1 document, from the table of paths and the types that are read and written.

mod contract;
mod webhooks;

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::code::Code;
use crate::endpoint::{Answer, Content, Endpoint, Parameter, Place};
use crate::error::Document;
use crate::version;

pub use contract::contract;
pub(crate) use webhooks::typed;

/// Two generators: what is read and what is written may differ in what is required.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// The description of these endpoints under this address.
pub fn openapi(endpoints: &[Endpoint], public_url: &str) -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
    let mut schemas = Schemas {
        read: settings().for_deserialize().into_generator(),
        written: settings().for_serialize().into_generator(),
    };
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let method = endpoint.method.as_str().to_ascii_lowercase();
        // A parameter that takes the rest of the path is one like the others to whoever fills it in.
        let path = endpoint.path.replace("{*", "{");
        paths.entry(path).or_default().insert(method, operation(endpoint, &mut schemas));
    }
    let sends = endpoints.iter().any(|it| it.path.starts_with("/api/v1/webhooks"));
    let webhooks = if sends { webhooks::webhooks(&mut schemas.written) } else { Map::new() };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Daftari",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A loyalty-points ledger that nobody has to trust.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A bearer token."},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
            },
        },
    })
}

impl Schemas {
    fn components(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        for (name, schema) in self.written.take_definitions(true) {
            let twin = all.insert(name.clone(), schema.clone());
            assert!(twin.is_none_or(|it| it == schema), "{name} is read and written differently");
        }
        all
    }
}

fn operation(endpoint: &Endpoint, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [tag(endpoint.path)],
        "parameters": endpoint.parameters.iter().map(|it| parameter(it, &mut schemas.read)).collect::<Vec<_>>(),
        "responses": responses(endpoint, &mut schemas.written),
    });
    if let Some(access) = endpoint.access {
        let roles: Vec<&str> = access.roles.iter().map(|it| it.as_str()).collect();
        operation["description"] =
            json!(format!("Needs the scope `{}`. For {}.", access.scope.as_str(), roles.join(", ")));
        operation["security"] = json!([{"token": [access.scope.as_str()]}, {"key": [access.scope.as_str()]}]);
        operation["x-roles"] = json!(roles);
    } else {
        operation["security"] = json!([]);
    }
    if let Some(body) = &endpoint.body {
        operation["requestBody"] = json!({"required": true, "content": content(body, &mut schemas.read)});
    }
    operation
}

/// The part of the API that a path belongs to.
fn tag(path: &str) -> &str {
    let mut parts = path.trim_start_matches('/').split('/').filter(|it| !matches!(*it, "api" | "v1"));
    match parts.next() {
        Some("loyalty") if path.starts_with(crate::routes::CONTRACT) => "partner",
        Some(part) => part.trim_end_matches(".json"),
        None => "page",
    }
}

fn parameter(parameter: &Parameter, generator: &mut SchemaGenerator) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.is_required,
        "description": parameter.meaning,
        "schema": (parameter.schema)(generator),
    })
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    let schema = content.schema.map_or_else(|| json!({}), |it| json!({"schema": it(generator)}));
    json!({content.media_type: schema})
}

fn responses(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in &endpoint.answers {
        let Answer { status, meaning, content: carried, .. } = answer;
        let mut response = json!({"description": meaning});
        if let Some(carried) = carried {
            response["content"] = content(carried, generator);
        }
        if endpoint.access.is_some() && *status < 400 {
            response["headers"] = of_answer(endpoint, answer);
        }
        responses.insert(status.to_string(), response);
    }
    let mut refusals: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in endpoint.codes() {
        refusals.entry(code.status().as_u16()).or_default().push(code);
    }
    for (status, codes) in refusals {
        let mut problem = problem(endpoint, status, &codes, generator);
        // A status may have two shapes: OAuth's own, and that of all others.
        if let Some(own) = responses.get(&status.to_string()) {
            let (also, its) = (own["content"].as_object(), problem["content"].as_object_mut());
            its.into_iter().for_each(|it| it.extend(also.cloned().unwrap_or_default()));
            let words = [&own["description"], &problem["description"]];
            problem["description"] = words.map(|it| it.as_str().unwrap_or_default()).join(" ").into();
        }
        responses.insert(status.to_string(), problem);
    }
    responses
}

/// A failure, with an example for each code that stands behind the status.
fn problem(endpoint: &Endpoint, status: u16, codes: &[Code], generator: &mut SchemaGenerator) -> Value {
    let media_type = match endpoint.path.starts_with(crate::routes::CONTRACT) {
        true => "application/json",
        false => "application/problem+json",
    };
    let words: Vec<String> = codes.iter().map(|it| format!("`{}`: {}.", it.as_str(), it.title())).collect();
    let example = |code: &Code| {
        let value = json!({
            "type": format!("/problems/{}", code.slug()),
            "title": code.title(),
            "status": status,
            "detail": code.title(),
            "instance": "urn:request:7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "error": code.as_str(),
            "message": code.title(),
            "request_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        });
        (code.as_str().to_owned(), json!({"value": value}))
    };
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    let mut problem = json!({
        "description": words.join(" "),
        "content": {
            media_type: {"schema": generator.subschema_for::<Document<'_>>(), "examples": examples},
        },
    });
    if let Some(headers) = of_failure(status) {
        problem["headers"] = headers;
    }
    problem
}

fn header(meaning: &str, kind: &str) -> Value {
    json!({"description": meaning, "schema": {"type": kind}})
}

/// How it stands with the caller's quota.
fn quota() -> Value {
    json!({
        "X-RateLimit-Limit": header("How many requests an hour there may be.", "integer"),
        "X-RateLimit-Remaining": header("How many of them are left.", "integer"),
    })
}

/// What the headers of an answer to a caller say.
fn of_answer(endpoint: &Endpoint, answer: &Answer) -> Value {
    let takes = |names: &[&str]| endpoint.parameters.iter().any(|it| names.contains(&it.name));
    let is_versioned = version::is_versioned(endpoint.path);
    let others = [
        (answer.status == 201, "Location", "Where what was made is."),
        (
            takes(&["Idempotency-Key", "X-Idempotency-Key"]),
            "Idempotent-Replayed",
            "`true` where it was answered before.",
        ),
        (takes(&["limit"]), "Link", "The next page, with `rel=\"next\"`, where there is one."),
        (takes(&["If-None-Match"]), "ETag", "Another one once the answer is another."),
        (answer.is_tagged, "ETag", "What a change says in `If-Match`."),
        (is_versioned, version::HEADER, "The version that it is answered in."),
        (
            is_versioned,
            "Deprecation",
            "Since when nobody should begin to use that version, where it is to end.",
        ),
        (is_versioned, "Sunset", "When that version ends, where that is settled."),
    ];
    let mut headers = quota();
    for (_, name, meaning) in others.into_iter().filter(|it| it.0) {
        headers[name] = header(meaning, "string");
    }
    headers
}

/// What the headers of a failure say besides.
fn of_failure(status: u16) -> Option<Value> {
    let again = header("After how many seconds to ask again.", "integer");
    match status {
        401 => Some(json!({"WWW-Authenticate": header("How to show who asks.", "string")})),
        429 => {
            let mut headers = quota();
            headers["Retry-After"] = again;
            Some(headers)
        }
        503 => Some(json!({"Retry-After": again})),
        _ => None,
    }
}
