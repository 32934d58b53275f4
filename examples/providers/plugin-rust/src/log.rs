//! Lines that the host logs with their own level and fields.

use serde_json::{json, Map, Value};

/// Write one; the host adds the time.
pub fn line(level: &str, event: &str, fields: &[(&str, &str)]) {
    let mut line: Map<String, Value> = fields
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value)))
        .collect();
    line.insert("event".into(), event.into());
    line.insert("level".into(), level.into());
    eprintln!("{}", Value::Object(line));
}
