//! BERT-base at sequence 128: the cycles that the design promises, and what they are made of.

use fqbert_compiler::{CompileOptions, compile};
use fqbert_contract::{Geometry, timing, verify::verify};
use fqbert_model::testing::{Shape, random_model};

#[test]
fn bert_base() {
    let model = random_model(Shape::BERT_BASE, 1);
    for name in ["paper", "zcu102", "zcu111", "tiny"] {
        let g = Geometry::by_name(name).unwrap();
        for overlap in [false, true] {
            let program = compile(&model, g, 128, &CompileOptions { overlap }).unwrap();
            match verify(&program, g) {
                Ok(r) => {
                    let s = timing::simulate(g, &program.instructions, timing::Policy::Earliest)
                        .unwrap();
                    println!(
                        "{name} overlap {overlap}: {} cycles {:.3} ms, {} instr; busy {:?} stall {:?}",
                        r.cycles,
                        r.cycles as f64 / 214e3,
                        r.instructions,
                        s.counters.busy,
                        s.counters.stall
                    );
                }
                Err(v) => {
                    for v in v.iter().take(4) {
                        println!("{name} {overlap}: {v}");
                    }
                }
            }
        }
    }
}
