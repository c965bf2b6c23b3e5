//! Tokens beside the vocabulary, gathered from all files in the order in which transformers does.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::class::Class;
use super::token::{Added, Named};
use crate::error::CheckpointError;
use crate::keys::{ADDED_TOKENS, Object, SPECIAL_MAP, TOKENIZER, TOKENIZER_CONFIG, bad_value};

/// Names of the special tokens that every tokenizer has a place for, in transformers' order.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The older files beside tokenizer_config.json, empty where there are none.
pub(super) struct Older {
    pub(super) special_map: Object,
    pub(super) added_tokens: Object,
}

/// Who names a special token.
#[derive(Clone, Debug)]
struct Special {
    token: Named,
    /// None for the class's own.
    file: Option<&'static str>,
}

/// All special and added tokens of the files.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Special tokens by their names.
    named: BTreeMap<String, Special>,
    extra: Vec<Named>,
    /// Added tokens by the id that a file states, with the file.
    stated: BTreeMap<u64, (Added, &'static str)>,
    /// The last that was stated of a text.
    by_text: HashMap<String, Added>,
}

impl Gathered {
    /// Reads what the files name.
    ///
    /// # Errors
    /// A token that is none, by file and key.
    pub(super) fn of(
        class: Class,
        config: &Object,
        older: &Older,
        tokenizer: Option<&Value>,
    ) -> Result<Self, CheckpointError> {
        let mut all = Gathered::default();
        for &(name, token) in class.defaults() {
            all.name(name, Named::Text(token.into()), None);
        }
        if class == Class::AsItStands
            && let Some(pad) = tokenizer.and_then(|t| t.pointer("/padding/pad_token"))
            && let Some(pad) = pad.as_str()
        {
            all.name("pad_token", Named::Text(pad.into()), Some(TOKENIZER));
        }
        for (key, value) in &config.map {
            all.key(config.file, key, value)?;
        }
        let keys = ["extra_special_tokens", "additional_special_tokens"];
        let some = |v: &&Value| match v {
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        };
        if let Some(key) = keys
            .iter()
            .find(|key| config.get(key).filter(some).is_some())
        {
            all.extras(config, key)?;
        }
        let Some(decoder) = config.get("added_tokens_decoder") else {
            let list = |key: &&str| config.map.get(*key).is_some_and(|v| !v.is_object());
            all.older(older, tokenizer, keys.iter().any(list))?;
            return Ok(all);
        };
        let bad = || config.bad("added_tokens_decoder", "an object from id to token");
        for (id, token) in decoder.as_object().ok_or_else(bad)? {
            let token = token.as_object().and_then(|t| Added::of(t, None));
            let id = id.parse().map_err(|_| bad())?;
            all.state(id, token.ok_or_else(bad)?, TOKENIZER_CONFIG);
        }
        all.flags();
        Ok(all)
    }

    /// The older files, which count where tokenizer_config.json has no `added_tokens_decoder`.
    /// Of special_tokens_map.json `additional_special_tokens` are read last, and not where there is
    /// another list of them (`listed`).
    fn older(
        &mut self,
        older: &Older,
        tokenizer: Option<&Value>,
        mut listed: bool,
    ) -> Result<(), CheckpointError> {
        for (key, value) in &older.special_map.map {
            self.key(SPECIAL_MAP, key, value)?;
        }
        if let Some(extra) = older.special_map.get("extra_special_tokens") {
            listed |= !extra.is_object();
            self.extras(&older.special_map, "extra_special_tokens")?;
        }
        let named = self.named.values().map(|s| s.token.text());
        let special = named.chain(self.extra.iter().map(Named::text));
        let special: HashSet<String> = special.map(str::to_owned).collect();
        for (content, id) in &older.added_tokens.map {
            let expected = "the token's id, a whole number";
            let id = id.as_u64();
            let id = id.ok_or_else(|| older.added_tokens.bad(content, expected))?;
            let token = Added::new(content, special.contains(content));
            self.state(id, token, ADDED_TOKENS);
        }
        let own = tokenizer.and_then(|t| t["added_tokens"].as_array());
        for token in own.into_iter().flatten() {
            let fields = token.as_object();
            let added = fields.and_then(|t| Added::of(t, None));
            let id = fields.and_then(|t| t.get("id")).and_then(Value::as_u64);
            let (Some(added), Some(id)) = (added, id) else {
                let expected = "a token with its id and flags";
                return Err(bad_value(TOKENIZER, "added_tokens", Some(token), expected));
            };
            self.state(id, added, TOKENIZER);
        }
        let last = "additional_special_tokens";
        if !listed && older.special_map.get(last).is_some() {
            self.extras(&older.special_map, last)?;
        }
        self.flags();
        Ok(())
    }

