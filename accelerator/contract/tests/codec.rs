//! The instruction codec: nothing is lost on the way to words and back, nothing undefined is
//! accepted, and no input panics.

use fqbert_contract::isa::{
    DecodeError, Engine, FaultCause, Header, INSTRUCTION_BYTES, INSTRUCTION_WORDS, Instruction,
    Load, Matmul, MemoryId, Operation, opcode, reserved_bits,
};
use proptest::prelude::*;

const OPCODES: [u8; 7] = [
    opcode::NOP,
    opcode::LOAD,
    opcode::STORE,
    opcode::END,
    opcode::MATMUL,
    opcode::SOFTMAX,
    opcode::LAYERNORM,
];

fn opcodes() -> impl Strategy<Value = u8> {
    prop::sample::select(OPCODES.to_vec())
}

/// Words of a legal instruction: random ones, with the opcode set and the reserved bits clear. That
/// reaches every value of every field.
fn legal_words() -> impl Strategy<Value = [u32; INSTRUCTION_WORDS]> {
    (opcodes(), any::<[u32; INSTRUCTION_WORDS]>()).prop_map(|(opcode, mut words)| {
        words[0] = words[0] & !0xff | u32::from(opcode);
        let reserved = reserved_bits(opcode).expect("listed opcodes are known");
        for (word, reserved) in words.iter_mut().zip(reserved) {
            *word &= !reserved;
        }
        words
    })
}

