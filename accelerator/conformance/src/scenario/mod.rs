//! Pieces of programs with what they must compute.
//!
//! A [`Composer`] places matrices in the memories, emits the instructions and keeps the plain
//! result of each beside it. What a program must leave in its output buffer comes from the scalar
//! functions of `fqbert-numerics` on those plain matrices.

mod attention;
mod linear;
mod norm;

use std::collections::HashMap;

use fqbert_contract::isa::{BEAT_BYTES, Load, MemoryId, Operation, Store};
use fqbert_contract::layout::{LayoutError, pack_act, pack_params, pack_res};
use fqbert_contract::program::{PerRegion, Program, Region};
use fqbert_contract::{Bytes, Geometry};
use fqbert_numerics::requant::Requant;

use crate::plain::Matrix;
use crate::rng::Rng;
use crate::sequence::{BuildError, Step, sequence};

pub use linear::{Dot, Target};

/// Bytes that a STORE must leave in the output region.
#[derive(Clone, Debug)]
pub struct Expected {
    pub offset: usize,
    pub bytes: Vec<u8>,
    /// What they are, for the message.
    pub what: String,
}

/// A program with its data and what must come of it.
#[derive(Clone, Debug)]
pub struct Composed {
    pub program: Program,
    pub constants: Vec<u8>,
    pub input: Vec<u8>,
    pub expected: Vec<Expected>,
}

/// A program in the making.
pub struct Composer<'g> {
    pub g: &'g Geometry,
    pub rng: Rng,
    constants: Vec<u8>,
    input: Vec<u8>,
    output: usize,
    steps: Vec<Step>,
    next: HashMap<MemoryId, usize>,
    expected: Vec<Expected>,
}

impl From<LayoutError> for BuildError {
    fn from(e: LayoutError) -> Self {
        Self::Layout(e.to_string())
    }
}

impl<'g> Composer<'g> {
    pub fn new(g: &'g Geometry, rng: Rng) -> Self {
        Self {
            g,
            rng,
            constants: Vec::new(),
            input: Vec::new(),
            output: 0,
            steps: Vec::new(),
            next: HashMap::new(),
            expected: Vec::new(),
        }
    }

    /// The finished program, or why it is not one.
    pub fn finish(self) -> Result<Composed, BuildError> {
        let sizes = PerRegion {
            constants: Bytes(self.constants.len() as u64),
            input: Bytes(self.input.len() as u64),
            output: Bytes(self.output as u64),
        };
        let program = sequence(self.g, &self.steps, sizes)?;
        Ok(Composed {
            program,
            constants: self.constants,
            input: self.input,
            expected: self.expected,
        })
    }

    fn push(&mut self, operation: Operation) {
        self.steps.push(Step {
            operation,
            region: None,
        });
    }

    /// Words of a memory that nothing has used. Memories that are always loaded just before they
    /// are read begin anew when they are full; the hazards that makes are real ones.
    pub fn reserve(&mut self, memory: MemoryId, words: usize) -> Result<usize, BuildError> {
        let depth = self.g.depth(memory) as usize;
        let recycled = matches!(
            memory,
            MemoryId::Wgt0
                | MemoryId::Wgt1
                | MemoryId::Wgt2
                | MemoryId::Wgt3
                | MemoryId::Par
                | MemoryId::Lnp
        );
        let gap = self.rng.within(0, 2);
        let next = self.next.entry(memory).or_insert(0);
        let mut start = *next + gap;
        if start + words > depth && recycled {
            start = 0;
        }
        if start + words > depth {
            return Err(BuildError::Full {
                memory: memory.name(),
                geometry: self.g.name,
                words,
            });
        }
        *next = start + words;
        Ok(start)
    }

    /// Puts an image into a region and loads it to a memory.
    pub fn load(&mut self, memory: MemoryId, word: usize, region: Region, image: &[u8]) {
        let bytes = match region {
            Region::Constants => &mut self.constants,
            _ => &mut self.input,
        };
        let address = bytes.len() as u64;
        bytes.extend_from_slice(image);
        bytes.resize(bytes.len().next_multiple_of(BEAT_BYTES), 0);
        let port = match memory {
            MemoryId::Wgt0 => self.g.slot_port(0),
            MemoryId::Wgt1 => self.g.slot_port(1),
            MemoryId::Wgt2 => self.g.slot_port(2),
            MemoryId::Wgt3 => self.g.slot_port(3),
            _ => 0,
        };
        self.steps.push(Step {
            operation: Operation::Load(Load {
                memory: memory.code(),
                port: port as u8,
                address,
                word_offset: word as u16,
                beats: (image.len() / BEAT_BYTES) as u32,
            }),
            region: Some(region),
        });
    }

    /// Stores words that must hold `bytes`.
    fn store(&mut self, memory: MemoryId, word: usize, bytes: Vec<u8>, what: String) {
        self.steps.push(Step {
            operation: Operation::Store(Store {
                memory: memory.code(),
                address: self.output as u64,
                word_offset: word as u16,
                beats: (bytes.len() / BEAT_BYTES) as u32,
            }),
            region: Some(Region::Output),
        });
        let offset = self.output;
        self.output += bytes.len();
        self.expected.push(Expected {
            offset,
            bytes,
            what,
        });
    }

