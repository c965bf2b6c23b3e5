//! The report as text.

use std::fmt::{self, Display, Formatter};

use crate::report::{Evaluation, Layers, Matched, Row, Slice};

/// Characters of a text that are shown.
const SHOWN: usize = 100;
/// Classes of a confusion table that fits a terminal.
const TABLE: usize = 12;
/// Columns of the answers in a slice.
const WIDTHS: [usize; 6] = [7, 9, 7, 6, 9, 7];
/// Below this a difference is called significant.
const SIGNIFICANT: f64 = 0.05;

/// Everything that was measured, the task's own figure first.
impl Display for Evaluation {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        headline(out, self)?;
        let run = &self.run;
        writeln!(
            out,
            "{} runs, {} cycles, {:.1} s, {:.1} texts a second{}",
            run.runs,
            run.cycles,
            run.seconds,
            run.per_second,
            if run.packing { "" } else { " (not packed)" }
        )?;
        figures(out, self)?;
        if let Some(m) = &self.matched_pairs {
            matched(out, m)?;
        }
        if let Some(table) = &self.confusion
            && table.len() <= TABLE
        {
            confusion(out, &self.labels, table)?;
        }
        if let Some(l) = &self.layers {
            layers(out, l)?;
        }
        if let Some(s) = &self.slices {
            slices(out, s)?;
        }
        rows(out, "largest errors", &self.worst)?;
        rows(
            out,
            "changed answers, the float model's surest first",
            &self.flips,
        )
    }
}

fn headline(out: &mut Formatter<'_>, r: &Evaluation) -> fmt::Result {
    write!(out, "{} {}", r.metric, number(r.value))?;
    match r.correct {
        Some(correct) => write!(out, " ({correct} of {})", r.n)?,
        None => write!(out, " ({} rows)", r.n)?,
    }
    if let Some(float) = r.float_value {
        let difference = r
            .value
            .map_or(String::new(), |v| format!(" ({:+.2})", v - float));
        write!(out, ", float {float:.2}{difference}")?;
    }
    if let Some(agreement) = r.agreement {
        write!(out, ", agreement with float {agreement:.2} %")?;
        if let Some([low, high]) = r.agreement_interval95 {
            write!(out, " (95 % interval {low:.2} to {high:.2})")?;
        }
    }
    if let Some(correlation) = r.float_correlation {
        write!(out, ", Spearman with float {correlation:.2}")?;
    }
    writeln!(out)?;
    if let Some(cut) = r.words_cut.filter(|c| *c > 0) {
        writeln!(
            out,
            "{cut} words are beyond the longest sequence and were left out"
        )?;
    }
    Ok(())
}

fn figures(out: &mut Formatter<'_>, r: &Evaluation) -> fmt::Result {
    let with_float = r.figures.iter().any(|f| f.float_value.is_some());
    write!(
        out,
        "\n{:<14} {:>9}  {:>16}",
        "figure", "quantized", "95 % interval"
    )?;
    writeln!(out, "{}", if with_float { "     float" } else { "" })?;
    for f in &r.figures {
        let interval = f.interval95.map_or(String::new(), |[low, high]| {
            format!("{low:.2} to {high:.2}")
        });
        write!(out, "{:<14} {:>9}  {interval:>16}", f.name, number(f.value))?;
        if with_float {
            write!(out, " {:>9}", number(f.float_value))?;
        }
        writeln!(out)?;
    }
    if let Some(db) = r.sqnr_db {
        writeln!(out, "{:<14} {db:>9.2}  dB, output against float", "SQNR")?;
    }
    Ok(())
}

fn matched(out: &mut Formatter<'_>, m: &Matched) -> fmt::Result {
    writeln!(
        out,
        "\nmatched pairs: both right {}, float alone {}, quantized alone {}, both wrong {}; {} \
         answers changed; McNemar p {}",
        m.both_right,
        m.float_only,
        m.quantized_only,
        m.both_wrong,
        m.flips,
        probability(m.mcnemar_p)
    )
}

