//! The codec part of `generated/isa.rs`: packing and unpacking of instruction words, and their
//! errors.

use std::fmt::Write;

use anyhow::Result;

use super::isa_source::{Field, Instruction, Isa};
use super::text::camel;

/// Header fields as (name, expression on `header`, word, lsb, width).
fn header(isa: &Isa) -> Vec<(String, String, usize, u32, u32)> {
    isa.header()
        .map(|f| {
            let place = match f
                .name
                .strip_prefix("wait")
                .or(f.name.strip_prefix("signal"))
            {
                Some(index) => format!("{}[{index}]", f.name.trim_end_matches(index)),
                None => f.name.clone(),
            };
            (f.name.clone(), place, f.word, f.lsb, f.width)
        })
        .collect()
}

/// Errors, `reserved_bits`, the codec of each operation and `impl Instruction`.
pub fn render(out: &mut String, isa: &Isa) -> Result<()> {
    out.push_str(ERRORS);
    reserved_bits(out, isa)?;
    for i in isa.instruction.iter().filter(|i| !i.fields.is_empty()) {
        operation(out, i)?;
    }
    header_codec(out, isa)?;
    instruction(out, isa)
}

fn reserved_bits(out: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        out,
        "/// Bits of each word that must be 0 in an instruction of this opcode, or `None` for an\n\
         /// unknown opcode.\n\
         pub const fn reserved_bits(opcode: u8) -> Option<[u32; INSTRUCTION_WORDS]> {{\n\
         match opcode {{"
    )?;
    for i in &isa.instruction {
        let words: Vec<String> = isa
            .reserved(i)
            .iter()
            .map(|w| format!("{w:#010x}"))
            .collect();
        writeln!(out, "opcode::{} => Some([{}]),", i.name, words.join(", "))?;
    }
    writeln!(out, "_ => None,\n}}\n}}\n")?;
    Ok(())
}

/// Packing and unpacking of the fields of one operation.
fn operation(out: &mut String, i: &Instruction) -> Result<()> {
    let (mut pack, mut unpack) = (String::new(), String::new());
    for field in i.logical() {
        let part = |p: &Field| format!("{}, {}, {}", p.word, p.lsb, p.width);
        let n = field.name;
        match field.parts.as_slice() {
            [one] => {
                writeln!(pack, "packer.put({n:?}, self.{n}, {})?;", part(one))?;
                let get = format!("get(words, {})", part(one));
                match field.rust_type() {
                    "bool" => writeln!(unpack, "{n}: {get} != 0,")?,
                    "u32" => writeln!(unpack, "{n}: {get},")?,
                    ty => writeln!(unpack, "{n}: {get} as {ty},")?,
                }
            }
            [low, high] => {
                let (low, high) = (part(low), part(high));
                writeln!(
                    pack,
                    "packer.put({n:?}, self.{n} as u32, {low})?;\n\
                     packer.put({n:?}, (self.{n} >> 32) as u32, {high})?;"
                )?;
                writeln!(
                    unpack,
                    "{n}: u64::from(get(words, {low})) | u64::from(get(words, {high})) << 32,"
                )?;
            }
            parts => anyhow::bail!("{}.{n} has {} parts", i.name, parts.len()),
        }
    }
    write!(
        out,
        "impl {name} {{\n\
         fn pack(&self, packer: &mut Packer) -> Result<(), EncodeError> {{\n{pack}Ok(())\n}}\n\n\
         fn unpack(words: &[u32; INSTRUCTION_WORDS]) -> Self {{\nSelf {{ {unpack} }}\n}}\n}}\n\n",
        name = camel(&i.name),
    )?;
    Ok(())
}

fn header_codec(out: &mut String, isa: &Isa) -> Result<()> {
    let mut pack = String::new();
    for (name, place, word, lsb, width) in header(isa) {
        writeln!(
            pack,
            "packer.put({name:?}, self.{place}, {word}, {lsb}, {width})?;"
        )?;
    }
    let group = |prefix: &str| -> String {
        let list: Vec<String> = isa
            .header()
            .filter(|f| f.name.starts_with(prefix))
            .map(|f| format!("get(words, {}, {}, {}) as u8", f.word, f.lsb, f.width))
            .collect();
        list.join(", ")
    };
    write!(
        out,
        "impl Header {{\n\
         fn pack(&self, packer: &mut Packer) -> Result<(), EncodeError> {{\n{pack}Ok(())\n}}\n\n\
         fn unpack(words: &[u32; INSTRUCTION_WORDS]) -> Self {{\n\
         Self {{ layer: {layer}, wait: [{wait}], signal: [{signal}] }}\n}}\n}}\n\n",
        layer = group("layer"),
        wait = group("wait"),
        signal = group("signal"),
    )?;
    Ok(())
}

