//! From token ids to the input of the first encoder layer. Runs on the CPU in the product too.

use half::f16;

use crate::config::BertConfig;
use crate::error::InputError;
use crate::linear::LayerNorm;

/// The word embedding table, `[vocab][hidden]` row-major. It is by far the largest tensor of a
/// small model, so it may stay in half precision.
#[derive(Debug, Clone, PartialEq)]
pub enum WordTable {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
}

impl WordTable {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            WordTable::F32(v) => v.len(),
            WordTable::F16(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds row `id` to `out`, whose length is the row's; false if there is no such row.
    fn add_row(&self, id: usize, out: &mut [f32]) -> bool {
        let start = id.saturating_mul(out.len());
        let range = start..start.saturating_add(out.len());
        match self {
            WordTable::F32(v) => v.get(range).map(|row| add(out, row)).is_some(),
            WordTable::F16(v) => v
                .get(range)
                .map(|row| out.iter_mut().zip(row).for_each(|(o, v)| *o += v.to_f32()))
                .is_some(),
        }
    }
}

fn add(out: &mut [f32], row: &[f32]) {
    for (o, v) in out.iter_mut().zip(row) {
        *o += v;
    }
}

/// Word, position and token type embeddings with their layer norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    word: WordTable,
    position: Vec<f32>,
    token_type: Vec<f32>,
    norm: LayerNorm,
    vocab: usize,
    max_sequence: usize,
    position_offset: usize,
    types: usize,
    hidden: usize,
}

impl Embeddings {
    /// From row-major tables: `word` `[vocab][hidden]`, `position` `[max_positions][hidden]`,
    /// `token_type` `[types][hidden]`, empty for a model without token types. `hidden` is the
    /// norm's width. `position_offset` is the row of the first token's position.
    ///
    /// # Errors
    /// [`InputError::Length`] for a table that is not whole rows, or has none where it needs one.
    pub fn new(
        word: WordTable,
        position: Vec<f32>,
        token_type: Vec<f32>,
        norm: LayerNorm,
        position_offset: usize,
    ) -> Result<Self, InputError> {
        let hidden = norm.gamma().len();
        let rows = |what, values: usize, least: usize| {
            let rows = values.checked_div(hidden).unwrap_or(0).max(least);
            InputError::check(what, rows.saturating_mul(hidden), values).map(|()| rows)
        };
        if hidden == 0 {
            return Err(InputError::Length {
                what: "embedding norm",
                expected: 1,
                found: 0,
            });
        }
        let vocab = rows("word embeddings", word.len(), 1)?;
        let positions = rows(
            "position embeddings",
            position.len(),
            position_offset.saturating_add(1),
        )?;
        let types = rows("token type embeddings", token_type.len(), 0)?;
        let max_sequence = positions - position_offset;
        Ok(Embeddings {
            word,
            position,
            token_type,
            norm,
            vocab,
            max_sequence,
            position_offset,
            types,
            hidden,
        })
    }

    /// The word table.
    pub fn word(&self) -> &WordTable {
        &self.word
    }

    /// The position table, `[max_positions][hidden]`.
    pub fn position(&self) -> &[f32] {
        &self.position
    }

    /// The token type table, `[types][hidden]`; empty if the model has none.
    pub fn token_type(&self) -> &[f32] {
        &self.token_type
    }

    /// The layer norm.
    pub fn norm(&self) -> &LayerNorm {
        &self.norm
    }

    /// Number of token ids.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// The longest sequence in tokens.
    pub fn max_sequence(&self) -> usize {
        self.max_sequence
    }

    /// Row of the position table for the first token.
    pub fn position_offset(&self) -> usize {
        self.position_offset
    }

    /// Width of the result.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Embeds one sequence without padding: `[tokens][hidden]`, after the layer norm. `type_ids`
    /// has one entry for each token; a model without token types ignores their values.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or an id outside its table.
    pub fn embed(&self, ids: &[u32], type_ids: &[u32]) -> Result<Vec<f32>, InputError> {
        if ids.is_empty() {
            return Err(InputError::Empty);
        }
        if ids.len() > self.max_sequence {
            return Err(InputError::TooLong {
                tokens: ids.len(),
                max: self.max_sequence,
            });
        }
        InputError::check("token types", ids.len(), type_ids.len())?;
        let hidden = self.hidden;
        let mut out = vec![0.0; ids.len() * hidden];
        let positions = self
            .position
            .chunks_exact(hidden)
            .skip(self.position_offset);
        let tokens = ids.iter().zip(type_ids).enumerate();
        for ((row, (position, (&id, &type_id))), position_row) in
            out.chunks_exact_mut(hidden).zip(tokens).zip(positions)
        {
            if !self.word.add_row(id as usize, row) {
                return Err(InputError::TokenId {
                    position,
                    id,
                    vocab: self.vocab,
                });
            }
            if self.types > 0 {
                let start = (type_id as usize).saturating_mul(hidden);
                let range = start..start.saturating_add(hidden);
                let type_row = self.token_type.get(range).ok_or(InputError::TypeId {
                    position,
                    type_id,
                    types: self.types,
                })?;
                add(row, type_row);
            }
            add(row, position_row);
        }
        self.norm.apply(&mut out);
        Ok(out)
    }

    /// Whether the tables have the sizes that a configuration states.
    pub fn fits(&self, config: &BertConfig) -> bool {
        self.vocab == config.vocab
            && self.max_sequence == config.max_sequence()
            && self.types == config.type_vocab
            && self.hidden == config.hidden
    }
}