fn confusion(out: &mut Formatter<'_>, labels: &[String], table: &[Vec<u64>]) -> fmt::Result {
    let width = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let width = width.clamp(6, 14);
    let short = |l: &String| l.chars().take(width).collect::<String>();
    write!(out, "\n{:<width$}", "true")?;
    for label in labels {
        write!(out, " {:>width$}", short(label))?;
    }
    writeln!(out, "   (columns: what the quantized model says)")?;
    for (label, row) in labels.iter().zip(table) {
        write!(out, "{:<width$}", short(label))?;
        for count in row {
            write!(out, " {count:>width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn layers(out: &mut Formatter<'_>, l: &Layers) -> fmt::Result {
    writeln!(
        out,
        "\nSQNR in dB after each layer, {} sequences, {} tokens",
        l.sequences, l.tokens
    )?;
    writeln!(out, "{:<12} {:>8} {:>12}", "", "run", "layer alone")?;
    for e in &l.layers {
        let (run, alone) = (number(e.sqnr_db), number(e.alone_db));
        writeln!(out, "{:<12} {run:>8} {alone:>12}", e.name)?;
    }
    Ok(())
}

fn slices(out: &mut Formatter<'_>, slices: &[Slice]) -> fmt::Result {
    let answers = slices.iter().any(|s| s.answers.is_some());
    write!(out, "\n{:<13} {:<37} {:>6}", "slice", "", "rows")?;
    if answers {
        let names = ["float", "quantized", "changed", "here %", "elsewhere", "p"];
        for (name, width) in names.iter().zip(WIDTHS) {
            write!(out, " {name:>width$}")?;
        }
    }
    writeln!(out, " {:>8} {:>9} {:>7}", "error", "elsewhere", "p")?;
    for s in slices {
        write!(out, "{:<13} {:<37} {:>6}", s.group, s.name, s.n)?;
        if let Some(a) = &s.answers {
            let cells = [
                number(a.float_accuracy),
                number(a.accuracy),
                a.flips.to_string(),
                number(a.flip_rate),
                number(a.flip_rate_elsewhere),
                corrected(a.holm_p),
            ];
            for (cell, width) in cells.iter().zip(WIDTHS) {
                write!(out, " {cell:>width$}")?;
            }
        }
        let (here, elsewhere) = (number(s.mean_error), number(s.mean_error_elsewhere));
        let p = corrected(s.error_holm_p);
        writeln!(out, " {here:>8} {elsewhere:>9} {p:>7}")?;
    }
    writeln!(
        out,
        "p of {}errors (Mann and Whitney) being as elsewhere, by Holm's correction for {} slices; \
         * below {SIGNIFICANT}",
        if answers {
            "changes (Fisher's exact test) and "
        } else {
            ""
        },
        slices.iter().filter(|s| s.error_p.is_some()).count()
    )
}

/// A probability with a mark where it is significant.
fn corrected(p: Option<f64>) -> String {
    match p {
        None => "-".into(),
        Some(p) if p < SIGNIFICANT => format!("{}*", probability(p)),
        Some(p) => probability(p),
    }
}

fn rows(out: &mut Formatter<'_>, title: &str, rows: &[Row]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    for r in rows {
        let shown: String = r.text.chars().take(SHOWN).collect();
        let more = if r.text.chars().nth(SHOWN).is_some() {
            "..."
        } else {
            ""
        };
        let margin = r
            .float_margin
            .map_or(String::new(), |m| format!(", margin {m:.2}"));
        writeln!(
            out,
            "  line {}: error {:.3}{margin}; true {}, float {}, quantized {}{}\n    {shown}{more}",
            r.line,
            r.error,
            r.expected,
            r.float,
            r.quantized,
            if r.flip { " (changed)" } else { "" }
        )?;
    }
    Ok(())
}

/// Two digits, or a dash for what is undefined.
fn number(v: Option<f64>) -> String {
    v.map_or("-".into(), |v| format!("{v:.2}"))
}

fn probability(p: f64) -> String {
    if p < 0.001 {
        format!("{p:.0e}")
    } else {
        format!("{p:.3}")
    }
}
