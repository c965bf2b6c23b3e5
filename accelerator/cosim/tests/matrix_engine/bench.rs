//! The engine with memories around it, cycle by cycle.

use std::collections::VecDeque;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Header, Instruction, Matmul, MemoryId, Operation};
use fqbert_contract::timing;
use fqbert_cosim::{Port, Verilated};

use fqbert_conformance::interpreter::Memories;
use fqbert_random::Random;

struct ReadPort {
    memory: MemoryId,
    enable: Port,
    /// Bit of the enable: slots share a port.
    bit: u32,
    address: Port,
    data: Port,
    /// First byte of this memory's data in `data`.
    offset: usize,
    pipe: ReadPipe,
}

struct WritePort {
    memory: MemoryId,
    enable: Port,
    address: Port,
    data: Port,
    bytes: Port,
}

/// Cycles at which the engine took and retired an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub start: u64,
    pub retire: u64,
}

/// What a read port will deliver in this cycle and the next.
#[derive(Default)]
struct ReadPipe {
    stages: [Option<Vec<u8>>; 2],
}

impl ReadPipe {
    /// The data of this cycle, if a read two cycles ago asked for any.
    fn data(&self) -> Option<&[u8]> {
        self.stages[0].as_deref()
    }

    /// The edge at the end of a cycle in which `read` was asked for.
    fn clock(&mut self, read: Option<Vec<u8>>) {
        self.stages = [self.stages[1].take(), read];
    }
}

/// The engine and its memories.
pub struct Bench {
    pub g: Geometry,
    pub memories: Memories,
    model: Verilated,
    reads: Vec<ReadPort>,
    writes: Vec<WritePort>,
    opd: WritePort,
    noise: Random,
    /// Cycles of the last [`Self::run`] in which ACT was read, and those in which it was written.
    pub act_accesses: [Vec<u64>; 2],
}

impl Bench {
    /// Resets the engine and loads its GELU tables.
    pub fn new(g: Geometry, mut model: Verilated, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let memories = Memories::random(&g, &mut random);
        let word = g.word_bytes(MemoryId::Wgt0) as usize;
        let mut reads = Vec::new();
        for (memory, name) in [
            (MemoryId::Act, "act"),
            (MemoryId::Prb, "prb"),
            (MemoryId::Opd, "opd"),
            (MemoryId::Par, "par"),
        ] {
            reads.push(read_port(&model, memory, name, 0, 0));
        }
        for (slot, memory) in [
            MemoryId::Wgt0,
            MemoryId::Wgt1,
            MemoryId::Wgt2,
            MemoryId::Wgt3,
        ]
        .into_iter()
        .enumerate()
        {
            reads.push(read_port(&model, memory, "wgt", slot as u32, slot * word));
        }
        let writes = [
            (MemoryId::Act, "act"),
            (MemoryId::Resb, "resb"),
            (MemoryId::Scr, "scr"),
        ]
        .map(|(memory, name)| write_port(&model, memory, name))
        .into();
        let opd = write_port(&model, MemoryId::Opd, "opd");
        let (reset, valid) = (model.port("rst_ni"), model.port("cmd_valid_i"));
        let gel = ["gel_wen_i", "gel_waddr_i", "gel_wdata_i"].map(|n| model.port(n));
        model.set(reset, 0);
        model.set(valid, 0);
        model.set(gel[0], 0);
        model.tick();
        model.set(reset, 1);
        for address in 0..g.depth(MemoryId::Gel) as usize {
            model.set(gel[0], 1);
            model.set(gel[1], address as u64);
            model.set_bytes(gel[2], memories.word(MemoryId::Gel, address));
            model.tick();
        }
        model.set(gel[0], 0);
        Self {
            g,
            memories,
            model,
            reads,
            writes,
            opd,
            noise: random,
            act_accesses: Default::default(),
        }
    }

    /// Offers the instructions one after another, the n-th no sooner than cycle `offers[n]`;
    /// returns when each started and retired.
    pub fn run(&mut self, instructions: &[Matmul], offers: &[u64]) -> Vec<Times> {
        let names = ["cmd_valid_i", "cmd_ready_o", "cmd_i", "retire_o"];
        let [valid, ready, command, retire] = names.map(|n| self.model.port(n));
        let deadline: u64 = offers.iter().max().unwrap_or(&0)
            + instructions
                .iter()
                .map(|m| timing::cost(&self.g, &Operation::Matmul(*m)).latency + 200)
                .sum::<u64>();
        let mut times: Vec<Times> = Vec::new();
        let mut open: VecDeque<usize> = VecDeque::new();
        let mut offered = 0;
        let mut cycle = 0;
        let mut retired = 0;
        let act = ["act_ren_o", "act_wen_o"].map(|n| self.model.port(n));
        self.act_accesses = Default::default();
        while retired < instructions.len() {
            assert!(cycle < deadline, "{retired} retired after {cycle} cycles");
            let offering = offered < instructions.len() && cycle >= offers[offered];
            self.model.set(valid, u64::from(offering));
            if offering {
                self.model
                    .set_bytes(command, &words(&instructions[offered]));
            }
            self.deliver();
            self.model.settle();
            for (port, cycles) in act.iter().zip(&mut self.act_accesses) {
                if self.model.is_high(*port) {
                    cycles.push(cycle);
                }
            }
            if offering && self.model.is_high(ready) {
                times.push(Times {
                    start: cycle,
                    retire: 0,
                });
                open.push_back(offered);
                offered += 1;
            }
            if self.model.is_high(retire) {
                let index = open.pop_front().expect("a retire without an instruction");
                times[index].retire = cycle;
                retired += 1;
            }
            self.transfer();
            self.model.tick();
            cycle += 1;
        }
        self.model.set(valid, 0);
        times
    }

