//! `fqbert_ram`: latency, byte enables, read of a word while it is written.

use fqbert_cosim::open_or_skip;

const DEPTH: u64 = 48;

#[test]
fn random_traffic_is_that_of_an_array() {
    let mut ram = open_or_skip!("common_ram", 1);
    let ports = ["ren_i", "raddr_i", "wen_i", "waddr_i", "wdata_i", "wbe_i"].map(|n| ram.port(n));
    let [ren, raddr, wen, waddr, wdata, wbe] = ports;
    let rdata = ram.port("rdata_o");
    let mut words = [0u32; DEPTH as usize];
    for (address, word) in words.iter_mut().enumerate() {
        *word = address as u32 * 0x0101_0101;
        ram.set(wen, 1);
        ram.set(waddr, address as u64);
        ram.set(wdata, u64::from(*word));
        ram.set(wbe, 15);
        ram.tick();
    }
    let mut state = 7u64;
    let mut expected = [None; 2];
    for cycle in 0..5000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let r = state >> 20;
        let (read, write) = (r & 3 != 0, r & 4 != 0);
        let (from, to) = ((r >> 3) % DEPTH, (r >> 11) % DEPTH);
        let (value, enables) = ((r >> 7) as u32, (r >> 40) & 15);
        ram.set(ren, u64::from(read));
        ram.set(raddr, from);
        ram.set(wen, u64::from(write));
        ram.set(waddr, to);
        ram.set(wdata, u64::from(value));
        ram.set(wbe, enables);
        ram.settle();
        if let Some(word) = expected[0] {
            assert_eq!(ram.get(rdata), u64::from(word), "cycle {cycle}");
        }
        // A port that is not read keeps its last word.
        expected = [
            expected[1].or(expected[0]),
            read.then(|| words[from as usize]),
        ];
        ram.tick();
        if write {
            for byte in 0..4 {
                if enables >> byte & 1 == 1 {
                    let mask = 0xff << (8 * byte);
                    words[to as usize] = words[to as usize] & !mask | value & mask;
                }
            }
        }
    }
}
