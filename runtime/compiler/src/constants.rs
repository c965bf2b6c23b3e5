//! The constants region: everything of a model that the accelerator reads, in the order and form in
//! which it is loaded.
//!
//! It depends on model and geometry alone, so the programs of all sequence lengths share it. A
//! matrix is its column tiles one after another, each as a weight slot holds it; so any run of
//! tiles is one copy.

use fqbert_contract::geometry::{Geometry, Mode};
use fqbert_contract::layout::{pack_exp_table, pack_gelu_table, pack_layer_norm, pack_params};
use fqbert_contract::program::Span;
use fqbert_model::{Linear, QuantizedLayer, QuantizedModel, WeightCodes};
use fqbert_numerics::requant::Requant;

use crate::error::CompileError;
use crate::place::Placer;
use crate::plan::check_model;

/// Every part begins at a multiple of this many bytes: a whole burst of four beats.
const ALIGNMENT: u64 = 64;

/// Where one matrix lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixLayout {
    /// All column tiles.
    pub span: Span,
    /// 4-bit or 8-bit codes.
    pub mode: Mode,
    /// Output channels.
    pub outputs: u32,
    /// Words of a weight slot for one column tile: input channels / lanes.
    pub tile_words: u32,
    /// Column tiles.
    pub tiles: u32,
}

/// Requantization parameters that are loaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamSet {
    /// Q, K, V, one record for all scores, one for all context.
    Attention,
    /// Attention output projection.
    Output,
    /// First feed-forward layer.
    FfnIn,
    /// Second feed-forward layer.
    FfnOut,
}

impl ParamSet {
    /// In order of use.
    pub const ALL: [ParamSet; 4] = [
        ParamSet::Attention,
        ParamSet::Output,
        ParamSet::FfnIn,
        ParamSet::FfnOut,
    ];
}

/// Where the parts of one layer lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerLayout {
    /// In the order of [`Linear::ALL`].
    pub matrices: [MatrixLayout; 6],
    /// In the order of [`ParamSet::ALL`].
    pub params: [Span; 4],
    /// The exponential table.
    pub exp: Span,
    /// The GELU table.
    pub gelu: Span,
    /// Parameters of the two layer norms: after attention, after the feed-forward.
    pub norms: [Span; 2],
}

impl LayerLayout {
    /// One of the six matrices.
    pub fn matrix(&self, which: Linear) -> &MatrixLayout {
        &self.matrices[which as usize]
    }

    /// One of the four parameter sets.
    pub fn params(&self, set: ParamSet) -> Span {
        self.params[set as usize]
    }
}

/// Where everything lies in the constants region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantsLayout {
    /// By layer.
    pub layers: Vec<LayerLayout>,
    /// Size of the region in bytes.
    pub bytes: u64,
}

/// The bytes of the constants region.
#[derive(Clone, PartialEq, Eq)]
pub struct ConstantsImage {
    /// What the host copies into the region's buffer.
    pub bytes: Vec<u8>,
    /// What is where.
    pub layout: ConstantsLayout,
}

impl std::fmt::Debug for ConstantsImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConstantsImage({} bytes)", self.bytes.len())
    }
}

impl ConstantsLayout {
    /// The layout for a model on a geometry. It is that of [`pack_constants`] if that accepts the
    /// model.
    pub fn new(model: &QuantizedModel, g: &Geometry) -> Self {
        let mut parts = Placer::new(ALIGNMENT);
        let mut place = |length| parts.place(length);
        let hidden = model.config.hidden as u64;
        let layers = model
            .layers
            .iter()
            .map(|layer| LayerLayout {
                matrices: Linear::ALL.map(|which| {
                    let weights = &layer.linear(which).weights;
                    let outputs = weights.outputs() as u32;
                    let tile_words = weights.inputs() as u32 / g.lanes;
                    let tiles = outputs.div_ceil(g.tile_channels(weights.mode()));
                    let words = u64::from(tiles) * u64::from(tile_words);
                    let span = place(words * u64::from(g.pairs * g.lanes));
                    MatrixLayout {
                        span,
                        mode: weights.mode(),
                        outputs,
                        tile_words,
                        tiles,
                    }
                }),
                params: ParamSet::ALL.map(|set| place(8 * records(layer, set).count() as u64)),
                exp: place(512),
                gelu: place(256),
                norms: [place(32 + 8 * hidden), place(32 + 8 * hidden)],
            })
            .collect();
        Self {
            layers,
            bytes: parts.end(),
        }
    }
}

