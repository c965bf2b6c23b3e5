//! Sessions on the emulated accelerator: equal to the plain interpretation, however sequences are
//! run, and whole again after a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fqbert_contract::address::RegisterOffset;
use fqbert_contract::device::{Device, DeviceError, Wrapper};
use fqbert_contract::registers as regs;
use fqbert_host::{HeadOutput, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::reference::EncoderInput;
use fqbert_model::testing::{Shape, random_model};
use fqbert_random::Random;
use fqbert_session::{AsyncSession, Session, SessionError, SessionOptions, Unproven};

fn model(seed: u64) -> Arc<QuantizedModel> {
    let shape = Shape {
        layers: 2,
        hidden: 48,
        heads: 3,
        intermediate: 96,
        vocab: 100,
        max_positions: 64,
        wide: 0b100_1000,
    };
    Arc::new(random_model(shape, seed))
}

fn sequences(model: &QuantizedModel, lengths: &[usize], seed: u64) -> Vec<Tokens> {
    let mut r = Random::new(seed);
    let vocab = model.config.vocab as u64;
    let ids = |r: &mut Random, n: &usize| (0..*n).map(|_| r.within(0, vocab - 1) as u32).collect();
    lengths
        .iter()
        .map(|n| Tokens::from_ids(ids(&mut r, n)))
        .collect()
}

fn session(model: &Arc<QuantizedModel>, geometry: &str, pack: Option<u32>) -> Session {
    let options = SessionOptions {
        pack,
        ..SessionOptions::default()
    };
    Session::new(model.clone(), device(geometry), options).unwrap()
}

/// The emulation of a geometry.
fn device(geometry: &str) -> Box<dyn Device> {
    fqbert_open::open_device(&format!("emu:{geometry}")).unwrap()
}

/// Every logit's bits.
fn bits(outputs: &[HeadOutput]) -> Vec<Vec<u32>> {
    outputs
        .iter()
        .map(|o| o.values().iter().map(|v| v.to_bits()).collect())
        .collect()
}

/// The answer by the plain interpretation of the model, one sequence without padding.
fn expected(model: &QuantizedModel, tokens: &Tokens) -> HeadOutput {
    let host = model.host().unwrap();
    let input = host.embed(tokens).unwrap();
    let n = tokens.len();
    let input = EncoderInput {
        x8: input.x8,
        x16: input.x16,
        ranges: vec![(0, n as u16); n],
    };
    let y16 = model.reference(&input).unwrap();
    host.head(&host.hidden_states(&y16)).unwrap()
}

#[test]
fn every_geometry_packed_or_not_equals_the_plain_interpretation() {
    let model = model(1);
    let sequences = sequences(&model, &[1, 7, 16, 33, 2, 64, 12, 5, 9], 2);
    let expected = bits(
        &sequences
            .iter()
            .map(|t| expected(&model, t))
            .collect::<Vec<_>>(),
    );
    for uri in [
        "tiny",
        "paper",
        "zcu102",
        "zcu111",
        "zcu102?threads=1",
        "zcu102?seed=7&threads=3",
    ] {
        for pack in [None, Some(64), Some(200)] {
            let mut session = session(&model, uri, pack);
            let outputs = session.run_batch(&sequences).unwrap();
            assert_eq!(bits(&outputs), expected, "{uri}, packing {pack:?}");
            let s = session.statistics();
            assert_eq!(s.sequences, sequences.len() as u64);
            assert!(
                pack.is_none() || s.runs < s.sequences,
                "{} runs for {}",
                s.runs,
                s.sequences
            );
        }
    }
}

#[test]
fn cycles_are_the_timing_models() {
    let model = model(1);
    let mut session = session(&model, "paper", None);
    session.run(&Tokens::from_ids(vec![1; 30])).unwrap();
    let g = fqbert_contract::Geometry::by_name("paper").unwrap();
    let program =
        fqbert_compiler::compile(&model, g, 32, &fqbert_compiler::CompileOptions::default())
            .unwrap();
    let schedule =
        fqbert_contract::timing::simulate(g, &program.instructions, Default::default()).unwrap();
    assert_eq!(session.statistics().last_cycles, schedule.cycles);
}

#[test]
fn too_long_empty_and_unknown_tokens_are_refused_and_the_session_goes_on() {
    let model = model(3);
    let mut session = session(&model, "tiny", None);
    assert!(matches!(
        session.run(&Tokens::from_ids(vec![1; 65])),
        Err(SessionError::TooLong {
            tokens: 65,
            longest: 64
        })
    ));
    assert!(matches!(
        session.run(&Tokens::default()),
        Err(SessionError::Host(_))
    ));
    let error = session
        .run(&Tokens::from_ids(vec![1, 100]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("100"), "{error}");
    session.run(&Tokens::from_ids(vec![1, 99])).unwrap();
}

#[test]
fn a_model_too_large_for_the_geometry_names_the_memory() {
    let wide = Shape {
        layers: 1,
        hidden: 1024,
        heads: 16,
        intermediate: 4096,
        vocab: 50,
        max_positions: 64,
        wide: 0,
    };
    let model = Arc::new(random_model(wide, 0));
    let error = Session::new(model, device("tiny"), SessionOptions::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("768"), "{error}");
}

/// A device that loses things: doorbells, or interrupts with their count.
struct Flaky {
    inner: Box<dyn Device>,
    doorbells_to_lose: u32,
    interrupts_to_lose: u32,
    resets: Arc<AtomicU32>,
}

impl Wrapper for Flaky {
    fn inner(&self) -> &dyn Device {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.inner.as_mut()
    }
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        if register == regs::DOORBELL && self.doorbells_to_lose > 0 {
            self.doorbells_to_lose -= 1;
            return Ok(());
        }
        self.inner.write32(register, value)
    }
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let count = self.inner.wait_interrupt(deadline)?;
        if self.interrupts_to_lose > 0 {
            self.interrupts_to_lose -= 1;
            return Err(DeviceError::Timeout { waited_ms: 0 });
        }
        Ok(count)
    }
    fn reset(&mut self) -> Result<(), DeviceError> {
        self.resets.fetch_add(1, Ordering::Relaxed);
        self.inner.reset()
    }
}

