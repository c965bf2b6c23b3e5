//! The loops of the kernels, and what must hold for those of dot products.

use anyhow::{Result, bail};

use super::build::Build;
use super::class::{self, Class, Counts};
use super::listing::{self, Instruction};
use super::loops;
use super::model;
use super::products;
use super::table::{Product, Row, Table};
use super::target::Target;

/// Where the kernels are, and below it those of the instruction sets.
const KERNELS: &str = "fqbert_emulator::kernels::vector::";
const SETS: [&str; 4] = ["avx2::", "avx512::", "neon::", "vnni::"];

/// Vector instructions of the smallest loop that is looked at.
const LEAST: usize = 4;

/// The leanest loop of these products may take the units no longer than the products alone, but for
/// this much, on these CPUs.
pub const NEAR: (&str, &str) = ("avx512-vnni", "two octets");
pub const NEAR_ON: [&str; 2] = ["znver4", "icelake-server"];
pub const NEARLY: f64 = 1.05;

/// A loop as it was found.
struct Found {
    function: String,
    product: Option<Product>,
    instructions: Counts,
    body: Vec<Instruction>,
}

/// Every innermost loop of the kernels of instruction sets that works on vectors.
///
/// # Errors
/// `llvm-mca` fails.
pub fn table(target: Target, build: Build) -> Result<Table> {
    let mut found = find(target, &build.listing);
    // By function, and within it by what makes a loop hot; not by place, which the compiler may
    // change.
    found.sort_by(|a, b| {
        let key = |f: &Found| (f.function.clone(), std::cmp::Reverse(f.instructions));
        key(a).cmp(&key(b)).then_with(|| text(a).cmp(&text(b)))
    });
    // There is no model of calls.
    let calls = |f: &Found| f.body.iter().any(|i| target.is_call(&i.mnemonic));
    let bodies: Vec<_> = found
        .iter()
        .map(|f| if calls(f) { Vec::new() } else { f.body.clone() })
        .collect();
    let alone: Vec<_> = found.iter().map(|f| arithmetic(target, f)).collect();
    let cycles = model::cycles(target, &bodies)?;
    let bounds = model::cycles(target, &alone)?;
    let mut loops: Vec<Row> = Vec::new();
    for ((found, cycles), bound) in found.into_iter().zip(cycles).zip(bounds) {
        let mut row = Row {
            function: found.function,
            number: 1,
            bound: bound.into_iter().map(|(cpu, c)| (cpu, c.units)).collect(),
            product: found.product,
            instructions: found.instructions,
            cycles,
        };
        if let Some(last) = loops.last().filter(|last| last.function == row.function) {
            row.number = last.number;
            // The same code for other constants.
            if *last == row {
                continue;
            }
            row.number += 1;
        }
        loops.push(row);
    }
    Ok(Table {
        compiler: build.compiler,
        model: model::version()?,
        loops,
    })
}

fn find(target: Target, listing: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for function in listing::functions(target, listing) {
        let Some(name) = function.name.strip_prefix(KERNELS) else {
            continue;
        };
        let prepares = name.ends_with("::new");
        if prepares || !SETS.iter().any(|set| name.starts_with(set)) {
            continue;
        }
        let frame = class::has_frame(target, &function.code);
        for body in loops::innermost(&function) {
            let instructions = Counts::of(target, frame, body);
            let product = products::of(target, name, body);
            if instructions.vectors() < LEAST {
                continue;
            }
            if product.is_some() && instructions.multiply == 0 {
                continue;
            }
            all.push(Found {
                function: name.to_owned(),
                product: product.map(|p| Product {
                    kernel: p.kernel.to_owned(),
                    widths: p.widths.to_owned(),
                }),
                instructions,
                body: body.to_vec(),
            });
        }
    }
    all
}

/// A body as text.
fn text(found: &Found) -> Vec<(&str, &str)> {
    let line = |i| -> (&str, &str) {
        let i: &Instruction = i;
        (&i.mnemonic, &i.operands)
    };
    found.body.iter().map(line).collect()
}

/// The products and additions of a loop of dot products.
fn arithmetic(target: Target, found: &Found) -> Vec<Instruction> {
    let counts = |i: &&Instruction| {
        let class = class::class(target, false, i);
        matches!(class, Class::Multiply | Class::Add)
    };
    if found.product.is_none() {
        return Vec::new();
    }
    found.body.iter().filter(counts).cloned().collect()
}

