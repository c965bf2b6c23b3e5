//! The kernel's contiguous memory, for messages that say what to set.

use std::io;

use crate::Roots;

/// `CmaTotal` and `CmaFree` of `/proc/meminfo`, in bytes; zero where the kernel has no CMA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CmaInfo {
    /// Bytes set aside at boot (`cma=` on the kernel command line).
    pub total: u64,
    /// Bytes of it not in use; fragmented, so that one buffer of this size may still fail.
    pub free: u64,
}

impl CmaInfo {
    /// Reads them.
    ///
    /// # Errors
    /// That of a `/proc/meminfo` that cannot be read.
    pub fn read(roots: &Roots) -> io::Result<Self> {
        let text = std::fs::read_to_string(roots.proc.join("meminfo"))?;
        let kib = |key: &str| {
            let rest = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            rest.split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        };
        let (total, free) = (kib("CmaTotal").unwrap_or(0), kib("CmaFree").unwrap_or(0));
        Ok(Self { total, free })
    }

    /// The boot argument with room for `need` bytes beside what is in use now. A fifth on top, as
    /// the area fragments and other drivers take of it, in whole 16 MiB.
    pub fn boot_argument(&self, need: u64) -> String {
        let used = self.total.saturating_sub(self.free);
        let want = need.saturating_add(need / 5).saturating_add(used);
        format!("cma={}M", want.div_ceil(16 << 20).saturating_mul(16))
    }
}

#[cfg(test)]
mod tests {
    use super::CmaInfo;

    #[test]
    fn boot_argument_has_room() {
        let cma = CmaInfo {
            total: 64 << 20,
            free: 60 << 20,
        };
        assert_eq!(cma.boot_argument(64 << 20), "cma=96M");
        assert_eq!(CmaInfo::default().boot_argument(1), "cma=16M");
        assert_eq!(
            CmaInfo {
                total: 0,
                free: u64::MAX
            }
            .boot_argument(u64::MAX),
            "cma=17592186044416M"
        );
    }
}
