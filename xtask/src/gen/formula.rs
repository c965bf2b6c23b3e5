//! Sizes of memories as `isa.toml` writes them.

use anyhow::{Context, Result, ensure};

use super::model::{Geometry, PARAMETERS};

/// A size as a product of geometry parameters and numbers, with an optional divisor: `4*R`,
/// `max_seq/4`.
#[derive(Debug)]
pub struct Formula {
    pub factors: Vec<Factor>,
    pub divisor: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    Number(u32),
    Parameter(&'static str),
}

impl Formula {
    pub fn parse(text: &str) -> Result<Self> {
        let (product, divisor) = match text.split_once('/') {
            Some((product, divisor)) => (product, divisor.trim().parse()?),
            None => (text, 1),
        };
        ensure!(divisor != 0, "`{text}` divides by zero");
        let factors = product.split('*').map(|factor| match factor.trim() {
            "R" => Ok(Factor::Parameter("rows")),
            "C" => Ok(Factor::Parameter("pairs")),
            "L" => Ok(Factor::Parameter("lanes")),
            factor => match PARAMETERS.iter().find(|p| **p == factor) {
                Some(parameter) => Ok(Factor::Parameter(parameter)),
                None => Ok(Factor::Number(factor.parse().with_context(|| {
                    format!("`{factor}` in `{text}` is neither a number nor a geometry parameter")
                })?)),
            },
        });
        Ok(Formula {
            factors: factors.collect::<Result<_>>()?,
            divisor,
        })
    }

    pub fn value(&self, geometry: &Geometry) -> Result<u32> {
        let mut product = 1u32;
        for factor in &self.factors {
            let factor = match factor {
                Factor::Number(number) => *number,
                Factor::Parameter(name) => geometry.number(name)?,
            };
            product = product
                .checked_mul(factor)
                .with_context(|| format!("{self:?} overflows for geometry {}", geometry.name))?;
        }
        Ok(product / self.divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Geometries;
    use super::*;

    const GEOMETRY: &str = include_str!("../../../accelerator/contract/geometry.toml");

    #[test]
    fn formulas_follow_the_geometry() {
        let all = Geometries::parse(GEOMETRY).expect("geometry.toml");
        let zcu102 = all
            .geometry
            .iter()
            .find(|g| g.name == "zcu102")
            .expect("listed");
        for (formula, value) in [("R*L", 128), ("C*L", 144), ("4*R", 64), ("max_seq/4", 128)] {
            let formula = Formula::parse(formula).expect("a formula");
            assert_eq!(formula.value(zcu102).expect("in range"), value);
        }
        let huge = Formula::parse("clock_hz*clock_hz").expect("a formula");
        assert!(huge.value(zcu102).is_err());
    }
}
