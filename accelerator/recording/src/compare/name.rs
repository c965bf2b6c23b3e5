//! What the instructions of a compiled BERT compute.

use fqbert_contract::isa::{Instruction, Matmul, MemoryId, Operation};

/// What an instruction computes, by its fields and by what comes before it.
pub(crate) fn name(program: &[Instruction], index: usize) -> &'static str {
    let Some(instruction) = program.get(index) else {
        return "";
    };
    match &instruction.operation {
        Operation::Nop(_) => "waits and signals",
        Operation::Load(l) => match MemoryId::from_code(l.memory) {
            Some(MemoryId::Act) => "8-bit input",
            Some(MemoryId::Resx) => "16-bit input",
            Some(MemoryId::Rng) => "key ranges",
            Some(MemoryId::Par) => "requantization parameters",
            Some(MemoryId::Lnp) => "layer-norm parameters",
            Some(MemoryId::Exp) => "exponential table",
            Some(MemoryId::Gel) => "GELU table",
            _ => "weights",
        },
        Operation::Store(_) => "output",
        Operation::End(_) => "end",
        Operation::Softmax(_) => "attention probabilities",
        Operation::Matmul(m) => match m.dest {
            Matmul::DEST_KEYS => "keys",
            Matmul::DEST_VALUES => "values",
            Matmul::DEST_SCR => "attention scores",
            Matmul::DEST_ACT if m.a_probs => "attention context",
            Matmul::DEST_ACT if m.gelu => "feed-forward, first matrix",
            Matmul::DEST_ACT => "queries",
            _ if after_feed_forward(program, index) => "feed-forward, second matrix",
            _ => "attention output",
        },
        Operation::Layernorm(_) if after_feed_forward(program, index) => {
            "layer norm after the feed-forward"
        }
        Operation::Layernorm(_) => "layer norm after attention",
    }
}

/// Whether the last result in ACT is the feed-forward's.
fn after_feed_forward(program: &[Instruction], index: usize) -> bool {
    let before = program.iter().take(index).rev();
    let mut results = before.filter_map(|i| match &i.operation {
        Operation::Matmul(m) if m.dest == Matmul::DEST_ACT => Some(m.gelu),
        _ => None,
    });
    results.next().unwrap_or(false)
}
