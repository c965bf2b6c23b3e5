//! Interrupts that come, come late, twice, not at all or cut short. A socket pair is the kernel.

mod common;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use common::interrupt;
use uio_driver::{Completion, Deadline, Error, Interrupt, Stale, WaitError};

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(30))
}

fn long() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn armed_fired_taken() {
    let (mut irq, mut kernel) = interrupt(41);
    assert_eq!(irq.arm().unwrap(), Stale::default());
    assert_eq!(kernel.control(), 1);
    let fire = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        kernel.fire(42);
        kernel
    });
    let wake = irq.wait(long()).unwrap();
    assert_eq!((wake.count, wake.new, wake.armed), (42, 1, true));
    let mut kernel = fire.join().unwrap();
    irq.disarm().unwrap();
    assert_eq!(kernel.control(), 0);
    let stats = irq.stats();
    assert_eq!((stats.armed, stats.taken), (1, 1));
    assert_eq!(
        (stats.missed, stats.spurious, stats.duplicate, stats.late),
        (0, 0, 0, 0)
    );
}

#[test]
fn never_comes() {
    let (mut irq, _kernel) = interrupt(5);
    irq.arm().unwrap();
    let start = Instant::now();
    let error = irq.wait(soon()).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(
        matches!(error, Error::IrqTimeout { count: 5, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("/proc/interrupts"));
    assert_eq!(irq.stats().timeouts, 1);
    let error = irq.wait(Deadline::after(Duration::ZERO)).unwrap_err();
    assert!(
        matches!(error, Error::IrqTimeout { .. }),
        "no time at all is a deadline too"
    );
}

#[test]
fn comes_late_and_ends_no_later_wait() {
    let (mut irq, mut kernel) = interrupt(0);
    irq.arm().unwrap();
    irq.wait(soon()).unwrap_err();
    kernel.fire(1);
    assert_eq!(
        irq.arm().unwrap(),
        Stale {
            count: 1,
            late: true
        }
    );
    assert!(matches!(irq.wait(soon()), Err(Error::IrqTimeout { .. })));
    assert_eq!((irq.stats().late, irq.stats().spurious), (1, 0));
}

#[test]
fn comes_although_not_armed() {
    let (mut irq, mut kernel) = interrupt(0);
    kernel.fire(1);
    let wake = irq.wait(long()).unwrap();
    assert!(!wake.armed);
    assert_eq!(irq.stats().spurious, 1);
    kernel.fire(2);
    assert_eq!(
        irq.arm().unwrap(),
        Stale {
            count: 1,
            late: false
        }
    );
    assert_eq!(irq.stats().spurious, 2);
}

#[test]
fn comes_twice() {
    let (mut irq, mut kernel) = interrupt(0);
    irq.arm().unwrap();
    kernel.fire(1);
    kernel.fire(1); // the same count again is no second interrupt
    irq.wait(long()).unwrap();
    assert!(matches!(irq.wait(soon()), Err(Error::IrqTimeout { .. })));
    assert_eq!(irq.stats().duplicate, 1);
    irq.arm().unwrap();
    kernel.fire(2);
    kernel.fire(3); // a real second one shows in the count
    irq.wait(long()).unwrap();
    assert_eq!(irq.arm().unwrap().count, 1);
    assert_eq!(irq.stats().spurious, 1);
}

#[test]
fn missed_ones_show_in_the_count() {
    let (mut irq, mut kernel) = interrupt(u32::MAX);
    irq.arm().unwrap();
    kernel.fire(3); // the count wrapped: 0, 1, 2, 3
    let wake = irq.wait(long()).unwrap();
    assert_eq!((wake.count, wake.new), (3, 4));
    assert_eq!(irq.stats().missed, 3);
}

#[test]
fn count_runs_backwards() {
    let (mut irq, mut kernel) = interrupt(1000);
    irq.arm().unwrap();
    kernel.fire(1);
    let error = irq.wait(long()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::IrqCountBackwards {
                last: 1000,
                now: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn short_reads_are_errors() {
    for length in 1..4usize {
        let (mut irq, mut kernel) = interrupt(0);
        kernel.0.write_all(&[0; 3][..length]).unwrap();
        let error = irq.wait(long()).unwrap_err();
        assert!(
            matches!(error, Error::IrqShort { op: "read", got, .. } if got == length),
            "{error}"
        );
    }
    let (mut irq, kernel) = interrupt(0);
    drop(kernel); // end of file: nothing will ever come
    assert!(matches!(
        irq.wait(long()),
        Err(Error::IrqShort { got: 0, .. })
    ));
    assert!(matches!(irq.arm(), Err(Error::IrqShort { got: 0, .. })));
}

#[test]
fn a_descriptor_that_cannot_be_armed() {
    // The reading end of a pipe: the write of the mask fails.
    let (read, _write) = std::io::pipe().unwrap();
    let mut irq = Interrupt::from_fd("accel0", OwnedFd::from(read), 0).unwrap();
    assert!(matches!(irq.arm(), Err(Error::Io { op: "write", .. })));
}

#[test]
fn a_signal_does_not_shorten_a_wait() {
    // SIGCHLD is ignored by default but interrupts no restarted call; a handler does.
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    #[allow(unsafe_code)]
    // SAFETY: the handler does nothing, so it is async-signal-safe.
    unsafe {
        sigaction(Signal::SIGUSR1, &action).unwrap();
    }
    let (mut irq, _kernel) = interrupt(0);
    irq.arm().unwrap();
    let waiter = nix::sys::pthread::pthread_self();
    let signaller = std::thread::spawn(move || {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(10));
            nix::sys::pthread::pthread_kill(waiter, Signal::SIGUSR1).unwrap();
        }
    });
    let start = Instant::now();
    let error = irq
        .wait(Deadline::after(Duration::from_millis(200)))
        .unwrap_err();
    assert!(matches!(error, Error::IrqTimeout { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(200));
    signaller.join().unwrap();
}

#[test]
fn condition_and_interrupt_together() {
    let (mut irq, mut kernel) = interrupt(0);
    irq.arm().unwrap();
    kernel.control();
    kernel.fire(1); // without a cause
    let worker = std::thread::spawn(move || {
        assert_eq!(kernel.control(), 1, "re-armed after the spurious one");
        kernel.fire(2);
        kernel
    });
    let mut asked = 0;
    let done = || -> Result<bool, std::convert::Infallible> {
        asked += 1;
        Ok(asked > 1)
    };
    match irq.wait_until(long(), done).unwrap() {
        Completion::Interrupt(wake) => assert!(wake.count >= 1),
        Completion::Lost => panic!("an interrupt came"),
    }
    assert_eq!(irq.stats().spurious, 1);
    drop(worker.join().unwrap());
}

#[test]
fn done_but_the_interrupt_was_lost() {
    let (mut irq, _kernel) = interrupt(0);
    irq.arm().unwrap();
    let done = || Ok::<_, std::convert::Infallible>(true);
    assert_eq!(irq.wait_until(soon(), done).unwrap(), Completion::Lost);
    assert_eq!(irq.stats().lost, 1);
    let never = || Ok::<_, std::convert::Infallible>(false);
    let error = irq.wait_until(soon(), never).unwrap_err();
    assert!(
        matches!(error, WaitError::Irq(Error::IrqTimeout { .. })),
        "{error}"
    );
    let fails = || Err::<bool, _>(std::io::Error::other("bus error"));
    assert!(matches!(
        irq.wait_until(soon(), fails),
        Err(WaitError::Condition(_))
    ));
}

#[test]
fn a_stuck_line_ends_as_a_storm() {
    let (mut irq, mut kernel) = interrupt(0);
    irq.arm().unwrap();
    let stuck = std::thread::spawn(move || {
        // Fires at every unmasking, until the other end gives up.
        for count in 1.. {
            let mut word = [0; 4];
            if std::io::Read::read_exact(&mut kernel.0, &mut word).is_err() {
                return;
            }
            if kernel.0.write_all(&u32::to_ne_bytes(count)).is_err() {
                return;
            }
        }
    });
    let never = || Ok::<_, std::convert::Infallible>(false);
    let error = irq.wait_until(long(), never).unwrap_err();
    assert!(
        matches!(error, WaitError::Irq(Error::IrqStorm { .. })),
        "{error}"
    );
    drop(irq);
    stuck.join().unwrap();
}
