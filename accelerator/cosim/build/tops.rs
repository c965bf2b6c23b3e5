//! The modules that are verilated, one line each. A test opens a top by its name.

/// A module with parameters of its own.
pub struct Top {
    /// Name in [`crate`]'s table and in `Model::open`; a C identifier.
    pub name: &'static str,
    /// The module, in a file of its name.
    pub module: &'static str,
    /// Folders of `accelerator/rtl/src` it needs besides `common`.
    pub folders: &'static [&'static str],
    /// Integer parameters.
    pub parameters: &'static [(&'static str, u32)],
    /// A part of the design, for its bench: built with the crate's feature `parts` only.
    pub part: bool,
    /// Takes minutes to compile: built only when `FQBERT_COSIM_TOPS` has its whole name.
    pub large: bool,
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
        part: true,
        large: false,
    }
}

const fn large(top: Top) -> Top {
    Top { large: true, ..top }
}

/// The accelerator of a geometry, by its number in `fqbert_system_pkg`.
const fn whole(name: &'static str, parameters: &'static [(&'static str, u32)]) -> Top {
    Top {
        part: false,
        ..top(name, "fqbert_top", TOP, parameters)
    }
}

const MATRIX: &[&str] = &["matrix"];
const VECTOR: &[&str] = &["vector"];
const TOP: &[&str] = &["../generated", "system", "matrix", "vector"];
const SYSTEM: &[&str] = &["../generated", "system"];
const SHELL: &[&str] = &["../generated", "system", "../../cosim/bench"];

/// All of them, sorted by name.
pub const TOPS: &[Top] = &[
    top(
        "common_ram",
        "fqbert_ram",
        &[],
        &[("BYTES", 4), ("DEPTH", 48)],
    ),
    top("matrix_cascade", "fqbert_cascade", MATRIX, &[("LANES", 8)]),
    top(
        "matrix_groups",
        "fqbert_matrix",
        MATRIX,
        &[("ROWS", 16), ("PAIRS", 6), ("LANES", 4)],
    ),
    top(
        "matrix_join",
        "fqbert_join",
        MATRIX,
        &[("ROWS", 1), ("PAIRS", 6)],
    ),
    top(
        "matrix_key_origin_16_18",
        "fqbert_key_origin",
        MATRIX,
        &[("ROWS", 16), ("PAIRS", 18)],
    ),
    top(
        "matrix_key_origin_16_6",
        "fqbert_key_origin",
        MATRIX,
        &[("ROWS", 16), ("PAIRS", 6)],
    ),
    top(
        "matrix_key_origin_32_14",
        "fqbert_key_origin",
        MATRIX,
        &[("ROWS", 32), ("PAIRS", 14)],
    ),
    top(
        "matrix_narrow",
        "fqbert_matrix",
        MATRIX,
        &[("ROWS", 4), ("PAIRS", 6), ("LANES", 4)],
    ),
    large(top(
        "matrix_paper",
        "fqbert_matrix",
        MATRIX,
        &[("ROWS", 8), ("PAIRS", 12), ("LANES", 8)],
    )),
    top(
        "matrix_partial_sums",
        "fqbert_partial_sums",
        MATRIX,
        &[("ROWS", 1), ("PAIRS", 4)],
    ),
    top("matrix_requant", "fqbert_requant", MATRIX, &[]),
    top(
        "matrix_requant_params",
        "fqbert_requant_params",
        MATRIX,
        &[],
    ),
    top(
        "matrix_slice",
        "fqbert_dsp_packed",
        MATRIX,
        &[("CASCADED", 0), ("ACCUMULATE", 1)],
    ),
    top(
        "matrix_tiny",
        "fqbert_matrix",
        MATRIX,
        &[("ROWS", 4), ("PAIRS", 4), ("LANES", 8)],
    ),
    top(
        "system_decode_tiny",
        "fqbert_decode",
        SYSTEM,
        &[("PRESET", 0)],
    ),
    top(
        "system_decode_paper",
        "fqbert_decode",
        SYSTEM,
        &[("PRESET", 1)],
    ),
    top(
        "system_decode_zcu102",
        "fqbert_decode",
        SYSTEM,
        &[("PRESET", 2)],
    ),
    top(
        "system_decode_zcu111",
        "fqbert_decode",
        SYSTEM,
        &[("PRESET", 3)],
    ),
    // The tiny accelerator without its compute engines.
    top("system_shell", "fqbert_shell_bench", SHELL, &[]),
    large(whole("top_paper", &[("PRESET", 1)])),
    whole("top_tiny", &[("PRESET", 0)]),
    large(whole("top_zcu102", &[("PRESET", 2)])),
    top(
        "vector_paper",
        "fqbert_vector",
        VECTOR,
        &[("ROWS", 8), ("LN_CHANNELS", 2), ("MAX_HIDDEN", 1024)],
    ),
    // The words of RNG that a row tile takes, and four lanes a word.
    top(
        "vector_rows",
        "fqbert_vector",
        VECTOR,
        &[
            ("ROWS", 32),
            ("LANES", 4),
            ("MAX_SEQ", 64),
            ("MAX_HIDDEN", 64),
        ],
    ),
    top(
        "vector_tiny",
        "fqbert_vector",
        VECTOR,
        &[("ROWS", 4), ("LN_CHANNELS", 1), ("MAX_HIDDEN", 768)],
    ),
];
