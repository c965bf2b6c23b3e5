//! Instructions as they are appended: their semaphores, their relocations, and the weights that run
//! ahead of them.

use std::collections::VecDeque;
use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{
    BEAT_BYTES, Engine, Header, Instruction, Load, Matmul, MemoryId, Nop, Operation, Store,
    WEIGHT_SLOTS,
};
use fqbert_contract::program::{Region, Relocation, Span};

use crate::sem;
use crate::weights::Group;

/// Waits and signals an instruction has room for.
const PLACES: usize = 3;
/// Weight memories by slot.
const SLOTS: [MemoryId; WEIGHT_SLOTS] = [
    MemoryId::Wgt0,
    MemoryId::Wgt1,
    MemoryId::Wgt2,
    MemoryId::Wgt3,
];

/// A token that will come up when rows of ACT are written and row tiles of RESB have been read.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The semaphore it comes by: INPUT or NORMED.
    pub semaphore: u8,
    /// Row tiles of the 8-bit hidden states that it stands for.
    pub rows: Range<u32>,
    /// Row tiles of RESB that may be overwritten after it.
    pub resb: Range<u32>,
}

/// What a matrix instruction touches that a vector or load instruction may still be working on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touches {
    /// Row tiles of the 8-bit hidden states that it reads.
    pub rows: Range<u32>,
    /// Row tiles of RESB that it writes.
    pub resb: Range<u32>,
}

pub(crate) struct Emitter<'a> {
    pub g: &'a Geometry,
    pub instructions: Vec<Instruction>,
    pub relocations: Vec<Relocation>,
    /// Layer named by the instructions that follow.
    pub layer: u8,
    /// Tokens on their way to MATRIX, in order.
    pub pending: VecDeque<Pending>,
    /// Waits that the next matrix instruction takes.
    pub matrix_waits: Vec<u8>,
    groups: &'a [Group],
    /// First group whose LOAD has not been appended.
    next_load: usize,
    /// First group that no matrix instruction has used.
    next_use: usize,
}

fn overlap(a: &Range<u32>, b: &Range<u32>) -> bool {
    a.start < b.end && b.start < a.end
}

impl<'a> Emitter<'a> {
    pub fn new(g: &'a Geometry, groups: &'a [Group]) -> Self {
        Self {
            g,
            instructions: Vec::new(),
            relocations: Vec::new(),
            layer: 0,
            pending: VecDeque::new(),
            matrix_waits: Vec::new(),
            groups,
            next_load: 0,
            next_use: 0,
        }
    }

    /// Appends an operation; waits and signals that do not fit its header go to NOPs of its queue
    /// before and after it.
    pub fn push(&mut self, operation: Operation, waits: &[u8], signals: &[u8]) {
        let nop = match &operation {
            Operation::Load(l) => Nop {
                engine: Engine::Load.code(),
                port: l.port,
            },
            other => Nop {
                engine: other.engine().code(),
                port: 0,
            },
        };
        let (before, own) = waits.split_at(waits.len().saturating_sub(PLACES));
        for some in before.chunks(PLACES) {
            self.append(Operation::Nop(nop), some, &[]);
        }
        let (first, rest) = signals.split_at(signals.len().min(PLACES));
        self.append(operation, own, first);
        for some in rest.chunks(PLACES) {
            self.append(Operation::Nop(nop), &[], some);
        }
    }

    fn append(&mut self, operation: Operation, waits: &[u8], signals: &[u8]) {
        let mut header = Header {
            layer: self.layer,
            ..Header::default()
        };
        header.wait[..waits.len()].copy_from_slice(waits);
        header.signal[..signals.len()].copy_from_slice(signals);
        self.instructions.push(Instruction { header, operation });
    }

    /// Appends a copy of a part of a region to words from `word` of a memory.
    pub fn load(
        &mut self,
        memory: MemoryId,
        word: u32,
        region: Region,
        span: Span,
        waits: &[u8],
        signals: &[u8],
    ) {
        let port = match SLOTS.iter().position(|m| *m == memory) {
            Some(slot) => self.g.slot_port(slot) as u8,
            None => 0,
        };
        let load = Load {
            memory: memory.code(),
            port,
            address: span.offset,
            word_offset: word as u16,
            beats: (span.length / BEAT_BYTES as u64) as u32,
        };
        self.push(Operation::Load(load), waits, signals);
        self.relocate(region);
    }

