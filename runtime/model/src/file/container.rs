//! Safetensors, reading from bytes that may change and writing bytes that are always the same.
//!
//! Writing is ours because the safetensors crate keeps metadata in a hash map, whose order differs
//! from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use crate::error::ModelError;

/// Longest header that is parsed. A BERT-large model's is under 100 KiB.
const MAX_HEADER: u64 = 16 << 20;

/// A checked header over the bytes of a file, and which tensors have been taken from it.
pub(super) struct Reader<'a> {
    header: Metadata,
    data: &'a [u8],
    taken: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Parses the header and checks that the tensors lie one after the other up to the end.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::Container { reason };
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| {
            damaged(format!(
                "{} bytes are less than the length of a header",
                bytes.len()
            ))
        })?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER || length > rest.len() as u64 {
            return Err(damaged(format!(
                "a header of {length} bytes in a file of {} (at most {MAX_HEADER})",
                bytes.len()
            )));
        }
        let (header, data) = rest.split_at(length as usize);
        // A copy: the mapped bytes may change between the check for UTF-8 and the use.
        let header = header.to_vec();
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|e| damaged(format!("the header does not parse: {e}")))?;
        if header.data_len() != data.len() {
            return Err(damaged(format!(
                "the header describes {} bytes of tensors, {} follow it",
                header.data_len(),
                data.len()
            )));
        }
        Ok(Self {
            header,
            data,
            taken: BTreeSet::new(),
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

    /// The bytes of a tensor, which must have this type and shape. They may change: the caller
    /// copies each once.
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
    pub(super) fn finish(self) -> Result<(), ModelError> {
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

/// Writes a safetensors file: tensors by falling alignment, then name; metadata by key; header
/// padded with spaces to 8 bytes.
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
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    tensors.iter().try_for_each(|t| out.write_all(&t.data))
}
