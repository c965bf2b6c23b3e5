"""Folders with tokenizers, and random settings of them."""

import json
import os

from corners import LETTERS, MARKS, REGEXES, ROBERTA, SPECIAL, WORDS


def flags(r):
    return {
        key: r.random() < 0.4
        for key in ("single_word", "lstrip", "rstrip", "normalized", "special")
    }


def wordpiece_vocab():
    pieces = (
        SPECIAL
        + LETTERS
        + ["##" + c for c in LETTERS]
        + WORDS
        + MARKS
        + ["strasse", "naive", "cafe", "##at", "##he"]
    )
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def template(cls, sep, ids):
    def special(token, kind):
        return {"SpecialToken": {"id": token, "type_id": kind}}

    def text(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [special(cls, 0), text("A", 0), special(sep, 0)]
    tokens = {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (cls, sep)}
    pair = single + [text("B", 1), special(sep, 1)]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def special_tokens(ids, names):
    plain = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return [{"id": ids[name], "content": name, **plain} for name in names]


def base_wordpiece():
    ids = wordpiece_vocab()
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special_tokens(ids, SPECIAL),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template("[CLS]", "[SEP]", ids),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def byte_letters():
    """The letters that stand for bytes in byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    more = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(more)) for b in range(256)]


def base_bpe():
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("Ġ", "the"),
        ("c", "a"),
        ("ca", "t"),
        ("Ġ", "cat"),
        ("Ã", "©"),
        ("Ġ", "Ġ"),
    ]
    ids = {t: i for i, t in enumerate(ROBERTA + byte_letters() + ["".join(m) for m in merges])}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special_tokens(ids, ROBERTA),
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 0],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids,
            "merges": merges,
        },
    }


def base_unigram():
    pieces = [[t, 0.0] for t in ["<s>", "<pad>", "</s>", "<unk>"]]
    pieces += [
        [t, -2.0 - i / 50]
        for i, t in enumerate(
            dict.fromkeys(
                ["▁the", "▁cat", "▁", "at", "he"] + LETTERS + MARKS + ["▁" + w for w in WORDS]
            )
        )
    ]
    pieces += [["<mask>", 0.0]]
    ids = {t: i for i, (t, _) in enumerate(pieces)}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special_tokens(ids, ROBERTA),
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace],
        },
        "post_processor": template("<s>", "</s>", ids),
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False},
    }


class Folder:
    """A folder in the making."""

    def __init__(self, kind):
        model_type = {"bpe": "roberta", "unigram": "xlm-roberta"}.get(kind, "bert")
        self.kind = kind
        self.files = {
            "config.json": {"model_type": model_type, "vocab_size": 1000},
            "tokenizer_config.json": {},
        }
        self.vocab = None
        if kind == "vocab":
            self.vocab = list(wordpiece_vocab())
        else:
            self.files["tokenizer.json"] = {"bpe": base_bpe, "unigram": base_unigram}.get(
                kind, base_wordpiece
            )()

    @property
    def config(self):
        return self.files["tokenizer_config.json"]

    @property
    def tokenizer(self):
        return self.files.get("tokenizer.json", {})

    def size(self):
        return len(self.vocab) if self.vocab else len(self.tokenizer["model"]["vocab"])

    def write(self, path):
        for name, value in self.files.items():
            with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                json.dump(value, file)
        if self.vocab:
            with open(os.path.join(path, "vocab.txt"), "w", encoding="utf-8") as file:
                file.write("\n".join(self.vocab) + "\n")


# Settings: each draws its values from its own generator, so that dropping one changes no other.


def classes(folder, r):
    own = {"bpe": "RobertaTokenizer", "unigram": "XLMRobertaTokenizer"}.get(
        folder.kind, "BertTokenizer"
    )
    names = [
        own,
        own + "Fast",
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
        "DistilBertTokenizer",
        "NoSuchTokenizer",
        "BertJapaneseTokenizer",
    ]
    folder.config["tokenizer_class"] = r.choice(names[:3] * 4 + names)


def as_it_stands(folder, r):
    folder.config["tokenizer_class"] = "PreTrainedTokenizerFast"


def flag(name):
    def setting(folder, r):
        folder.config[name] = r.choice(
            [True, False, None] if name == "strip_accents" else [True, False]
        )

    return setting


def added_tokens(folder, r):
    first = folder.size() + r.choice([0, 0, 0, 0, 7])
    folder.files["added_tokens.json"] = {
        t: first + i for i, t in enumerate(r.sample(["[ent]", "[rel]", "<extra>", "cat"], 2))
    }


def decoder(folder, r):
    names = ROBERTA if folder.kind in ("bpe", "unigram") else SPECIAL
    vocab = folder.vocab or folder.tokenizer["model"]["vocab"]
    ids = (
        {t: i for i, t in enumerate(vocab)}
        if isinstance(vocab, list) and isinstance(vocab[0], str)
        else vocab
    )
    ids = ids if isinstance(ids, dict) else {t: i for i, (t, _) in enumerate(ids)}
    plain = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    tokens = {str(ids[name]): {"content": name, **plain} for name in names}
    for i, token in enumerate(r.sample(["[ent]", "[rel]", "<extra>"], 2)):
        tokens[str(folder.size() + i)] = {"content": token, **flags(r)}
    folder.config["added_tokens_decoder"] = tokens


def extra(key):
    def setting(folder, r):
        folder.config[key] = r.sample(["[ent]", "[rel]", "<extra>", "cat", "."], 2)

    return setting


def special_map(folder, r):
    names = ROBERTA if folder.kind in ("bpe", "unigram") else SPECIAL
    keys = ["unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
    tokens = {r.choice(keys): r.choice(names + ["cat", "the", "[ent]"]) for _ in range(2)}
    if r.random() < 0.5:
        tokens["mask_token"] = {
            "content": names[4],
            "lstrip": True,
            "rstrip": False,
            "normalized": False,
            "single_word": False,
        }
    if r.random() < 0.3:
        tokens["additional_special_tokens"] = ["[rel]", "[ent]"]
    folder.files["special_tokens_map.json"] = tokens


def own_token(folder, r):
    names = ROBERTA if folder.kind in ("bpe", "unigram") else SPECIAL
    key = r.choice(
        [
            "unk_token",
            "sep_token",
            "cls_token",
            "mask_token",
            "bos_token",
            "image_token",
            "pad_token",
        ]
    )
    folder.config[key] = r.choice(names + ["cat", "[ent]", "<extra>"])


def more_added(folder, r):
    if folder.tokenizer:
        token = {
            "id": folder.size(),
            "content": r.choice(["[ent]", "<extra>", "the the"]),
            **flags(r),
        }
        folder.tokenizer["added_tokens"].append(token)


def length(folder, r):
    folder.config["model_max_length"] = r.choice([8, 12, 512, 1e30])


def refused(folder, r):
    key, value = r.choice(
        [
            ("truncation_side", "left"),
            ("split_special_tokens", True),
            ("padding_side", "left"),
            ("chat_template", "x"),
            ("clean_up_tokenization_spaces", True),
            ("errors", "ignore"),
            ("add_bos_token", True),
            ("add_eos_token", True),
        ]
    )
    folder.config[key] = value


def normalizer(folder, r):
    steps = [
        {"type": r.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"])},
        {"type": "Strip", "strip_left": True, "strip_right": False},
        {
            "type": "Replace",
            "pattern": {"Regex": r.choice(REGEXES)},
            "content": r.choice(["", " ", "a"]),
        },
        {
            "type": "BertNormalizer",
            "clean_text": r.random() < 0.5,
            "handle_chinese_chars": r.random() < 0.5,
            "strip_accents": r.choice([None, True, False]),
            "lowercase": r.random() < 0.5,
        },
    ]
    if folder.tokenizer:
        folder.tokenizer["normalizer"] = {
            "type": "Sequence",
            "normalizers": r.sample(steps, r.randint(1, 3)),
        }


def pre_tokenizer(folder, r):
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

    def split():
        return {
            "type": "Split",
            "pattern": {"Regex": r.choice(REGEXES)},
            "behavior": r.choice(behaviors),
            "invert": r.random() < 0.2,
        }

    steps = [
        split(),
        split(),
        {"type": "Whitespace"},
        {"type": "WhitespaceSplit"},
        {"type": "Punctuation", "behavior": r.choice(behaviors)},
        {"type": "Digits", "individual_digits": r.random() < 0.5},
        {"type": "BertPreTokenizer"},
        {"type": "UnicodeScripts"},
    ]
    if folder.tokenizer:
        byte_level = [folder.tokenizer["pre_tokenizer"]] if folder.kind == "bpe" else []
        folder.tokenizer["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": r.sample(steps, r.randint(1, 3)) + byte_level,
        }


def word_length(folder, r):
    if folder.kind == "json":
        folder.tokenizer["model"]["max_input_chars_per_word"] = r.choice([3, 100])


def truncation(folder, r):
    if folder.tokenizer:
        folder.tokenizer["truncation"] = {
            "direction": r.choice(["Right", "Left"]),
            "max_length": 6,
            "strategy": "LongestFirst",
            "stride": 0,
        }


SETTINGS = [
    classes,
    as_it_stands,
    flag("do_lower_case"),
    flag("strip_accents"),
    flag("tokenize_chinese_chars"),
    flag("add_prefix_space"),
    flag("trim_offsets"),
    added_tokens,
    decoder,
    extra("additional_special_tokens"),
    extra("extra_special_tokens"),
    special_map,
    own_token,
    more_added,
    length,
    refused,
    normalizer,
    pre_tokenizer,
    word_length,
    truncation,
]
