//! From token ids to the input of the first encoder layer.

use crate::config::ModelConfig;
use crate::error::InputError;
use crate::table::Table;

/// Tables and layer norm of the embeddings, as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingTables {
    /// `[vocab][hidden]`.
    pub word: Table,
    /// `[max_positions][hidden]`.
    pub position: Table,
    /// `[type_vocab][hidden]`, empty if there are no token types.
    pub token_type: Table,
    /// Layer-norm weight, `[hidden]`.
    pub gamma: Vec<f32>,
    /// Layer-norm bias, `[hidden]`.
    pub beta: Vec<f32>,
}

/// Word, position and token type embeddings with their layer norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    tables: EmbeddingTables,
    eps: f32,
    vocab: usize,
    max_sequence: usize,
    position_offset: usize,
    types: usize,
    hidden: usize,
}

impl Embeddings {
    /// Takes tables whose layer norm adds `eps` to the variance; the norm's width is the number of
    /// channels. `position_offset` is the row of the first token's position.
    ///
    /// # Errors
    /// [`InputError::Length`] for a table that is not whole rows, or has none where it needs one.
    pub fn new(
        tables: EmbeddingTables,
        eps: f32,
        position_offset: usize,
    ) -> Result<Self, InputError> {
        let hidden = tables.gamma.len();
        InputError::check("layer norm offset", hidden, tables.beta.len())?;
        let rows = |what, table: &Table, least: usize| {
            let values = table.len();
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
        let vocab = rows("word embeddings", &tables.word, 1)?;
        let positions = rows(
            "position embeddings",
            &tables.position,
            position_offset.saturating_add(1),
        )?;
        let types = rows("token type embeddings", &tables.token_type, 0)?;
        Ok(Embeddings {
            tables,
            eps,
            vocab,
            max_sequence: positions - position_offset,
            position_offset,
            types,
            hidden,
        })
    }

    /// The tables.
    pub fn tables(&self) -> &EmbeddingTables {
        &self.tables
    }

    /// What the layer norm adds to the variance.
    pub fn eps(&self) -> f32 {
        self.eps
    }

    /// Channels of the result.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Embeds one sequence without padding: `[tokens][hidden]`, after the layer norm. `type_ids`
    /// has one entry for each token; a model without token types ignores their values.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or an id outside its table.
    pub fn embed(&self, ids: &[u32], type_ids: &[u32]) -> Result<Vec<f32>, InputError> {
        self.check(ids, type_ids)?;
        let tables = &self.tables;
        let mut out = vec![0.0; ids.len() * self.hidden];
        let tokens = ids.iter().zip(type_ids).enumerate();
        for (row, (position, (&id, &type_id))) in out.chunks_exact_mut(self.hidden).zip(tokens) {
            // All three were checked.
            tables.word.add_row(id as usize, row);
            if self.types > 0 {
                tables.token_type.add_row(type_id as usize, row);
            }
            tables
                .position
                .add_row(self.position_offset + position, row);
        }
        layer_norm(&mut out, &tables.gamma, &tables.beta, self.eps);
        Ok(out)
    }

    /// Checks that [`Embeddings::embed`] takes a sequence.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or an id outside its table.
    pub fn check(&self, ids: &[u32], type_ids: &[u32]) -> Result<(), InputError> {
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
        let ids = ids.iter().zip(type_ids).enumerate();
        for (position, (&id, &type_id)) in ids {
            if id as usize >= self.vocab {
                return Err(InputError::TokenId {
                    position,
                    id,
                    vocab: self.vocab,
                });
            }
            if self.types > 0 && type_id as usize >= self.types {
                return Err(InputError::TypeId {
                    position,
                    type_id,
                    types: self.types,
                });
            }
        }
        Ok(())
    }

    /// Whether the tables have the sizes that a configuration states.
    pub fn fits(&self, config: &ModelConfig) -> bool {
        self.vocab == config.vocab
            && self.max_sequence == config.max_sequence()
            && self.types == config.type_vocab
            && self.hidden == config.hidden
    }
}

/// `y = (x - mean) / sqrt(variance + eps) * gamma + beta` over each row of `x` `[rows][channels]`
/// in place, with as many channels as `gamma` has. A last, incomplete row is left.
pub fn layer_norm(x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) {
    if gamma.is_empty() {
        return;
    }
    let n = gamma.len() as f32;
    for row in x.chunks_exact_mut(gamma.len()) {
        // Two passes: the variance from centred values keeps its digits in f32.
        let mean = row.iter().sum::<f32>() / n;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let scale = 1.0 / (variance + eps).sqrt();
        for ((v, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
            *v = (*v - mean) * scale * gamma + beta;
        }
    }
}
