//! Part names: `xczu9eg-ffvb1156-2-e` is device, package, speed grade, temperature grade.

use std::fmt;
use std::str::FromStr;

use super::FpgaError;

/// A part, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `xczu9eg`.
    pub device: String,
    /// `ffvb1156`.
    pub package: String,
    /// `2`, `1l`; empty where the name stops before it.
    pub speed: String,
    /// `e`, `i`; empty likewise.
    pub temperature: String,
}

/// Longer names are no part names.
const PART_BYTES_MAX: usize = 64;

impl FromStr for Part {
    type Err = FpgaError;

    fn from_str(text: &str) -> Result<Self, FpgaError> {
        let bad = || FpgaError::BadPart {
            text: text.chars().take(PART_BYTES_MAX).collect(),
        };
        let lower = text.trim().to_ascii_lowercase();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if lower.len() > PART_BYTES_MAX || !lower.chars().all(legal) {
            return Err(bad());
        }
        let mut fields = lower.split('-');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let part = Self {
            device: next(),
            package: next(),
            speed: next(),
            temperature: next(),
        };
        // Vivado ends some names in a silicon revision (`-es1`): allowed and not compared.
        if part.device.is_empty() || part.package.is_empty() || fields.count() > 1 {
            return Err(bad());
        }
        Ok(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.device, self.package)?;
        for field in [&self.speed, &self.temperature] {
            if !field.is_empty() {
                write!(f, "-{field}")?;
            }
        }
        Ok(())
    }
}

impl Part {
    /// Whether a bitstream for `self` belongs into `board`: same device, same package, and timed
    /// for a speed grade that the board reaches.
    ///
    /// # Errors
    /// [`FpgaError::WrongPart`] naming the field.
    pub fn fits(&self, board: &Part) -> Result<(), FpgaError> {
        let grade = |speed: &str| speed.chars().next().and_then(|digit| digit.to_digit(10));
        let reason = if self.device != board.device {
            format!("device {} is not {}", self.device, board.device)
        } else if self.package != board.package {
            format!("package {} is not {}", self.package, board.package)
        } else if let (Some(timed), Some(real)) = (grade(&self.speed), grade(&board.speed))
            && timed > real
        {
            format!("timed for speed grade {timed}, the board reaches {real}")
        } else {
            return Ok(());
        };
        let (bitstream, board) = (self.to_string(), board.to_string());
        Err(FpgaError::WrongPart {
            bitstream,
            board,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let part: Part = "XCZU9EG-ffvb1156-2-e".parse().unwrap();
        assert_eq!(part.to_string(), "xczu9eg-ffvb1156-2-e");
        assert!("xczu28dr-ffvg1517-2-e-es1".parse::<Part>().is_ok());
        for wrong in [
            "",
            "-",
            "xczu9eg",
            "xczu9eg-",
            "a-b-c-d-e-f",
            "xczu9eg ffvb",
            &"x".repeat(99),
        ] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn fits() {
        let board: Part = "xczu9eg-ffvb1156-2-e".parse().unwrap();
        for (bitstream, word) in [
            ("xczu28dr-ffvg1517-2-e", "device"),
            ("xczu9eg-ffvc900-2-e", "package"),
            ("xczu9eg-ffvb1156-3-e", "speed"),
        ] {
            let error = bitstream
                .parse::<Part>()
                .unwrap()
                .fits(&board)
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
        for fine in [
            "xczu9eg-ffvb1156-1-i",
            "xczu9eg-ffvb1156-2-e",
            "xczu9eg-ffvb1156",
        ] {
            fine.parse::<Part>().unwrap().fits(&board).unwrap();
        }
    }
}
