//! Attention of some heads: keys and values to OPD, scores, softmax in random column ranges,
//! context.

use fqbert_contract::isa::{Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::layout::{pack_exp_table, pack_ranges};
use fqbert_contract::program::Region;
use fqbert_numerics::dot;
use fqbert_numerics::softmax::{exp_table, softmax_row};

use super::{Composer, Destination, DotProduct};
use crate::placed::{PlacedMatrix, columns};
use crate::sequence::BuildError;

/// Where keys and values of all heads lie, and what they are.
struct Operands {
    heads: usize,
    head_dim: usize,
    q: PlacedMatrix<i8>,
    keys_base: usize,
    keys_stride: usize,
    k: Vec<i8>,
    values_base: usize,
    values_stride: usize,
    v: Vec<i8>,
}

impl Composer<'_> {
    /// Self-attention of `x`, whose tokens are a multiple of the lanes; gives the context of all
    /// heads.
    pub fn attention(&mut self, x: &PlacedMatrix<i8>) -> Result<PlacedMatrix<i8>, BuildError> {
        let lanes = self.g.lanes as usize;
        let heads = self.rng.within(1, 3);
        let head_dim = lanes * self.rng.within(1, 4);
        let o = self.project(x, heads, head_dim)?;
        let ranges = self.ranges(x.tokens)?;
        let table = self.load_exp_table();
        let mut context = self.activations(x.row_tiles(self.g), heads * head_dim)?;
        for head in 0..heads {
            let y = self.head(&o, head, &ranges, &table, &context)?;
            context.replace(head * head_dim, &y);
        }
        Ok(context)
    }

    /// Q to ACT, K and V to OPD.
    fn project(
        &mut self,
        x: &PlacedMatrix<i8>,
        heads: usize,
        head_dim: usize,
    ) -> Result<Operands, BuildError> {
        let (lanes, pairs) = (self.g.lanes as usize, self.g.pairs as usize);
        let channels = heads * head_dim;
        let tokens = x.tokens;
        let narrow = |v: Vec<i16>| v.into_iter().map(|v| v as i8).collect::<Vec<i8>>();
        let shape = |c: &mut Self| DotProduct {
            mode8: c.rng.flip(),
            uniform: c.rng.flip(),
            channels,
        };

        let mut q = self.activations(x.row_tiles(self.g), channels)?;
        let target = Destination::Act {
            base: q.base,
            stride: q.stride,
            first: 0,
            gelu: false,
        };
        let dot = shape(self);
        q.values = narrow(self.product(x, dot, target)?);

        let keys_stride = channels / lanes + self.rng.within(0, 2);
        let key_tiles = tokens.div_ceil(pairs);
        let keys_base = self.reserve(MemoryId::Opd, key_tiles * keys_stride)?;
        let target = Destination::Keys {
            base: keys_base,
            stride: keys_stride,
        };
        let dot = shape(self);
        let k = narrow(self.product(x, dot, target)?);

        let values_stride = tokens / lanes + self.rng.within(0, 2);
        let value_tiles = heads * head_dim.div_ceil(pairs);
        let values_base = self.reserve(MemoryId::Opd, value_tiles * values_stride)?;
        let target = Destination::Values {
            base: values_base,
            stride: values_stride,
            head_dim,
        };
        let dot = shape(self);
        let v = narrow(self.product(x, dot, target)?);
        Ok(Operands {
            heads,
            head_dim,
            q,
            keys_base,
            keys_stride,
            k,
            values_base,
            values_stride,
            v,
        })
    }

    /// One head: two MATMULs with a SOFTMAX between them.
    fn head(
        &mut self,
        o: &Operands,
        head: usize,
        (row0, ranges): &(usize, Vec<(u16, u16)>),
        (table, entries): &(u8, [u16; 256]),
        context: &PlacedMatrix<i8>,
    ) -> Result<Vec<i8>, BuildError> {
        let (lanes, pairs) = (self.g.lanes as usize, self.g.pairs as usize);
        let (tokens, d) = (o.q.tokens, o.head_dim);
        let tiles = o.q.row_tiles(self.g);
        let width = o.heads * d;

        // Scores of rows by keys.
        let stride = tokens / 2 + self.rng.within(0, 2);
        let scores_base = self.reserve(MemoryId::Scr, tiles * stride)?;
        let param = self.record((d as f64).sqrt() * 73.0 * 73.0, 40.0)?;
        let par_base = self.params(&[param])?;
        self.push(Operation::Matmul(Matmul {
            mode8: true,
            b_opd: true,
            uniform: true,
            dest: Matmul::DEST_SCR,
            a_base: (o.q.base + head * d / lanes) as u16,
            a_stride: o.q.stride as u16,
            b_base: (o.keys_base + head * d / lanes) as u16,
            b_stride: o.keys_stride as u16,
            k_chunks: (d / lanes) as u16,
            row_tiles: tiles as u8,
            col_tiles: tokens.div_ceil(pairs) as u8,
            channels: tokens as u16,
            dst_base: scores_base as u16,
            dst_stride: stride as u16,
            par_base: par_base as u16,
            ..Matmul::default()
        }));
        let q = columns(&o.q.values, width, head * d, d);
        let k = columns(&o.k, width, head * d, d);
        let scores = dot::scores(&q, tokens, d, &k, tokens, param);

        // Probabilities, each row in its range.
        let p_stride = tokens / lanes + self.rng.within(0, 2);
        let p_base = self.reserve(MemoryId::Prb, tiles * p_stride)?;
        self.push(Operation::Softmax(Softmax {
            table: *table,
            src_base: scores_base as u16,
            src_stride: stride as u16,
            dst_base: p_base as u16,
            dst_stride: p_stride as u16,
            columns: tokens as u16,
            row_tiles: tiles as u8,
            row0: *row0 as u16,
        }));
        let mut p = vec![0u8; tokens * tokens];
        for ((x, out), (lo, hi)) in scores.chunks(tokens).zip(p.chunks_mut(tokens)).zip(ranges) {
            softmax_row(x, usize::from(*lo)..usize::from(*hi), entries, out);
        }

        // Context.
        let uniform = self.rng.flip();
        let records = if uniform { 1 } else { d };
        let params = (0..records)
            .map(|_| self.record(6000.0, 50.0))
            .collect::<Result<Vec<_>, _>>()?;
        let par_base = self.params(&params)?;
        self.push(Operation::Matmul(Matmul {
            mode8: true,
            a_probs: true,
            b_opd: true,
            uniform,
            dest: Matmul::DEST_ACT,
            a_base: p_base as u16,
            a_stride: p_stride as u16,
            b_base: (o.values_base + head * d.div_ceil(pairs) * o.values_stride) as u16,
            b_stride: o.values_stride as u16,
            k_chunks: (tokens / lanes) as u16,
            row_tiles: tiles as u8,
            col_tiles: d.div_ceil(pairs) as u8,
            channels: d as u16,
            dst_channel: (head * d) as u16,
            dst_base: context.base as u16,
            dst_stride: context.stride as u16,
            par_base: par_base as u16,
            ..Matmul::default()
        }));
        let v = columns(&o.v, width, head * d, d);
        Ok(dot::context(&p, tokens, tokens, &v, d, &params))
    }

    /// Loads a column range for each of `tokens` rows: whole rows, padding, packed sequences, empty
    /// and reversed ones. Gives the first row.
    fn ranges(&mut self, tokens: usize) -> Result<(usize, Vec<(u16, u16)>), BuildError> {
        let limit = tokens as u16;
        let kind = self.rng.within(0, 2);
        let length = self.rng.within(1, tokens) as u16;
        let ranges: Vec<(u16, u16)> = (0..limit)
            .map(|row| match kind {
                0 => (0, length),
                1 if row < length => (0, length),
                1 => (length, limit),
                _ => (
                    self.rng.within(0, tokens + 3) as u16,
                    self.rng.within(0, tokens + 3) as u16,
                ),
            })
            .collect();
        let rows = self.g.rows as usize;
        let used = self.reserve(MemoryId::Rng, tokens.div_ceil(4) + rows)?;
        let row0 = (used * 4).next_multiple_of(rows);
        let image = pack_ranges(&ranges, tokens.next_multiple_of(4))?;
        self.load(MemoryId::Rng, row0 / 4, Region::Input, &image);
        Ok((row0, ranges))
    }

    /// Loads a softmax table; gives its number and entries.
    fn load_exp_table(&mut self) -> (u8, [u16; 256]) {
        let table = self.rng.within(0, 1);
        let entries = if self.rng.within(0, 3) == 0 {
            std::array::from_fn(|_| self.rng.next() as u16)
        } else {
            exp_table(self.rng.within(1, 100) as f64 / 1000.0)
        };
        let image = pack_exp_table(&entries);
        self.load(MemoryId::Exp, table * 32, Region::Constants, &image);
        (table as u8, entries)
    }
}