fn flaky(
    doorbells_to_lose: u32,
    interrupts_to_lose: u32,
) -> (Session, Arc<QuantizedModel>, Arc<AtomicU32>) {
    let model = model(4);
    let resets = Arc::new(AtomicU32::new(0));
    let inner = device("tiny");
    let device = Flaky {
        inner,
        doorbells_to_lose,
        interrupts_to_lose,
        resets: resets.clone(),
    };
    let options = SessionOptions {
        deadline: Duration::from_millis(50),
        retries: 1,
        pack: None,
        ..SessionOptions::default()
    };
    // The emulator is fast enough for this deadline on a model of this size, also on a busy
    // machine: it answers before it is waited for.
    (
        Session::new(model.clone(), Box::new(device), options).unwrap(),
        model,
        resets,
    )
}

#[test]
fn a_lost_doorbell_is_a_reset_and_a_replay() {
    let (mut session, model, resets) = flaky(1, 0);
    let tokens = Tokens::from_ids(vec![5, 6, 7]);
    let output = session.run(&tokens).unwrap();
    assert_eq!(bits(&[output]), bits(&[expected(&model, &tokens)]));
    assert_eq!(session.statistics().recoveries, 1);
    assert_eq!(
        resets.load(Ordering::Relaxed),
        2,
        "one at opening, one after the hang"
    );
}

#[test]
fn a_lost_interrupt_of_a_finished_run_is_no_failure() {
    let (mut session, model, _) = flaky(0, 1);
    let tokens = Tokens::from_ids(vec![5, 6, 7]);
    let output = session.run(&tokens).unwrap();
    assert_eq!(bits(&[output]), bits(&[expected(&model, &tokens)]));
    assert_eq!(
        session.statistics().recoveries,
        0,
        "STATUS says that it is done"
    );
}

#[test]
fn a_hang_that_stays_is_an_error_with_its_story_and_the_next_request_works() {
    let (mut session, model, _) = flaky(2, 0);
    let tokens = Tokens::from_ids(vec![5, 6, 7]);
    let error = session.run(&tokens).unwrap_err();
    let SessionError::Hang {
        attempts: 2,
        why: Unproven::NotStarted,
        ref post_mortem,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(post_mortem.retired.iter().sum::<u32>(), 0, "{post_mortem}");
    assert!(error.to_string().contains("MATRIX 0"), "{error}");
    let output = session.run(&tokens).unwrap();
    assert_eq!(bits(&[output]), bits(&[expected(&model, &tokens)]));
}

#[tokio::test]
async fn awaited_requests_share_runs_and_one_bad_request_harms_no_other() {
    let model = model(5);
    let good = sequences(&model, &[3, 4, 5, 6], 6);
    let expected = bits(&good.iter().map(|t| expected(&model, t)).collect::<Vec<_>>());
    let session = AsyncSession::new(session(&model, "tiny", Some(64))).unwrap();
    let bad = session.run(Tokens::from_ids(vec![1000]));
    let runs = good.iter().map(|t| session.run(t.clone()));
    let (bad, outputs) = tokio::join!(bad, async {
        let mut outputs = Vec::new();
        for run in runs {
            outputs.push(run.await.unwrap());
        }
        outputs
    });
    assert!(bad.is_err());
    assert_eq!(bits(&outputs), expected);
}

#[test]
fn closing_gives_all_memory_back() {
    let model = model(6);
    let before = device("tiny").memory().free;
    let mut session = session(&model, "tiny", Some(64));
    session
        .run_batch(&sequences(&model, &[3, 40, 64], 1))
        .unwrap();
    let device = session.close().unwrap();
    assert_eq!(device.memory().free, before);
}
