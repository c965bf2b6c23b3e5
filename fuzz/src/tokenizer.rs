use fqbert_host::Tokenizer;

use crate::files::{join, split};

/// Tokens that a text may have here.
const LONGEST: usize = 64;

pub(crate) fn run(input: &[u8]) {
    let [json, text] = split(input);
    let Ok(tokenizer) = Tokenizer::from_bytes(json.to_vec()) else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    if let Ok(encoding) = tokenizer.encode(&text, LONGEST) {
        let tokens = fqbert_host::Tokens::from(encoding);
        assert!(tokens.len() <= LONGEST, "{} tokens", tokens.len());
        let within = tokens.ids.iter().all(|id| *id <= tokenizer.max_id());
        assert!(within, "a token id above max_id: {}", tokenizer.max_id());
    }
}

/// A WordPiece tokenizer of BERT's kind.
const WORD_PIECE: &str = r###"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[
{"id":0,"content":"[PAD]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":1,"content":"[UNK]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":2,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":3,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"film":5,"##s":6,".":7,"good":8}}}"###;

/// A byte-level BPE tokenizer of RoBERTa's kind, with a normalizer that lengthens.
const BYTE_LEVEL: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[
{"id":0,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":1,"content":"</s>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":"o+"},"content":"aa"}]},
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
"post_processor":{"type":"RobertaProcessing","sep":["</s>",1],"cls":["<s>",0],"trim_offsets":true,"add_prefix_space":true},
"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"",
"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
"vocab":{"<s>":0,"</s>":1,"a":2,"b":3,"ab":4,"\u0120":5,"\u0120ab":6},"merges":[["a","b"],["\u0120","ab"]]}}"#;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pair = |json: &str, text: &str| join([json.as_bytes(), text.as_bytes()]);
    vec![
        pair(WORD_PIECE, "A good film's films. \u{4e2d}\u{301}"),
        pair(BYTE_LEVEL, "ab ab foo \u{fb01}"),
    ]
}
