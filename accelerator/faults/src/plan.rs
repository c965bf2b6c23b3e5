//! Which faults there are: `lost-doorbell=0.01+late-interrupt@3`.

use std::fmt;
use std::str::FromStr;

use fqbert_random::Random;

use crate::fault::{Class, Fault};

/// Chance of each fault at each opportunity where no plan is given.
const DEFAULT_RATE: f64 = 0.005;

/// When a fault happens.
#[derive(Clone, Debug, Default, PartialEq)]
struct Times {
    /// Chance at each opportunity.
    rate: f64,
    /// Opportunities at which it happens, from 1.
    at: Vec<u64>,
}

/// Which faults happen, and when: for each a chance at every opportunity, or the opportunities.
/// The default is each fault that is not [`Class::Silent`] at five in a thousand.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan([Times; Fault::COUNT]);

impl Default for Plan {
    fn default() -> Self {
        let loud = Fault::all().filter(|f| f.class() != Class::Silent && *f != Fault::Gone);
        loud.fold(Plan::none(), |plan, fault| plan.rate(fault, DEFAULT_RATE))
    }
}

/// Why a text is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No fault has the name.
    #[error("no fault is called {name:?}; there are {}", names())]
    Fault {
        /// What was given.
        name: String,
    },
    /// Neither a chance nor an opportunity.
    #[error(
        "fault {text:?}: expected NAME=CHANCE with a chance above 0 and up to 1, such as \
         lost-doorbell=0.01, or NAME@NUMBER with a number from 1 on, such as lost-doorbell@3"
    )]
    Value {
        /// What was given.
        text: String,
    },
}

fn names() -> String {
    let names: Vec<&str> = Fault::all().map(Fault::name).collect();
    names.join(", ")
}

impl Plan {
    /// No fault ever.
    pub fn none() -> Self {
        Self(std::array::from_fn(|_| Times::default()))
    }

    /// With a chance of `fault` at each opportunity.
    #[must_use]
    pub fn rate(mut self, fault: Fault, chance: f64) -> Self {
        self.0[fault as usize].rate = chance;
        self
    }

    /// With `fault` at one opportunity, counted from 1.
    #[must_use]
    pub fn at(mut self, fault: Fault, opportunity: u64) -> Self {
        self.0[fault as usize].at.push(opportunity);
        self
    }

    /// Whether the fault can happen.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        let times = &self.0[fault as usize];
        times.rate > 0.0 || !times.at.is_empty()
    }

    /// Whether the fault happens at an opportunity, whose generator is given.
    pub(crate) fn hits(&self, fault: Fault, opportunity: u64, random: &mut Random) -> bool {
        let times = &self.0[fault as usize];
        // Drawn in any case: how it happens is the same, named or drawn.
        let drawn = random.unit_f64() < times.rate;
        drawn || times.at.contains(&opportunity)
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut plan = Plan::none();
        for item in text.split('+') {
            let cut = item.find(['=', '@']).unwrap_or(item.len());
            let (name, value) = item.split_at(cut);
            let Some(fault) = Fault::by_name(name) else {
                return Err(PlanError::Fault {
                    name: name.to_owned(),
                });
            };
            let chance = |v: &str| v.parse().ok().filter(|c| *c > 0.0 && *c <= 1.0);
            let number = |v: &str| v.parse().ok().filter(|n| *n > 0);
            plan = match (value.get(..1), value.get(1..)) {
                (Some("="), Some(v)) => chance(v).map(|c| plan.rate(fault, c)),
                (Some("@"), Some(v)) => number(v).map(|n| plan.at(fault, n)),
                _ => None,
            }
            .ok_or_else(|| PlanError::Value {
                text: item.to_owned(),
            })?;
        }
        Ok(plan)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut item = |f: &mut fmt::Formatter<'_>, text: String| {
            let plus = if std::mem::take(&mut first) { "" } else { "+" };
            write!(f, "{plus}{text}")
        };
        for (fault, times) in Fault::all().zip(&self.0) {
            if times.rate > 0.0 {
                item(f, format!("{fault}={}", times.rate))?;
            }
            for at in &times.at {
                item(f, format!("{fault}@{at}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_is_written() {
        for text in [
            "lost-doorbell=0.01",
            "late-interrupt=1+lost-doorbell@3+lost-doorbell@70",
        ] {
            assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
        }
        assert!(Plan::default().has(Fault::WrongStatus));
        assert!(!Plan::default().has(Fault::FlippedCode));
    }

    #[test]
    fn what_is_no_plan_is_refused_by_name() {
        for (text, says) in [
            ("", "no fault is called \"\"; there are lost-interrupt, "),
            (
                "lost-bell=1",
                "no fault is called \"lost-bell\"; there are ",
            ),
            ("axi-error", "fault \"axi-error\": expected NAME=CHANCE"),
            ("axi-error=0", "fault \"axi-error=0\": "),
            ("axi-error=1.5", "fault \"axi-error=1.5\": "),
            ("axi-error=NaN", "fault \"axi-error=NaN\": "),
            ("axi-error@0", "fault \"axi-error@0\": "),
            ("axi-error@x+gone@1", "fault \"axi-error@x\": "),
            ("gone@1+", "no fault is called \"\""),
        ] {
            let error = text.parse::<Plan>().unwrap_err().to_string();
            assert!(error.starts_with(says), "{error:?} is not {says:?}");
        }
    }
}
