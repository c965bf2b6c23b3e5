//! The semaphores of a compiled program. Each has one producer and one consumer queue, and carries
//! its tokens in order.

/// Weight slot `s` is loaded: LOAD to MATRIX. `FULL + s`.
pub(crate) const FULL: u8 = 1;
/// Weight slot `s` may be overwritten: MATRIX to LOAD. `FREE + s`.
pub(crate) const FREE: u8 = 5;
/// The next set of requantization parameters is loaded: LOAD0 to MATRIX.
pub(crate) const PARAMS: u8 = 9;
/// The oldest set of parameters may be overwritten: MATRIX to LOAD0.
pub(crate) const PARAMS_FREE: u8 = 10;
/// A layer's exponential table and layer-norm parameters, or the 16-bit input, are loaded: LOAD0 to
/// VECTOR.
pub(crate) const CONSTANTS: u8 = 11;
/// The oldest table and layer-norm parameters may be overwritten: VECTOR to LOAD0.
pub(crate) const CONSTANTS_FREE: u8 = 12;
/// Scores are written: MATRIX to VECTOR.
pub(crate) const SCORES: u8 = 13;
/// Probabilities are written: VECTOR to MATRIX.
pub(crate) const PROBS: u8 = 14;
/// The branch of a row tile (or block) is written: MATRIX to VECTOR.
pub(crate) const BRANCH: u8 = 15;
/// A row tile (or block) is normalised: VECTOR to MATRIX.
pub(crate) const NORMED: u8 = 16;
/// What later matrix instructions read is written: MATRIX to MATRIX.
pub(crate) const SELF: u8 = 17;
/// A row tile of the 8-bit input is loaded: LOAD0 to MATRIX.
pub(crate) const INPUT: u8 = 18;
/// A row tile of the last layer's output is written: VECTOR to STORE.
pub(crate) const OUTPUT: u8 = 19;

/// Name of a semaphore in listings.
pub(crate) fn name(id: u8) -> &'static str {
    match id {
        1 => "wgt0.full",
        2 => "wgt1.full",
        3 => "wgt2.full",
        4 => "wgt3.full",
        5 => "wgt0.free",
        6 => "wgt1.free",
        7 => "wgt2.free",
        8 => "wgt3.free",
        PARAMS => "params",
        PARAMS_FREE => "params.free",
        CONSTANTS => "constants",
        CONSTANTS_FREE => "constants.free",
        SCORES => "scores",
        PROBS => "probs",
        BRANCH => "branch",
        NORMED => "normed",
        SELF => "self",
        INPUT => "input",
        OUTPUT => "output",
        _ => "?",
    }
}
