//! A JSON object with a list that is written as it grows, and keys before and after it.

use serde_json::{Map, Value};

/// The object. Its text is that of a pretty printer that had it whole.
pub struct Stream {
    before: Map<String, Value>,
    list: &'static str,
    begun: bool,
}

impl Stream {
    /// An object that has the keys `before` and then `list`.
    pub fn new(before: Map<String, Value>, list: &'static str) -> Self {
        Self {
            before,
            list,
            begun: false,
        }
    }

    /// The text up to and with the next member of the list, given as pretty JSON.
    pub fn member(&mut self, json: &str) -> String {
        let before = if self.begun {
            ",".to_owned()
        } else {
            self.begin()
        };
        before + "\n    " + &json.replace('\n', "\n    ")
    }

    /// The text that ends the list and the object, with further keys.
    pub fn end(&mut self, after: Map<String, Value>) -> String {
        let mut text = if self.begun {
            "\n  ]".to_owned()
        } else {
            self.begin() + "]"
        };
        for (key, value) in after {
            text += &field(&key, &value);
        }
        text + "\n}\n"
    }

    fn begin(&mut self) -> String {
        self.begun = true;
        let fields = self.before.iter().map(|(key, value)| field(key, value));
        let fields: String = fields.collect();
        let list = format!(",\n  {}: [", Value::from(self.list));
        // The first field has no comma before it.
        format!("{{{}", (fields + &list).trim_start_matches(','))
    }
}

/// A pretty object with further keys.
pub fn extended(object: &str, fields: &Map<String, Value>) -> String {
    let object = object.strip_suffix("\n}").unwrap_or(object);
    let fields = fields.iter().map(|(key, value)| field(key, value));
    format!("{object}{}\n}}", fields.collect::<String>())
}

fn field(key: &str, value: &Value) -> String {
    let value = format!("{value:#}").replace('\n', "\n  ");
    format!(",\n  {}: {value}", Value::from(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: Value) -> Map<String, Value> {
        fields.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn it_is_what_a_pretty_printer_gives() {
        for before in [json!({}), json!({"labels": ["a", "b"]})] {
            for members in [vec![json!({"x": [1, {"y": 2}]}), json!(3)], vec![]] {
                let mut stream = Stream::new(object(before.clone()), "results");
                let mut text: String = members
                    .iter()
                    .map(|m| stream.member(&serde_json::to_string_pretty(m).unwrap()))
                    .collect();
                text += &stream.end(object(json!({"some": 0, "then": "z"})));
                let mut whole = object(before.clone());
                whole.insert("results".into(), members.into());
                whole.extend(object(json!({"some": 0, "then": "z"})));
                let whole = serde_json::to_string_pretty(&whole).unwrap() + "\n";
                assert_eq!(text, whole);
            }
        }
    }
}
