//! Which field values the accelerator accepts: the rule behind fault `ILLEGAL_FIELD`, the same in
//! emulator and RTL.

use crate::geometry::{Geometry, Mode};
use crate::isa::{
    BEAT_BYTES, Engine, Layernorm, Load, Matmul, MemoryId, Nop, Operation, Softmax, Store,
};
use crate::verify::footprint::{self, Area};

/// A field the accelerator refuses.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldViolation {
    /// A value outside its range.
    #[error("{mnemonic} {field} = {value}: {rule}")]
    Value {
        /// The instruction's mnemonic.
        mnemonic: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        rule: String,
    },
    /// An on-chip access past its memory.
    #[error("{mnemonic} {what} reaches word {last} of {memory}, which has {depth}")]
    Memory {
        /// The instruction's mnemonic.
        mnemonic: &'static str,
        /// Which access.
        what: &'static str,
        /// The memory.
        memory: &'static str,
        /// The highest word touched.
        last: u64,
        /// Words of the memory.
        depth: u32,
    },
}

/// Checks every field of an operation; DDR addresses are the window's business.
pub fn check_operation(g: &Geometry, operation: &Operation) -> Result<(), FieldViolation> {
    let checker = Checker {
        mnemonic: operation.mnemonic(),
    };
    match operation {
        Operation::Nop(n) => checker.nop(g, n)?,
        Operation::Load(l) => checker.load(g, l)?,
        Operation::Store(s) => checker.store(g, s)?,
        Operation::End(_) => {}
        Operation::Matmul(m) => checker.matmul(g, m)?,
        Operation::Softmax(s) => checker.softmax(g, s)?,
        Operation::Layernorm(l) => checker.layer_norm(g, l)?,
    }
    let footprint = footprint::footprint(g, operation);
    for (areas, what) in [
        (&footprint.reads, "reading"),
        (&footprint.writes, "writing"),
    ] {
        for area in areas {
            checker.area(g, area, what)?;
        }
    }
    Ok(())
}

/// What the accelerator does not refuse and no program may have: a channel of the destination past
/// 16 bits, in which the drain counts.
pub(super) fn check_counts(operation: &Operation) -> Result<(), FieldViolation> {
    let Operation::Matmul(m) = operation else {
        return Ok(());
    };
    let end = u32::from(m.dst_channel) + u32::from(m.channels);
    Checker {
        mnemonic: operation.mnemonic(),
    }
    .require(
        m.dest == Matmul::DEST_VALUES || end <= 1 << 16,
        "dst_channel",
        m.dst_channel,
        "at most 65536 with channels",
    )
}

struct Checker {
    mnemonic: &'static str,
}

impl Checker {
    fn require(
        &self,
        ok: bool,
        field: &'static str,
        value: impl Into<u64>,
        rule: &str,
    ) -> Result<(), FieldViolation> {
        if ok {
            return Ok(());
        }
        Err(FieldViolation::Value {
            mnemonic: self.mnemonic,
            field,
            value: value.into(),
            rule: rule.to_owned(),
        })
    }

    fn area(&self, g: &Geometry, area: &Area, what: &'static str) -> Result<(), FieldViolation> {
        let depth = g.depth(area.memory);
        match area.last() {
            Some(last) if last >= u64::from(depth) => Err(FieldViolation::Memory {
                mnemonic: self.mnemonic,
                what,
                memory: area.memory.name(),
                last,
                depth,
            }),
            _ => Ok(()),
        }
    }

    fn nop(&self, g: &Geometry, n: &Nop) -> Result<(), FieldViolation> {
        let is_load = n.engine == Engine::Load.code();
        let limit = if is_load { g.ports } else { 1 };
        self.require(
            u32::from(n.port) < limit,
            "port",
            n.port,
            "below the read ports for LOAD, else 0",
        )
    }

    fn load(&self, g: &Geometry, l: &Load) -> Result<(), FieldViolation> {
        let memory = self.memory(l.memory)?;
        let port = match memory {
            MemoryId::Wgt0 => g.slot_port(0),
            MemoryId::Wgt1 => g.slot_port(1),
            MemoryId::Wgt2 => g.slot_port(2),
            MemoryId::Wgt3 => g.slot_port(3),
            MemoryId::Act | MemoryId::Resx | MemoryId::Rng => 0,
            MemoryId::Par | MemoryId::Lnp | MemoryId::Exp | MemoryId::Gel => 0,
            _ => return self.require(false, "memory", l.memory, "not a target of LOAD"),
        };
        self.require(
            u32::from(l.port) == port,
            "port",
            l.port,
            "slot mod ports for weight slots, else 0",
        )?;
        self.beats(g, memory, l.beats)
    }

