//! SentencePiece's table of characters, as far as its sizes go.

use crate::tokenizer::TokenizerError;

/// Bytes of the longest text that the table puts in place of another, from its base64.
///
/// The table is the length of a trie, the trie, and texts that end with a zero byte. The library
/// reserves memory for the trie by that length, so it is compared with what is there.
pub(super) fn longest_entry(base64: Option<&str>) -> Result<usize, TokenizerError> {
    let damaged = |why: &str| TokenizerError::Load(format!("precompiled_charsmap: {why}"));
    let Some(base64) = base64 else {
        return Err(damaged("absent"));
    };
    let table = base64::decode(base64).map_err(|e| damaged(&e.to_string()))?;
    let Some((length, rest)) = table.split_first_chunk::<4>() else {
        // The library's own error says what it makes of an empty one.
        return Ok(0);
    };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(texts) = rest.get(length..) else {
        return Err(damaged(&format!(
            "a trie of {length} bytes, {} follow",
            rest.len()
        )));
    };
    let longest = texts.split(|byte| *byte == 0).map(<[u8]>::len).max();
    Ok(longest.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::longest_entry;

    #[test]
    fn the_longest_text_behind_the_trie() {
        let table = |length: u32, texts: &[u8]| {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend([0; 8]);
            bytes.extend(texts);
            longest_entry(Some(&base64::encode(bytes)))
        };
        assert_eq!(table(8, b"a\0four\0ab\0").unwrap(), 4);
        let said = table(0xffff_fff0, b"a\0").unwrap_err().to_string();
        assert!(said.contains("4294967280 bytes, 10 follow"), "{said}");
        assert!(longest_entry(Some("?")).is_err() && longest_entry(None).is_err());
    }
}
