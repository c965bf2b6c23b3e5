//! Residual add (`docs/numerics.md`, section 6).

use crate::requant::sat16;

/// Sum of the residual stream and a branch of the same scale, -32767..=32767.
pub fn residual_add(a: i16, b: i16) -> i16 {
    sat16(i64::from(a) + i64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_on_both_sides() {
        assert_eq!(residual_add(32767, 1), 32767);
        assert_eq!(residual_add(-32768, 0), -32767);
        assert_eq!(residual_add(-32768, -32768), -32767);
        assert_eq!(residual_add(-32768, 32767), -1);
        assert_eq!(residual_add(1200, -1300), -100);
    }
}