    /// Runs idle cycles, in which the engine must neither retire nor write.
    pub fn idle(&mut self, cycles: u64) {
        let retire = self.model.port("retire_o");
        let before = self.memories.clone();
        for _ in 0..cycles {
            self.deliver();
            self.model.settle();
            assert!(!self.model.is_high(retire), "a retire in idle");
            self.transfer();
            self.model.tick();
        }
        assert_eq!(self.memories.difference(&before), None, "a write in idle");
    }

    /// Starts `m`, and resets after `cycles`.
    pub fn abort(&mut self, m: &Matmul, cycles: u64) {
        let names = ["cmd_valid_i", "cmd_ready_o", "cmd_i", "rst_ni"];
        let [valid, ready, command, reset] = names.map(|n| self.model.port(n));
        self.model.set(valid, 1);
        self.model.set_bytes(command, &words(m));
        self.model.settle();
        assert!(self.model.is_high(ready));
        for _ in 0..cycles {
            self.deliver();
            self.model.settle();
            self.transfer();
            self.model.tick();
            self.model.set(valid, 0);
        }
        self.model.set(reset, 0);
        self.deliver();
        self.model.settle();
        self.transfer();
        self.model.tick();
        self.model.set(reset, 1);
    }

    /// Sets the data of the read ports; noise where nothing was read.
    fn deliver(&mut self) {
        let mut buffers: Vec<(Port, Vec<u8>)> = Vec::new();
        for read in &self.reads {
            let size = self.g.word_bytes(read.memory) as usize;
            let data = match read.pipe.data() {
                Some(data) => data.to_vec(),
                None => self.noise.bytes(size),
            };
            if read.offset == 0 {
                let total = read.data.bits() as usize / 8;
                buffers.push((read.data, Vec::with_capacity(total)));
            }
            if let Some((_, buffer)) = buffers.last_mut() {
                buffer.extend(data);
            }
        }
        for (port, buffer) in buffers {
            self.model.set_bytes(port, &buffer);
        }
    }

    /// The edge of the memories: reads see the words from before this cycle's writes.
    fn transfer(&mut self) {
        for read in &mut self.reads {
            let enabled = self.model.get(read.enable) >> read.bit & 1 == 1;
            let word = enabled.then(|| {
                let address = self.model.get(read.address);
                assert!(
                    address < u64::from(self.g.depth(read.memory)),
                    "read of {} at {address}",
                    read.memory.name()
                );
                self.memories.word(read.memory, address as usize).to_vec()
            });
            read.pipe.clock(word);
        }
        for write in &self.writes {
            if self.model.is_high(write.enable) {
                let address = self.model.get(write.address) as usize;
                let data = self.model.bytes(write.data).to_vec();
                let enables = self.model.bytes(write.bytes).to_vec();
                store(
                    self.memories.word_mut(write.memory, address),
                    &data,
                    &enables,
                    0,
                );
            }
        }
        let lanes = self.g.lanes as usize;
        for pair in 0..self.g.pairs as usize {
            let opd = &self.opd;
            if self.model.bytes(opd.enable)[pair / 8] >> (pair % 8) & 1 == 1 {
                let a = &self.model.bytes(opd.address)[2 * pair..];
                let address = usize::from(u16::from_le_bytes([a[0], a[1]]));
                let data = self.model.bytes(opd.data)[pair * lanes..][..lanes].to_vec();
                let enables = self.model.bytes(opd.bytes).to_vec();
                let word = self.memories.word_mut(MemoryId::Opd, address);
                store(
                    &mut word[pair * lanes..][..lanes],
                    &data,
                    &enables,
                    pair * lanes,
                );
            }
        }
    }
}

/// Bytes whose enable, from bit `first` on, is set.
fn store(target: &mut [u8], data: &[u8], enables: &[u8], first: usize) {
    for (i, (to, from)) in target.iter_mut().zip(data).enumerate() {
        let bit = first + i;
        if enables[bit / 8] >> (bit % 8) & 1 == 1 {
            *to = *from;
        }
    }
}

fn words(m: &Matmul) -> Vec<u8> {
    let instruction = Instruction {
        header: Header::default(),
        operation: Operation::Matmul(*m),
    };
    let words = instruction.encode().expect("fields fit");
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn read_port(model: &Verilated, memory: MemoryId, name: &str, bit: u32, offset: usize) -> ReadPort {
    ReadPort {
        memory,
        enable: model.port(&format!("{name}_ren_o")),
        bit,
        address: model.port(&format!("{name}_raddr_o")),
        data: model.port(&format!("{name}_rdata_i")),
        offset,
        pipe: ReadPipe::default(),
    }
}

fn write_port(model: &Verilated, memory: MemoryId, name: &str) -> WritePort {
    WritePort {
        memory,
        enable: model.port(&format!("{name}_wen_o")),
        address: model.port(&format!("{name}_waddr_o")),
        data: model.port(&format!("{name}_wdata_o")),
        bytes: model.port(&format!("{name}_wbe_o")),
    }
}
