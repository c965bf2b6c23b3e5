//! Accelerators that fail again and again, and the one that answers in their place.

use std::time::{Duration, Instant};

use fqbert_host::Tokens;
use fqbert_session::{
    AsyncSession, BreakerOptions, Failover, Session, SessionError, SessionOptions,
};

use crate::flipping::{Flip, Flipping, Flips, Moment};
use crate::{bits, model, options, right, tokens};

/// Makes every run fault: the code of the first program is damaged at every doorbell.
const FAULTS: Flip = Flip {
    moment: Moment::Doorbell,
    buffer: 3,
    offset: 0,
    bits: 0xff,
    times: u32::MAX,
};

fn breaker(resets: u32, pause: Duration) -> SessionOptions {
    SessionOptions {
        breaker: Some(BreakerOptions {
            resets,
            within: Duration::from_secs(60),
            pause,
        }),
        ..options()
    }
}

fn session(flips: &Flips, options: SessionOptions) -> Session {
    Session::new(model(), Box::new(Flipping::new(flips)), options).unwrap()
}

/// A session of another geometry.
fn other() -> Result<Session, SessionError> {
    let device = fqbert_open::open_device("emu:zcu102?threads=1").unwrap();
    Session::new(model(), device, options())
}

#[test]
fn a_flapping_accelerator_is_taken_out_and_back_by_rearming() {
    let flips = Flips::default();
    let mut session = session(&flips, breaker(4, Duration::from_secs(3600)));
    flips.push(FAULTS);
    for _ in 0..2 {
        let error = session.run(&tokens()).unwrap_err();
        assert!(matches!(error, SessionError::Fault { .. }), "{error}");
    }
    let runs = session.statistics().runs;
    for _ in 0..10 {
        let error = session.run(&tokens()).unwrap_err();
        assert!(
            matches!(error, SessionError::TakenOut { resets: 4, .. }),
            "{error}"
        );
    }
    let s = session.statistics();
    assert_eq!((s.runs, s.taken_out), (runs, 1), "nothing is rung any more");
    // A request that is wrong is told what is wrong with it.
    let error = session.run(&Tokens::default()).unwrap_err();
    assert!(matches!(error, SessionError::Host(_)), "{error}");

    flips.clear();
    session.rearm();
    assert_eq!(bits(&session.run(&tokens()).unwrap()), right(&model()));
}

#[test]
fn after_the_pause_one_run_is_tried() {
    let flips = Flips::default();
    let pause = Duration::from_millis(50);
    let mut session = session(&flips, breaker(2, pause));
    flips.push(FAULTS);
    assert!(session.run(&tokens()).is_err());
    let before = session.statistics().runs;
    std::thread::sleep(pause);
    let error = session.run(&tokens()).unwrap_err();
    assert!(matches!(error, SessionError::Fault { .. }), "{error}");
    let s = session.statistics();
    assert_eq!(s.runs, before + 1, "one run, not one for each retry");
    assert_eq!(s.taken_out, 2);
    flips.clear();
    std::thread::sleep(pause);
    assert_eq!(bits(&session.run(&tokens()).unwrap()), right(&model()));
    assert_eq!(session.statistics().taken_out, 2);
}

#[test]
fn a_fallback_answers_the_same_bits_and_says_so() {
    let flips = Flips::default();
    let first = session(&flips, breaker(4, Duration::from_secs(3600)));
    let mut failover = Failover::with_fallback(first, other);
    let right = right(&model());

    assert_eq!(bits(&failover.run(&tokens()).unwrap()), right);
    assert_eq!(failover.last_run().fallback, None);
    let own = failover.last_run().programs.clone();

    flips.push(FAULTS);
    let outputs = failover.run_batch(&[tokens(), tokens()]).unwrap();
    assert!(outputs.iter().all(|o| bits(o) == right));
    let record = failover.last_run().clone();
    let why = record.fallback.unwrap();
    assert!(why.contains("stopped with"), "{why}");
    assert!(record.programs != own, "programs of another geometry");
    assert_eq!(failover.statistics().by_fallback, 2);

    // What is wrong with a request is not the device's fault.
    let long = Tokens::from_ids(vec![1; 500]);
    let error = failover.run(&long).unwrap_err();
    assert!(matches!(error, SessionError::TooLong { .. }), "{error}");
    assert_eq!(failover.statistics().by_fallback, 2);

    // Taken out: straight to the fallback, until it is rearmed.
    assert_eq!(bits(&failover.run(&tokens()).unwrap()), right);
    let runs = failover.session().statistics().runs;
    assert_eq!(bits(&failover.run(&tokens()).unwrap()), right);
    assert_eq!(failover.session().statistics().runs, runs);
    let why = failover.last_run().fallback.clone().unwrap();
    assert!(why.contains("taken out"), "{why}");
    flips.clear();
    failover.session_mut().rearm();
    assert_eq!(bits(&failover.run(&tokens()).unwrap()), right);
    assert_eq!(failover.last_run().fallback, None);
}

#[test]
fn both_devices_failing_is_one_error_with_both_reasons() {
    let flips = Flips::default();
    let first = session(&flips, options());
    let mut failover = Failover::with_fallback(first, || Err(SessionError::Closed));
    flips.push(FAULTS);
    let error = failover.run(&tokens()).unwrap_err();
    let SessionError::Fallback { first, second } = &error else {
        panic!("{error}")
    };
    assert!(first.contains("stopped with"), "{first}");
    assert_eq!(second.to_string(), "the session was closed");
}

#[tokio::test]
async fn awaited_answers_have_their_record_and_their_fallback() {
    let flips = Flips::default();
    let first = session(&flips, breaker(2, Duration::from_secs(3600)));
    let session = AsyncSession::new(Failover::with_fallback(first, other)).unwrap();
    let right = right(&model());
    let answer = session.answer(tokens()).await.unwrap();
    assert_eq!(
        (bits(&answer.output), answer.record.fallback),
        (right.clone(), None)
    );
    flips.push(FAULTS);
    let began = Instant::now();
    for _ in 0..20 {
        let answer = session.answer(tokens()).await.unwrap();
        assert_eq!(bits(&answer.output), right);
        assert!(answer.record.fallback.is_some());
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}
