//! A history that fails, with as few faults and steps as still fail.

use fqbert_faults::{Event, Plan};

use crate::play;
use crate::property::Property;
use crate::scenario::Scenario;
use crate::world::World;

/// A plan of these events and no others.
pub fn events_alone(events: &[Event]) -> Plan {
    events.iter().fold(Plan::none(), |plan, event| {
        plan.at(event.fault, event.opportunity)
    })
}

/// The scenario with fewest faults and steps that was found to violate the same property, and the
/// numbers of the steps that are left.
pub fn shrink(world: &World, scenario: &Scenario, property: Property) -> (Scenario, Vec<usize>) {
    let fails = |s: &Scenario| {
        let outcome = play::run(world, s, false);
        let violated = outcome.violation.is_some_and(|v| v.property == property);
        violated.then_some(outcome.events)
    };
    let mut smallest = scenario.clone();
    let Some(mut events) = fails(scenario) else {
        return (smallest, (0..scenario.steps.len()).collect());
    };
    smallest.plan = events_alone(&events);
    let mut steps: Vec<usize> = (0..scenario.steps.len()).collect();
    loop {
        let size = (events.len(), steps.len());
        steps = fewest(steps, |left| {
            let steps = left.iter().map(|i| scenario.steps[*i].clone()).collect();
            fails(&Scenario {
                steps,
                ..smallest.clone()
            })
            .is_some()
        });
        smallest.steps = steps.iter().map(|i| scenario.steps[*i].clone()).collect();
        events = fewest(events, |left| {
            let plan = events_alone(left);
            fails(&Scenario {
                plan,
                ..smallest.clone()
            })
            .is_some()
        });
        smallest.plan = events_alone(&events);
        if (events.len(), steps.len()) == size {
            return (smallest, steps);
        }
    }
}

/// Leaves out ever smaller parts as long as what is left fails.
fn fewest<T: Clone>(mut all: Vec<T>, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut part = all.len();
    while part > 0 {
        let mut at = 0;
        while at < all.len() {
            let mut left = all.clone();
            left.drain(at..(at + part).min(all.len()));
            if fails(&left) {
                all = left;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let all: Vec<u32> = (0..40).collect();
        let needed = |left: &[u32]| left.contains(&7) && left.contains(&33);
        assert_eq!(fewest(all, needed), [7, 33]);
    }
}
