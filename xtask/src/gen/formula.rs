//! Sizes of memories as `isa.toml` writes them.

use anyhow::{Context, Result, ensure};

use super::geometry_source::{Geometries, Geometry};

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
    Parameter(String),
}

impl Formula {
    /// `geometries` has the parameters that a formula may name.
    pub fn parse(text: &str, geometries: &Geometries) -> Result<Self> {
        let (product, divisor) = match text.split_once('/') {
            Some((product, divisor)) => (product, divisor.trim().parse()?),
            None => (text, 1),
        };
        ensure!(divisor != 0, "`{text}` divides by zero");
        let factors = product.split('*').map(|factor| {
            let factor = factor.trim();
            match geometries.parameter(factor) {
                Some(parameter) => Ok(Factor::Parameter(parameter.name.clone())),
                None => Ok(Factor::Number(factor.parse().with_context(|| {
                    format!("`{factor}` in `{text}` is neither a number nor a geometry parameter")
                })?)),
            }
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
                .with_context(|| format!("a size overflows for geometry {}", geometry.name))?;
        }
        Ok(product / self.divisor)
    }
}

#[cfg(test)]
mod tests {
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
            let formula = Formula::parse(formula, &all).expect("a formula");
            assert_eq!(formula.value(zcu102).expect("in range"), value);
        }
        let huge = Formula::parse("clock_hz*clock_hz", &all).expect("a formula");
        assert!(huge.value(zcu102).is_err());
    }
}
