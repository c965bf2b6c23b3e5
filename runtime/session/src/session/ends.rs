//! The host's two ends of a run: tokens to the bytes that the accelerator reads, and the bytes that
//! it wrote to answers. Nothing here knows of a device, so that both may be done while one runs.

use std::ops::Range;

use fqbert_contract::geometry::Geometry;
use fqbert_contract::layout;
use fqbert_host::{HeadOutput, Host, HostError, Tokens};
use tracing::info_span;

use crate::batch::{Extent, Run};
use crate::error::SessionError;

/// The host's part of a model, and how a geometry lays its input and output out.
pub(super) struct Ends {
    pub host: Host,
    pub geometry: Geometry,
}

/// Where the sequences of a run lie.
pub(super) struct Places {
    rows: usize,
    /// The rows of each sequence, and its index among those of the call.
    sequences: Vec<(usize, Range<usize>)>,
}

/// What a run reads.
pub(super) struct Input {
    pub extent: Extent,
    /// Bytes of x8, x16 and the ranges.
    pub images: [Vec<u8>; 3],
    pub places: Places,
}

/// What the head says of a sequence, by its index among those of the call.
pub(super) type Answer = (usize, Result<HeadOutput, HostError>);

impl Places {
    /// Tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.sequences.iter().map(|(_, own)| own.len())
    }
}

impl Ends {
    /// Embeds the sequences of a run, each at least one token, that fit its bucket together.
    ///
    /// # Errors
    /// As [`Host::embed`].
    pub fn input(&self, run: &Run, sequences: &[Tokens]) -> Result<Input, SessionError> {
        let _span = info_span!("embed").entered();
        let Extent {
            tokens: rows,
            block,
        } = run.extent;
        let hidden = self.host.hidden();
        let rows = rows as usize;
        let (mut x8, mut x16) = (vec![0; rows * hidden], vec![0; rows * hidden]);
        // Rows of no sequence see no key.
        let mut ranges = vec![(0, 0); rows];
        let mut places = Vec::with_capacity(run.sequences.len());
        for (index, row) in &run.sequences {
            let Some(tokens) = sequences.get(*index) else {
                continue;
            };
            let input = self.host.embed(tokens)?;
            let start = row % block;
            let keys = (start as u16, (start as usize + tokens.len()) as u16);
            let own = *row as usize..*row as usize + tokens.len();
            ranges[own.clone()].fill(keys);
            x8[own.start * hidden..own.end * hidden].copy_from_slice(&input.x8);
            x16[own.start * hidden..own.end * hidden].copy_from_slice(&input.x16);
            places.push((*index, own));
        }
        Ok(Input {
            extent: run.extent,
            images: [
                layout::pack_act(&self.geometry, &x8, rows, hidden)?,
                layout::pack_res(&self.geometry, &x16, rows, hidden)?,
                layout::pack_ranges(&ranges, rows)?,
            ],
            places: Places {
                rows,
                sequences: places,
            },
        })
    }

    /// Hidden states of each sequence, `[tokens][hidden]`, from the bytes that a run wrote.
    pub fn states(
        &self,
        places: &Places,
        output: &[u8],
    ) -> Result<Vec<(usize, Vec<f32>)>, SessionError> {
        let hidden = self.host.hidden();
        let y16 = layout::unpack_res(&self.geometry, output, places.rows, hidden)?;
        let states = places.sequences.iter().map(|(index, own)| {
            let y16 = &y16[own.start * hidden..own.end * hidden];
            (*index, self.host.hidden_states(y16))
        });
        Ok(states.collect())
    }

    /// What the head says of each sequence, from the bytes that a run wrote.
    pub fn answers(&self, places: &Places, output: &[u8]) -> Result<Vec<Answer>, SessionError> {
        let states = self.states(places, output)?.into_iter();
        Ok(states
            .map(|(index, states)| (index, self.host.head(&states)))
            .collect())
    }
}
