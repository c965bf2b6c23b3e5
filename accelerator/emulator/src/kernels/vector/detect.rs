//! What this CPU has: the only place that asks it.
//!
//! The assertions stand wherever safe code enters functions with target features: the kernel is
//! chosen once, but nothing but them makes it sound.

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::sync::LazyLock;

    /// What the AVX2 functions are compiled for.
    pub fn avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// AVX-VNNI.
    pub fn avx_vnni() -> bool {
        avx2() && is_x86_feature_detected!("avxvnni")
    }

    /// AVX-512 with VNNI, and BMI2. VL as well, which every CPU with VNNI has: without it 256-bit
    /// halves of sums must lie in the lower 16 registers, and the inner loop moves and spills its
    /// sums.
    pub fn avx512_vnni() -> bool {
        *AVX512_VNNI
    }

    /// Asked for with every two octets of a row tile: one look instead of one a feature.
    static AVX512_VNNI: LazyLock<bool> = LazyLock::new(|| {
        avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("bmi2")
    });

    /// Byte permutations of two registers, besides: Ice Lake, Zen 4 and later.
    pub fn avx512_vbmi() -> bool {
        *AVX512_VBMI
    }

    static AVX512_VBMI: LazyLock<bool> =
        LazyLock::new(|| avx512_vnni() && is_x86_feature_detected!("avx512vbmi"));

    /// Panics unless the CPU has what the AVX-512 functions are compiled for.
    pub fn assert_avx512_vnni() {
        assert!(
            avx512_vnni(),
            "the AVX-512 kernel was chosen on a CPU without it"
        );
    }

    /// Panics unless the CPU has what the AVX2 functions are compiled for.
    pub fn assert_avx2() {
        assert!(avx2(), "the AVX2 kernel was chosen on a CPU without it");
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::is_aarch64_feature_detected;

    /// NEON, as every aarch64 that runs Linux has.
    pub fn neon() -> bool {
        is_aarch64_feature_detected!("neon")
    }

    /// The dot product.
    pub fn neon_dot() -> bool {
        neon() && is_aarch64_feature_detected!("dotprod")
    }

    /// The 8-bit matrix product.
    pub fn neon_i8mm() -> bool {
        neon() && is_aarch64_feature_detected!("i8mm")
    }

    /// Panics unless the CPU has NEON.
    pub fn assert_neon() {
        assert!(neon(), "the NEON kernel was chosen on a CPU without it");
    }
}

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
