//! What follows from each geometry: resources within the part, words a whole number of beats.

use fqbert_contract::Geometry;
use fqbert_contract::capability::{Capabilities, IdentityError};
use fqbert_contract::isa::{BEAT_BYTES, MemoryId};

/// DSP48E2, 36-kbit block RAMs and 288-kbit URAMs of the parts (Xilinx DS891 for the ZU9EG, DS889
/// for the ZU28DR).
const PARTS: [(&str, u32, u32, u32); 2] = [
    ("xczu9eg-ffvb1156-2-e", 2520, 912, 0),
    ("xczu28dr-ffvg1517-2-e", 4272, 1080, 80),
];

fn total_bram(g: &Geometry) -> u32 {
    MemoryId::ALL.iter().map(|m| g.bram36(*m)).sum::<u32>() + g.bram36_vector()
}

#[test]
fn words_are_whole_beats_where_dma_reaches() {
    for g in Geometry::presets() {
        for memory in MemoryId::ALL {
            let inner =
                [MemoryId::Resb, MemoryId::Opd, MemoryId::Scr, MemoryId::Prb].contains(memory);
            if !inner {
                let bytes = g.word_bytes(*memory);
                assert_eq!(bytes % BEAT_BYTES as u32, 0, "{} {}", g.name, memory.name());
            }
            assert!(
                g.depth(*memory) <= 65536,
                "{} {}: 16-bit words",
                g.name,
                memory.name()
            );
        }
    }
}

#[test]
fn resources_fit_the_parts() {
    for g in Geometry::presets() {
        let Some((part, dsps, brams, urams)) = PARTS.iter().find(|p| p.0 == g.part) else {
            assert_eq!(g.part, "none");
            continue;
        };
        assert!(
            g.dsps().total() <= *dsps,
            "{part}: {} DSPs of {dsps}",
            g.dsps().total()
        );
        let (used, there) = (total_bram(g), brams + 8 * urams);
        assert!(used <= there, "{part}: {used} BRAM36 of {there}");
    }
    let paper = Geometry::by_name("paper").unwrap();
    assert!(
        paper.dsps().total() <= 900,
        "the target: the paper's design takes 1751"
    );
}

#[test]
fn parallelism_is_the_papers() {
    let paper = Geometry::by_name("paper").unwrap();
    assert_eq!(
        paper.macs_per_cycle(),
        1536,
        "Table III: 12 PUs x 8 PEs x 16 multipliers"
    );
    assert_eq!(Geometry::by_name("zcu102").unwrap().macs_per_cycle(), 4608);
}

#[test]
fn capabilities_read_back() {
    for g in Geometry::presets() {
        let caps = Capabilities::of(g);
        let registers = caps.registers();
        let read = |offset| {
            Ok::<u32, ()>(
                registers
                    .iter()
                    .find(|(o, _)| *o == offset)
                    .map_or(0, |(_, v)| *v),
            )
        };
        assert_eq!(Capabilities::read(read).unwrap().unwrap(), caps);
    }
    let blank = Capabilities::read(|_| Ok::<u32, ()>(0xffff_ffff)).unwrap();
    assert!(matches!(blank, Err(IdentityError::NotOurs { .. })));
    let zeros = |o: fqbert_contract::RegisterOffset| {
        Ok::<u32, ()>(if o.0 == 0 {
            fqbert_contract::isa::MAGIC
        } else {
            0
        })
    };
    assert!(matches!(
        Capabilities::read(zeros).unwrap(),
        Err(IdentityError::Impossible { .. })
    ));
}

#[test]
#[ignore = "prints the table for docs/accelerator.md"]
fn print_resources() {
    for g in Geometry::presets() {
        println!("{}: {:?} total {}", g.name, g.dsps(), g.dsps().total());
        for m in MemoryId::ALL {
            let (words, bytes) = (g.depth(*m), g.word_bytes(*m));
            println!(
                "  {:5} {words:5} words x {bytes:4} B = {:3} BRAM36",
                m.name(),
                g.bram36(*m)
            );
        }
        println!("  vector {} total {}", g.bram36_vector(), total_bram(g));
    }
}
