//! The engine with memories around it, cycle by cycle.

use std::collections::VecDeque;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Header, Instruction, MemoryId, Operation};
use fqbert_contract::timing;
use fqbert_cosim::{Port, Verilated};

use fqbert_conformance::interpreter::Memories;
use fqbert_random::Random;

struct ReadPort {
    memory: MemoryId,
    enable: Port,
    address: Port,
    data: Port,
    /// What was asked for one and two cycles ago.
    pipe: [Option<Vec<u8>>; 2],
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

/// How often another engine takes ACT's write port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    Never,
    /// In runs of up to so many cycles, half of the time.
    Bursts(u64),
}

/// The engine and its memories.
pub struct Bench {
    pub g: Geometry,
    pub memories: Memories,
    model: Verilated,
    reads: Vec<ReadPort>,
    writes: Vec<WritePort>,
    noise: Random,
    rival: Rival,
    /// Cycles that the rival's present run or pause still takes, and which of them it is.
    run: (u64, bool),
    /// Of the last [`Self::run`], by cycle.
    pub accesses: Vec<Access>,
}

/// Ports taken in a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// ACT is written by the rival.
    pub rival: bool,
    pub resx_read: bool,
    pub resx_write: bool,
    /// A write to ACT is done.
    pub act_write: bool,
}

impl Bench {
    /// Resets the engine and loads its exponential tables.
    pub fn new(g: Geometry, mut model: Verilated, seed: u64) -> Self {
        let mut noise = Random::new(seed);
        let memories = Memories::random(&g, &mut noise);
        let reads = [
            (MemoryId::Scr, "scr"),
            (MemoryId::Rng, "rng"),
            (MemoryId::Resx, "resx"),
            (MemoryId::Resb, "resb"),
            (MemoryId::Lnp, "lnp"),
        ]
        .map(|(memory, name)| ReadPort {
            memory,
            enable: model.port(&format!("{name}_ren_o")),
            address: model.port(&format!("{name}_raddr_o")),
            data: model.port(&format!("{name}_rdata_i")),
            pipe: [None, None],
        })
        .into();
        let writes = [
            (MemoryId::Prb, "prb"),
            (MemoryId::Resx, "resx"),
            (MemoryId::Act, "act"),
        ]
        .map(|(memory, name)| WritePort {
            memory,
            enable: model.port(&format!("{name}_wen_o")),
            address: model.port(&format!("{name}_waddr_o")),
            data: model.port(&format!("{name}_wdata_o")),
            bytes: model.port(&format!("{name}_wbe_o")),
        })
        .into();
        let names = ["rst_ni", "cmd_valid_i", "exp_wen_i", "act_wready_i"];
        let [reset, valid, exp, ready] = names.map(|n| model.port(n));
        model.set(exp, 0);
        model.set(valid, 0);
        model.set(ready, 1);
        model.set(reset, 0);
        model.tick();
        model.set(reset, 1);
        let mut bench = Self {
            g,
            memories,
            model,
            reads,
            writes,
            noise,
            rival: Rival::Never,
            run: (0, false),
            accesses: Vec::new(),
        };
        bench.load_tables();
        bench
    }

    /// Writes EXP into the engine, as LOAD does.
    pub fn load_tables(&mut self) {
        let names = ["exp_wen_i", "exp_waddr_i", "exp_wdata_i"];
        let [enable, address, data] = names.map(|n| self.model.port(n));
        self.model.set(enable, 1);
        for word in 0..self.g.depth(MemoryId::Exp) as usize {
            self.model.set(address, word as u64);
            let bytes = self.memories.word(MemoryId::Exp, word).to_vec();
            self.model.set_bytes(data, &bytes);
            self.model.tick();
        }
        self.model.set(enable, 0);
    }

    /// From now on, who else writes to ACT.
    pub fn set_rival(&mut self, rival: Rival) {
        self.rival = rival;
        self.run = (0, false);
    }

