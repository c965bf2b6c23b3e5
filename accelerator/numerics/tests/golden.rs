//! Every golden vector of the independent NumPy model, value by value.
//!
//! The vectors are in `golden/`, the program that made them from `docs/numerics.md` in
//! `numpy_model/`.

use fqbert_numerics::gelu::{Activation, gelu_table};
use fqbert_numerics::layernorm::{self, LayerNormParams, RowStatistics, layernorm_row};
use fqbert_numerics::requant::Requant;
use fqbert_numerics::{dot, host, packed, residual_add, softmax};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Deserialize)]
struct Case {
    op: String,
    name: String,
    #[serde(rename = "in")]
    input: Fields,
    out: Fields,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn get<T: DeserializeOwned>(&self, key: &str) -> T {
        let value = self.0.get(key).unwrap_or_else(|| panic!("no field {key}"));
        serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("field {key}: {e}"))
    }

    /// An array that repeats up to `len`.
    fn cyclic<T: DeserializeOwned + Clone>(&self, key: &str, len: usize) -> Vec<T> {
        self.get::<Vec<T>>(key)
            .iter()
            .cycle()
            .take(len)
            .cloned()
            .collect()
    }

    fn records(&self) -> Vec<Requant> {
        let multiplier: Vec<u16> = self.get("multiplier");
        let shift: Vec<u8> = self.get("shift");
        let bias: Vec<i32> = self.get("bias");
        assert!(bias.len() == multiplier.len() && bias.len() == shift.len());
        let parts = bias.into_iter().zip(multiplier).zip(shift);
        parts
            .map(|((bias, multiplier), shift)| Requant {
                bias,
                multiplier,
                shift,
            })
            .collect()
    }

    fn record(&self, key: &str) -> Requant {
        let (bias, multiplier, shift) = self.get(key);
        Requant {
            bias,
            multiplier,
            shift,
        }
    }
}

impl Case {
    /// Compares one output and marks it as seen.
    fn expect<T: DeserializeOwned + PartialEq + Debug>(&mut self, key: &str, got: &T) {
        let want: T = self.out.get(key);
        assert_eq!(got, &want, "{} of {} {:?}", key, self.op, self.name);
        self.out.0.remove(key);
    }

    /// A row-major matrix against the NumPy model's list of rows.
    fn expect_rows<T>(&mut self, key: &str, got: &[T], columns: usize)
    where
        T: DeserializeOwned + PartialEq + Debug + Clone,
    {
        let rows: Vec<Vec<T>> = got.chunks(columns).map(<[T]>::to_vec).collect();
        self.expect(key, &rows);
    }
}

/// Runs every case of a file through `run`; each output must have been compared.
fn each(json: &str, at_least: usize, run: impl Fn(&mut Case)) {
    let cases: Vec<Case> = serde_json::from_str(json).expect("golden file");
    assert!(cases.len() >= at_least, "only {} cases", cases.len());
    for mut case in cases {
        assert!(!case.out.0.is_empty());
        run(&mut case);
        let left: Vec<&String> = case.out.0.keys().collect();
        assert!(
            left.is_empty(),
            "{} {:?}: {left:?} not compared",
            case.op,
            case.name
        );
    }
}

#[test]
fn requantization() {
    each(
        include_str!("../golden/requant.json"),
        7,
        |case| match case.op.as_str() {
            "requant" => {
                let acc: Vec<i32> = case.input.get("acc");
                let pairs: Vec<_> = acc.into_iter().zip(case.input.records()).collect();
                let y8: Vec<i8> = pairs.iter().map(|(acc, r)| r.apply_i8(*acc)).collect();
                let y16: Vec<i16> = pairs.iter().map(|(acc, r)| r.apply_i16(*acc)).collect();
                case.expect("y8", &y8);
                case.expect("y16", &y16);
            }
            "factor" => {
                let factors: Vec<f64> = case.input.get("factor");
                let pair = |r: Requant| (r.multiplier, r.shift);
                let wide: Vec<Option<(u16, u8)>> = factors
                    .iter()
                    .map(|&f| Requant::from_scale(f, 0).ok().map(pair))
                    .collect();
                let narrow: Vec<Option<(u16, u8)>> = factors
                    .iter()
                    .map(|&f| Requant::from_scale_8bit(f, 0).ok().map(pair))
                    .collect();
                case.expect("wide", &wide);
                case.expect("narrow", &narrow);
            }
            other => panic!("unknown op {other}"),
        },
    );
}