    /// A later statement of an id takes the place of an earlier one, as in a Python dictionary.
    fn state(&mut self, id: u64, token: Added, file: &'static str) {
        self.by_text.insert(token.content.clone(), token.clone());
        self.stated.insert(id, (token, file));
    }

    fn name(&mut self, name: &str, token: Named, file: Option<&'static str>) {
        self.named.insert(name.to_owned(), Special { token, file });
    }

    /// A key of a file, if it names a special token.
    fn key(&mut self, file: &'static str, key: &str, value: &Value) -> Result<(), CheckpointError> {
        let known = NAMES.contains(&key);
        if !key.ends_with("_token") {
            return Ok(());
        }
        let token = match value {
            Value::Null if known => {
                self.named.remove(key);
                return Ok(());
            }
            Value::String(text) => Named::Text(text.clone()),
            Value::Object(fields) => {
                let special = (file == SPECIAL_MAP).then_some(true);
                let expected = "a token, or an object with a string \"content\" and flags";
                let added = Added::of(fields, special);
                Named::Flags(added.ok_or_else(|| bad_value(file, key, Some(value), expected))?)
            }
            _ if !known => return Ok(()),
            _ => return Err(bad_value(file, key, Some(value), "a token")),
        };
        self.name(key, token, Some(file));
        Ok(())
    }

    /// More special tokens, those of a key of a file.
    fn extras(&mut self, file: &Object, key: &str) -> Result<(), CheckpointError> {
        let Some(value) = file.get(key) else {
            return Ok(());
        };
        let expected = "a list of tokens, or an object from name to token";
        let token = |value: &Value| {
            let named = match value {
                Value::String(text) => Some(Named::Text(text.clone())),
                Value::Object(fields) => {
                    let special = (file.file == SPECIAL_MAP).then_some(true);
                    Added::of(fields, special).map(Named::Flags)
                }
                _ => None,
            };
            named.ok_or_else(|| bad_value(file.file, key, Some(value), expected))
        };
        match value {
            Value::Array(list) => {
                let list = list.iter().map(token);
                self.extra.extend(list.collect::<Result<Vec<_>, _>>()?);
            }
            Value::Object(map) => {
                for (name, value) in map {
                    self.name(name, token(value)?, Some(file.file));
                }
            }
            _ => return Err(file.bad(key, expected)),
        }
        Ok(())
    }

    /// Gives special tokens the flags that the added token of the same text has.
    fn flags(&mut self) {
        for name in NAMES {
            if let Some(special) = self.named.get_mut(name)
                && let Some(added) = self.by_text.get(special.token.text())
            {
                special.token = Named::Flags(added.clone());
            }
        }
    }

    /// The token of a name, if it has one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(|special| special.token.text())
    }

    /// The special tokens in the order in which they are added: first those of known names.
    fn ordered(&self) -> impl Iterator<Item = (&str, &Special)> {
        let known = NAMES.iter().filter_map(|n| self.named.get_key_value(*n));
        let others = self.named.iter();
        let others = others.filter(|(name, _)| !NAMES.contains(&name.as_str()));
        known
            .chain(others)
            .map(|(name, special)| (name.as_str(), special))
    }
}

/// The tokens as they stand in the tokenizer.
#[derive(Debug)]
pub(super) struct Tokens {
    list: BTreeMap<u64, Added>,
    ids: HashMap<String, u64>,
    vocab: HashMap<String, u64>,
    size: u64,
    named: HashMap<String, (String, u64)>,
}