fn instruction(out: &mut String, isa: &Isa) -> Result<()> {
    let (mut pack, mut unpack) = (String::new(), String::new());
    for i in &isa.instruction {
        let name = camel(&i.name);
        if i.fields.is_empty() {
            writeln!(pack, "Operation::{name}({name} {{}}) => {{}}")?;
            writeln!(
                unpack,
                "opcode::{} => Operation::{name}({name} {{}}),",
                i.name
            )?;
        } else {
            writeln!(pack, "Operation::{name}(op) => op.pack(&mut packer)?,")?;
            writeln!(
                unpack,
                "opcode::{} => Operation::{name}({name}::unpack(words)),",
                i.name
            )?;
        }
    }
    let opcode = isa.common_field("opcode")?;
    let opcode = format!("{}, {}, {}", opcode.word, opcode.lsb, opcode.width);
    write!(
        out,
        "impl Instruction {{\n\
         /// The instruction's words.\n///\n\
         /// # Errors\n/// A field whose value does not fit its bits.\n\
         pub fn encode(&self) -> Result<[u32; INSTRUCTION_WORDS], EncodeError> {{\n\
         let mut packer = Packer::new(self.operation.mnemonic());\n\
         packer.put(\"opcode\", self.operation.opcode(), {opcode})?;\n\
         self.header.pack(&mut packer)?;\n\
         match &self.operation {{ {pack} }}\nOk(packer.words)\n}}\n\n\
         /// The instruction that the words hold.\n///\n\
         /// # Errors\n/// An opcode that the contract lacks, or a reserved bit that is set.\n\
         pub fn decode(words: &[u32; INSTRUCTION_WORDS]) -> Result<Self, DecodeError> {{\n\
         let opcode = get(words, {opcode}) as u8;\n\
         let Some(reserved) = reserved_bits(opcode) else {{\n\
         return Err(DecodeError::IllegalOpcode {{ opcode }});\n}};\n\
         for (word, (value, reserved)) in words.iter().zip(reserved).enumerate() {{\n\
         let bits = value & reserved;\n\
         if bits != 0 {{ return Err(DecodeError::ReservedBits {{ word, bits }}); }}\n}}\n\
         let header = Header::unpack(words);\n\
         let operation = match opcode {{ {unpack}\n\
         _ => return Err(DecodeError::IllegalOpcode {{ opcode }}), }};\n\
         Ok(Self {{ header, operation }})\n}}\n\n"
    )?;
    out.push_str(BYTES);
    Ok(())
}

const BYTES: &str = "/// The instruction as it lies in DDR, little endian.
///
/// # Errors
/// As [`Self::encode`].
pub fn to_bytes(&self) -> Result<[u8; INSTRUCTION_BYTES], EncodeError> {
    let mut bytes = [0; INSTRUCTION_BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.encode()?) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Ok(bytes)
}

/// The instruction that the bytes of DDR hold.
///
/// # Errors
/// As [`Self::decode`].
pub fn from_bytes(bytes: &[u8; INSTRUCTION_BYTES]) -> Result<Self, DecodeError> {
    let mut words = [0; INSTRUCTION_WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*chunk);
    }
    Self::decode(&words)
}
}
";

const ERRORS: &str = r#"/// A field that its bits cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{mnemonic}.{field} = {value} does not fit its {width} bits (at most {max})",
    max = (1u64 << width) - 1
)]
pub struct EncodeError {
    /// Instruction.
    pub mnemonic: &'static str,
    /// Field.
    pub field: &'static str,
    /// Value that was asked for.
    pub value: u64,
    /// Bits of the field.
    pub width: u32,
}

/// Words that are not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The contract has no such opcode.
    #[error("opcode {opcode:#04x} is not in the contract")]
    IllegalOpcode {
        /// Bits 7:0 of word 0.
        opcode: u8,
    },
    /// A bit that no field of the instruction takes is set.
    #[error("reserved bits {bits:#010x} of word {word} are set")]
    ReservedBits {
        /// Word of the instruction, from 0.
        word: usize,
        /// The offending bits.
        bits: u32,
    },
}

/// Packs checked fields into words.
struct Packer {
    words: [u32; INSTRUCTION_WORDS],
    mnemonic: &'static str,
}

impl Packer {
    const fn new(mnemonic: &'static str) -> Self {
        Self { words: [0; INSTRUCTION_WORDS], mnemonic }
    }

    /// `word`, `lsb` and `width` are constants of the contract and lie inside the words.
    fn put(
        &mut self,
        field: &'static str,
        value: impl Into<u32>,
        word: usize,
        lsb: u32,
        width: u32,
    ) -> Result<(), EncodeError> {
        let value = value.into();
        if value > u32::MAX >> (32 - width) {
            let (mnemonic, value) = (self.mnemonic, u64::from(value));
            return Err(EncodeError { mnemonic, field, value, width });
        }
        self.words[word] |= value << lsb;
        Ok(())
    }
}

/// Bits `lsb..lsb + width` of a word; the arguments are constants of the contract.
const fn get(words: &[u32; INSTRUCTION_WORDS], word: usize, lsb: u32, width: u32) -> u32 {
    (words[word] >> lsb) & (u32::MAX >> (32 - width))
}

"#;
