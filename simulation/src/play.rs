//! A scenario happens, from opening to closing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fqbert_contract::device::Device;
use fqbert_faults::FaultyDevice;

use crate::device::VirtualDevice;
use crate::history::{History, Outcome, in_full};
use crate::property::Property;
use crate::scenario::Scenario;
use crate::world::{World, geometry};
use crate::{awaited, in_turn};

/// Lets a scenario happen; `verbose` keeps a line for each thing that happens.
pub fn run(world: &World, scenario: &Scenario, verbose: bool) -> Outcome {
    let device = VirtualDevice::new(geometry(), scenario.seed);
    let clock = device.clock();
    let device = FaultyDevice::new(Box::new(device), scenario.seed, scenario.plan.clone());
    let mut history = History::new(world, scenario, device.switch(), clock, verbose);
    let caught = catch_unwind(AssertUnwindSafe(|| happen(&mut history, Box::new(device))));
    if let Err(panic) = caught {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        history.violate(Property::NoPanic, text.unwrap_or("a panic").to_owned());
    }
    history.end()
}

fn happen(history: &mut History<'_>, device: Box<dyn Device>) {
    let scenario = history.scenario;
    history.tell(|h| h.scenario.to_string());
    history.arm(scenario.faults_at_opening);
    let session = match history.world.open(device, &scenario.options) {
        Ok(session) => session,
        Err(error) => {
            history.tell(|_| format!("not opened: {}", in_full(&error)));
            return history.afresh();
        }
    };
    history.arm(true);
    let session = if scenario.awaited {
        awaited::happen(history, session)
    } else {
        in_turn::happen(history, session)
    };
    let Some(mut session) = session else {
        return;
    };
    if !history.is_tainted() {
        history.check_usable(&mut session);
    }
    history.close(session);
    if history.is_tainted() {
        history.afresh();
    }
}