/// What holds for loops of dot products whatever the committed table says: each kernel has one,
/// none leaves its registers, and where a CPU has a dot product the loads are hidden behind it.
///
/// # Errors
/// What does not hold.
pub fn check(target: Target, table: &Table) -> Result<()> {
    let mut wrong = Vec::new();
    for wanted in products::all(target) {
        let name = format!("{} {}", wanted.kernel, wanted.widths);
        let rows: Vec<&Row> = table
            .loops
            .iter()
            .filter(|r| is(r, wanted.kernel, wanted.widths))
            .collect();
        if rows.is_empty() {
            wrong.push(format!(
                "{name}: no loop in {}; where the function has a new name, it stands in \
                 xtask/src/hot_loops/products.rs",
                wanted.path.join("::")
            ));
        }
        for row in &rows {
            let (stack, moves) = (row.instructions.stack, row.instructions.moves);
            if stack > wanted.stack || moves > 0 {
                wrong.push(format!(
                    "{name}: {}, loop {}: {stack} accesses to the stack, {moves} moves from vector \
                     register to vector register",
                    row.function, row.number
                ));
            }
        }
        if (wanted.kernel, wanted.widths) == NEAR {
            let most = rows.iter().map(|row| row.instructions.multiply).max();
            let hot = rows
                .iter()
                .filter(|row| Some(row.instructions.multiply) == most);
            let leanest = hot.min_by_key(|row| row.instructions.vectors());
            wrong.extend(leanest.into_iter().flat_map(|row| far(row)));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "loops of dot products on {}:\n{}",
        target.name(),
        wrong.join("\n")
    )
}

fn is(row: &Row, kernel: &str, widths: &str) -> bool {
    let product = row.product.as_ref();
    product.is_some_and(|p| p.kernel == kernel && p.widths == widths)
}

/// Where the loop is slower than its products alone.
fn far(row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    for cpu in NEAR_ON {
        let (cycles, bound) = (row.cycles.get(cpu), row.bound.get(cpu));
        let near = cycles
            .zip(bound)
            .is_some_and(|(c, b)| c.units <= NEARLY * b);
        if !near {
            wrong.push(format!(
                "{} {}: the units of {cpu} take {:?} cycles an iteration, {bound:?} for its \
                 products alone",
                NEAR.0,
                NEAR.1,
                cycles.map(|c| c.units)
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_loops::model::Cycles;

    /// A function with one loop.
    fn listing(function: &str, body: &str) -> String {
        format!("0 <{KERNELS}{function}::h0123456789abcdef>:\n0: nop\n1: {body}\n9: jne 0x1 <f>\n")
    }

    const PRODUCTS: &str = "vmovdqa64 (%rdi), %zmm0\n2: vpdpbusd %zmm0, %zmm1, %zmm2\n\
                            3: vpdpbusd %zmm0, %zmm1, %zmm3\n4: vpbroadcastq (%rsi), %zmm1\n5: ";

    /// A table of all dot products of x86-64, whose loop of two octets has one more instruction.
    fn surveyed(more: &str) -> Table {
        let function = |path: &[&str]| match path {
            [alone] => format!("vnni::{alone}::inner"),
            path => path.join("::"),
        };
        let mut loops = Vec::new();
        for wanted in products::all(Target::X86_64) {
            let hot = (wanted.kernel, wanted.widths) == NEAR;
            let body = format!("{PRODUCTS}{}", if hot { more } else { "nop" });
            for found in find(Target::X86_64, &listing(&function(wanted.path), &body)) {
                let cycles = Cycles {
                    simulated: 11.0,
                    units: 8.0,
                };
                loops.push(Row {
                    function: found.function,
                    number: 1,
                    product: found.product,
                    instructions: found.instructions,
                    cycles: NEAR_ON.map(|cpu| (cpu.to_owned(), cycles)).into(),
                    bound: NEAR_ON.map(|cpu| (cpu.to_owned(), 8.0)).into(),
                });
            }
        }
        Table {
            loops,
            ..Table::default()
        }
    }

    fn why(table: &Table) -> String {
        check(Target::X86_64, table).unwrap_err().to_string()
    }

    #[test]
    fn a_loop_that_loses_its_registers_fails() {
        check(Target::X86_64, &surveyed("nop")).unwrap();
        let spilled = why(&surveyed("vmovdqa64 %zmm3, 0x40(%rsp)"));
        assert!(spilled.contains("avx512-vnni two octets: avx512::products::sums, loop 1: 1 acc"));
        let moved = why(&surveyed("vmovdqa64 %zmm3, %zmm4"));
        assert!(moved.contains("1 moves from vector register"), "{moved}");
    }

    #[test]
    fn a_loop_that_is_gone_or_waits_for_loads_fails() {
        let mut table = surveyed("nop");
        let hot = |row: &&mut Row| row.function.contains("products");
        let row = table.loops.iter_mut().find(hot).unwrap();
        row.bound.insert("znver4".into(), 7.0);
        assert!(why(&table).contains("the units of znver4 take Some(8.0)"));
        table.loops.retain(|row| !row.function.contains("two_rows"));
        assert!(why(&table).contains("avx2 8x8: no loop in avx2::dot::two_rows"));
    }

    #[test]
    fn what_prepares_or_has_few_vectors_is_no_hot_loop() {
        let found = |function, body| find(Target::X86_64, &listing(function, body)).len();
        let four = format!("{PRODUCTS}nop");
        assert_eq!(found("avx2::slab::drain", &four), 1);
        let elsewhere = find(Target::X86_64, &listing("avx512::pair::drain", &four));
        assert_eq!(elsewhere[0].product.as_ref().unwrap().kernel, NEAR.0);
        assert_eq!(found("avx2::norm::Scales::new", &four), 0);
        assert_eq!(found("blocked::share", &four), 0);
        assert_eq!(found("avx2::slab::drain", "vpaddd %ymm0, %ymm1, %ymm1"), 0);
    }
}