#[test]
fn linear_layers() {
    each(
        include_str!("../golden/linear.json"),
        20,
        |case| match case.op.as_str() {
            "linear" => {
                let (rows, k, n): (usize, usize, usize) = (
                    case.input.get("rows"),
                    case.input.get("k"),
                    case.input.get("n"),
                );
                let a: Vec<i8> = case.input.cyclic("a", rows * k);
                let w: Vec<i8> = case.input.cyclic("w", n * k);
                let params = case.input.records();
                let acc: Vec<i32> = (0..rows * n)
                    .map(|i| {
                        let (t, j) = (i / n, i % n);
                        dot::dot_i8_i8(&a[t * k..(t + 1) * k], &w[j * k..(j + 1) * k])
                    })
                    .collect();
                case.expect_rows("acc", &acc, n);
                case.expect_rows("y8", &dot::linear(&a, rows, k, &w, n, &params), n);
                case.expect_rows("y16", &dot::linear_i16(&a, rows, k, &w, n, &params), n);
                // The packed lanes of the accelerator give the same sums.
                let row: Vec<i16> = a[..k].iter().map(|&a| a.into()).collect();
                for j in 0..n {
                    assert_eq!(packed::dot_8x8(&row, &w[j * k..(j + 1) * k]), acc[j]);
                }
            }
            "packed" => {
                let a: Vec<i16> = case.input.get("a");
                let bytes: Vec<u8> = case.input.get("bytes");
                let nibbles = bytes
                    .iter()
                    .map(|&b| (((b << 4) as i8) >> 4, (b as i8) >> 4));
                let (low, high): (Vec<i8>, Vec<i8>) = nibbles.unzip();
                let lanes = packed::dot_8x4(&a, &low, &high);
                let codes = a
                    .iter()
                    .zip(&bytes)
                    .fold((0, 0), |(low, high), (&a, &byte)| {
                        let (w0, w1) = packed::unpack_pair(byte);
                        (
                            low + i32::from(a) * i32::from(w0),
                            high + i32::from(a) * i32::from(w1),
                        )
                    });
                assert_eq!(lanes, codes);
                case.expect("low", &lanes.0);
                case.expect("high", &lanes.1);
            }
            other => panic!("unknown op {other}"),
        },
    );
}

#[test]
fn attention() {
    each(
        include_str!("../golden/attention.json"),
        15,
        |case| match case.op.as_str() {
            "attention" => {
                let (rows, keys, head_dim): (usize, usize, usize) = (
                    case.input.get("rows"),
                    case.input.get("keys"),
                    case.input.get("head_dim"),
                );
                let q: Vec<i8> = case.input.cyclic("q", rows * head_dim);
                let k: Vec<i8> = case.input.cyclic("k", keys * head_dim);
                let v: Vec<i8> = case.input.cyclic("v", keys * head_dim);
                let ranges: Vec<(usize, usize)> = case.input.get("ranges");
                assert_eq!(ranges.len(), rows);
                let param = case.input.record("score_requant");
                let x = dot::scores(&q, rows, head_dim, &k, keys, param);
                let table = softmax::exp_table(case.input.get("s_s"));
                let mut p = vec![1u8; rows * keys];
                for (t, &(lo, hi)) in ranges.iter().enumerate() {
                    let row = t * keys..(t + 1) * keys;
                    softmax::softmax_row(&x[row.clone()], lo..hi, &table, &mut p[row]);
                }
                let param = case.input.record("context_requant");
                let y = dot::context(&p, rows, keys, &v, head_dim, &[param]);
                case.expect_rows("scores", &x, keys);
                case.expect("table", &table.to_vec());
                case.expect_rows("p", &p, keys);
                case.expect_rows("context", &y, head_dim);
            }
            "softmax" => {
                let x: Vec<i8> = case.input.get("x");
                let (lo, hi): (usize, usize) = case.input.get("range");
                let table: Vec<u16> = case.input.cyclic("table", 256);
                let table: [u16; 256] = table.try_into().unwrap();
                let mut p = vec![1u8; x.len()];
                softmax::softmax_row(&x, lo..hi, &table, &mut p);
                case.expect("p", &p);
            }
            other => panic!("unknown op {other}"),
        },
    );
}

