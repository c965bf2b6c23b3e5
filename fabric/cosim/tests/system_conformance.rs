//! The conformance suite's cases that need no compute engine, on the shell: with the timing model's memory, and under back-pressure.

mod support;

use std::time::Duration;

use fqbert_conformance::{Options, case_names};
use fqbert_cosim::Memory;
use support::shell;

fn conforms(memory: Memory) {
    let Some(mut fabric) = shell(memory.clone()) else {
        return;
    };
    for name in case_names() {
        // Results of engines, or memories that only engines read.
        if name.starts_with("compute/")
            || name == "transfers/every_memory"
            || name == "random/programs"
        {
            continue;
        }
        let options = Options {
            models_staleness: true,
            deadline: Duration::from_secs(120),
            hang: Duration::from_millis(200),
            filter: Some(name.to_owned()),
            ..Options::default()
        };
        // Only the timing model's memory takes the timing model's cycles.
        if name == "runs/counters" && memory != Memory::default() {
            continue;
        }
        let report = fqbert_conformance::run(&mut fabric, &options);
        assert!(report.passed(), "{memory:?}: {report}");
    }
}

#[test]
fn with_the_memory_of_the_timing_model() {
    conforms(Memory::default());
}

#[test]
fn under_back_pressure() {
    for seed in 1..4 {
        conforms(Memory {
            seed: Some(seed),
            ..Memory::default()
        });
    }
}

#[test]
fn with_a_slow_memory() {
    conforms(Memory {
        read_latency: 300,
        write_latency: 4,
        bandwidth: Some(20),
        seed: None,
    });
}