    fn store(&self, g: &Geometry, s: &Store) -> Result<(), FieldViolation> {
        let memory = self.memory(s.memory)?;
        let legal = matches!(memory, MemoryId::Act | MemoryId::Resx);
        self.require(legal, "memory", s.memory, "STORE takes ACT or RESX")?;
        self.beats(g, memory, s.beats)
    }

    fn memory(&self, code: u8) -> Result<MemoryId, FieldViolation> {
        MemoryId::from_code(code).ok_or(FieldViolation::Value {
            mnemonic: self.mnemonic,
            field: "memory",
            value: u64::from(code),
            rule: "no such memory".to_owned(),
        })
    }

    fn beats(&self, g: &Geometry, memory: MemoryId, beats: u32) -> Result<(), FieldViolation> {
        let word_beats = g.word_bytes(memory) / BEAT_BYTES as u32;
        let whole = word_beats > 0 && beats.is_multiple_of(word_beats);
        self.require(
            beats > 0 && whole,
            "beats",
            beats,
            "a whole number of words, at least one",
        )
    }

    fn matmul(&self, g: &Geometry, m: &Matmul) -> Result<(), FieldViolation> {
        self.require(
            (1..=512).contains(&m.k_chunks),
            "k_chunks",
            m.k_chunks,
            "1..=512",
        )?;
        self.require(m.row_tiles > 0, "row_tiles", m.row_tiles, "at least 1")?;
        self.require(m.col_tiles > 0, "col_tiles", m.col_tiles, "at least 1")?;
        self.require(m.dest <= 4, "dest", m.dest, "0..=4")?;
        self.require(
            m.mode8 || !m.b_opd,
            "b_opd",
            u64::from(m.b_opd),
            "OPD needs mode8",
        )?;
        self.require(!m.b_opd || m.b_slot == 0, "b_slot", m.b_slot, "0 with OPD")?;
        self.require(
            m.mode8 || !m.a_probs,
            "a_probs",
            u64::from(m.a_probs),
            "probabilities need mode8",
        )?;
        self.require(
            !m.gelu || m.dest == 0,
            "gelu",
            u64::from(m.gelu),
            "only with destination ACT",
        )?;
        self.require(m.gelu || m.table == 0, "table", m.table, "0 without gelu")?;
        let tile = g.tile_channels(if m.mode8 { Mode::W8 } else { Mode::W4 });
        let channels = u32::from(m.channels);
        let full = tile * u32::from(m.col_tiles);
        let fits = channels % 2 == 0 && channels > full - tile && channels <= full;
        self.require(
            fits,
            "channels",
            m.channels,
            "even, within the last column tile",
        )?;
        if m.dest == 4 {
            let (d0, slot0) = (m.dst_channel & 0xff, u32::from(m.dst_channel >> 8));
            self.require(
                m.head_dim > 0 && m.head_dim.is_multiple_of(2),
                "head_dim",
                m.head_dim,
                "even, at least 2",
            )?;
            self.require(
                d0 % 2 == 0 && d0 < u16::from(m.head_dim),
                "dst_channel",
                m.dst_channel,
                "d0 even, below head_dim",
            )?;
            self.require(
                slot0 % 2 == 0 && slot0 < g.pairs,
                "dst_channel",
                m.dst_channel,
                "slot0 even, below the pairs",
            )?;
        } else {
            self.require(
                m.dst_channel.is_multiple_of(2),
                "dst_channel",
                m.dst_channel,
                "even",
            )?;
            self.require(
                m.head_dim == 0,
                "head_dim",
                m.head_dim,
                "0 unless dest is values",
            )?;
        }
        let keys_or_values = matches!(m.dest, 3 | 4);
        self.require(
            keys_or_values || m.row_tile0 == 0,
            "row_tile0",
            m.row_tile0,
            "0 unless dest is keys or values",
        )
    }

    fn softmax(&self, g: &Geometry, s: &Softmax) -> Result<(), FieldViolation> {
        let columns = u32::from(s.columns);
        let whole = columns > 0 && columns % g.lanes == 0 && columns <= g.max_seq;
        self.require(
            whole,
            "columns",
            s.columns,
            "a multiple of the lanes, up to the longest sequence",
        )?;
        self.require(s.row_tiles > 0, "row_tiles", s.row_tiles, "at least 1")?;
        self.require(
            u32::from(s.row0) % g.rows == 0,
            "row0",
            s.row0,
            "a multiple of the rows",
        )
    }

    fn layer_norm(&self, g: &Geometry, l: &Layernorm) -> Result<(), FieldViolation> {
        let n = u32::from(l.channels);
        let legal = n >= 8 && n % 8 == 0 && n <= g.max_hidden;
        self.require(
            legal,
            "channels",
            l.channels,
            "a multiple of 8, up to the widest layer norm",
        )?;
        self.require(l.row_tiles > 0, "row_tiles", l.row_tiles, "at least 1")
    }
}