impl Tokens {
    /// Adds the gathered tokens to a model's vocabulary as the library does: what the vocabulary
    /// has keeps its id, others get the next ones. Of tokens that only the class names, those
    /// beyond the `rows` of the word embeddings are left out.
    ///
    /// # Errors
    /// A file that states another id than the token gets.
    pub(super) fn add(
        class: Class,
        gathered: &Gathered,
        vocab: &Value,
        tokenizer: Option<&Value>,
        rows: Option<u64>,
    ) -> Result<Self, CheckpointError> {
        let mut all = Tokens::over(vocab);
        if class == Class::AsItStands {
            let own = tokenizer.and_then(|t| t["added_tokens"].as_array());
            let own = own.into_iter().flatten().filter_map(Value::as_object);
            all.extend(own.filter_map(|t| Added::of(t, None)));
        }
        let present: HashSet<&Added> = all.list.values().collect();
        let stated = gathered.stated.values().map(|(token, _)| token);
        let mut more: Vec<Added> = stated.filter(|t| !present.contains(t)).cloned().collect();
        let known = present.iter().copied().chain(&more);
        let mut known: HashSet<String> = known.map(|t| t.content.clone()).collect();
        let needed = |name: &str| matches!(name, "unk_token" | "cls_token" | "sep_token");
        let (mut next, mut fresh) = (all.next_id() + more.len() as u64, 0);
        for (name, Special { token, file }) in gathered.ordered() {
            let text = token.text();
            let new = all.id(text).is_none() && !known.contains(text);
            let beyond = new && rows.is_some_and(|rows| next >= rows);
            // What the class alone names may be meant for another vocabulary.
            if needed(name) && class != Class::AsItStands && (beyond || new && file.is_none()) {
                return Err(not_there(name, text, *file));
            }
            if beyond && file.is_none() {
                continue;
            }
            if !known.insert(text.to_owned()) {
                continue;
            }
            next += u64::from(new);
            fresh += u64::from(new && !NAMES.contains(&name));
            more.push(token.added());
        }
        if fresh > 1 {
            // The order of an object's keys would decide their ids.
            return Err(CheckpointError::BadField {
                file: TOKENIZER_CONFIG,
                field: "*_token".into(),
                found: format!("{fresh} tokens that the vocabulary does not have"),
                expected: "their ids in added_tokens_decoder".into(),
            });
        }
        let extra = gathered.extra.iter();
        more.extend(
            extra
                .filter(|t| known.insert(t.text().to_owned()))
                .map(Named::added),
        );
        let named: HashSet<&str> = gathered.named.values().map(|s| s.token.text()).collect();
        for token in &mut more {
            token.special |= named.contains(token.content.as_str());
        }
        all.extend(more);
        for (id, (token, file)) in &gathered.stated {
            all.check(*id, token, file)?;
        }
        for (name, special) in &gathered.named {
            let text = special.token.text();
            if let Some(id) = all.id(text) {
                all.named.insert(name.clone(), (text.to_owned(), id));
            }
        }
        Ok(all)
    }

    /// None yet, over a vocabulary: from token to id, or a list of pieces with their scores.
    fn over(vocab: &Value) -> Self {
        let (vocab, size): (HashMap<String, u64>, usize) = match vocab {
            Value::Object(map) => {
                let each = map
                    .iter()
                    .filter_map(|(t, id)| Some((t.clone(), id.as_u64()?)));
                (each.collect(), map.len())
            }
            // Of a piece that stands twice the library takes the last.
            Value::Array(list) => {
                let each = list.iter().enumerate();
                let each =
                    each.filter_map(|(id, piece)| Some((piece[0].as_str()?.to_owned(), id as u64)));
                (each.collect(), list.len())
            }
            _ => (HashMap::new(), 0),
        };
        Tokens {
            list: BTreeMap::new(),
            ids: HashMap::new(),
            vocab,
            size: size as u64,
            named: HashMap::new(),
        }
    }

    fn check(&self, id: u64, token: &Added, file: &str) -> Result<(), CheckpointError> {
        let got = self.id(&token.content);
        // The library passes over the ids of tokenizer.json itself, and over tokens without text.
        if file == TOKENIZER || token.content.is_empty() || got == Some(id) {
            return Ok(());
        }
        Err(CheckpointError::Disagreement {
            left: format!("{file}, the id of {},", token.content),
            left_value: id.to_string(),
            right: "the vocabulary, to which transformers adds it,".into(),
            right_value: got.map_or("nothing".into(), |id| id.to_string()),
        })
    }

