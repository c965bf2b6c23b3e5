//! Settings beside the main file: applied as transformers 5 applies them, or refused by file, key
//! and value. The ids are those of transformers 5.24 (`differential/tokens.py` tries more).

use std::fs;

use fqbert_checkpoint::testing::{Spec, TokenizerFiles};
use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::{Head, Pooling, TaskKind, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a tokenizer in which files are added or replaced.
struct Folder(TempDir);

impl Folder {
    fn of(tokenizer: TokenizerFiles) -> Self {
        let spec = Spec {
            vocab: 110,
            tokenizer,
            ..Spec::default()
        };
        let folder = tempfile::tempdir().unwrap();
        spec.write(folder.path()).unwrap();
        // Rows for tokens that are added.
        let this = Folder(folder);
        this.change("config.json", |config| config["vocab_size"] = json!(120));
        this
    }

    fn embedder() -> Self {
        let spec = Spec {
            task: TaskKind::Embedding,
            ..Spec::default()
        };
        let folder = tempfile::tempdir().unwrap();
        spec.write(folder.path()).unwrap();
        let this = Folder(folder);
        this.write(
            "modules.json",
            json!([{"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]),
        );
        this.write(
            "1_Pooling/config.json",
            json!({"pooling_mode_cls_token": true}),
        );
        this
    }

    fn write(&self, name: &str, value: Value) -> &Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
        self
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Value)) -> &Self {
        let bytes = fs::read(self.0.path().join(name)).unwrap();
        let mut value = serde_json::from_slice(&bytes).unwrap();
        change(&mut value);
        self.write(name, value)
    }

    fn load(&self) -> Tokenizer {
        load_tokenizer(self.0.path()).unwrap()
    }

    #[track_caller]
    fn tokens(&self, text: &str) -> Vec<String> {
        let tokens = self.load().encode(text, 32).unwrap().tokens;
        tokens[1..tokens.len() - 1].to_vec()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let said = load_tokenizer(self.0.path()).unwrap_err().to_string();
        for word in words {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }

    /// What the tokenizer says that it applied.
    fn applied(&self) -> Vec<String> {
        let tokenizer = self.load();
        tokenizer
            .settings()
            .applied
            .iter()
            .map(|a| a.to_string())
            .collect()
    }
}

const BOTH: [TokenizerFiles; 2] = [TokenizerFiles::Json, TokenizerFiles::Vocab];
const CONFIG: &str = "tokenizer_config.json";

#[test]
fn the_tokenizers_own_settings_win_over_its_file() {
    for files in BOTH {
        let folder = Folder::of(files);
        assert_eq!(folder.write(CONFIG, json!({})).tokens("Ab"), ["a", "##b"]);
        folder.write(CONFIG, json!({"do_lower_case": false}));
        assert_eq!(folder.tokens("Ab aé"), ["[UNK]", "[UNK]"]);
        assert!(folder.applied()[0].contains("do_lower_case = false"));
        folder.write(
            CONFIG,
            json!({"do_lower_case": false, "strip_accents": true}),
        );
        assert_eq!(folder.tokens("aé"), ["a", "##e"]);
        folder.write(CONFIG, json!({"tokenize_chinese_chars": false}));
        assert_eq!(folder.tokens("a\u{65e5}"), ["[UNK]"]);
        folder.write(CONFIG, json!({"do_lower_case": "no"}));
        folder.refused(&[CONFIG, "do_lower_case", "\"no\"", "true or false"]);
    }
    // A class that takes the file as it stands reads no such flag.
    let folder = Folder::of(TokenizerFiles::Json);
    let class = json!({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false});
    assert_eq!(folder.write(CONFIG, class).tokens("Ab"), ["a", "##b"]);
}

#[test]
fn classes_that_are_not_ours_are_refused() {
    let folder = Folder::of(TokenizerFiles::Vocab);
    folder.write(CONFIG, json!({"tokenizer_class": "BertJapaneseTokenizer"}));
    folder.refused(&[CONFIG, "tokenizer_class", "BertJapaneseTokenizer"]);
    folder.write(CONFIG, json!({"tokenizer_class": "RobertaTokenizerFast"}));
    folder.refused(&["RobertaTokenizerFast", "vocab.txt"]);
    folder.write(CONFIG, json!({}));
    folder.change("config.json", |c| {
        c["tokenizer_class"] = json!("BertweetTokenizer")
    });
    folder.refused(&["config.json", "BertweetTokenizer"]);
    let folder = Folder::of(TokenizerFiles::Json);
    folder.write(CONFIG, json!({"tokenizer_class": "XLMRobertaTokenizer"}));
    folder.refused(&[
        "tokenizer.json model says WordPiece",
        "XLMRobertaTokenizer",
        "Unigram",
    ]);
}

#[test]
fn added_tokens_of_all_files() {
    for files in BOTH {
        let folder = Folder::of(files);
        folder.write("added_tokens.json", json!({"[ent]": 110, "[rel]": 111}));
        assert_eq!(folder.tokens("a[ent] [rel]"), ["a", "[ent]", "[rel]"]);
        assert_eq!(folder.load().encode("[rel]", 9).unwrap().ids, [2, 111, 3]);
        assert!(
            folder
                .applied()
                .iter()
                .any(|a| a == "added_tokens.json [ent] = 110")
        );
        folder.write("added_tokens.json", json!({"[ent]": 115}));
        folder.refused(&["added_tokens.json", "[ent]", "115", "110"]);
        folder.write("added_tokens.json", json!({"[ent]": "x"}));
        folder.refused(&["added_tokens.json", "[ent]", "\"x\""]);
        fs::remove_file(folder.0.path().join("added_tokens.json")).unwrap();

        for key in ["additional_special_tokens", "extra_special_tokens"] {
            folder.write(CONFIG, json!({key: ["[new]"]}));
            assert_eq!(folder.tokens("a[new]"), ["a", "[new]"]);
        }
        folder.write(CONFIG, json!({"extra_special_tokens": 5}));
        folder.refused(&[CONFIG, "extra_special_tokens"]);
        let flags = json!({"content": "[new]", "lstrip": true});
        folder.write(CONFIG, json!({"added_tokens_decoder": {"110": flags}}));
        assert_eq!(folder.tokens("a [new]"), ["a", " [new]"]);
        folder.write(CONFIG, json!({"image_token": "[img]"}));
        assert_eq!(folder.tokens("a[img]"), ["a", "[img]"]);
        folder.write(
            CONFIG,
            json!({"image_token": "[img]", "video_token": "[vid]"}),
        );
        folder.refused(&["added_tokens_decoder"]);
    }
}

#[test]
fn special_tokens_by_other_names() {
    let folder = Folder::of(TokenizerFiles::Vocab);
    let vocab = folder.0.path().join("vocab.txt");
    let text = fs::read_to_string(&vocab).unwrap();
    let text = text.replace("[CLS]", "<s>").replace("[SEP]", "</s>");
    fs::write(&vocab, text.replace("[UNK]", "<unk>")).unwrap();
    folder.write(CONFIG, json!({}));
    folder.change("config.json", |c| c["vocab_size"] = json!(110));
    folder.refused(&["unk_token", "[UNK]"]);
    let names = json!({"cls_token": "<s>", "sep_token": {"content": "</s>"}, "unk_token": "<unk>"});
    folder.write("special_tokens_map.json", names);
    let encoding = folder.load().encode("a\u{65e5}", 9).unwrap();
    assert_eq!(encoding.tokens, ["<s>", "a", "<unk>", "</s>"]);
    assert_eq!(folder.load().unknown([&encoding]).share(), 0.5);
    folder.write("special_tokens_map.json", json!({"cls_token": 5}));
    folder.refused(&["special_tokens_map.json", "cls_token", "5"]);
}

#[test]
fn settings_that_would_change_ids_are_refused() {
    let folder = Folder::of(TokenizerFiles::Json);
    for (key, value) in [
        ("truncation_side", json!("left")),
        ("split_special_tokens", json!(true)),
        ("do_basic_tokenize", json!(false)),
        ("never_split", json!(["x"])),
        ("init_inputs", json!([1])),
        ("fast_tokenizer_files", json!(["tokenizer.4.0.json"])),
        ("auto_map", json!({"AutoTokenizer": ["x.Y", null]})),
        ("model_max_length", json!("long")),
        ("model_input_names", json!("input_ids")),
    ] {
        folder.write(CONFIG, json!({key: value}));
        folder.refused(&[CONFIG, key, "expected"]);
        folder.write(CONFIG, json!({key: null}));
        folder.load();
    }
    folder.write(CONFIG, json!({"padding_side": "left", "colour": 1}));
    assert_eq!(
        folder.load().settings().notes,
        ["tokenizer_config.json: the key colour is not known and was not applied"]
    );
    folder.write(CONFIG, json!({}));
    folder.change("tokenizer.json", |t| {
        t["truncation"] = json!({"direction": "Left"})
    });
    folder.refused(&["tokenizer.json", "truncation.direction", "Left"]);
}

#[test]
fn parts_that_a_class_replaces_are_said() {
    let folder = Folder::of(TokenizerFiles::Json);
    assert!(folder.load().settings().notes.is_empty());
    folder.change("tokenizer.json", |t| {
        t["normalizer"] = json!({"type": "NFKC"})
    });
    assert_eq!(folder.tokens("Ab"), ["a", "##b"]);
    let notes = folder.load().settings().notes.clone();
    assert!(
        notes[0].contains("normalizer") && notes[0].contains("transformers 4"),
        "{notes:?}"
    );
}

#[test]
fn types_that_a_model_is_not_to_get() {
    let folder = Folder::of(TokenizerFiles::Json);
    let types = |folder: &Folder| folder.load().encode_pair("a", "b", 9).unwrap().type_ids;
    assert_eq!(types(&folder), [0, 0, 0, 1, 1]);
    folder.write(
        CONFIG,
        json!({"model_input_names": ["input_ids", "attention_mask"]}),
    );
    assert_eq!(types(&folder), [0; 5]);
}

#[test]
fn lengths_cut_texts() {
    let folder = Folder::embedder();
    let long = "a ".repeat(60);
    let length = || folder.load().encode(&long, 128).unwrap().len();
    assert_eq!(length(), 62);
    folder.write(CONFIG, json!({"model_max_length": 1e30}));
    assert_eq!((length(), folder.load().settings().max_tokens), (62, None));
    folder.write(CONFIG, json!({"model_max_length": 20}));
    assert_eq!(length(), 20);
    folder.write("sentence_bert_config.json", json!({"max_seq_length": 10}));
    assert_eq!(length(), 10);
    assert!(folder.load().encode(&long, 128).unwrap().truncated);
    assert_eq!(
        folder.load().encode_pair(&long, "b", 128).unwrap().len(),
        10
    );
    assert_eq!(
        folder.applied(),
        ["sentence_bert_config.json max_seq_length = 10"]
    );
    folder.write("sentence_bert_config.json", json!({"max_seq_length": null}));
    assert_eq!(length(), 20);
    folder.write("sentence_bert_config.json", json!({"max_seq_length": "x"}));
    folder.refused(&["sentence_bert_config.json", "max_seq_length"]);
    for (key, value) in [
        ("processor_kwargs", json!({"use_fast": false})),
        ("transformer_task", json!("fill-mask")),
        ("colour", json!(1)),
        ("query_expansion", json!({})),
    ] {
        folder.write("sentence_bert_config.json", json!({key: value}));
        folder.refused(&["sentence_bert_config.json", key]);
    }
    let task = json!({"transformer_task": "feature-extraction", "model_args": {},
        "modality_config": {"text": {"method": "forward",
            "method_output_name": "last_hidden_state"}}});
    folder.write("sentence_bert_config.json", task);
    folder.load();
}

#[test]
fn lower_case_before_everything_else() {
    let folder = Folder::embedder();
    folder.write(CONFIG, json!({"do_lower_case": false}));
    assert_eq!(folder.tokens("Ab"), ["[UNK]"]);
    folder.write("sentence_bert_config.json", json!({"do_lower_case": true}));
    assert_eq!(folder.tokens("Ab"), ["a", "##b"]);
}

#[test]
fn prompts_stand_before_texts() {
    let folder = Folder::embedder();
    let prompts = json!({"query": "x y: ", "passage": "z: "});
    folder.write(
        "config_sentence_transformers.json",
        json!({"prompts": prompts.clone()}),
    );
    assert_eq!(folder.tokens("a"), ["a"]);
    let default = json!({"prompts": prompts, "default_prompt_name": "query"});
    folder.write("config_sentence_transformers.json", default);
    assert_eq!(folder.tokens("a"), ["x", "y", ":", "a"]);
    assert_eq!(folder.tokens("x y: a"), ["x", "y", ":", "a"]);
    let encoding = folder.load().encode("ab c", 32).unwrap();
    assert_eq!(encoding.offsets[4..7], [0..1, 1..2, 3..4]);
    assert!(folder.load().encode(" ", 32).is_err());
    let pooling = json!({"pooling_mode_mean_tokens": true, "include_prompt": false});
    folder.write("1_Pooling/config.json", pooling);
    let said = Checkpoint::load(folder.0.path(), &LoadOptions::default()).unwrap_err();
    assert!(said.to_string().contains("include_prompt"), "{said}");
    folder.write(
        "config_sentence_transformers.json",
        json!({"default_prompt_name": "other"}),
    );
    folder.refused(&[
        "config_sentence_transformers.json",
        "default_prompt_name",
        "other",
    ]);
    folder.write(
        "config_sentence_transformers.json",
        json!({"model_type": "SparseEncoder"}),
    );
    folder.refused(&["model_type", "SparseEncoder"]);
}

#[test]
fn a_transformer_in_a_folder_of_its_own() {
    let folder = Folder::embedder();
    let inner = folder.0.path().join("0_Transformer");
    fs::create_dir(&inner).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", CONFIG] {
        fs::rename(folder.0.path().join(name), inner.join(name)).unwrap();
    }
    folder.write("config.json", json!({"__version__": "0.2.5"}));
    folder.change("modules.json", |m| m[0]["path"] = json!("0_Transformer"));
    let checkpoint = Checkpoint::load(folder.0.path(), &LoadOptions::default()).unwrap();
    let expected = Head::Embedding {
        pooling: Pooling::Cls,
        normalize: false,
    };
    assert_eq!(checkpoint.head, expected);
    assert_eq!(folder.tokens("ab"), ["a", "##b"]);
    let files = fqbert_checkpoint::files(folder.0.path());
    assert!(files.contains(&inner.join("model.safetensors")));
    assert!(files.contains(&folder.0.path().join("1_Pooling/config.json")));
    // The part alone does not say how its tokens become one vector.
    let said = Checkpoint::load(&inner, &LoadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("modules.json"), "{said}");
    let options = LoadOptions {
        pooling: Some(Pooling::Mean),
        normalize: Some(true),
        ..LoadOptions::default()
    };
    Checkpoint::load(&inner, &options).unwrap();
}

#[test]
fn the_documented_table_is_the_codes_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    let text = fs::read_to_string(path).unwrap();
    let mut table = String::from("| File | Key | Here | What of it |\n|---|---|---|---|\n");
    let mut last = "";
    for key in fqbert_checkpoint::KEYS {
        let file = if key.file == last {
            String::new()
        } else {
            format!("`{}`", key.file)
        };
        last = key.file;
        let (name, does) = (key.key, key.does.name());
        table += &format!("| {file} | `{name}` | {does} | {} |\n", key.what);
    }
    assert!(
        text.contains(&table),
        "docs/settings.md lacks the table:\n{table}"
    );
}
