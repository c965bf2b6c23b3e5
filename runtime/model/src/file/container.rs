//! Safetensors, with a digest of the whole, and written to bytes that are always the same.
//!
//! Writing is ours because the safetensors crate keeps metadata in a hash map, whose order differs
//! from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use fqbert_files::sha256_hex;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use super::KEY_SHA256;
use crate::error::ModelError;

/// Longest header that is parsed. A BERT-large model's is under 100 KiB.
const MAX_HEADER: u64 = 16 << 20;

/// What stands before the digest's digits in a header of ours. Nothing else can read so: quotes in
/// strings are escaped.
const BEFORE_DIGEST: &str = "\"fqbert.sha256\":\"";

/// In place of the digest where it is made.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The header's length, by the first bytes of a file of `total`, and checked against that.
pub(super) fn header_length(start: &[u8], total: u64) -> Result<usize, ModelError> {
    let damaged = |reason: String| ModelError::Container { reason };
    let length = start.first_chunk::<8>().ok_or_else(|| {
        damaged(format!(
            "{} bytes are less than the length of a header",
            start.len()
        ))
    })?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER || length > total.saturating_sub(8) {
        return Err(damaged(format!(
            "a header of {length} bytes in a file of {total} (at most {MAX_HEADER})"
        )));
    }
    Ok(length as usize)
}

/// Parses the header of a file of `total` bytes and checks that the tensors lie one after the other
/// up to its end.
pub(super) fn parse(header: &[u8], total: u64) -> Result<Metadata, ModelError> {
    let damaged = |reason: String| ModelError::Container { reason };
    let parsed: Metadata = serde_json::from_slice(header)
        .map_err(|e| damaged(format!("the header does not parse: {e}")))?;
    let data = total.saturating_sub(8 + header.len() as u64);
    if parsed.data_len() as u64 != data {
        return Err(damaged(format!(
            "the header describes {} bytes of tensors, {data} follow it",
            parsed.data_len()
        )));
    }
    Ok(parsed)
}

/// A checked header over the bytes of a file, and which tensors have been taken from it.
pub(super) struct Reader<'a> {
    header: Metadata,
    text: &'a [u8],
    data: &'a [u8],
    taken: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Takes the bytes of a file, see [`parse`].
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let total = bytes.len() as u64;
        let length = header_length(bytes, total)?;
        let (text, data) = bytes.split_at(8).1.split_at(length);
        Ok(Self {
            header: parse(text, total)?,
            text,
            data,
            taken: BTreeSet::new(),
        })
    }

    /// Compares the digest with the bytes, if there is one.
    pub(super) fn check_digest(&self) -> Result<(), ModelError> {
        let Some(expected) = self.metadata(KEY_SHA256) else {
            return Ok(());
        };
        let before = BEFORE_DIGEST.as_bytes();
        let at = self.text.windows(before.len()).position(|w| w == before);
        let (start, rest) = self.text.split_at(at.map_or(0, |at| at + before.len()));
        let rest = rest.get(NO_DIGEST.len()..).unwrap_or_default();
        let found = sha256_hex([start, NO_DIGEST.as_bytes(), rest, self.data]);
        if found == expected {
            return Ok(());
        }
        Err(ModelError::Digest {
            found,
            expected: expected.chars().take(NO_DIGEST.len()).collect(),
        })
    }

    /// A metadata value.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.header
            .metadata()
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    /// Type and shape of a tensor, if it is there.
    pub(super) fn info(&self, name: &str) -> Option<(Dtype, &[usize])> {
        self.header
            .info(name)
            .map(|i| (i.dtype, i.shape.as_slice()))
    }

    /// The bytes of a tensor, which must have this type and shape.
    pub(super) fn take(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<&'a [u8], ModelError> {
        let missing = || ModelError::MissingTensor { name: name.into() };
        let info = self.header.info(name).ok_or_else(missing)?;
        if info.dtype != dtype || info.shape != shape {
            return Err(ModelError::Shape {
                name: name.into(),
                found: format!("{:?} {:?}", info.dtype, info.shape),
                expected: format!("{dtype:?} {shape:?}"),
            });
        }
        let (start, end) = info.data_offsets;
        let bytes = self.data.get(start..end).ok_or_else(missing)?;
        self.taken.insert(name.into());
        Ok(bytes)
    }

    /// Refuses tensors that were not taken.
    pub(super) fn finish(&self) -> Result<(), ModelError> {
        let names: BTreeSet<String> = self.header.tensors().into_keys().collect();
        let mut unknown = names.difference(&self.taken);
        match unknown.next() {
            None => Ok(()),
            Some(name) => Err(ModelError::UnknownTensor {
                name: name.clone(),
                count: unknown.count() + 1,
            }),
        }
    }
}

/// A tensor to be written.
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) data: std::borrow::Cow<'a, [u8]>,
}

/// Writes a safetensors file: tensors by falling alignment, then name; metadata by key, with the
/// digest of the whole; header padded with spaces to 8 bytes.
pub(super) fn write(
    out: &mut (impl Write + ?Sized),
    metadata: &BTreeMap<&str, String>,
    mut tensors: Vec<Tensor<'_>>,
) -> std::io::Result<()> {
    tensors.sort_by(|a, b| {
        b.dtype
            .bitsize()
            .cmp(&a.dtype.bitsize())
            .then_with(|| a.name.cmp(&b.name))
    });
    let quoted = |s: &str| json!(s).to_string();
    let digest = [(&KEY_SHA256, NO_DIGEST)];
    let texts = metadata.iter().map(|(k, v)| (k, v.as_str()));
    let metadata: BTreeMap<_, _> = texts.chain(digest).collect();
    let pairs: Vec<String> = metadata
        .iter()
        .map(|(k, v)| format!("{}:{}", quoted(k), quoted(v)))
        .collect();
    let mut header = format!("{{\"__metadata__\":{{{}}}", pairs.join(","));
    let mut offset = 0;
    for t in &tensors {
        let end = offset + t.data.len();
        header += &format!(
            ",{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{offset},{end}]}}",
            quoted(&t.name),
            t.dtype,
            json!(t.shape),
        );
        offset = end;
    }
    header.push('}');
    let padded = header.len().next_multiple_of(8);
    header += &" ".repeat(padded - header.len());
    let data = tensors.iter().map(|t| t.data.as_ref());
    let digest = sha256_hex(std::iter::once(header.as_bytes()).chain(data));
    let header = header.replacen(
        &format!("{BEFORE_DIGEST}{NO_DIGEST}"),
        &format!("{BEFORE_DIGEST}{digest}"),
        1,
    );
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    tensors.iter().try_for_each(|t| out.write_all(&t.data))
}
