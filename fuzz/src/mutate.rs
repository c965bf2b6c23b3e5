//! Mutations without a fuzzer's feedback, for the seconds that the test command has.

use fqbert_random::Random;

/// Values at which parsers break.
const EDGES: [&[u8]; 8] = [
    &[0x00],
    &[0xFF; 4],
    &[0x00, 0x00, 0x00, 0x80],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
    b"-1",
    b"1e309",
    b"NaN",
    b"18446744073709551616",
];

/// Another input: the seed with one to eight changes.
pub fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=random.below(8) {
        change(&mut input, random);
    }
    input
}

fn change(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() as u64 + 1) as usize;
    // Mostly short: long ones leave nothing that a parser would look at.
    let longest = 1 << random.below(8);
    let end = (at + 1 + random.below(longest) as usize).min(input.len());
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 if at < end => drop(input.drain(at..end)),
        3 if at < end => {
            let copy = input[at..end].to_vec();
            let to = random.below(input.len() as u64 + 1) as usize;
            input.splice(to..to, copy);
        }
        4 => input.truncate(at),
        5 => {
            let edge = EDGES[random.below(EDGES.len() as u64) as usize];
            let end = (at + edge.len()).min(input.len());
            input.splice(at..end, edge.iter().copied());
        }
        // A digit for a digit: a number that is still one.
        _ => {
            let digit = input[at..].iter().position(u8::is_ascii_digit);
            if let Some(offset) = digit {
                input[at + offset] = b'0' + random.below(10) as u8;
            }
        }
    }
}
