//! What transfers leave in memory, against the emulator, under back-pressure; what LOAD puts where
//! no STORE reads.

mod support;

use fqbert_contract::device::Device;
use fqbert_contract::isa::{MemoryId, Operation};
use fqbert_cosim::{Companion, CosimDevice, Memory, Model, Port};
use fqbert_random::Random;
use support::programs::{Mix, program};
use support::{
    DONE, download, emulator, end, load, options, or_skip, plain, run, shell, store, tiny, upload,
    with,
};

fn is_store(operation: &Operation) -> bool {
    matches!(operation, Operation::Store(_))
}

/// Random transfers move the same bytes as in the emulator, whatever the memory does.
#[test]
fn transfers_under_back_pressure_are_the_emulators() {
    for seed in 0..12 {
        let memory = Memory {
            seed: Some(seed),
            read_latency: [2, 60, 300][seed as usize % 3],
            bandwidth: [None, Some(60)][seed as usize % 2],
            ..Memory::default()
        };
        let Some(mut device) = shell(memory) else {
            return;
        };
        let mut emulator = emulator();
        let mut rng = Random::new(seed);
        let bytes = rng.bytes(65536);
        let data = upload(&mut device, &bytes);
        assert_eq!(upload(&mut emulator, &bytes).address, data.address);
        let written = 96;
        let mut instructions: Vec<_> = [MemoryId::Act, MemoryId::Resx]
            .into_iter()
            // What random transfers store must have been written.
            .map(|m| {
                with(
                    &[],
                    &[],
                    load(m, 0, data.address.0, tiny().word_bytes(m) / 16 * written),
                )
            })
            .collect();
        // Everything else waits for what comes before it, so that the result is one. A semaphore
        // has one queue that raises it and one that waits for it (LOAD0 or STORE here): with one
        // for all, a later head of the other queue could take what an earlier one needs.
        let pair = |from: &Operation, to: &Operation| {
            1 + 2 * u8::from(is_store(from)) + u8::from(is_store(to))
        };
        for _ in 0..40 {
            let memory = if rng.below(2) == 0 {
                MemoryId::Act
            } else {
                MemoryId::Resx
            };
            let word_beats = tiny().word_bytes(memory) / 16;
            let words = 1 + rng.below(40) as u32;
            let word = rng.below(u64::from(written - words)) as u16;
            let address = data.address.0 + 16 * rng.below(4096 - u64::from(words * word_beats));
            let make = if rng.below(2) == 0 { load } else { store };
            let next = make(memory, word, address, words * word_beats);
            let last = instructions.last_mut().unwrap();
            let id = pair(&last.operation, &next);
            last.header.signal = [id, 0, 0];
            instructions.push(with(&[id], &[], next));
        }
        instructions.push(end());
        let [rtl, model] = [&mut device as &mut dyn Device, &mut emulator].map(|f| {
            let ended = run(f, &instructions);
            assert_eq!(ended.status, DONE, "seed {seed}: {ended:?}");
            (download(f, &data), ended.counters.retired)
        });
        assert!(rtl.0 == model.0, "seed {seed}: memory differs");
        assert_eq!(rtl.1, model.1, "seed {seed}: instructions retired");
    }
}

/// Programs that overlap everything they can, with slow and stalling memories: they end, within
/// protocol and window.
#[test]
fn random_programs_end_under_back_pressure() {
    for seed in 0..10 {
        let memory = Memory {
            seed: Some(seed),
            bandwidth: Some(150),
            ..Memory::default()
        };
        let Some(mut device) = shell(memory) else {
            return;
        };
        let data = upload(&mut device, &[7; 65536]).address.0;
        for _ in 0..4 {
            let mut rng = Random::new(seed);
            let mix = Mix {
                length: 150,
                beats: 200,
                compute: true,
                waits: 20,
            };
            let instructions = program(&mut rng, mix, data);
            let ended = run(&mut device, &instructions);
            assert_eq!(ended.status, DONE, "seed {seed}: {ended:?}");
            let retired: u64 = ended.counters.retired[1..].iter().sum();
            assert_eq!(retired, instructions.len() as u64);
        }
        let traffic = device.system().bus().traffic();
        let memory = device.memory();
        assert!(traffic.start >= memory.base.0 && traffic.end <= memory.base.0 + memory.total.0);
    }
}

/// Reads a memory through an engine's port.
struct Probe {
    enable: Port,
    address: Port,
    data: Port,
    /// Which of several memories at that port.
    select: u64,
    word_bytes: usize,
    lane: usize,
    words: u64,
    cycle: u64,
    found: std::sync::mpsc::Sender<Vec<u8>>,
}

impl Companion for Probe {
    fn drive(&mut self, model: &mut Model) {
        for name in ["matrix_ready_i", "vector_ready_i"] {
            model.set(model.port(name), 1);
        }
        // Over and over: the last pass sees what the program has left.
        model.set(self.enable, self.select);
        model.set(self.address, self.cycle % self.words);
    }

    fn sample(&mut self, model: &Model) {
        if self.cycle >= 2 {
            let all = model.bytes(self.data);
            let word = &all[self.lane * self.word_bytes..][..self.word_bytes];
            // Nobody listens any more when the test has enough.
            let _ = self.found.send(word.to_vec());
        }
        self.cycle += 1;
    }
}

#[test]
fn load_fills_every_memory_that_engines_read() {
    use MemoryId::{Act, Lnp, Par, Resx, Rng as Ranges, Wgt0, Wgt1, Wgt2, Wgt3};
    for (memory, port, lane) in [
        (Act, "matrix_act", 0),
        (Resx, "vector_resx", 0),
        (Ranges, "vector_rng", 0),
        (Wgt0, "matrix_wgt", 0),
        (Wgt1, "matrix_wgt", 1),
        (Wgt2, "matrix_wgt", 2),
        (Wgt3, "matrix_wgt", 3),
        (Par, "matrix_par", 0),
        (Lnp, "vector_lnp", 0),
    ] {
        let (words, word_bytes) = (100u32, tiny().word_bytes(memory) as usize);
        let (sender, receiver) = std::sync::mpsc::channel();
        let memory_behaviour = Memory {
            seed: Some(3),
            ..Memory::default()
        };
        let probe = |model: &Model| -> Box<dyn Companion> {
            Box::new(Probe {
                enable: model.port(&format!("{port}_ren_i")),
                address: model.port(&format!("{port}_raddr_i")),
                data: model.port(&format!("{port}_rdata_o")),
                select: 1 << lane,
                word_bytes,
                lane,
                words: u64::from(words),
                cycle: 0,
                found: sender,
            })
        };
        let opened = CosimDevice::of_top("system_shell", options(memory_behaviour), probe);
        let Some(mut device) = or_skip(opened) else {
            return;
        };
        let image = Random::new(u64::from(memory.code())).bytes(words as usize * word_bytes);
        let data = upload(&mut device, &image);
        let beats = words * word_bytes as u32 / 16;
        let ended = run(
            &mut device,
            &[plain(load(memory, 0, data.address.0, beats)), end()],
        );
        assert_eq!(ended.status, DONE, "{}: {ended:?}", memory.name());
        device.run(2 * words);
        let seen: Vec<Vec<u8>> = receiver.try_iter().collect();
        let first = seen.len() / words as usize * words as usize - words as usize;
        let last_pass = seen[first..first + words as usize].concat();
        assert!(
            last_pass == image,
            "{} holds other bytes than were loaded",
            memory.name()
        );
    }
}
