//! Values of a JSON file wherever they are.

use serde_json::Value;

/// Every value that has this key, however deep.
pub(super) fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    fn walk<'a>(value: &'a Value, key: &str, out: &mut Vec<&'a Value>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name == key {
                        out.push(value);
                    }
                    walk(value, key, out);
                }
            }
            Value::Array(values) => values.iter().for_each(|v| walk(v, key, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(value, key, &mut out);
    out
}
