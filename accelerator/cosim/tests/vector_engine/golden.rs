//! Golden vectors of the independent NumPy model (`accelerator/numerics/golden/`), as they lie in
//! the memories.

use fqbert_contract::isa::{Layernorm, MemoryId, Operation, Softmax};
use fqbert_contract::layout::{pack_layer_norm, pack_res};
use fqbert_cosim::open_or_skip;
use fqbert_numerics::layernorm::LayerNormParams;
use serde_json::Value;

use crate::bench::Bench;
use crate::{SHAPES, geometry};

fn integers(fields: &Value, key: &str, length: usize) -> Vec<i64> {
    let array = fields[key].as_array().unwrap_or_else(|| panic!("no {key}"));
    let numbers: Vec<i64> = array.iter().map(|v| v.as_i64().unwrap()).collect();
    numbers.into_iter().cycle().take(length).collect()
}

fn integer(fields: &Value, key: &str) -> i64 {
    fields[key].as_i64().unwrap_or_else(|| panic!("no {key}"))
}

fn cases(text: &str, op: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    all.into_iter().filter(|case| case["op"] == op).collect()
}

/// Every row of the bench's row tile is the golden row.
#[test]
fn layer_norm() {
    for shape in SHAPES {
        let g = geometry(shape);
        let rows = g.rows as usize;
        let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, 5), 5);
        let mut run = 0;
        for case in cases(
            include_str!("../../../numerics/golden/layernorm.json"),
            "layernorm",
        ) {
            let (input, out) = (&case["in"], &case["out"]);
            let n = integer(input, "n") as usize;
            if n > g.max_hidden as usize {
                continue;
            }
            let x: Vec<i16> = integers(input, "x", n).iter().map(|&x| x as i16).collect();
            let norm = LayerNormParams {
                gamma: integers(input, "gamma", n)
                    .iter()
                    .map(|&v| v as i8)
                    .collect(),
                beta: integers(input, "beta", n)
                    .iter()
                    .map(|&v| v as i32)
                    .collect(),
                inv: integer(input, "inv") as u32,
                eps: integer(input, "eps") as u32,
                m16: integer(input, "m16") as u16,
                m8: integer(input, "m8") as u16,
                s16: integer(input, "s16") as u8,
                s8: integer(input, "s8") as u8,
                q: integer(input, "q") as u8,
            };
            let image = pack_res(&g, &x.repeat(rows), rows, n).unwrap();
            bench.memories.all_mut(MemoryId::Resx)[..image.len()].copy_from_slice(&image);
            bench.memories.all_mut(MemoryId::Resb)[..image.len()].fill(0);
            let params = bench.memories.all_mut(MemoryId::Lnp);
            let norm = pack_layer_norm(&norm).unwrap();
            params[..norm.len()].copy_from_slice(&norm);
            let l = Layernorm {
                y16_base: g.resx_words as u16 / 2,
                stride: 1,
                channels: n as u16,
                row_tiles: 1,
                ..Layernorm::default()
            };
            bench.run(&[Operation::Layernorm(l)], &[0]);
            let name = &case["name"];
            let y16: Vec<i16> = integers(out, "y16", n).iter().map(|&y| y as i16).collect();
            let image = pack_res(&g, &y16.repeat(rows), rows, n).unwrap();
            let at = usize::from(l.y16_base) * 4 * rows;
            let got = &bench.memories.all(MemoryId::Resx)[at..at + image.len()];
            assert_eq!(got, image, "y16 of {name}");
            for (c, y8) in integers(out, "y8", n).into_iter().enumerate() {
                let lanes = g.lanes as usize;
                let word = bench.memories.word(MemoryId::Act, c / lanes);
                for row in 0..rows {
                    assert_eq!(
                        i64::from(word[row * lanes + c % lanes] as i8),
                        y8,
                        "y8 of {name}"
                    );
                }
            }
            run += 1;
            bench.idle(2);
        }
        assert!(run >= 35, "{run} golden layer norms on {}", shape.name);
    }
}

/// One row of the golden file after the other, in every row of a row tile.
#[test]
fn softmax() {
    for shape in SHAPES {
        let g = geometry(shape);
        let (rows, lanes) = (g.rows as usize, g.lanes as usize);
        let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, 6), 6);
        let mut run = 0;
        for case in cases(
            include_str!("../../../numerics/golden/attention.json"),
            "softmax",
        ) {
            let (input, out) = (&case["in"], &case["out"]);
            let x = input["x"].as_array().unwrap().len();
            // Columns beyond the golden row are outside its range.
            let columns = x.next_multiple_of(lanes);
            if x == 0 || columns > g.max_seq as usize {
                continue;
            }
            let scores = integers(input, "x", x);
            let [lo, hi] = integers(input, "range", 2)[..] else {
                panic!("a range has two ends")
            };
            let (lo, hi) = (lo.min(0xffff) as u16, hi.min(x as i64) as u16);
            for (i, entry) in integers(input, "table", 256).into_iter().enumerate() {
                bench.memories.all_mut(MemoryId::Exp)[2 * i..2 * i + 2]
                    .copy_from_slice(&(entry as u16).to_le_bytes());
            }
            bench.load_tables();
            for row in 0..rows {
                let range = &mut bench.memories.all_mut(MemoryId::Rng)[4 * row..4 * row + 4];
                range[..2].copy_from_slice(&lo.to_le_bytes());
                range[2..].copy_from_slice(&hi.to_le_bytes());
                for (c, score) in scores.iter().enumerate() {
                    bench.memories.word_mut(MemoryId::Scr, c / 2)[2 * row + c % 2] = *score as u8;
                }
            }
            let s = Softmax {
                columns: columns as u16,
                row_tiles: 1,
                ..Softmax::default()
            };
            bench.run(&[Operation::Softmax(s)], &[0]);
            for (c, p) in integers(out, "p", x).into_iter().enumerate() {
                let word = bench.memories.word(MemoryId::Prb, c / lanes);
                for row in 0..rows {
                    let got = i64::from(word[row * lanes + c % lanes]);
                    assert_eq!(got, p, "p of {} column {c}", case["name"]);
                }
            }
            run += 1;
            bench.idle(2);
        }
        assert!(run > 0, "no golden softmax on {}", shape.name);
    }
}