    /// Appends a copy of words of RESX to a part of the output region.
    pub fn store(&mut self, word: u32, span: Span, waits: &[u8]) {
        let store = Store {
            memory: MemoryId::Resx.code(),
            address: span.offset,
            word_offset: word as u16,
            beats: (span.length / BEAT_BYTES as u64) as u32,
        };
        self.push(Operation::Store(store), waits, &[]);
        self.relocate(Region::Output);
    }

    /// The last instruction that is no NOP has its address in `region`.
    fn relocate(&mut self, region: Region) {
        let is_nop = |i: &Instruction| matches!(i.operation, Operation::Nop(_));
        if let Some(index) = self.instructions.iter().rposition(|i| !is_nop(i)) {
            self.relocations.push(Relocation {
                instruction: index as u32,
                region,
            });
        }
    }

    /// Appends a matrix instruction. It waits for what it touches, and takes the waits that were
    /// left for it.
    pub fn matmul(&mut self, m: Matmul, touches: &Touches, waits: &[u8], signals: &[u8]) {
        let mut all = std::mem::take(&mut self.matrix_waits);
        let conflicts =
            |p: &Pending| overlap(&p.rows, &touches.rows) || overlap(&p.resb, &touches.resb);
        let last = self.pending.iter().rposition(conflicts);
        all.extend(
            self.pending
                .drain(..last.map_or(0, |i| i + 1))
                .map(|p| p.semaphore),
        );
        all.extend_from_slice(waits);
        self.push(Operation::Matmul(m), &all, signals);
    }

    /// Appends the LOADs of weight groups up to the first `count` after those in use.
    pub fn load_weights(&mut self, count: usize) {
        let end = (self.next_use + count.min(WEIGHT_SLOTS)).min(self.groups.len());
        while self.next_load < end {
            self.load_next_group();
        }
    }

    fn load_next_group(&mut self) {
        let Some(group) = self.groups.get(self.next_load) else {
            return;
        };
        let slot = self.next_load % WEIGHT_SLOTS;
        let wait = [sem::FREE + slot as u8];
        let waits: &[u8] = if self.next_load < WEIGHT_SLOTS {
            &[]
        } else {
            &wait
        };
        let layer = std::mem::replace(&mut self.layer, group.layer);
        let signal = [sem::FULL + slot as u8];
        self.load(
            SLOTS[slot],
            0,
            Region::Constants,
            group.span,
            waits,
            &signal,
        );
        self.layer = layer;
        self.next_load += 1;
    }

    /// Index of the next group that will be taken into use.
    pub fn next_group(&self) -> usize {
        self.next_use
    }

    /// Takes the next `count` groups of weights into use: their LOADs are there after this.
    pub fn take_groups(&mut self, count: usize) -> Range<usize> {
        self.load_weights(count);
        let taken = self.next_use..self.next_use + count;
        self.next_use += count;
        taken
    }

    /// Whether a later group goes to the slot of `group`, so that its release will be waited for.
    pub fn slot_is_reused(&self, group: usize) -> bool {
        group + WEIGHT_SLOTS < self.groups.len()
    }

    /// Group `group` has been used for the last time: the LOAD of the one that follows it in its
    /// slot may be appended.
    pub fn released(&mut self, group: usize) {
        while self.next_load <= group + WEIGHT_SLOTS && self.next_load < self.groups.len() {
            self.load_next_group();
        }
    }

    /// Takes every token that is still on its way, so that all semaphores end at zero.
    pub fn drain(&mut self) {
        let waits: Vec<u8> = self
            .matrix_waits
            .drain(..)
            .chain(self.pending.drain(..).map(|p| p.semaphore))
            .collect();
        let nop = Operation::Nop(Nop {
            engine: Engine::Matrix.code(),
            port: 0,
        });
        if !waits.is_empty() {
            self.push(nop, &waits, &[]);
        }
    }
}
