//! Several runs, one after the other, with the host's part of one beside the device's of another.
//!
//! While run *n* computes, a second thread reads the answers of run *n - 1* and embeds the input of
//! run *n + 1*, which then waits in the host's memory until the device is free. That thread has no
//! device: all calls on it are made by the caller's thread, in the order and with the bytes that
//! they would have without overlap, so that what holds for an attempt ([`super::attempt`]) holds
//! here. The input of a run stays with it until it has ended, for further attempts and to be
//! compared. At most one input waits, and one output is being read.
//!
//! Why not a second input in device memory: what would be gained is the time of its copy and of
//! taking it back, a small part of a run; and the device would be called while it runs, which a
//! scrub, a reset and an emulator that computes within calls would have to be told of.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use fqbert_host::Tokens;
use tracing::{dispatcher, warn};

use super::Session;
use super::ends::{Answer, Ends, Input, Places};
use crate::batch::Run;
use crate::error::SessionError;

/// What the host's thread has from a run.
struct Ended {
    places: Places,
    output: Vec<u8>,
}

/// The caller's ends of the channels.
struct DeviceSide {
    inputs: Receiver<Result<Input, SessionError>>,
    outputs: SyncSender<Ended>,
    answers: Receiver<Result<Vec<Answer>, SessionError>>,
}

/// The host thread's ends.
struct HostSide {
    inputs: SyncSender<Result<Input, SessionError>>,
    outputs: Receiver<Ended>,
    answers: SyncSender<Result<Vec<Answer>, SessionError>>,
}

fn channels() -> (DeviceSide, HostSide) {
    let (to_run, inputs) = sync_channel(1);
    let (outputs, to_read) = sync_channel(1);
    // Of two runs: the caller takes what is there after each.
    let (read, answers) = sync_channel(2);
    (
        DeviceSide {
            inputs,
            outputs,
            answers,
        },
        HostSide {
            inputs: to_run,
            outputs: to_read,
            answers: read,
        },
    )
}

impl Session {
    /// Runs all of `runs`; `take` gets the answers of each, in order.
    pub(super) fn execute_all(
        &mut self,
        runs: &[Run],
        sequences: &[Tokens],
        mut take: impl FnMut(Vec<Answer>),
    ) -> Result<(), SessionError> {
        if self.options.overlap && runs.len() > 1 {
            let ends = self.ends.clone();
            let (device, host) = channels();
            // What listens to this thread's spans listens to those.
            let listens = dispatcher::get_default(Clone::clone);
            let overlapped = thread::scope(|scope| {
                let name = "fqbert-host".to_owned();
                let thread = thread::Builder::new().name(name);
                let work = || host.work(&ends, runs, sequences);
                let work = || dispatcher::with_default(&listens, work);
                match thread.spawn_scoped(scope, work) {
                    Ok(_) => Some(self.execute_beside(runs, device, &mut take)),
                    Err(error) => {
                        warn!(%error, "no thread for the host's part: runs are not overlapped");
                        None
                    }
                }
            });
            if let Some(result) = overlapped {
                return result;
            }
        }
        for run in runs {
            let input = self.ends.input(run, sequences)?;
            let output = self.run_input(run, &input)?;
            take(self.ends.answers(&input.places, &output)?);
        }
        Ok(())
    }

    /// The device's part of all runs.
    fn execute_beside(
        &mut self,
        runs: &[Run],
        DeviceSide {
            inputs,
            outputs,
            answers,
        }: DeviceSide,
        take: &mut impl FnMut(Vec<Answer>),
    ) -> Result<(), SessionError> {
        for run in runs {
            // Without one the thread has panicked, which its scope tells.
            let Ok(input) = inputs.recv() else {
                return Ok(());
            };
            let input = input?;
            let output = self.run_input(run, &input)?;
            let places = input.places;
            if outputs.send(Ended { places, output }).is_err() {
                break;
            }
            while let Ok(read) = answers.try_recv() {
                take(read?);
            }
        }
        drop(outputs);
        for read in answers {
            take(read?);
        }
        Ok(())
    }
}

impl HostSide {
    /// The host's part of all runs: at the beginning two inputs, one to run and one to wait; then
    /// the answers of each run that has ended, and a further input. Ends where the caller has given
    /// up, or an input cannot be made, which is the last thing told.
    fn work(self, ends: &Ends, runs: &[Run], sequences: &[Tokens]) {
        let mut unmade = runs.iter();
        let mut next = || match unmade.next() {
            None => true,
            Some(run) => {
                let input = ends.input(run, sequences);
                let made = input.is_ok();
                self.inputs.send(input).is_ok() && made
            }
        };
        let mut more = next() && next();
        while let Ok(Ended { places, output }) = self.outputs.recv() {
            let answers = ends.answers(&places, &output);
            if self.answers.send(answers).is_err() {
                return;
            }
            more = more && next();
        }
    }
}
