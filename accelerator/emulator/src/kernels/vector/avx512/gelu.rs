//! A table of 256 bytes in registers.

use std::arch::x86_64::*;

/// The table of GELU, indexed by the code plus 128.
pub struct Table([__m512i; 4]);

impl Table {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn load(table: &[u8; 256]) -> Self {
        let quarters = table.as_chunks::<64>().0;
        // SAFETY: each quarter is 64 bytes; the load needs no alignment.
        let quarter = |at: usize| unsafe { _mm512_loadu_si512(quarters[at].as_ptr().cast()) };
        // A code's own bits as index: from 0 on, then from -128 on.
        Self([quarter(2), quarter(3), quarter(0), quarter(1)])
    }

    /// The entries of 64 codes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub fn of(&self, codes: __m512i) -> __m512i {
        // The two-register permutation takes the lower 7 bits of an index.
        let positive = _mm512_permutex2var_epi8(self.0[0], codes, self.0[1]);
        let negative = _mm512_permutex2var_epi8(self.0[2], codes, self.0[3]);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), positive, negative)
    }
}
