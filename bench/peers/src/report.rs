//! Times to a table or an object: medians, minima, and ratios of fqbert's to the others'.

use std::fmt;

use fqbert_limits::{Comparison, Limit, Line};

use crate::ours;
use crate::peer::{Job, Sample};

/// The times of one runtime.
#[derive(Clone, Debug)]
pub struct Times {
    name: &'static str,
    version: String,
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

impl Times {
    pub fn new(name: &'static str, version: String) -> Self {
        Self {
            name,
            version,
            seconds: Vec::new(),
            cpu_seconds: Vec::new(),
        }
    }

    pub fn add(&mut self, sample: Sample) {
        self.seconds.push(sample.seconds);
        self.cpu_seconds.extend(sample.cpu_seconds);
    }

    fn median(&self) -> f64 {
        median(&self.seconds)
    }

    fn minimum(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Not a number for none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (
        sorted.len() % 2,
        sorted.get(middle.wrapping_sub(1)),
        sorted.get(middle),
    ) {
        (0, Some(below), Some(above)) => (below + above) / 2.0,
        (_, _, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

/// Everything measured.
pub fn compare(job: &Job, limit: Option<Limit>, times: &[Times]) -> Comparison {
    let macs = job.shape.macs(job.ids.len());
    let our = times.iter().find(|t| t.name == ours::NAME);
    let by =
        |theirs: &Times, figure: fn(&Times) -> f64| our.map_or(f64::NAN, figure) / figure(theirs);
    let results = times
        .iter()
        .map(|t| Line {
            name: t.name.to_owned(),
            version: t.version.clone(),
            median_ms: t.median() * 1e3,
            min_ms: t.minimum() * 1e3,
            ours_by_median: by(t, Times::median),
            ours_by_min: by(t, Times::minimum),
            cpu_ms: counted(median(&t.cpu_seconds) * 1e3),
            ours_by_cpu: counted(by(t, |t| median(&t.cpu_seconds))),
            macs_per_second: macs / t.median(),
            share_of_limit: limit
                .as_ref()
                .map(|l| macs / t.median() / l.macs_per_second),
        })
        .collect();
    Comparison {
        cpu: fqbert_limits::cpu_name(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        load_average: load_average(),
        shape: job.shape.to_string(),
        sequence: job.ids.len(),
        threads: job.threads,
        runs: times.first().map_or(0, |t| t.seconds.len()),
        macs,
        int8_limit: limit,
        results,
    }
}

/// None where the kernel does not count it.
fn counted(value: f64) -> Option<f64> {
    Some(value).filter(|v| v.is_finite())
}

/// Of the last minute, this command included.
fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The same as a table for people.
pub struct Table<'a>(pub &'a Comparison);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        writeln!(f, "{}, {} CPUs", report.cpu, report.cpus)?;
        writeln!(
            f,
            "{}, sequence {}, batch 1, {} threads, {} turns, {:.2} GMAC an inference",
            report.shape,
            report.sequence,
            report.threads,
            report.runs,
            report.macs * 1e-9
        )?;
        if let Some(limit) = &report.int8_limit {
            writeln!(
                f,
                "limit {:.0} GMAC/s: {}, {} threads",
                limit.macs_per_second * 1e-9,
                limit.instruction,
                limit.threads
            )?;
        }
        if let Some(load) = report
            .load_average
            .filter(|l| *l > report.cpus as f64 + 1.0)
        {
            writeln!(
                f,
                "load average {load:.1}: other processes were running; \
                 only ratios mean something, those of CPU most"
            )?;
        }
        writeln!(
            f,
            "\n{:18} {:>10} {:>10} {:>8} {:>12} {:>9} {:>9} {:>9} {:>8}",
            "",
            "median ms",
            "min ms",
            "CPU ms",
            "ours/median",
            "ours/min",
            "ours/CPU",
            "GMAC/s",
            "of limit"
        )?;
        for l in &report.results {
            let share = l
                .share_of_limit
                .map_or_else(|| "-".into(), |s| format!("{:.0} %", 100.0 * s));
            writeln!(
                f,
                "{:18} {:>10.1} {:>10.1} {:>8.1} {:>12.2} {:>9.2} {:>9.2} {:>9.1} {:>8}  {}",
                l.name,
                l.median_ms,
                l.min_ms,
                l.cpu_ms.unwrap_or(f64::NAN),
                l.ours_by_median,
                l.ours_by_min,
                l.ours_by_cpu.unwrap_or(f64::NAN),
                l.macs_per_second * 1e-9,
                share,
                l.version
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: f64) -> Sample {
        Sample {
            seconds,
            cpu_seconds: Some(2.0 * seconds),
        }
    }

    #[test]
    fn medians_and_ratios() {
        let mut a = Times::new(ours::NAME, String::new());
        for seconds in [3.0, 1.0, 2.0, 4.0] {
            a.add(sample(seconds));
        }
        assert_eq!((a.median(), a.minimum()), (2.5, 1.0));
        let mut b = Times::new("other", String::new());
        for seconds in [5.0, 4.0, 6.0] {
            b.add(sample(seconds));
        }
        let job = Job {
            shape: "bert-tiny".parse().expect("a name"),
            ids: vec![0; 16],
            threads: 1,
        };
        let report = compare(&job, None, &[a, b]);
        assert_eq!(
            (
                report.results[1].ours_by_median,
                report.results[1].ours_by_min
            ),
            (0.5, 0.25)
        );
        assert!(Table(&report).to_string().contains("other"));
    }
}