proptest! {
    #[test]
    fn legal_words_survive_decoding_and_encoding(words in legal_words()) {
        let instruction = Instruction::decode(&words).expect("no reserved bit is set");
        prop_assert_eq!(instruction.encode(), Ok(words));
        prop_assert_eq!(u32::from(instruction.operation.opcode()), words[0] & 0xff);
    }

    #[test]
    fn bytes_are_the_words_in_little_endian(words in legal_words()) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes: [u8; INSTRUCTION_BYTES] = bytes.try_into().expect("eight words");
        let instruction = Instruction::from_bytes(&bytes).expect("legal");
        prop_assert_eq!(Instruction::decode(&words), Ok(instruction));
        prop_assert_eq!(instruction.to_bytes(), Ok(bytes));
    }

    #[test]
    fn arbitrary_words_decode_to_the_same_bits_or_are_refused(
        words in any::<[u32; INSTRUCTION_WORDS]>(),
        pick in prop::option::of(opcodes()),
    ) {
        // Half of the cases have a known opcode, which random bits rarely hit.
        let mut words = words;
        if let Some(opcode) = pick {
            words[0] = words[0] & !0xff | u32::from(opcode);
        }
        match Instruction::decode(&words) {
            Ok(instruction) => prop_assert_eq!(instruction.encode(), Ok(words)),
            Err(DecodeError::IllegalOpcode { opcode }) => {
                prop_assert!(!OPCODES.contains(&opcode));
                prop_assert_eq!(u32::from(opcode), words[0] & 0xff);
            }
            Err(DecodeError::ReservedBits { word, bits }) => {
                prop_assert!(bits != 0 && words[word] & bits == bits);
            }
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_refused_by_name(wait in 32u8.., beats in 1u32 << 24..) {
        let mut instruction = Instruction {
            header: Header { wait: [0, wait, 0], ..Header::default() },
            operation: Operation::Load(Load::default()),
        };
        let error = instruction.encode().expect_err("five bits");
        prop_assert_eq!((error.field, error.value, error.width), ("wait1", u64::from(wait), 5));
        instruction.header = Header::default();
        instruction.operation = Operation::Load(Load { beats, ..Load::default() });
        let error = instruction.encode().expect_err("24 bits");
        prop_assert_eq!((error.mnemonic, error.field, error.width), ("LOAD", "beats", 24));
    }
}

#[test]
fn every_reserved_bit_of_every_opcode_is_refused() {
    // Counted by hand from isa.toml: 256 less 46 of opcode, layer, waits and signals, less the
    // instruction's own.
    for (opcode, expected) in OPCODES.into_iter().zip([206, 100, 102, 210, 7, 105, 74]) {
        let mut refused = 0;
        let reserved = reserved_bits(opcode).expect("listed opcodes are known");
        for (word, mask) in reserved.into_iter().enumerate() {
            for bit in (0..32).map(|bit| 1u32 << bit) {
                let mut words = [0; INSTRUCTION_WORDS];
                words[0] = u32::from(opcode);
                words[word] |= bit;
                let result = Instruction::decode(&words);
                if mask & bit != 0 {
                    assert_eq!(result, Err(DecodeError::ReservedBits { word, bits: bit }));
                    refused += 1;
                } else if word != 0 || bit > 0xff {
                    let instruction = result.expect("a bit that a field takes");
                    assert_eq!(instruction.encode(), Ok(words));
                }
            }
        }
        assert_eq!(refused, expected, "reserved bits of opcode {opcode:#04x}");
    }
}

#[test]
fn every_other_opcode_is_refused() {
    for opcode in 0..=u8::MAX {
        let mut words = [0; INSTRUCTION_WORDS];
        words[0] = u32::from(opcode);
        let known = OPCODES.contains(&opcode);
        assert_eq!(Instruction::decode(&words).is_ok(), known, "{opcode:#04x}");
        assert_eq!(reserved_bits(opcode).is_some(), known);
    }
}

/// Bits written down from isa.toml by hand: a generator that is wrong on both sides would pass
/// every round trip.
#[test]
fn fields_lie_where_the_contract_says() {
    let matmul = Matmul {
        mode8: true,
        b_slot: 2,
        table: 1,
        dest: Matmul::DEST_VALUES,
        a_base: 0x1122,
        a_stride: 0x3344,
        b_base: 0x5566,
        b_stride: 0x7788,
        k_chunks: 0x0123,
        row_tiles: 0x45,
        col_tiles: 0x67,
        channels: 0x89ab,
        dst_channel: 0xcdef,
        dst_base: 0x1357,
        dst_stride: 0x2468,
        par_base: 0x9bdf,
        head_dim: 0x40,
        row_tile0: 0x07,
        ..Matmul::default()
    };
    let instruction = Instruction {
        header: Header {
            layer: 0xab,
            wait: [1, 2, 3],
            signal: [4, 5, 31],
        },
        operation: Operation::Matmul(matmul),
    };
    let expected = [
        0xab00_0030 | 1 << 8 | 2 << 11 | 1 << 14 | 4 << 16,
        1 | 2 << 5 | 3 << 10 | 4 << 15 | 5 << 20 | 31 << 25,
        0x3344_1122,
        0x7788_5566,
        0x6745_0123,
        0xcdef_89ab,
        0x2468_1357,
        0x0740_9bdf,
    ];
    assert_eq!(instruction.encode(), Ok(expected));

    let load = Load {
        memory: MemoryId::Wgt3.code(),
        port: 3,
        address: 0x0123_4567_89ab_cdf0,
        word_offset: 0xfedc,
        beats: 0x00ab_cdef,
    };
    let instruction = Instruction {
        header: Header::default(),
        operation: Operation::Load(load),
    };
    let expected = [
        0x10 | 11 << 8 | 3 << 12,
        0,
        0x89ab_cdf0,
        0x0123_4567,
        0xfedc,
        0x00ab_cdef,
        0,
        0,
    ];
    assert_eq!(instruction.encode(), Ok(expected));
    assert_eq!(
        instruction.operation.fields(),
        [
            ("memory", 11),
            ("port", 3),
            ("address", 0x0123_4567_89ab_cdf0),
            ("word_offset", 0xfedc),
            ("beats", 0x00ab_cdef)
        ]
    );
}

#[test]
fn nop_goes_to_the_engine_it_names() {
    for engine in Engine::ALL {
        let words = [
            u32::from(opcode::NOP) | u32::from(engine.code()) << 8,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        let instruction = Instruction::decode(&words).expect("legal");
        assert_eq!(instruction.operation.engine(), *engine);
    }
}

#[test]
fn codes_and_values_correspond() {
    for code in 0..=u8::MAX {
        assert!(Engine::from_code(code).is_none_or(|engine| engine.code() == code));
        assert!(MemoryId::from_code(code).is_none_or(|memory| memory.code() == code));
        assert!(FaultCause::from_code(code).is_none_or(|cause| cause.code() == code));
    }
    assert_eq!(Engine::ALL.len(), 4);
    assert_eq!(MemoryId::ALL.len(), 15);
    assert!(
        MemoryId::ALL
            .iter()
            .all(|m| MemoryId::from_code(m.code()) == Some(*m))
    );
    assert!(
        FaultCause::ALL
            .iter()
            .all(|c| FaultCause::from_code(c.code()) == Some(*c))
    );
    assert_eq!(MemoryId::from_code(7), None);
    assert_eq!(FaultCause::AxiDecerr.name(), "AXI_DECERR");
}
