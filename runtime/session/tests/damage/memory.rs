//! Bits that flip in code, constants and input, between runs and during them.

use std::sync::Arc;

use fqbert_model::QuantizedModel;
use fqbert_random::Random;
use fqbert_session::{Content, Session, SessionError, SessionOptions};

use crate::flipping::{Flip, Flipping, Flips, Moment};
use crate::{bits, every, model, options, right, tokens};

/// Buffers in order of allocation: a session's, then those of its first program.
const CONSTANTS: usize = 0;
const INPUT: usize = 1;
const CODE: usize = 3;

/// A weight whose flip changes the answer.
const WEIGHT: Flip = Flip {
    moment: Moment::Read,
    buffer: CONSTANTS,
    offset: 1000,
    bits: 0x88,
    times: 1,
};

struct Bench {
    model: Arc<QuantizedModel>,
    right: Vec<u32>,
    flips: Flips,
    session: Session,
}

fn try_open(
    model: &Arc<QuantizedModel>,
    flips: &Flips,
    options: SessionOptions,
) -> Result<Session, SessionError> {
    Session::new(model.clone(), Box::new(Flipping::new(flips)), options)
}

fn bench(options: SessionOptions) -> Bench {
    let (model, flips) = (model(), Flips::default());
    Bench {
        right: right(&model),
        session: try_open(&model, &flips, options).unwrap(),
        model,
        flips,
    }
}

impl Bench {
    fn run(&mut self) -> Result<Vec<u32>, SessionError> {
        self.session.run(&tokens()).map(|o| bits(&o))
    }
}

#[test]
fn a_flipped_weight_is_found_between_runs_named_and_written_again() {
    let mut b = bench(options());
    assert_eq!(b.run().unwrap(), b.right);
    let whole = b.session.scrub().unwrap();
    assert_eq!((whole.damage.len(), whole.runs_before), (0, 1));
    assert!(whole.bytes.0 > 10_000);

    b.flips.push(WEIGHT);
    assert!(b.run().unwrap() != b.right, "the weight matters");
    let report = b.session.scrub().unwrap();
    assert_eq!((report.damage.len(), report.runs_before), (1, 1));
    let damage = report.damage[0];
    assert_eq!(
        (damage.content, damage.offset.0),
        (Content::Constants, 1000)
    );
    assert_eq!((damage.bytes, damage.expected ^ damage.found), (1, 0x88));
    assert_eq!(b.run().unwrap(), b.right);

    let s = b.session.statistics();
    assert_eq!((s.scrubs, s.damaged, s.recoveries), (2, 1, 0));
}

#[test]
fn with_a_scrub_after_every_run_no_flip_is_answered_from() {
    let mut b = bench(every(1));
    assert_eq!(b.run().unwrap(), b.right);
    let sizes = [(CONSTANTS, 11_000), (INPUT, 16 * 48), (CODE, 2_000)];
    let mut random = Random::new(1);
    let mut found = b.session.statistics().damaged;
    for i in 0..300 {
        let (buffer, size) = sizes[i % 3];
        let flip = Flip {
            moment: Moment::Doorbell,
            buffer,
            offset: random.below(size),
            bits: 1 << random.below(8),
            times: 1,
        };
        b.flips.push(flip);
        let answer = b.run().unwrap_or_else(|e| panic!("{flip:?}: {e}"));
        assert_eq!(answer, b.right, "{flip:?}");
        let record = b.session.last_run();
        assert_eq!((record.runs, record.attempts), (1, 2), "{flip:?}");
        assert_eq!(record.scrubbed, 1, "{flip:?}");
        let damaged = b.session.statistics().damaged;
        assert!(damaged > found, "{flip:?}");
        found = damaged;
    }
}

#[test]
fn with_a_scrub_after_some_runs_the_last_of_them_is_right() {
    let mut b = bench(every(3));
    b.flips.push(WEIGHT);
    let answers: Vec<bool> = (0..6).map(|_| b.run().unwrap() == b.right).collect();
    assert_eq!(answers, [false, false, true, true, true, true]);
    let s = b.session.statistics();
    // After runs 3 and 4, the repeated one, counted anew: 5 and 6 answer without.
    assert_eq!((s.damaged, s.runs), (1, 7));
}

