//! Each kernel of this CPU on the operations of a BERT-base layer, on one thread, in
//! multiply-accumulates (or elements) a cycle.
//!
//! `cargo bench -p fqbert-kernel-bench`. The clock is measured, not read from a counter of fixed
//! rate; on a busy machine both numbers are low.

use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput};
use fqbert_contract::Geometry;
use fqbert_emulator::Kernel;
use fqbert_kernel_bench::programs::{Bench, cases};

/// Copies of the instruction in a program: fetching and scheduling it is shared out over them.
const COPIES: usize = 8;

/// Wall time, whose throughput is shown by cycle.
struct Cycles {
    time: WallTime,
    formatter: ByCycle,
}

struct ByCycle {
    hz: f64,
}

impl Measurement for Cycles {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        self.time.start()
    }

    fn end(&self, start: Instant) -> Duration {
        self.time.end(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        self.time.add(a, b)
    }

    fn zero(&self) -> Duration {
        self.time.zero()
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.time.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &self.formatter
    }
}

impl ValueFormatter for ByCycle {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|ns| *ns *= 1e-3);
        "us"
    }

    fn scale_throughputs(
        &self,
        _: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let work = match throughput {
            Throughput::Elements(n) | Throughput::Bytes(n) => *n as f64,
            _ => 1.0,
        };
        values
            .iter_mut()
            .for_each(|ns| *ns = work / (*ns * 1e-9 * self.hz));
        "/cycle"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ns"
    }
}

fn main() {
    // An unknown CPU's clock is taken as 1 GHz: work a nanosecond then.
    let hz = fqbert_limits::clock_hz().unwrap_or(1e9);
    println!("{} at {:.2} GHz", fqbert_limits::cpu_name(), hz * 1e-9);
    if let Some(limit) = fqbert_limits::int8_limit(1) {
        println!(
            "limit of a core: {:.1} MAC/cycle, {}",
            limit.macs_per_second / hz,
            limit.instruction
        );
    }
    let measurement = Cycles {
        time: WallTime,
        formatter: ByCycle { hz },
    };
    let mut criterion = Criterion::default()
        .with_measurement(measurement)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    let g = Geometry::by_name("zcu102").expect("a geometry of the contract");
    for kernel in Kernel::supported().filter(|k| *k != Kernel::Scalar) {
        let mut group = criterion.benchmark_group(kernel.name());
        for case in cases(g) {
            let mut bench =
                Bench::new(g, kernel, case.operation, COPIES).expect("a legal instruction");
            group.throughput(Throughput::Elements(case.work * COPIES as u64));
            // Inside the pool, as the emulated accelerator runs its programs.
            group.bench_function(BenchmarkId::from_parameter(case.name), |b| {
                pool.install(|| b.iter(|| bench.run()))
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
