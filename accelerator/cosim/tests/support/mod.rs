//! The shell of the tiny accelerator on a bench: programs, runs, and engines played by the timing
//! model.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary takes what it needs"
)]

pub mod programs;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fqbert_contract::device::{Allocation, Device, DeviceError};
use fqbert_contract::isa::{
    End, Engine, Header, Instruction, Load, MemoryId, Nop, Operation, Store,
};
use fqbert_contract::registers::{self as regs, irq_enable, status};
use fqbert_contract::timing::{Counters, Matrix, Ports, Times, UNITS, Vector};
use fqbert_contract::{Bytes, DeviceAddress, Geometry, RegisterOffset};
use fqbert_cosim::{Companion, CosimDevice, CosimOptions, Memory, Model, OpenError, Port};
use fqbert_emulator::{EmulatedDevice, EmulatorOptions};

/// Longer than any program here takes.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn tiny() -> &'static Geometry {
    Geometry::by_name("tiny").expect("a preset")
}

/// Engines that take as long as the timing model says, and the ports of on-chip memories when it
/// says, and do nothing.
pub struct Played {
    handshakes: [Handshake; 2],
    /// Instructions of each engine under way; `None` is VECTOR's oldest layer norm.
    flights: [VecDeque<Option<Times>>; 2],
    last_retire: [u64; 2],
    matrix: Matrix,
    vector: Vector,
    ports: Ports,
    accesses: [Port; 5],
    now: u64,
}

struct Handshake {
    valid: Port,
    ready: Port,
    cmd: Port,
    retire: Port,
}

impl Played {
    pub fn new(model: &Model) -> Self {
        let handshake = |name: &str| Handshake {
            valid: model.port(&format!("{name}_valid_o")),
            ready: model.port(&format!("{name}_ready_i")),
            cmd: model.port(&format!("{name}_cmd_o")),
            retire: model.port(&format!("{name}_retire_i")),
        };
        Self {
            handshakes: [handshake("matrix"), handshake("vector")],
            flights: Default::default(),
            last_retire: [0; 2],
            matrix: Matrix::default(),
            vector: Vector::default(),
            ports: Ports::default(),
            accesses: [
                model.port("matrix_act_wen_i"),
                model.port("matrix_act_ren_i"),
                model.port("vector_act_wen_i"),
                model.port("vector_resx_ren_i"),
                model.port("vector_resx_wen_i"),
            ],
            now: 0,
        }
    }

    fn start(&mut self, engine: usize, operation: &Operation) {
        let (g, now, ports) = (tiny(), self.now, &mut self.ports);
        let times = match operation {
            Operation::Matmul(m) => {
                let times = self.matrix.start(g, m, now, ports);
                self.vector.refresh(ports, now);
                Some(times)
            }
            Operation::Softmax(s) => Some(self.vector.start_softmax(s, now)),
            Operation::Layernorm(l) => {
                self.vector.start_layer_norm(g, l, now, ports);
                None
            }
            other => panic!("not of an engine: {other:?}"),
        };
        self.flights[engine].push_back(times);
    }

    /// Whether an instruction of an engine completes in this cycle.
    fn retires(&mut self, engine: usize) -> bool {
        let Some(oldest) = self.flights[engine].front().copied() else {
            return false;
        };
        // An engine retires in order, one instruction a cycle.
        let times = oldest.or_else(|| self.vector.front()).expect("times");
        if times.retire > self.now || self.last_retire[engine] == self.now {
            return false;
        }
        if oldest.is_none() {
            self.vector.take(&mut self.ports, self.now);
        }
        self.flights[engine].pop_front();
        self.last_retire[engine] = self.now;
        true
    }
}

impl Companion for Played {
    fn drive(&mut self, model: &mut Model) {
        if !model.is_high(model.port("engine_rst_no")) {
            self.flights = Default::default();
            self.matrix = Matrix::default();
            self.vector = Vector::default();
            self.ports = Ports::default();
        }
        for engine in 0..2 {
            let retires = self.retires(engine);
            let free = [self.matrix.free(), self.vector.free()][engine];
            let handshake = &self.handshakes[engine];
            model.set(handshake.retire, u64::from(retires));
            model.set(handshake.ready, u64::from(free <= self.now));
        }
        let p = &self.ports;
        let calendars = [
            &p.matrix_act_write,
            &p.matrix_act_read,
            &p.vector_act_write,
            &p.vector_resx_read,
            &p.vector_resx_write,
        ];
        for (port, calendar) in self.accesses.into_iter().zip(calendars) {
            model.set(port, u64::from(calendar.takes(self.now)));
        }
    }

    fn sample(&mut self, model: &Model) {
        for engine in 0..2 {
            let handshake = &self.handshakes[engine];
            if model.is_high(handshake.valid) && model.is_high(handshake.ready) {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(model.bytes(handshake.cmd));
                let instruction = Instruction::from_bytes(&bytes).expect("a decoded instruction");
                self.start(engine, &instruction.operation);
            }
        }
        self.now += 1;
    }
}

