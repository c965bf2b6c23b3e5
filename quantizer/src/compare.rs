//! The integer model beside the float one, site by site.

use fqbert_checkpoint::{Checkpoint, Observer, Site};
use fqbert_evaluation::metrics::noise::Noise;
use fqbert_host::{InputError, QuantizedInput, Tokens};
use fqbert_model::reference::{EncoderInput, LayerTrace};
use fqbert_model::{LayerScales, QuantizedModel};
use rayon::prelude::*;

use crate::error::{QuantizeError, refuse};
use crate::report::SiteReport;
use crate::watch::name;

/// Sites compared, in order of execution, with the bits of their codes.
const SITES: [(Site, u8); 11] = [
    (Site::LayerInput, 8),
    (Site::Q, 8),
    (Site::K, 8),
    (Site::V, 8),
    (Site::Probs, 8),
    (Site::Context, 8),
    (Site::AttnOut, 16),
    (Site::AttnNorm, 8),
    (Site::FfnMid, 8),
    (Site::FfnOut, 16),
    (Site::LayerOut, 16),
];

/// Energies at one site.
#[derive(Debug, Clone, Copy, Default)]
struct Energy {
    noise: Noise,
    saturated: u64,
    values: u64,
}

impl Energy {
    fn add(&mut self, float: &[f32], codes: impl Iterator<Item = f32>, scale: f32, limit: f32) {
        for (float, code) in float.iter().zip(codes) {
            self.noise
                .add_value(f64::from(*float), f64::from(code) * f64::from(scale));
            self.saturated += u64::from(code.abs() >= limit);
            self.values += 1;
        }
    }

    fn merge(&mut self, o: &Energy) {
        self.noise.merge(&o.noise);
        self.saturated += o.saturated;
        self.values += o.values;
    }
}

/// Keeps the float values of one sequence, by layer and place in [`SITES`].
#[derive(Default)]
struct Keep(Vec<Vec<Vec<f32>>>);

impl Observer for Keep {
    fn observe(&mut self, layer: usize, site: Site, values: &[f32], _: usize, _: usize) {
        if site == Site::LayerInput {
            self.0.resize(layer + 1, Vec::new());
        }
        if SITES.iter().any(|s| s.0 == site)
            && let Some(kept) = self.0.get_mut(layer)
        {
            kept.push(values.to_vec());
        }
    }
}

/// The scales of the sites of a layer, in the order of [`SITES`].
fn site_scales(s: &LayerScales) -> [f32; SITES.len()] {
    [
        s.x8,
        s.q,
        s.k,
        s.v,
        1.0 / 255.0,
        s.context,
        s.x16,
        s.attn8,
        s.mid,
        s.attn16,
        s.y16,
    ]
}

/// Reports of the sites of each layer. `float` is the checkpoint that the model was made from,
/// equalized as it was.
pub(crate) fn compare(
    float: &Checkpoint,
    model: &QuantizedModel,
    sequences: &[&Tokens],
) -> Result<Vec<Vec<SiteReport>>, QuantizeError> {
    let all: Vec<Vec<[Energy; SITES.len()]>> = sequences
        .par_iter()
        .enumerate()
        .map(|(index, tokens)| compare_one(float, model, index, tokens))
        .collect::<Result<_, QuantizeError>>()?;
    let reports = model.layers.iter().enumerate().map(|(layer, l)| {
        let sites = SITES.iter().zip(site_scales(&l.scales)).enumerate();
        let sites = sites.map(|(i, ((site, bits), scale))| {
            let mut total = Energy::default();
            all.iter()
                .filter_map(|e| e.get(layer)?.get(i))
                .for_each(|e| total.merge(e));
            SiteReport {
                site: name(*site),
                bits: *bits,
                scale,
                sqnr_db: total.noise.sqnr_db_bounded(),
                saturated: total.saturated as f64 / total.values.max(1) as f64,
            }
        });
        sites.collect()
    });
    Ok(reports.collect())
}

/// Energies of the sites of each layer on calibration sequence `index`.
fn compare_one(
    float: &Checkpoint,
    model: &QuantizedModel,
    index: usize,
    tokens: &Tokens,
) -> Result<Vec<[Energy; SITES.len()]>, QuantizeError> {
    let bad = |source: InputError| refuse(index, source);
    let embeddings = &float.embeddings;
    let embedded = embeddings
        .embed(&tokens.ids, &tokens.type_ids)
        .map_err(bad)?;
    let QuantizedInput { x8, x16 } = QuantizedInput::new(&embedded, model.input_scales());
    let input = EncoderInput {
        x8,
        x16,
        ranges: vec![(0, tokens.len() as u16); tokens.len()],
    };
    let mut kept = Keep::default();
    float.encode(embedded, &mut kept).map_err(bad)?;
    let mut energies = Vec::with_capacity(model.layers.len());
    let (mut x8, mut y16) = (input.x8.clone(), Vec::new());
    let run = model.reference_layers(&input, |layer, trace| {
        let mut of_layer = [Energy::default(); SITES.len()];
        if let (Some(kept), Some(l)) = (kept.0.get(layer), model.layers.get(layer)) {
            let zero = f32::from(l.mid_zero());
            let scales = site_scales(&l.scales);
            for (i, ((energy, float), scale)) in
                of_layer.iter_mut().zip(kept).zip(scales).enumerate()
            {
                add(energy, i, float, &x8, &trace, scale, zero);
            }
        }
        energies.push(of_layer);
        (x8, y16) = (trace.y8, trace.y16);
    });
    // Lengths were made from one another above.
    run.map_err(|e| QuantizeError::Option {
        option: "sequence",
        value: tokens.len().to_string(),
        expected: e.to_string(),
    })?;
    // A model whose head overflows on its own calibration texts is not written.
    let scale = model.output_scale();
    let states: Vec<f32> = y16.iter().map(|v| f32::from(*v) * scale).collect();
    let head = float.head.apply(&states, model.config.hidden);
    head.map_err(|e| refuse(index, e))?;
    Ok(energies)
}

/// Adds the values of site number `i` of [`SITES`]; `zero` is what codes of the activation lack.
fn add(
    energy: &mut Energy,
    i: usize,
    float: &[f32],
    x8: &[i8],
    t: &LayerTrace,
    scale: f32,
    zero: f32,
) {
    let mut bytes =
        |codes: &[i8]| energy.add(float, codes.iter().map(|c| f32::from(*c)), scale, 127.0);
    match i {
        0 => bytes(x8),
        1 => bytes(&t.q),
        2 => bytes(&t.k),
        3 => bytes(&t.v),
        4 => energy.add(float, t.probs.iter().map(|c| f32::from(*c)), scale, 256.0),
        5 => bytes(&t.context),
        7 => bytes(&t.attn8),
        8 => energy.add(
            float,
            t.mid.iter().map(|c| f32::from(*c) + zero),
            scale,
            254.0,
        ),
        _ => {
            let words = match i {
                6 => &t.attn_branch,
                9 => &t.ffn_branch,
                _ => &t.y16,
            };
            energy.add(float, words.iter().map(|c| f32::from(*c)), scale, 32767.0);
        }
    }
}
