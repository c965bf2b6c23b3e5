//! What a cell of the part takes: the resources of UltraScale+ (UG574, UG573, UG579) by the names
//! of the primitives.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Mul};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Numbers of sites. A RAMB18 is half a `bram36`, hence halves are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    pub dsp48e2: u64,
    /// LUTs of all uses: logic, memory and shift registers.
    pub lut: u64,
    /// Those of them that are memory or shift registers.
    pub lut_memory: u64,
    pub ff: u64,
    pub ramb36: u64,
    pub ramb18: u64,
    pub uram: u64,
    /// Carry chains in units of four bits; they take no LUTs of their own.
    pub carry4: u64,
}

impl Resources {
    /// Block RAMs in units of 36 Kb.
    pub fn bram36(&self) -> f64 {
        self.ramb36 as f64 + self.ramb18 as f64 / 2.0
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            dsp48e2: self.dsp48e2 + other.dsp48e2,
            lut: self.lut + other.lut,
            lut_memory: self.lut_memory + other.lut_memory,
            ff: self.ff + other.ff,
            ramb36: self.ramb36 + other.ramb36,
            ramb18: self.ramb18 + other.ramb18,
            uram: self.uram + other.uram,
            carry4: self.carry4 + other.carry4,
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for Resources {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self {
            dsp48e2: self.dsp48e2 * times,
            lut: self.lut * times,
            lut_memory: self.lut_memory * times,
            ff: self.ff * times,
            ramb36: self.ramb36 * times,
            ramb18: self.ramb18 * times,
            uram: self.uram * times,
            carry4: self.carry4 * times,
        }
    }
}

/// Sums what cells take, by type and number.
///
/// # Errors
/// A cell that is no known primitive: something was not mapped.
pub fn total(cells: &BTreeMap<String, u64>) -> Result<Resources> {
    let mut sum = Resources::default();
    for (kind, &number) in cells {
        sum += one(kind)? * number;
    }
    Ok(sum)
}

fn one(kind: &str) -> Result<Resources> {
    let zero = Resources::default();
    let memory = |lut| Resources {
        lut,
        lut_memory: lut,
        ..zero
    };
    Ok(match kind {
        // Vivado folds an inverter into the LUT behind it; it counts as a LUT here.
        "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" | "INV" => Resources { lut: 1, ..zero },
        // Where a dissolved module was: no hardware.
        "$scopeinfo" => zero,
        // Part of the slice, beside its LUTs.
        "MUXF7" | "MUXF8" | "MUXF9" | "GND" | "VCC" => zero,
        "CARRY4" => Resources { carry4: 1, ..zero },
        "CARRY8" => Resources { carry4: 2, ..zero },
        "FDRE" | "FDSE" | "FDCE" | "FDPE" => Resources { ff: 1, ..zero },
        "SRL16E" | "SRLC16E" | "SRLC32E" | "RAM32X1S" | "RAM64X1S" => memory(1),
        "RAM32X1D" | "RAM64X1D" | "RAM128X1S" => memory(2),
        "RAM32M" | "RAM64M" | "RAM128X1D" | "RAM256X1S" => memory(4),
        "RAM32M16" | "RAM64M8" | "RAM256X1D" | "RAM512X1S" => memory(8),
        "DSP48E2" => Resources { dsp48e2: 1, ..zero },
        "RAMB36E2" => Resources { ramb36: 1, ..zero },
        "RAMB18E2" => Resources { ramb18: 1, ..zero },
        "URAM288" | "URAM288_BASE" => Resources { uram: 1, ..zero },
        _ => bail!("a cell `{kind}` is left, which is no primitive of the part known here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_add_up() {
        let cells = [
            ("LUT6", 3),
            ("RAM64M8", 2),
            ("FDRE", 5),
            ("RAMB18E2", 3),
            ("MUXF7", 9),
        ];
        let cells = cells.map(|(kind, number)| (kind.to_owned(), number)).into();
        let sum = total(&cells).unwrap();
        assert_eq!((sum.lut, sum.lut_memory, sum.ff), (19, 16, 5));
        assert_eq!(sum.bram36(), 1.5);
        let names = [("$scopeinfo".to_owned(), 7)].into();
        assert_eq!(total(&names).unwrap(), Resources::default());
    }

    #[test]
    fn what_was_not_mapped_is_an_error() {
        assert!(total(&[("$mul".to_owned(), 1)].into()).is_err());
    }
}
