//! The M-PESA contract's own document, in OpenAPI 3.0 as its readers know it, from the same endpoints.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Schemas, operation};
use crate::code::Code;
use crate::endpoint::Endpoint;
use crate::routes::CONTRACT;

/// What the contract's own examples say.
const EXAMPLES: [(Code, &str); 3] = [
    (Code::Unauthorized, "Invalid or expired authentication credentials"),
    (Code::UserNotFound, "The specified user could not be found"),
    (Code::RateLimited, "API rate limit exceeded"),
];

/// The contract's part of these endpoints.
pub fn contract(endpoints: &[Endpoint], public_url: &str) -> Value {
    let settings = SchemaSettings::openapi3;
    let mut schemas = Schemas {
        read: settings().for_deserialize().into_generator(),
        written: settings().for_serialize().into_generator(),
    };
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        // Its servers' addresses end with the prefix.
        let Some(path) = endpoint.path.strip_prefix(CONTRACT).filter(|it| it.starts_with("/partner/")) else {
            continue;
        };
        let mut operation = operation(endpoint, &mut schemas);
        if let Some(access) = endpoint.access {
            operation["security"] = json!([{"PartnerAuth": [access.scope.as_str()]}, {"ApiKeyAuth": []}]);
        }
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            if parameter["schema"]["type"] == "boolean" {
                parameter["schema"]["default"] = json!(false);
            }
        }
        for (code, words) in EXAMPLES {
            let status = code.status().as_u16().to_string();
            let examples = &mut operation["responses"][status]["content"]["application/json"]["examples"];
            if let Some(example) = examples.get_mut(code.as_str()) {
                (example["value"]["detail"], example["value"]["message"]) = (words.into(), words.into());
            }
        }
        paths.entry(path).or_default().insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
    }
    json!({
        "openapi": "3.0.0",
        "info": {
            "title": "M-PESA Loyalty Partner API",
            "version": "1.0.0",
            "contact": {
                "name": "M-PESA Developer Support",
                "url": "https://developer.mpesa.com",
                "email": "developers@mpesa.com",
            },
        },
        "servers": [
            {"url": "https://api.mpesa.com/loyalty/v1", "description": "Production"},
            {"url": "https://sandbox-api.mpesa.com/loyalty/v1", "description": "Sandbox"},
            {"url": format!("{public_url}{CONTRACT}"), "description": "This server"},
        ],
        "security": [{"PartnerAuth": ["loyalty:read", "loyalty:redeem"]}, {"ApiKeyAuth": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                "PartnerAuth": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": "https://auth.mpesa.com/oauth/token",
                            "scopes": {
                                "loyalty:read": "Read loyalty data",
                                "loyalty:redeem": "Process redemptions",
                            },
                        },
                    },
                },
                "ApiKeyAuth": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    })
}
