//! The check's histories, and that a seed is one history.

use fqbert_simulation::{Scenario, Step, World, campaign, run};

/// Histories of the check.
const HISTORIES: u64 = 20_000;

#[test]
fn no_history_violates_a_property() {
    let campaign = campaign(0..HISTORIES, 2).unwrap();
    if let Some((seed, violation)) = campaign.violated {
        panic!(
            "{}: {}; replay it with\n  cargo run -p fqbert-simulation -- --seed {seed}",
            violation.property, violation.told
        );
    }
    let t = campaign.tally;
    assert_eq!(t.histories, HISTORIES);
    // They are histories of something: most requests are answered, and many meet a fault.
    assert!(
        t.requests > 4 * HISTORIES && t.errors * 2 < t.requests,
        "{t:?}"
    );
    assert!(t.faults > 2 * HISTORIES && t.silently_wrong > 0, "{t:?}");
}

#[test]
fn a_seed_is_one_history() {
    let (alone, together) = (campaign(500..800, 1), campaign(500..800, 3));
    assert_eq!(alone.unwrap().tally, together.unwrap().tally);
    let world = World::new().unwrap();
    let scenario = Scenario::draw(550, world.questions.len());
    let (first, again) = (run(&world, &scenario, true), run(&world, &scenario, true));
    assert_eq!(first.lines, again.lines);
    assert!(first.lines.len() > scenario.steps.len());
}

#[test]
fn scenarios_have_every_step() {
    let steps: Vec<Step> = (0..2000).flat_map(|s| Scenario::draw(s, 8).steps).collect();
    let has = |is: fn(&Step) -> bool| steps.iter().any(is);
    assert!(has(|s| matches!(s, Step::Classify(_))));
    assert!(has(|s| matches!(s, Step::ClassifyBatch(_))));
    assert!(has(|s| matches!(s, Step::Submit(_))));
    assert!(has(|s| matches!(s, Step::Abandon(_))));
    assert!(has(|s| *s == Step::GiveUp) && has(|s| *s == Step::Serve));
}