    /// A place for a matrix of whole lanes, with a gap between its row tiles or none.
    fn place<T>(
        &mut self,
        memory: MemoryId,
        words_per_tile: usize,
        tiles: usize,
        channels: usize,
        values: Vec<T>,
    ) -> Result<Matrix<T>, BuildError> {
        let stride = words_per_tile + self.rng.within(0, 1) * self.rng.within(1, 3);
        let base = self.reserve(memory, (tiles - 1) * stride + words_per_tile)?;
        let tokens = tiles * self.g.rows as usize;
        Ok(Matrix {
            memory,
            base,
            stride,
            tokens,
            channels,
            values,
        })
    }

    /// A random activation matrix, loaded. `channels` is a multiple of the lanes.
    pub fn activations(&mut self, tiles: usize, channels: usize) -> Result<Matrix<i8>, BuildError> {
        let values = self.rng.codes(tiles * self.g.rows as usize * channels);
        let words = channels / self.g.lanes as usize;
        let m = self.place(MemoryId::Act, words, tiles, channels, values)?;
        for (word, image) in tile_images(self.g, &m, pack_act)? {
            self.load(m.memory, word, Region::Input, &image);
        }
        Ok(m)
    }

    /// A random residual matrix, loaded.
    pub fn residuals(&mut self, tiles: usize, channels: usize) -> Result<Matrix<i16>, BuildError> {
        let small = self.rng.flip();
        let count = tiles * self.g.rows as usize * channels;
        let value = |r: u64| {
            if small {
                (r >> 52) as i16 - 2048
            } else {
                (r >> 48) as i16
            }
        };
        let values = (0..count).map(|_| value(self.rng.next())).collect();
        let m = self.place(MemoryId::Resx, channels / 2, tiles, channels, values)?;
        for (word, image) in tile_images(self.g, &m, pack_res)? {
            self.load(m.memory, word, Region::Input, &image);
        }
        Ok(m)
    }

    /// Stores a matrix of activations and expects its values.
    pub fn observe(&mut self, m: &Matrix<i8>, what: &str) -> Result<(), BuildError> {
        for (word, image) in tile_images(self.g, m, pack_act)? {
            self.store(m.memory, word, image, what.to_owned());
        }
        Ok(())
    }

    /// Stores a matrix of residuals and expects its values.
    pub fn observe_wide(&mut self, m: &Matrix<i16>, what: &str) -> Result<(), BuildError> {
        for (word, image) in tile_images(self.g, m, pack_res)? {
            self.store(m.memory, word, image, what.to_owned());
        }
        Ok(())
    }

    /// Loads requantization records; gives their first word.
    pub fn params(&mut self, params: &[Requant]) -> Result<usize, BuildError> {
        let image = pack_params(params);
        let word = self.reserve(MemoryId::Par, image.len() / BEAT_BYTES)?;
        self.load(MemoryId::Par, word, Region::Constants, &image);
        Ok(word)
    }

    /// A random record that brings sums of magnitude `rms` to about `target`; now and then one that
    /// no quantizer makes.
    pub fn record(&mut self, rms: f64, target: f64) -> Result<Requant, BuildError> {
        let r = self.rng.next();
        if r & 15 == 0 {
            let bias = [i32::MIN, i32::MAX, 0, -1][(r >> 8 & 3) as usize];
            let shift = [0, 1, 40, 41, 63, 64, 200, 16][(r >> 10 & 7) as usize];
            return Ok(Requant {
                bias,
                multiplier: (r >> 16) as u16,
                shift,
            });
        }
        let spread = 0.5 + (r >> 40) as f64 / f64::from(1 << 23);
        let bias = (rms * ((r >> 4 & 0xff) as f64 / 128.0 - 1.0)) as i32;
        Requant::from_scale(target / rms * spread, bias)
            .map_err(|e| BuildError::Layout(e.to_string()))
    }
}

type Pack<T> = fn(&Geometry, &[T], usize, usize) -> Result<Vec<u8>, LayoutError>;

/// First word and image of each row tile, or of the whole matrix where its tiles are adjacent.
fn tile_images<T: Copy>(
    g: &Geometry,
    m: &Matrix<T>,
    pack: Pack<T>,
) -> Result<Vec<(usize, Vec<u8>)>, BuildError> {
    let word_bytes = g.word_bytes(m.memory) as usize;
    let image = pack(g, &m.values, m.tokens, m.channels)?;
    let tile = image.len() / m.row_tiles(g);
    if tile == m.stride * word_bytes {
        return Ok(vec![(m.base, image)]);
    }
    let tiles = image.chunks_exact(tile).enumerate();
    Ok(tiles
        .map(|(i, bytes)| (m.base + i * m.stride, bytes.to_vec()))
        .collect())
}