/// The records of a set in order of channel. Scores and context take a whole word each, since a
/// base is a word.
fn records(layer: &QuantizedLayer, set: ParamSet) -> impl Iterator<Item = Requant> {
    let (linears, uniform): (&[Linear], _) = match set {
        ParamSet::Attention => (&[Linear::Q, Linear::K, Linear::V], true),
        ParamSet::Output => (&[Linear::O], false),
        ParamSet::FfnIn => (&[Linear::FfnIn], false),
        ParamSet::FfnOut => (&[Linear::FfnOut], false),
    };
    let extra = [layer.scores, layer.scores, layer.context, layer.context];
    linears
        .iter()
        .flat_map(|which| layer.linear(*which).params.iter().copied())
        .chain(extra.into_iter().filter(move |_| uniform))
}

/// Builds the constants region of a model.
///
/// # Errors
/// [`CompileError`]: a size that the geometry does not take, or parts that disagree.
pub fn pack_constants(
    model: &QuantizedModel,
    g: &Geometry,
) -> Result<ConstantsImage, CompileError> {
    check_model(model, g)?;
    let mut bytes = vec![0u8; ConstantsLayout::new(model, g).bytes as usize];
    let layout = pack_constants_in_parts(model, g, |offset, part| {
        bytes[offset as usize..][..part.len()].copy_from_slice(part);
        Ok::<(), CompileError>(())
    })?;
    Ok(ConstantsImage { bytes, layout })
}

/// Builds the constants region of a model part by part, so that no more than one matrix is there
/// twice: `write` gets the offset and bytes of each, in ascending order and without gaps.
///
/// # Errors
/// As [`pack_constants`], before anything is written; or what `write` returns.
pub fn pack_constants_in_parts<E: From<CompileError>>(
    model: &QuantizedModel,
    g: &Geometry,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<ConstantsLayout, E> {
    check_model(model, g)?;
    let layout = ConstantsLayout::new(model, g);
    let mut padded = Vec::new();
    let mut next = |span: Span, fill: &mut dyn FnMut(&mut [u8])| {
        padded.clear();
        padded.resize(span.length.next_multiple_of(ALIGNMENT) as usize, 0);
        fill(&mut padded[..span.length as usize]);
        write(span.offset, &padded)
    };
    for (layer, at) in model.layers.iter().zip(&layout.layers) {
        for which in Linear::ALL {
            next(at.matrix(which).span, &mut |out| {
                pack_matrix(g, &layer.linear(which).weights, out);
            })?;
        }
        for set in ParamSet::ALL {
            let records: Vec<_> = records(layer, set).collect();
            let image = pack_params(&records);
            next(at.params(set), &mut |out| out.copy_from_slice(&image))?;
        }
        let (exp, gelu) = (
            pack_exp_table(&layer.exp_table),
            pack_gelu_table(&layer.gelu_table),
        );
        next(at.exp, &mut |out| out.copy_from_slice(&exp))?;
        next(at.gelu, &mut |out| out.copy_from_slice(&gelu))?;
        for (norm, span) in [&layer.ln_attn, &layer.ln_out].into_iter().zip(at.norms) {
            let image = pack_layer_norm(norm).map_err(CompileError::from)?;
            next(span, &mut |out| out.copy_from_slice(&image))?;
        }
    }
    Ok(layout)
}

/// Column tiles of a matrix, as [`fqbert_contract::layout::pack_weight_tile`] defines them. The
/// model keeps a row of bytes for each pair of 4-bit channels or for each 8-bit channel, so both
/// modes are the same transposition of `lanes`-byte pieces: `C` rows by `K / L` chunks.
fn pack_matrix(g: &Geometry, weights: &WeightCodes, out: &mut [u8]) {
    let (pairs, lanes) = (g.pairs as usize, g.lanes as usize);
    let k = weights.inputs();
    let tile_bytes = k * pairs;
    for (rows, tile) in weights
        .bytes()
        .chunks(k * pairs)
        .zip(out.chunks_exact_mut(tile_bytes))
    {
        for (pair, row) in rows.chunks_exact(k).enumerate() {
            for (chunk, piece) in row.chunks_exact(lanes).enumerate() {
                tile[(chunk * pairs + pair) * lanes..][..lanes].copy_from_slice(piece);
            }
        }
    }
}