#[test]
fn memory_that_is_damaged_by_every_run_gives_no_answer() {
    let mut b = bench(every(1));
    b.flips.push(Flip {
        moment: Moment::Doorbell,
        times: u32::MAX,
        ..WEIGHT
    });
    let error = b.run().unwrap_err();
    let SessionError::Damaged { attempts: 2, .. } = error else {
        panic!("{error}")
    };
    assert!(error.is_device_fault());
    b.flips.clear();
    assert_eq!(b.run().unwrap(), b.right);
}

#[test]
fn stuck_bits_are_an_error_with_their_addresses_until_they_are_free() {
    let mut b = bench(every(1));
    // A bit that is 0 in the right constants, stuck at 1 from the next write on.
    let mut stuck = Flip {
        moment: Moment::Sync,
        times: u32::MAX,
        ..WEIGHT
    };
    b.flips.push(WEIGHT);
    let scrubbed = b.session.scrub().unwrap();
    stuck.bits = !scrubbed.damage[0].expected;
    b.flips.push(stuck);
    b.flips.push(WEIGHT);
    for _ in 0..3 {
        let error = b.run().unwrap_err();
        let SessionError::Stuck { damage, end } = &error else {
            panic!("{error}")
        };
        assert_eq!((damage.offset.0, damage.bytes), (1000, 1));
        assert_eq!(end.0, damage.address.0 + 1);
        let text = error.to_string();
        assert!(text.contains(&damage.address.to_string()), "{text}");
        assert!(text.contains("device-tree"), "{text}");
    }
    b.flips.clear();
    assert_eq!(b.run().unwrap(), b.right);
}

#[test]
fn what_does_not_arrive_is_found_when_it_is_loaded() {
    let base = bench(options());
    for buffer in [CONSTANTS, CODE] {
        for moment in [Moment::Sync, Moment::LostSync] {
            for check in [true, false] {
                let flips = Flips::default();
                flips.push(Flip {
                    moment,
                    buffer,
                    offset: 1000,
                    bits: 0xff,
                    // Buffers of programs are synced once when they are allocated.
                    times: 1 + u32::from(buffer == CODE),
                });
                let options = SessionOptions {
                    check_on_load: check,
                    ..options()
                };
                let mut session = try_open(&base.model, &flips, options).unwrap();
                let answer = session.run(&tokens()).map(|o| bits(&o));
                let told = format!("{moment:?} of buffer {buffer}");
                if check {
                    assert_eq!(answer.unwrap(), base.right, "{told}");
                    // A lost sync is all of the buffer, a flip one block.
                    let damaged = session.statistics().damaged;
                    assert!(damaged > 0, "{told}");
                    assert!(moment == Moment::LostSync || damaged == 1, "{told}");
                } else if buffer == CONSTANTS {
                    assert!(answer.unwrap() != base.right, "{told}: it matters");
                }
            }
        }
    }
}

#[test]
fn a_sync_of_the_input_that_is_lost_is_not_answered_from() {
    let mut b = bench(every(1));
    assert_eq!(b.run().unwrap(), b.right);
    b.flips.push(Flip {
        moment: Moment::LostSync,
        buffer: INPUT,
        ..WEIGHT
    });
    let other = fqbert_host::Tokens::from_ids(vec![99; 12]);
    let answer = bits(&b.session.run(&other).unwrap());
    assert!(answer != b.right, "the request before");
    let expected = bits(&bench(options()).session.run(&other).unwrap());
    assert_eq!(answer, expected);
    assert_eq!(b.session.last_run().attempts, 2);
}

#[test]
fn nothing_runs_during_a_scrub() {
    let mut b = bench(options());
    b.flips.push(Flip {
        moment: Moment::Busy,
        ..WEIGHT
    });
    b.session.scrub().unwrap();
    assert!(!b.flips.has(Moment::Busy), "it was reset first");
    assert_eq!(b.run().unwrap(), b.right);
}

/// A program that was verified does not fault: what faults is damaged, and is mended whatever the
/// options say.
#[test]
fn a_flipped_word_that_faults_is_mended_and_the_request_answered() {
    let mut b = bench(options());
    assert_eq!(b.run().unwrap(), b.right);
    b.flips.push(Flip {
        moment: Moment::Doorbell,
        buffer: CODE,
        // The operation of the first instruction.
        offset: 0,
        bits: 0xff,
        times: 1,
    });
    assert_eq!(b.run().unwrap(), b.right);
    let s = b.session.statistics();
    assert_eq!((s.damaged, s.scrubs), (1, 1));
}
