//! The memory plan of a program: what it takes of each memory, read from its instructions.

use std::collections::BTreeMap;
use std::fmt;

use fqbert_contract::Bytes;
use fqbert_contract::isa::MemoryId;
use fqbert_contract::program::{DMA_ALIGNMENT, Program, Region};
use fqbert_contract::verify::{Area, footprint};

/// Use of one on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// The memory.
    pub memory: MemoryId,
    /// Words from 0 to the highest that is touched.
    pub peak_words: u64,
    /// Words it has.
    pub depth: u64,
    /// Bytes of a word.
    pub word_bytes: u32,
}

/// Use of one region of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionUse {
    /// The region.
    pub region: Region,
    /// Bytes of its buffer.
    pub size: Bytes,
    /// Bytes that a run moves from or to it.
    pub moved: Bytes,
}

/// What a program takes of its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Every on-chip memory.
    pub memories: Vec<MemoryUse>,
    /// Constants, input, output.
    pub regions: Vec<RegionUse>,
    /// Bytes of the instruction stream.
    pub code: Bytes,
    /// Alignment that each buffer needs, in bytes.
    pub alignment: u64,
    /// Instructions of each layer.
    pub instructions_per_layer: Vec<usize>,
}

impl MemoryPlan {
    /// Reads a program for the geometry it was compiled for.
    pub fn of(program: &Program) -> Self {
        let g = &program.requirements.geometry;
        let mut peak: BTreeMap<MemoryId, u64> = BTreeMap::new();
        let mut layers: Vec<usize> = Vec::new();
        for instruction in &program.instructions {
            let touched = footprint(g, &instruction.operation);
            for area in touched.reads.iter().chain(&touched.writes) {
                let words = Area::last(area).map_or(0, |last| last + 1);
                let entry = peak.entry(area.memory).or_default();
                *entry = words.max(*entry);
            }
            let layer = usize::from(instruction.header.layer);
            layers.resize(layers.len().max(layer + 1), 0);
            layers[layer] += 1;
        }
        let memories = MemoryId::ALL
            .iter()
            .map(|&memory| MemoryUse {
                memory,
                peak_words: peak.get(&memory).copied().unwrap_or(0),
                depth: g.depth(memory).into(),
                word_bytes: g.word_bytes(memory),
            })
            .collect();
        let moved = |region: Region| {
            let here = program.relocations.iter().filter(|r| r.region == region);
            let bytes = here.filter_map(|r| {
                let instruction = program.instructions.get(r.instruction as usize)?;
                Program::memory_access(&instruction.operation).map(|(start, end)| end - start)
            });
            Bytes(bytes.sum())
        };
        let regions = Region::ALL
            .into_iter()
            .map(|region| RegionUse {
                region,
                size: *program.sizes.get(region),
                moved: moved(region),
            })
            .collect();
        Self {
            memories,
            regions,
            code: program.code_bytes(),
            alignment: DMA_ALIGNMENT,
            instructions_per_layer: layers,
        }
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "on chip      peak words    of depth   use   word bytes   peak bytes"
        )?;
        for m in &self.memories {
            let percent = 100 * m.peak_words / m.depth.max(1);
            let bytes = m.peak_words * u64::from(m.word_bytes);
            writeln!(
                f,
                "{:<10} {:>12} {:>11} {:>4}% {:>12} {:>12}",
                m.memory.name(),
                m.peak_words,
                m.depth,
                percent,
                m.word_bytes,
                bytes
            )?;
        }
        writeln!(f, "device memory (aligned to {} bytes)", self.alignment)?;
        for r in &self.regions {
            let (name, size, moved) = (r.region.name(), r.size.0, r.moved.0);
            writeln!(f, "{name:<10} {size:>12} bytes, {moved:>12} moved in a run")?;
        }
        writeln!(f, "{:<10} {:>12} bytes", "code", self.code.0)?;
        let total: usize = self.instructions_per_layer.iter().sum();
        writeln!(
            f,
            "instructions {total}, by layer {:?}",
            self.instructions_per_layer
        )
    }
}
