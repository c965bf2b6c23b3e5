//! The asynchronous form: same counting, same deadlines.
#![cfg(feature = "tokio")]

mod common;

use std::time::Duration;

use common::interrupt;
use uio_driver::{AsyncInterrupt, Deadline, Error, Stale};

fn long() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[tokio::test]
async fn comes_while_waiting_and_before() {
    let (irq, mut kernel) = interrupt(0);
    let mut irq = AsyncInterrupt::new(irq).unwrap();
    for count in 1..100 {
        irq.arm().unwrap();
        assert_eq!(kernel.control(), 1);
        let mut sender = common::Kernel(kernel.0.try_clone().unwrap());
        let fire = tokio::spawn(async move {
            if count % 2 == 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            sender.fire(count);
        });
        if count % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(400)).await;
        }
        let wake = irq.wait(long()).await.unwrap();
        assert_eq!((wake.count, wake.new, wake.armed), (count, 1, true));
        fire.await.unwrap();
    }
    let stats = irq.stats();
    assert_eq!((stats.taken, stats.spurious, stats.missed), (99, 0, 0));
}

#[tokio::test]
async fn times_out_then_comes_late() {
    let (irq, mut kernel) = interrupt(7);
    let mut irq = AsyncInterrupt::new(irq).unwrap();
    irq.arm().unwrap();
    let error = irq
        .wait(Deadline::after(Duration::from_millis(30)))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::IrqTimeout { count: 7, .. }),
        "{error}"
    );
    kernel.fire(8);
    assert_eq!(
        irq.arm().unwrap(),
        Stale {
            count: 1,
            late: true
        }
    );
    kernel.fire(9);
    assert_eq!(
        irq.into_inner().wait(long()).unwrap().count,
        9,
        "nothing is lost on the way back"
    );
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let (irq, mut kernel) = interrupt(0);
    let mut irq = AsyncInterrupt::new(irq).unwrap();
    irq.arm().unwrap();
    let cut = tokio::time::timeout(Duration::from_millis(20), irq.wait(long())).await;
    assert!(cut.is_err());
    kernel.fire(1);
    assert_eq!(irq.wait(long()).await.unwrap().count, 1);
}

#[tokio::test]
async fn short_reads_are_errors() {
    use std::io::Write;
    let (irq, mut kernel) = interrupt(0);
    let mut irq = AsyncInterrupt::new(irq).unwrap();
    kernel.0.write_all(&[1, 0]).unwrap();
    assert!(matches!(
        irq.wait(long()).await,
        Err(Error::IrqShort { got: 2, .. })
    ));
}

#[test]
fn outside_a_runtime_is_an_error_not_a_panic() {
    let (irq, _kernel) = interrupt(0);
    assert!(matches!(
        AsyncInterrupt::new(irq),
        Err(Error::BadRequest { .. })
    ));
}