#[test]
fn layer_norm_and_residual() {
    each(
        include_str!("../golden/layernorm.json"),
        45,
        |case| match case.op.as_str() {
            "layernorm" => layer_norm(case),
            "residual" => {
                let a: Vec<i16> = case.input.get("a");
                let b: Vec<i16> = case.input.get("b");
                let x: Vec<i16> = a
                    .iter()
                    .zip(&b)
                    .map(|(&a, &b)| residual_add(a, b))
                    .collect();
                case.expect("x", &x);
            }
            "layernorm_parameters" => layer_norm_parameters(case),
            "rsqrt" => {
                let v: Vec<u64> = case.input.get("v");
                let (r, k): (Vec<u32>, Vec<i32>) = v.iter().map(|&v| layernorm::rsqrt(v)).unzip();
                case.expect("r", &r);
                case.expect("k", &k);
            }
            other => panic!("unknown op {other}"),
        },
    );
}

fn layer_norm(case: &mut Case) {
    let input = &case.input;
    let n: usize = input.get("n");
    let x: Vec<i16> = input.cyclic("x", n);
    let p = LayerNormParams {
        gamma: input.cyclic("gamma", n),
        beta: input.cyclic("beta", n),
        inv: input.get("inv"),
        q: input.get("q"),
        eps: input.get("eps"),
        m16: input.get("m16"),
        s16: input.get("s16"),
        m8: input.get("m8"),
        s8: input.get("s8"),
    };
    let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
    layernorm_row(&x, &p, &mut y16, &mut y8);
    let row = RowStatistics::of(&x, p.inv, p.q, p.eps);
    case.expect("v", &row.variance);
    case.expect("mu", &row.mu);
    case.expect("rho", &row.rho);
    case.expect("sh", &row.shift);
    case.expect("y16", &y16);
    case.expect("y8", &y8);
}

fn layer_norm_parameters(case: &mut Case) {
    let input = &case.input;
    let gamma: Vec<f32> = input.get("gamma");
    let (eps, s_in) = (input.get("eps"), input.get("s_in"));
    let (s_res, s_y8) = (input.get("s_res"), input.get("s_y8"));
    let beta: Vec<f32> = input.get("beta");
    let p = layernorm::quantize(&gamma, &beta, eps, gamma.len(), s_in, s_res, s_y8).unwrap();
    case.expect("gamma", &p.gamma);
    case.expect("beta", &p.beta);
    case.expect("inv", &p.inv);
    case.expect("q", &p.q);
    case.expect("eps", &p.eps);
    case.expect("m16", &p.m16);
    case.expect("s16", &p.s16);
    case.expect("m8", &p.m8);
    case.expect("s8", &p.s8);
}

#[test]
fn tables_and_host() {
    each(
        include_str!("../golden/tables.json"),
        15,
        |case| match case.op.as_str() {
            "rsqrt_tables" => {
                case.expect("base", &layernorm::RSQRT_BASE.to_vec());
                case.expect("slope", &layernorm::RSQRT_SLOPE.to_vec());
            }
            "gelu" => {
                let activation = match case.input.get::<String>("activation").as_str() {
                    "gelu_erf" => Activation::GeluErf,
                    "gelu_tanh" => Activation::GeluTanh,
                    "relu" => Activation::Relu,
                    other => panic!("unknown activation {other}"),
                };
                let table = gelu_table(activation, case.input.get("s_in"), case.input.get("s_out"));
                case.expect("table", &table.to_vec());
            }
            "host" => {
                let v: Vec<f32> = case.input.get("v");
                let scale: f32 = case.input.get("scale");
                let x8: Vec<i8> = v.iter().map(|&v| host::quantize_i8(v, scale)).collect();
                let x16: Vec<i16> = v.iter().map(|&v| host::quantize_i16(v, scale)).collect();
                case.expect("x8", &x8);
                case.expect("x16", &x16);
            }
            other => panic!("unknown op {other}"),
        },
    );
}
