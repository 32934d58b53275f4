//! Reading the parameters of a call. The host passes on what the caller has sent, so types are looked at here.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

/// Ends an operation.
pub enum Failed {
    /// With an HTTP-like status and a text for the caller.
    Refused(i32, String),
    /// A service of the host has failed.
    Called(tonic::Status),
}

impl From<tonic::Status> for Failed {
    fn from(status: tonic::Status) -> Self {
        Failed::Called(status)
    }
}

pub struct Parameters(pub Struct);

impl Parameters {
    /// Read a parameter that must be there.
    pub fn text(&self, name: &str) -> Result<String, Failed> {
        let missing = || {
            Failed::Refused(
                400,
                format!("parameter {name:?} is missing; accepted is text"),
            )
        };
        self.optional_text(name)?.ok_or_else(missing)
    }

    pub fn optional_text(&self, name: &str) -> Result<Option<String>, Failed> {
        match self.given(name) {
            None => Ok(None),
            Some(Kind::StringValue(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Failed::Refused(
                400,
                format!("parameter {name:?} is {}; accepted is text", shown(other)),
            )),
        }
    }

    pub fn integer(&self, name: &str, fallback: i64) -> Result<i64, Failed> {
        let found = match self.given(name) {
            None => Some(fallback),
            Some(Kind::NumberValue(number)) => (number.trunc() == *number
                && number.abs() <= (1_i64 << 53) as f64)
                .then_some(*number as i64),
            // Query strings and command lines carry texts only.
            Some(Kind::StringValue(text)) => text.parse().ok(),
            Some(_) => None,
        };
        found.ok_or_else(|| {
            let given = self.given(name).map(shown).unwrap_or_default();
            Failed::Refused(
                400,
                format!("parameter {name:?} is {given}; accepted is an integer"),
            )
        })
    }

    fn given(&self, name: &str) -> Option<&Kind> {
        let kind = self.0.fields.get(name)?.kind.as_ref();
        kind.filter(|kind| !matches!(kind, Kind::NullValue(_)))
    }
}

/// Return a value as JSON, for a text.
pub fn shown(kind: &Kind) -> String {
    json(&Value {
        kind: Some(kind.clone()),
    })
    .to_string()
    .chars()
    .take(80)
    .collect()
}

fn json(value: &Value) -> serde_json::Value {
    match &value.kind {
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) if number.trunc() == *number && number.abs() < 1e15 => {
            (*number as i64).into()
        }
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::StringValue(value)) => value.as_str().into(),
        Some(Kind::StructValue(value)) => value
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect(),
        Some(Kind::ListValue(value)) => value.values.iter().map(json).collect(),
        Some(Kind::NullValue(_)) | None => serde_json::Value::Null,
    }
}
