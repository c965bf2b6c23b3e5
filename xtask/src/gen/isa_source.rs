//! `isa.toml`, parsed and checked: a mistake in it is reported here with the place and the numbers,
//! never as odd generated code.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::formula::Formula;
use super::geometry_source::Geometries;
use super::text::unique;

/// Words of an instruction; `instruction_bytes` must agree.
pub const WORDS: usize = 8;

/// `isa.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isa {
    pub contract: Contract,
    pub feature: Vec<Feature>,
    pub engine: Vec<Named>,
    pub unit: Vec<Named>,
    pub memory: Vec<Memory>,
    pub common: Vec<Field>,
    pub instruction: Vec<Instruction>,
    pub fault: Vec<Fault>,
}

/// Numbers that hold for every geometry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    pub major: u16,
    pub minor: u16,
    pub magic: u32,
    pub instruction_bytes: u32,
    pub beat_bytes: u32,
    pub semaphores: u32,
    pub semaphore_max: u32,
    pub queue_depth: u32,
    pub weight_slots: u32,
    pub program_max: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub bit: u32,
    pub name: String,
    pub doc: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub id: u8,
    pub name: String,
    pub doc: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub id: u8,
    pub name: String,
    /// Words: a formula over the geometry.
    pub depth: String,
    /// Bytes of a word: a formula over the geometry.
    pub word: String,
    pub doc: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: String,
    pub word: usize,
    pub lsb: u32,
    pub width: u32,
    #[serde(default)]
    pub doc: String,
    /// Names of the legal values, from 0 on; empty where the field is a number.
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    pub opcode: u8,
    pub name: String,
    pub engine: String,
    pub doc: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub code: u8,
    pub name: String,
    pub doc: String,
}

/// A field as software sees it: `x_low` and `x_high` joined to one 64-bit `x`.
#[derive(Debug)]
pub struct Logical<'a> {
    pub name: &'a str,
    pub doc: &'a str,
    /// Low part first; one part, or two of 32 bits.
    pub parts: Vec<&'a Field>,
}

impl Field {
    /// The bits of its word that the field takes.
    pub fn mask(&self) -> u32 {
        (u32::MAX >> (32 - self.width)) << self.lsb
    }

    fn check(&self, owner: &str) -> Result<()> {
        let Field {
            name,
            word,
            lsb,
            width,
            ..
        } = self;
        ensure!(
            *word < WORDS && *width >= 1 && lsb.saturating_add(*width) <= 32,
            "{owner}.{name}: word {word}, lsb {lsb}, width {width} do not lie in {WORDS} words of \
             32 bits"
        );
        ensure!(
            self.values.is_empty() || self.values.len() as u64 <= 1u64 << width,
            "{owner}.{name}: {} values do not fit {width} bits",
            self.values.len()
        );
        Ok(())
    }
}

impl Instruction {
    /// The fields as software sees them, in source order.
    pub fn logical(&self) -> Vec<Logical<'_>> {
        let mut logical = Vec::new();
        for field in &self.fields {
            if field.name.ends_with("_high") {
                continue; // taken with its low half
            }
            let (mut name, mut parts) = (field.name.as_str(), vec![field]);
            if let Some(stem) = field.name.strip_suffix("_low") {
                name = stem;
                parts.extend(
                    self.fields
                        .iter()
                        .find(|f| f.name == format!("{stem}_high")),
                );
            }
            logical.push(Logical {
                name,
                doc: &field.doc,
                parts,
            });
        }
        logical
    }
}

impl Logical<'_> {
    pub fn width(&self) -> u32 {
        self.parts.iter().map(|part| part.width).sum()
    }

    /// The Rust type: a flag is a `bool`, except that a table is numbered.
    pub fn rust_type(&self) -> &'static str {
        match self.width() {
            1 if self.name != "table" => "bool",
            1..=8 => "u8",
            9..=16 => "u16",
            17..=32 => "u32",
            _ => "u64",
        }
    }
}

impl Isa {
    /// `geometries` has the parameters that its formulas name.
    pub fn parse(text: &str, geometries: &Geometries) -> Result<Self> {
        let isa: Isa = toml::from_str(text).context("isa.toml does not parse")?;
        isa.check(geometries).context("isa.toml is inconsistent")?;
        Ok(isa)
    }

    /// The common fields but `opcode` and `flags`, which the codec treats apart.
    pub fn header(&self) -> impl Iterator<Item = &Field> {
        self.common
            .iter()
            .filter(|f| f.name != "opcode" && f.name != "flags")
    }

    pub fn common_field(&self, name: &str) -> Result<&Field> {
        self.common
            .iter()
            .find(|f| f.name == name)
            .with_context(|| format!("no [[common]] field `{name}`"))
    }

    /// Bits of each word that no field of the instruction takes: they must be 0.
    pub fn reserved(&self, instruction: &Instruction) -> [u32; WORDS] {
        let mut reserved = [u32::MAX; WORDS];
        let common = self.common.iter().filter(|f| f.name != "flags");
        for field in common.chain(&instruction.fields) {
            if let Some(word) = reserved.get_mut(field.word) {
                *word &= !field.mask();
            }
        }
        reserved
    }

