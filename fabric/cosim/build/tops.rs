//! The modules that are verilated, one line each. A test opens a top by its name.

/// A module with parameters of its own.
pub struct Top {
    /// Name in [`crate`]'s table and in `Model::open`; a C identifier.
    pub name: &'static str,
    /// The module, in a file of its name.
    pub module: &'static str,
    /// Folders of `fabric/rtl/src` it needs besides `common`.
    pub folders: &'static [&'static str],
    /// Integer parameters.
    pub parameters: &'static [(&'static str, u32)],
}

const fn top(
    name: &'static str,
    module: &'static str,
    folders: &'static [&'static str],
    parameters: &'static [(&'static str, u32)],
) -> Top {
    Top {
        name,
        module,
        folders,
        parameters,
    }
}

/// All of them, sorted by name.
pub const TOPS: &[Top] = &[top(
    "common_ram",
    "fqbert_ram",
    &[],
    &[("BYTES", 4), ("DEPTH", 48)],
)];