    fn id(&self, text: &str) -> Option<u64> {
        self.ids.get(text).or_else(|| self.vocab.get(text)).copied()
    }

    fn next_id(&self) -> u64 {
        match self.list.last_key_value() {
            Some((max, _)) if *max >= self.size || self.size == 0 => max + 1,
            _ => self.size,
        }
    }

    fn extend(&mut self, tokens: impl IntoIterator<Item = Added>) {
        let mut next = self.next_id();
        for token in tokens.into_iter().filter(|t| !t.content.is_empty()) {
            let id = self.id(&token.content).unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            self.ids.insert(token.content.clone(), id);
            self.list.insert(id, token);
        }
    }

    /// A special token by its name, with its id.
    ///
    /// # Errors
    /// There is none in the vocabulary.
    pub(super) fn named(&self, name: &str) -> Result<(String, u64), CheckpointError> {
        self.named
            .get(name)
            .cloned()
            .ok_or_else(|| CheckpointError::MissingField {
                file: TOKENIZER_CONFIG,
                field: name.into(),
            })
    }

    /// As `tokenizer.json` has them.
    pub(super) fn json(&self) -> Value {
        self.list
            .iter()
            .map(|(id, token)| token.json(*id))
            .collect()
    }
}

/// The error of a special token that the vocabulary does not have.
fn not_there(name: &str, text: &str, file: Option<&'static str>) -> CheckpointError {
    let text = Value::String(text.into());
    CheckpointError::BadField {
        file: file.unwrap_or(TOKENIZER_CONFIG),
        field: name.into(),
        found: match file {
            Some(_) => text.to_string(),
            None => format!("absent, and so {text}"),
        },
        expected: "a token of the vocabulary, which has none of this text".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn tokens(config: Value, special: Value, added: Value) -> Result<Value, String> {
        let config = Object::new(TOKENIZER_CONFIG, map(config));
        let older = Older {
            special_map: Object::new(SPECIAL_MAP, map(special)),
            added_tokens: Object::new(ADDED_TOKENS, map(added)),
        };
        let vocab = json!({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4});
        let gathered = Gathered::of(Class::Bert, &config, &older, None);
        let gathered = gathered.map_err(|e| e.to_string())?;
        let tokens = Tokens::add(Class::Bert, &gathered, &vocab, None, Some(7));
        Ok(tokens.map_err(|e| e.to_string())?.json())
    }

    fn ids(json: &Value) -> Vec<(u64, &str, bool)> {
        let list = json.as_array().unwrap().iter();
        list.map(|t| {
            let special = t["special"].as_bool().unwrap();
            (
                t["id"].as_u64().unwrap(),
                t["content"].as_str().unwrap(),
                special,
            )
        })
        .collect()
    }

    #[test]
    fn files_in_their_order() {
        let none = json!({});
        let of = tokens(none.clone(), none.clone(), json!({"[e]": 5})).unwrap();
        // [MASK] would be the class's own with id 6, for which there is a row.
        assert_eq!(ids(&of)[4..], [(5, "[e]", false), (6, "[MASK]", true)]);
        let extra = json!({"additional_special_tokens": ["[x]", "a"]});
        let of = tokens(extra.clone(), none.clone(), none.clone()).unwrap();
        assert_eq!(
            ids(&of)[4..],
            [(4, "a", true), (5, "[MASK]", true), (6, "[x]", true)]
        );
        let of = tokens(none.clone(), extra, json!({"[x]": 5})).unwrap();
        assert_eq!(ids(&of)[5..6], [(5, "[x]", false)]);
        // With a decoder the older files do not count.
        let decoder = json!({"added_tokens_decoder": {"5": {"content": "[d]"}}});
        let of = tokens(decoder, json!({"mask_token": "?"}), json!({"[e]": 5})).unwrap();
        assert_eq!(ids(&of)[4..5], [(5, "[d]", false)]);
        let said = tokens(none.clone(), none.clone(), json!({"[e]": 9})).unwrap_err();
        assert!(
            said.contains("added_tokens.json") && said.contains('9'),
            "{said}"
        );
        let said = tokens(json!({"cls_token": 5}), none.clone(), none).unwrap_err();
        assert!(said.contains("cls_token"), "{said}");
    }
}