    fn check(&self, geometries: &Geometries) -> Result<()> {
        let contract = &self.contract;
        ensure!(
            contract.instruction_bytes as usize == 4 * WORDS,
            "instruction_bytes is {}, the codec has {WORDS} words",
            contract.instruction_bytes
        );
        self.check_names()?;
        if let Some(feature) = self.feature.iter().find(|f| f.bit >= 32) {
            bail!(
                "feature {} has bit {}, the register has 32",
                feature.name,
                feature.bit
            );
        }
        for memory in &self.memory {
            let name = &memory.name;
            Formula::parse(&memory.word, geometries).with_context(|| format!("word of {name}"))?;
            Formula::parse(&memory.depth, geometries)
                .with_context(|| format!("depth of {name}"))?;
        }
        for field in &self.common {
            field.check("common")?;
        }
        self.instruction
            .iter()
            .try_for_each(|i| self.check_instruction(i))
    }

    fn check_names(&self) -> Result<()> {
        unique("feature bit", self.feature.iter().map(|f| f.bit))?;
        unique("feature", self.feature.iter().map(|f| &f.name))?;
        unique("engine id", self.engine.iter().map(|e| e.id))?;
        unique("engine", self.engine.iter().map(|e| &e.name))?;
        unique("unit", self.unit.iter().map(|u| &u.name))?;
        for (index, unit) in self.unit.iter().enumerate() {
            ensure!(
                unit.id as usize == index,
                "unit {} must have id {index}",
                unit.name
            );
        }
        unique("memory id", self.memory.iter().map(|m| m.id))?;
        unique("memory", self.memory.iter().map(|m| &m.name))?;
        unique("fault code", self.fault.iter().map(|f| f.code))?;
        unique("fault", self.fault.iter().map(|f| &f.name))?;
        unique("opcode", self.instruction.iter().map(|i| i.opcode))?;
        unique("instruction", self.instruction.iter().map(|i| &i.name))
    }

    fn check_instruction(&self, instruction: &Instruction) -> Result<()> {
        let name = &instruction.name;
        ensure!(
            instruction.engine == "by flags"
                || self.engine.iter().any(|e| e.name == instruction.engine),
            "{name}: no engine {}",
            instruction.engine
        );
        unique("field", instruction.fields.iter().map(|f| &f.name)).context(name.clone())?;
        let mut taken = [0u32; WORDS];
        let common = self.common.iter().filter(|f| f.name != "flags");
        for field in common.chain(&instruction.fields) {
            field.check(name)?;
            let word = &mut taken[field.word]; // `check` bounded it
            ensure!(
                *word & field.mask() == 0,
                "{name}.{} overlaps another field in word {}",
                field.name,
                field.word
            );
            *word |= field.mask();
        }
        let flags = self.common_field("flags")?;
        for field in instruction.fields.iter().filter(|f| f.word == flags.word) {
            ensure!(
                field.mask() & !flags.mask() == 0,
                "{name}.{} lies outside the flags of word {}",
                field.name,
                flags.word
            );
        }
        for logical in instruction.logical() {
            ensure!(
                logical.width() <= 32 || logical.parts.iter().all(|p| p.width == 32),
                "{name}.{}: halves must have 32 bits",
                logical.name
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISA: &str = include_str!("../../../accelerator/contract/isa.toml");
    const GEOMETRY: &str = include_str!("../../../accelerator/contract/geometry.toml");

    fn parse(text: &str) -> Result<Isa> {
        Isa::parse(text, &Geometries::parse(GEOMETRY)?)
    }

    /// The error that the source gives after one replacement, which must change it.
    fn refused(from: &str, to: &str) -> String {
        let text = ISA.replacen(from, to, 1);
        assert_ne!(text, ISA, "`{from}` is not in isa.toml");
        format!("{:#}", parse(&text).expect_err("inconsistent"))
    }

    #[test]
    fn the_sources_are_consistent() {
        let isa = parse(ISA).expect("isa.toml");
        assert_eq!(isa.instruction.len(), 7);
    }

    #[test]
    fn mistakes_in_the_instruction_set_are_named() {
        for (from, to, message) in [
            (
                r#"name = "b_slot", word = 0, lsb = 11, width = 2"#,
                r#"name = "b_slot", word = 0, lsb = 11, width = 3"#,
                "MATMUL.gelu overlaps",
            ),
            (
                r#"name = "beats", word = 5, lsb = 0, width = 24"#,
                r#"name = "beats", word = 5, lsb = 16, width = 24"#,
                "LOAD.beats: word 5, lsb 16, width 24",
            ),
            (
                r#"name = "port", word = 0, lsb = 10, width = 2"#,
                r#"name = "port", word = 0, lsb = 22, width = 4"#,
                "NOP.port overlaps",
            ),
            ("opcode = 0x41", "opcode = 0x40", "opcode 64 appears twice"),
            (
                "instruction_bytes = 32",
                "instruction_bytes = 64",
                "instruction_bytes is 64",
            ),
            (r#"word = "R*L""#, r#"word = "R*X""#, "`X` in `R*X`"),
            (
                r#"depth = "max_seq/4""#,
                r#"depth = "max_seq/0""#,
                "divides by zero",
            ),
            ("[contract]", "[contract]\nnonsense = 1", "nonsense"),
        ] {
            let error = refused(from, to);
            assert!(error.contains(message), "{to}: {error}");
        }
    }
}