    /// Offers the instructions one after another, the n-th no sooner than cycle `offers[n]`;
    /// returns when each started and retired. Stops in the cycle of the last retire, before that
    /// cycle's writes.
    pub fn run(&mut self, operations: &[Operation], offers: &[u64]) -> Vec<Times> {
        let names = ["cmd_valid_i", "cmd_ready_o", "cmd_i", "retire_o"];
        let [valid, ready, command, retire] = names.map(|n| self.model.port(n));
        let work: u64 = operations
            .iter()
            .map(|o| timing::cost(&self.g, o).latency + 500)
            .sum();
        let deadline = offers.iter().max().unwrap_or(&0) + 10 * work;
        let mut times: Vec<Times> = Vec::new();
        let mut open: VecDeque<usize> = VecDeque::new();
        let (mut offered, mut retired) = (0, 0);
        let names = ["act_wready_i", "resx_ren_o", "resx_wen_o", "act_wen_o"];
        let taken = names.map(|n| self.model.port(n));
        self.accesses.clear();
        for cycle in 0.. {
            assert!(cycle < deadline, "{retired} retired after {cycle} cycles");
            let offering = offered < operations.len() && cycle >= offers[offered];
            self.model.set(valid, u64::from(offering));
            // Nothing may depend on the command but in its cycle.
            let word = if offering {
                words(&operations[offered])
            } else {
                self.noise.bytes(32)
            };
            self.model.set_bytes(command, &word);
            self.deliver();
            self.model.settle();
            let [free, resx_read, resx_write, act_write] = taken.map(|p| self.model.is_high(p));
            self.accesses.push(Access {
                rival: !free,
                resx_read,
                resx_write,
                act_write: act_write && free,
            });
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
            if retired == operations.len() {
                break;
            }
            self.transfer();
            self.model.tick();
        }
        self.model.set(valid, 0);
        times
    }

    /// Runs idle cycles, in which the engine must neither retire nor write; the first is that in
    /// which [`Self::run`] stopped.
    pub fn idle(&mut self, cycles: u64) {
        let retire = self.model.port("retire_o");
        let before = self.memories.clone();
        for cycle in 0..cycles {
            self.deliver();
            self.model.settle();
            assert!(
                cycle == 0 || !self.model.is_high(retire),
                "a retire in idle"
            );
            self.transfer();
            self.model.tick();
        }
        assert_eq!(self.memories.difference(&before), None, "a write in idle");
    }

    /// Starts `operation`, and resets after `cycles`.
    pub fn abort(&mut self, operation: &Operation, cycles: u64) {
        let names = ["cmd_valid_i", "cmd_ready_o", "cmd_i", "rst_ni"];
        let [valid, ready, command, reset] = names.map(|n| self.model.port(n));
        self.model.set(valid, 1);
        self.model.set_bytes(command, &words(operation));
        self.model.settle();
        assert!(self.model.is_high(ready));
        for cycle in 0..=cycles {
            if cycle == cycles {
                self.model.set(reset, 0);
            }
            self.deliver();
            self.model.settle();
            self.transfer();
            self.model.tick();
            self.model.set(valid, 0);
        }
        self.model.set(reset, 1);
    }

    /// Sets the inputs of a cycle: data of the read ports, noise where nothing was read, and
    /// whether ACT takes a write.
    fn deliver(&mut self) {
        for read in &mut self.reads {
            let data = match read.pipe[1].take() {
                Some(data) => data,
                None => self.noise.bytes(self.g.word_bytes(read.memory) as usize),
            };
            self.model.set_bytes(read.data, &data);
            read.pipe[1] = read.pipe[0].take();
        }
        if let Rival::Bursts(longest) = self.rival {
            if self.run.0 == 0 {
                self.run = (self.noise.within(1, longest), !self.run.1);
            }
            self.run.0 -= 1;
        }
        let ready = self.model.port("act_wready_i");
        self.model
            .set(ready, u64::from(self.rival == Rival::Never || !self.run.1));
    }

    /// The edge of the memories: reads see the words from before this cycle's writes.
    fn transfer(&mut self) {
        for read in &mut self.reads {
            if self.model.is_high(read.enable) {
                let address = self.model.get(read.address) as usize;
                let depth = self.g.depth(read.memory) as usize;
                assert!(
                    address < depth,
                    "read of {} at {address}",
                    read.memory.name()
                );
                read.pipe[0] = Some(self.memories.word(read.memory, address).to_vec());
            }
        }
        let act_ready = self.model.is_high(self.model.port("act_wready_i"));
        for write in &self.writes {
            let held_up = write.memory == MemoryId::Act && !act_ready;
            if self.model.is_high(write.enable) && !held_up {
                let address = self.model.get(write.address) as usize;
                let (data, enables) = (self.model.bytes(write.data), self.model.bytes(write.bytes));
                let word = self.memories.word_mut(write.memory, address);
                for (i, byte) in word.iter_mut().enumerate() {
                    if enables[i / 8] >> (i % 8) & 1 == 1 {
                        *byte = data[i];
                    }
                }
            }
        }
    }
}

fn words(operation: &Operation) -> Vec<u8> {
    let instruction = Instruction {
        header: Header::default(),
        operation: *operation,
    };
    let words = instruction.encode().expect("fields fit");
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}