/// The device, or `None` (said loudly) where its RTL was not verilated.
pub fn or_skip(opened: Result<CosimDevice, OpenError>) -> Option<CosimDevice> {
    match opened {
        Ok(device) => Some(device),
        Err(OpenError::Unavailable(error)) => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The tiny accelerator with that memory.
pub fn options(memory: Memory) -> CosimOptions {
    CosimOptions {
        memory,
        ..CosimOptions::new(tiny())
    }
}

/// The shell of the tiny accelerator, or `None` without Verilator.
pub fn shell(memory: Memory) -> Option<CosimDevice> {
    or_skip(CosimDevice::of_top(
        "system_shell",
        options(memory),
        |model| Box::new(Played::new(model)),
    ))
}

/// The emulator of the tiny accelerator.
pub fn emulator() -> EmulatedDevice {
    let options = EmulatorOptions {
        threads: Some(1),
        ..EmulatorOptions::new(tiny())
    };
    EmulatedDevice::new(options).unwrap()
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: u32,
    pub cause: u32,
    pub index: u32,
    pub address: u64,
    pub cycles: u64,
    pub counters: Counters,
}

pub const DONE: u32 = status::IDLE | status::DONE;
pub const FAULT: u32 = status::IDLE | status::FAULT;

pub fn pair(device: &mut dyn Device, low: RegisterOffset) -> u64 {
    let high = RegisterOffset(low.0 + 4);
    u64::from(device.read32(low).unwrap()) | u64::from(device.read32(high).unwrap()) << 32
}

pub fn set_pair(device: &mut dyn Device, low: RegisterOffset, value: u64) {
    let value = DeviceAddress(value);
    device.write32(low, value.low()).unwrap();
    device
        .write32(RegisterOffset(low.0 + 4), value.high())
        .unwrap();
}

pub fn encode(instructions: &[Instruction]) -> Vec<u8> {
    instructions
        .iter()
        .flat_map(|i| i.to_bytes().unwrap())
        .collect()
}

/// A buffer with these bytes, handed to the device.
pub fn upload(device: &mut dyn Device, data: &[u8]) -> Allocation {
    let buffer = device.allocate(Bytes(data.len() as u64)).unwrap();
    device.write(buffer.id, Bytes(0), data).unwrap();
    device
        .sync_to_device(buffer.id, Bytes(0), buffer.size)
        .unwrap();
    buffer
}

pub fn download(device: &mut dyn Device, buffer: &Allocation) -> Vec<u8> {
    let mut bytes = vec![0; buffer.size.0 as usize];
    device
        .sync_to_cpu(buffer.id, Bytes(0), buffer.size)
        .unwrap();
    device.read(buffer.id, Bytes(0), &mut bytes).unwrap();
    bytes
}

/// Sets everything up for a program at `address` and rings the doorbell.
pub fn start(device: &mut dyn Device, address: u64, length: u32, window: (u64, u64)) {
    set_pair(device, regs::WINDOW_BASE_LOW, window.0);
    set_pair(device, regs::WINDOW_LIMIT_LOW, window.1);
    set_pair(device, regs::PROGRAM_ADDRESS_LOW, address);
    device.write32(regs::PROGRAM_LENGTH, length).unwrap();
    device
        .write32(regs::IRQ_ENABLE, irq_enable::DONE | irq_enable::FAULT)
        .unwrap();
    device.write32(regs::DOORBELL, 1).unwrap();
}

/// All memory of the accelerator as a window.
pub fn everything(device: &dyn Device) -> (u64, u64) {
    let memory = device.memory();
    (memory.base.0, memory.base.0 + memory.total.0)
}

pub fn finish(device: &mut dyn Device) -> Result<Ended, DeviceError> {
    device.wait_interrupt(Instant::now() + DEADLINE)?;
    let events = device.read32(regs::IRQ_STATUS)?;
    device.write32(regs::IRQ_STATUS, events)?;
    let mut counters = Counters::default();
    for u in 0..UNITS {
        let read = |device: &mut dyn Device, first: RegisterOffset| {
            u64::from(
                device
                    .read32(RegisterOffset(first.0 + 4 * u as u32))
                    .unwrap(),
            )
        };
        counters.busy[u] = read(device, regs::BUSY);
        counters.stall[u] = read(device, regs::STALL);
        counters.retired[u] = read(device, regs::RETIRED);
    }
    Ok(Ended {
        status: device.read32(regs::STATUS)?,
        cause: device.read32(regs::FAULT_CAUSE)?,
        index: device.read32(regs::FAULT_INDEX)?,
        address: pair(device, regs::FAULT_ADDRESS_LOW),
        cycles: pair(device, regs::CYCLES_LOW),
        counters,
    })
}

/// Runs a program with a window of all memory.
pub fn run(device: &mut dyn Device, instructions: &[Instruction]) -> Ended {
    let code = upload(device, &encode(instructions));
    let window = everything(device);
    start(device, code.address.0, instructions.len() as u32, window);
    let ended = finish(device).unwrap();
    device.free(code.id).unwrap();
    ended
}

pub fn with(wait: &[u8], signal: &[u8], operation: Operation) -> Instruction {
    let three = |ids: &[u8]| {
        let mut fields = [0; 3];
        fields[..ids.len()].copy_from_slice(ids);
        fields
    };
    Instruction {
        header: Header {
            layer: 0,
            wait: three(wait),
            signal: three(signal),
        },
        operation,
    }
}

pub fn plain(operation: Operation) -> Instruction {
    with(&[], &[], operation)
}

pub fn load(memory: MemoryId, word_offset: u16, address: u64, beats: u32) -> Operation {
    Operation::Load(Load {
        memory: memory.code(),
        port: 0,
        address,
        word_offset,
        beats,
    })
}

pub fn store(memory: MemoryId, word_offset: u16, address: u64, beats: u32) -> Operation {
    Operation::Store(Store {
        memory: memory.code(),
        address,
        word_offset,
        beats,
    })
}

pub fn nop(engine: Engine) -> Operation {
    Operation::Nop(Nop {
        engine: engine.code(),
        port: 0,
    })
}

pub fn end() -> Instruction {
    plain(Operation::End(End {}))
}
