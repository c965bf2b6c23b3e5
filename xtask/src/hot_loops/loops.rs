//! The innermost loops of a function.

use std::collections::BTreeMap;

use super::listing::{Function, Instruction};

/// The bodies of the loops that contain no other: from where a branch leads back to, up to that
/// branch.
pub fn innermost(function: &Function) -> Vec<&[Instruction]> {
    let code = &function.code;
    // Of several branches back to the same instruction the last ends the loop. A branch to itself
    // is a jump out of the function before it is linked.
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for (end, instruction) in code.iter().enumerate() {
        let Some(to) = instruction.branch.filter(|to| *to < instruction.address) else {
            continue;
        };
        if let Ok(start) = code.binary_search_by_key(&to, |i| i.address) {
            ends.insert(start, end);
        }
    }
    let holds_another =
        |start: usize, end: usize| ends.range(start + 1..=end).any(|(_, inner)| *inner <= end);
    ends.iter()
        .filter(|(start, end)| !holds_another(**start, **end))
        .map(|(start, end)| &code[*start..=*end])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_loops::listing;
    use crate::hot_loops::target::Target;

    fn bounds(code: &str) -> Vec<(u64, u64)> {
        let listing = format!("0 <f>:\n{code}");
        let functions = listing::functions(Target::X86_64, &listing);
        let loops = innermost(&functions[0]);
        let ends = |body: &[Instruction]| (body[0].address, body[body.len() - 1].address);
        loops.into_iter().map(ends).collect()
    }

    #[test]
    fn a_loop_around_another_is_left_out() {
        let nested = "0: nop\n1: nop\n2: nop\n3: jne 0x2 <f>\n4: jb 0x1 <f>\n5: jmp 0x9 <f>\n\
                      6: nop\n7: je 0x9 <f>\n8: jae 0x6 <f>\n9: retq\n";
        assert_eq!(bounds(nested), [(2, 3), (6, 8)]);
    }

    #[test]
    fn two_ways_back_are_one_loop_and_a_branch_to_itself_is_none() {
        let twice = "0: nop\n1: jne 0x0 <f>\n2: nop\n3: jne 0x0 <f>\n4: jmp 0x4 <f>\n5: call 0x0\n";
        assert_eq!(bounds(twice), [(0, 3)]);
    }
}
