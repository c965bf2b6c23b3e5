//! Which kernels this CPU runs, and which one computes.

use std::str::FromStr;

use fqbert_contract::Geometry;

use super::kernel::Kernel;
use super::vector;

/// Environment variable that forces a kernel, by its name.
const KERNEL_VARIABLE: &str = "FQBERT_KERNEL";

/// Why a kernel cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No kernel has the name.
    #[error("no kernel is called {name:?}; there are {}", names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This CPU, or the target of this build, lacks it.
    #[error("this CPU cannot run the kernel {kernel}; it can run {}", usable())]
    Unsupported {
        /// What was asked for.
        kernel: Kernel,
    },
}

fn names() -> String {
    Kernel::ALL.map(Kernel::name).join(", ")
}

fn usable() -> String {
    let names: Vec<&str> = Kernel::supported().map(Kernel::name).collect();
    names.join(", ")
}

impl Kernel {
    /// Whether this CPU runs it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar | Self::Portable => true,
            _ => vector::is_supported(self),
        }
    }

    /// The kernels this CPU runs, in the order of [`Kernel::ALL`].
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|k| k.is_supported())
    }

    /// The kernel that `FQBERT_KERNEL` names, if it is set and not empty.
    ///
    /// # Errors
    /// A name that is no kernel's, or a kernel this CPU does not run.
    pub fn from_env() -> Result<Option<Self>, KernelError> {
        match std::env::var(KERNEL_VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse().map(Some),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(name)) => Err(KernelError::Unknown {
                name: name.to_string_lossy().into_owned(),
            }),
        }
    }

    /// Itself, or the portable kernel where the vector kernels' assumptions (8 lanes, rows in
    /// fours, at most 32) do not hold for `g` or the CPU lacks it.
    pub(crate) fn usable_for(self, g: &Geometry) -> Self {
        let shaped = g.lanes == 8 && g.rows.is_multiple_of(4) && g.rows <= 32;
        if self == Self::Scalar || (shaped && self.is_supported()) {
            self
        } else {
            Self::Portable
        }
    }
}

impl FromStr for Kernel {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        let kernel = Self::ALL
            .into_iter()
            .find(|k| k.name() == name)
            .ok_or_else(|| KernelError::Unknown {
                name: name.to_owned(),
            })?;
        if kernel.is_supported() {
            Ok(kernel)
        } else {
            Err(KernelError::Unsupported { kernel })
        }
    }
}
