//! Every target on its seeds and on mutations of them. A failure names the input's file and how to
//! run it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fqbert_fuzz::{TARGETS, Target, mutate};
use fqbert_random::Random;

/// Mutations of a target, unless `FQBERT_FUZZ_MUTATIONS` says another number.
const MUTATIONS: u64 = 1000;

/// What no input of a few kilobytes may take.
const LONGEST: Duration = Duration::from_secs(5);

fn check(target: &Target, input: &[u8]) {
    let began = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    if done.is_ok() && took < LONGEST {
        return;
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(target.name);
    std::fs::write(&path, input).expect("the input that failed");
    panic!(
        "target {} failed or took {took:?} on {}: cargo xtask fuzz {} --input FILE",
        target.name,
        path.display(),
        target.name
    );
}

#[test]
fn seeds_and_mutations_of_them() {
    let mutations = match std::env::var("FQBERT_FUZZ_MUTATIONS") {
        Ok(text) => text.parse().expect("FQBERT_FUZZ_MUTATIONS is a number"),
        Err(_) => MUTATIONS,
    };
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in &seeds {
            check(target, seed);
        }
        let mut random = Random::new(1);
        for _ in 0..mutations {
            let seed = &seeds[random.below(seeds.len() as u64) as usize];
            check(target, &mutate(seed, &mut random));
        }
    }
}

#[test]
fn a_target_that_panics_is_found() {
    let bad = Target {
        name: "planted",
        about: "panics where a byte is above 200",
        run: |input| assert!(input.iter().all(|byte| *byte < 200)),
        seeds: Vec::new,
    };
    let mut random = Random::new(1);
    let found = (0..1000).any(|_| {
        let input = mutate(b"a seed", &mut random);
        catch_unwind(AssertUnwindSafe(|| check(&bad, &input))).is_err()
    });
    assert!(found);
}
